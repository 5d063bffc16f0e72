"""The `ros2` command: a function for each command, whose parameters are the command's words."""

import argparse
import inspect
import os
import signal
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

from ament_index_python.packages import PackageNotFoundError

from . import refuse_beside_real_launch

MODULES = dict.fromkeys(('launch', 'run'), 'launching') | dict.fromkeys(
    ('topic list', 'topic echo', 'topic hz', 'node list', 'node info', 'service list')
    + ('service call', 'param list', 'param get', 'param set', 'param describe'),
    'graph',
)
# How many words a parameter takes, by its default.
NUMBERS = {inspect.Parameter.empty: None, None: '?', (): '*', ...: argparse.REMAINDER}


def _parse(name: str, function: Callable, words: list[str]) -> dict[str, Any]:
    parser = argparse.ArgumentParser(prog=f'ros2 {name}')
    for key, parameter in inspect.signature(function).parameters.items():
        if parameter.default is False:
            initial = key.removeprefix('show_')[0]
            parser.add_argument(f'-{initial}', f'--{key.replace("_", "-")}', action='store_true')
        else:
            parser.add_argument(key, nargs=NUMBERS[parameter.default])
    return vars(parser.parse_args(words))


def main() -> int | str:
    """Run one command; return its exit code, or the line that says what was wrong."""
    words = sys.argv[1:]
    name = next((known for known in MODULES if words[: known.count(' ') + 1] == known.split()), '')
    if not name:
        return f'usage: ros2 COMMAND ..., with COMMAND one of: {", ".join(MODULES)}'
    sys.stdout.reconfigure(line_buffering=True)
    try:
        refuse_beside_real_launch()
        function = getattr(import_module(f'pip_ros.{MODULES[name]}'), name.replace(' ', '_'))
        return function(**_parse(name, function, words[len(name.split()) :])) or 0
    except KeyboardInterrupt:
        return int(signal.SIGINT)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (RuntimeError, ImportError, AssertionError, PackageNotFoundError) as error:
        return str(error.args[0])
