"""Between the names of a robot and those of its arms' drivers, without ROS.

Two arms of the same make have the same joint names, each in a namespace of its own. A policy wants
one set of joints with names that differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aim_policy.config import ConfigError
from aim_policy.interface import Vector
from aim_policy.robot import ArmDriver, ArmSpec, RobotSpec


@dataclass(frozen=True)
class JointReading:
    """Measured joints of a whole robot.

    Attributes:
        stamp_ns: of the oldest part.
        names: in action order.
        positions: float64[A], rad or m.
    """

    stamp_ns: int
    names: tuple[str, ...]
    positions: Vector


class DriverNames:
    """Renames what goes to and comes from the drivers of a robot's arms."""

    def __init__(self, robot: RobotSpec) -> None:
        """Take a robot whose arms all have a `driver`.

        Raises:
            ConfigError: some have none.
        """
        without = [arm.name for arm in robot.arms if arm.driver is None]
        if without:
            raise ConfigError(f'robot {robot.name}: no driver of arm {", ".join(without)}')
        self._robot = robot
        self._parts: dict[str, tuple[int, list[float]]] = {}

    def driver(self, arm: ArmSpec) -> ArmDriver:
        """Return the driver of an arm."""
        assert arm.driver is not None
        return arm.driver

    def add(
        self, arm: ArmSpec, stamp_ns: int, names: Sequence[str], positions: Sequence[float]
    ) -> JointReading | None:
        """Take what a driver measured; return all joints once every arm has been heard.

        Raises:
            ValueError: a joint is missing; says which ones there are.
        """
        wanted = self.driver(arm).joints
        found = dict(zip(names, positions, strict=False))
        missing = [name for name in wanted if name not in found]
        if missing:
            names_found = ', '.join(found) or 'none'
            raise ValueError(
                f'{arm.name} arm has no joint {", ".join(missing)}, found {names_found}'
            )
        self._parts[arm.name] = stamp_ns, [found[name] for name in wanted]
        if len(self._parts) < len(self._robot.arms):
            return None
        parts = [self._parts[other.name] for other in self._robot.arms]
        return JointReading(
            min(stamp for stamp, _ in parts),
            self._robot.joint_names,
            np.array([value for _, values in parts for value in values]),
        )

    def to_driver(self, arm: ArmSpec, names: Sequence[str]) -> list[str]:
        """Return the driver's names of an arm's joints.

        Raises:
            ValueError: a name that is no joint of the arm.
        """
        table = dict(zip(arm.joint_names, self.driver(arm).joints, strict=True))
        unknown = [name for name in names if name not in table]
        if unknown:
            expected = ', '.join(arm.joint_names)
            raise ValueError(
                f'{arm.name} arm has no joint {", ".join(unknown)}, expected {expected}'
            )
        return [table[name] for name in names]
