"""Stand-in for the ROS 2 package `launch`: the part that aim_ros uses, with the same behaviour."""

# ruff: noqa: E402, F401
from pip_ros import refuse_beside_real_launch

refuse_beside_real_launch()

from . import actions
from .launch_service import LaunchContext, LaunchDescription, LaunchService
