"""`ros2 launch` and `ros2 run`."""

import os
import sys
from pathlib import Path
from typing import Any

from ament_index_python.packages import get_package_share_directory

from launch import LaunchContext, LaunchService
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.actions import find_executable


def _find_launch_file(package: str, name: str | None) -> str:
    share = get_package_share_directory(package)
    found = [str(path) for path in Path(share).rglob('*') if path.name == name]
    if len(found) != 1:
        raise RuntimeError(f"'{name}' found {len(found)} times in {share}, expected once")
    return found[0]


def _show_arguments(source: PythonLaunchDescriptionSource) -> None:
    description = source.get_launch_description(LaunchContext())
    print("Arguments (pass arguments as '<name>:=<value>'):")
    for argument in description.find(DeclareLaunchArgument):
        print(f"\n    '{argument.name}':\n        {argument.description}")
        default = argument.default_value
        if default is not None:
            parts = default if isinstance(default, (list, tuple)) else [default]
            print(f'        (default: {" + ".join(map(repr, parts))})')


def launch(
    package: str, file: Any = None, words: Any = (), show_args: Any = False, debug: Any = False
) -> int | None:
    """Launch a launch file of a package or of a path, or print its arguments."""
    if os.path.isfile(package):
        path, words = package, [*filter(None, [file]), *words]
    else:
        path = _find_launch_file(package, file)
    source = PythonLaunchDescriptionSource(path)
    if show_args:
        return _show_arguments(source)
    for word in words:
        if not all(word.partition(':=')):
            raise RuntimeError(f"malformed launch argument '{word}', expected '<name>:=<value>'")
    in_terminal = sys.stdin is not None and sys.stdin.isatty()
    service = LaunchService(noninteractive=not in_terminal, debug=debug)
    arguments = [word.split(':=', 1) for word in words]
    include = IncludeLaunchDescription(source, launch_arguments=arguments)
    service.include_launch_description(include)
    return service.run()


def run(package: str, executable: str, words: Any = ...) -> None:
    """Become an executable of a package."""
    os.execv(find_executable(package, executable), [executable, *words])
