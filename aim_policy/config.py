"""YAML -> frozen dataclasses, refusing what it does not know.

Every mistake of a user ends as one `ConfigError` line that says what, where, what was found and
what would do.
"""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

T = TypeVar('T')


class ConfigError(ValueError):
    """A mistake in what the user gave: a file, an option, a name."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name most like `name`, or None if none is alike."""
    matches = difflib.get_close_matches(name.lower(), list(known), n=1, cutoff=0.5)
    return matches[0] if matches else None


def unknown_name(kind: str, name: str, known: Iterable[str]) -> ConfigError:
    """Return the error for a name that is not in a table: lists what exists and the nearest."""
    names = sorted(known)
    match = nearest(name, names)
    hint = f' (did you mean "{match}"?)' if match else ''
    return ConfigError(f'unknown {kind} "{name}"{hint}; known: {", ".join(names)}')


def load_yaml(path: Path | str) -> Any:
    """Read one YAML file.

    Raises:
        ConfigError: the file is missing or is not YAML.
    """
    try:
        return yaml.safe_load(Path(path).read_text(encoding='utf-8'))
    except OSError as error:
        raise ConfigError(f'{path}: cannot be read: {error.strerror}') from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f'{path}: not valid YAML: {" ".join(str(error).split())}') from error


def load_config(cls: type[T], path: Path | str, changes: Iterable[str] = ()) -> T:
    """Build the dataclass `cls` from a YAML file.

    Args:
        cls: what to build.
        path: of the file.
        changes: `key=value` or `group.key=value`, values in YAML, that replace its entries.
    """
    data = load_yaml(path)
    for change in changes:
        name, equals, text = change.partition('=')
        if not equals or not isinstance(data, dict):
            raise ConfigError(f'"{change}" cannot be set, expected key=value')
        *groups, key = name.split('.')
        place = data
        for group in groups:
            place = place.setdefault(group, {})
        place[key] = yaml.safe_load(text)
    return from_dict(cls, data, str(path))


def from_dict(cls: type[T], data: Any, where: str) -> T:
    """Build the dataclass `cls` from plain data; `where` names its origin in errors.

    Raises:
        ConfigError: unknown or missing key, or a value of another type.
    """
    if not isinstance(data, Mapping):
        raise ConfigError(f'{where} is {_show(data)}, expected a mapping')
    fields = {f.name: f for f in dataclasses.fields(cls) if f.init}  # type: ignore[arg-type]
    for key in data:
        if key not in fields:
            raise ConfigError(f'{where}: {unknown_name("key", str(key), fields)}')
    hints = typing.get_type_hints(cls)
    values = {}
    for name, field in fields.items():
        if name in data:
            values[name] = _convert(hints[name], data[name], f'{where}: {name}')
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ConfigError(f'{where}: {name} is missing')
    try:
        return cls(**values)
    except ConfigError as error:
        raise ConfigError(f'{where}: {error}') from error


def _convert(hint: Any, value: Any, where: str) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        return _convert(next(a for a in args if a is not type(None)), value, where)
    if dataclasses.is_dataclass(hint):
        return from_dict(hint, value, where)  # type: ignore[arg-type]
    if origin is tuple:
        return _convert_tuple(args, value, where)
    if origin is dict:
        if not isinstance(value, Mapping):
            raise ConfigError(f'{where} is {_show(value)}, expected a mapping')
        return {str(k): _convert(args[1], v, f'{where}.{k}') for k, v in value.items()}
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise ConfigError(f'{where} is {_show(value)}, expected {hint.__name__}')
    return value


def _convert_tuple(args: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise ConfigError(f'{where} is {_show(value)}, expected a list')
    if args[-1] is Ellipsis:
        args = (args[0],) * len(value)
    if len(value) != len(args):
        raise ConfigError(f'{where} has {len(value)} entries, expected {len(args)}')
    pairs = enumerate(zip(args, value, strict=True))
    return tuple(_convert(hint, item, f'{where}[{i}]') for i, (hint, item) in pairs)


def _show(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)
