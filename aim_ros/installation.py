"""What of ROS 2 is installed beside us, and what our nodes need of its middleware."""

from __future__ import annotations

import os
from pathlib import Path

from ament_index_python.packages import (
    PackageNotFoundError,
    get_package_prefix,
    get_package_share_directory,
)


def transport() -> dict[str, str]:
    """Environment of processes that exchange pictures; what the user has chosen stays."""
    name = 'FASTDDS_DEFAULT_PROFILES_FILE'
    if name in os.environ:
        return {}
    share = Path(get_package_share_directory('aim_ros'))
    return {name: str(share / 'config' / 'ros' / 'fastdds.xml')}


def has_package(package: str) -> bool:
    """Tell whether a package is installed."""
    try:
        get_package_prefix(package)
    except PackageNotFoundError:
        return False
    return True


def has_executable(package: str, executable: str) -> bool:
    """Tell whether a package is installed and has an executable."""
    if not has_package(package):
        return False
    return (Path(get_package_prefix(package)) / 'lib' / package / executable).is_file()


def find_launch_file(package: str, name: str) -> Path | None:
    """Return a launch file of a package, or of no package by its path; None if there is none."""
    if not package:
        path = Path(name)
    elif has_package(package):
        path = Path(get_package_share_directory(package)) / 'launch' / name
    else:
        return None
    return path if path.is_file() else None
