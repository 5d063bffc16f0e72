"""What of ROS 2 is installed beside us."""

from __future__ import annotations

from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_prefix


def has_executable(package: str, executable: str) -> bool:
    """Tell whether a package is installed and has an executable."""
    try:
        return (Path(get_package_prefix(package)) / 'lib' / package / executable).is_file()
    except PackageNotFoundError:
        return False
