"""The `ros2` command of the stand-ins, and their refusal to run beside the real packages."""

import os
import sys
from pathlib import Path


def find_real_launch() -> Path | None:
    """Return the folder of a launch package that is not this stand-in, or None."""
    folders = [Path(entry) for entry in sys.path if not (Path(entry) / 'pip_ros').is_dir()]
    prefixes = [Path(entry) for entry in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)]
    indexed = 'share/ament_index/resource_index/packages/launch'
    real = [folder / 'launch' for folder in folders if (folder / 'launch/__init__.py').is_file()]
    real += [prefix / 'share/launch' for prefix in prefixes if (prefix / indexed).exists()]
    return real[0] if real else None


def refuse_beside_real_launch() -> None:
    """Raise ImportError when ROS 2's own launch package is importable or indexed."""
    found = find_real_launch()
    if found is not None:
        raise ImportError(
            f'aim-ros-pip-ros stands in for a missing launch package, but {found} is there: '
            'use that one and uninstall aim-ros-pip-ros'
        )
