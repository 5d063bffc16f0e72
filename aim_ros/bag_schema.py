"""What a bag says about its message types: definitions as rosbag2 writes them. Needs no rclpy."""

from __future__ import annotations

import os
import re
from pathlib import Path

from aim_policy.config import ConfigError

ENCODING = 'ros2msg'
SEPARATOR = '=' * 80
_FIELD = re.compile(r'^\s*([a-zA-Z][\w/]*)(<=\d+)?(\[[<=\d]*\])?\s+[a-z]\w*', re.MULTILINE)
_PLAIN = {
    'bool',
    'byte',
    'char',
    'float32',
    'float64',
    'string',
    'wstring',
    *(f'{sign}int{bits}' for sign in ('', 'u') for bits in (8, 16, 32, 64)),
}


def definition(type_name: str) -> str:
    """Return the .msg text of a type such as `sensor_msgs/msg/Image`, then of all it is made of.

    Raises:
        ConfigError: a package that is not installed, or has no such message.
    """
    texts: dict[str, str] = {}
    waiting = [type_name]
    while waiting:
        name = waiting.pop(0)
        if name not in texts:
            texts[name] = _text(name)
            waiting += _parts(texts[name], name.split('/')[0])
    own = texts.pop(type_name)
    parts = (f'{SEPARATOR}\nMSG: {_short(name)}\n{text}' for name, text in texts.items())
    return '\n'.join([own, *parts])


def _short(type_name: str) -> str:
    return type_name.replace('/msg/', '/')


def _text(type_name: str) -> str:
    package, _, name = type_name.split('/')
    # The ament index is this list of folders; looking here works on machines without ROS too.
    folders = [Path(f) for f in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep) if f]
    for folder in folders:
        path = folder / 'share' / package / 'msg' / f'{name}.msg'
        if path.is_file():
            return path.read_text(encoding='utf-8')
    where = ', '.join(map(str, folders)) or 'AMENT_PREFIX_PATH, which is empty'
    raise ConfigError(f'{type_name}: no share/{package}/msg/{name}.msg in {where}')


def _parts(text: str, package: str) -> list[str]:
    """Full names of the message types that a definition uses, in order."""
    lines = '\n'.join(line.split('#')[0] for line in text.splitlines())
    found = [match[1] for match in _FIELD.finditer(lines) if match[1] not in _PLAIN]
    return [_full(name, package) for name in dict.fromkeys(found)]


def _full(name: str, package: str) -> str:
    if '/' not in name:
        return f'{package}/msg/{name}'
    owner, *_, last = name.split('/')
    return f'{owner}/msg/{last}'
