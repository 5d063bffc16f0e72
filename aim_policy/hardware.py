"""Of a robot what belongs to the place where it stands: placements, and what its driver is called.

Nothing here changes what the numbers of a policy mean.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from aim_policy.config import ConfigError
from aim_policy.interface import Vector


@dataclass(frozen=True)
class Placement:
    """Where something is and how it is turned, by its x axis (forward) and its y axis (left)."""

    position: tuple[float, float, float]
    forward: tuple[float, float, float]
    left: tuple[float, float, float]

    def __post_init__(self) -> None:
        lengths = [np.linalg.norm(axis) for axis in (self.forward, self.left)]
        if min(lengths) < 1e-6 or abs(np.dot(self.forward, self.left)) > 1e-3 * np.prod(lengths):
            raise ConfigError(
                f'forward {self.forward} and left {self.left} are not at right angles'
            )

    @property
    def matrix(self) -> Vector:
        """float64[4, 4], of its axes in the frame that it is placed in."""
        x, y = (np.array(axis) / np.linalg.norm(axis) for axis in (self.forward, self.left))
        matrix = np.eye(4)
        matrix[:3, :3] = np.stack([x, y, np.cross(x, y)], axis=1)
        matrix[:3, 3] = self.position
        return matrix


@dataclass(frozen=True)
class ArmDriver:
    """What the driver of a real arm calls things, where two arms have the same names.

    Attributes:
        joint_states: topic with its measured joints.
        joints: its names for the arm's joints, driven finger last.
        joint_trajectory: topic that takes its trajectories, of a joint_trajectory_controller.
        set_points: instead, topic that takes where the joints should be next (JointState).
    """

    joint_states: str
    joints: tuple[str, ...]
    joint_trajectory: str = ''
    set_points: str = ''

    def __post_init__(self) -> None:
        if bool(self.joint_trajectory) == bool(self.set_points):
            raise ConfigError('driver needs either joint_trajectory or set_points')


@dataclass(frozen=True)
class DriverLaunch:
    """The launch file that starts a real robot.

    Attributes:
        file: a Python launch file: its name below the package's share/launch folder.
        package: ROS package that holds it, '' if `file` is a path.
        arguments: launch arguments.
    """

    file: str
    package: str = ''
    arguments: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.file.endswith('.py'):
            raise ConfigError(f'driver launch is {self.file}, expected a Python launch file')
