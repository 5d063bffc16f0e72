"""Places of installed ROS packages."""

from typing import Any

from ament_index_python.packages import get_package_share_directory

from launch.substitutions import Substitution, perform_text


def FindPackageShare(package: Any) -> Substitution:
    """Return the share folder of a package."""
    form = f'FindPackageShare(pkg={package!r})'
    return Substitution(form, lambda c: get_package_share_directory(perform_text(c, package)))
