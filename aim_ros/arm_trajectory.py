"""A motion of both arms, taken apart for their controllers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aim_policy.interface import Vector
from aim_policy.robot import RobotSpec

Times = NDArray[np.int64]


@dataclass(frozen=True)
class ArmTrajectory:
    """A motion for one controller, starting when it arrives.

    Attributes:
        arm: name of the arm.
        controller: name of its controller.
        joint_names: J names, the driven finger last.
        positions: float64[K, J], in joint units (rad; finger as its joint).
        velocities: float64[K, J] per second, the last zero; None to leave them to the controller.
        times_ns: int64[K], after the start.
    """

    arm: str
    controller: str
    joint_names: tuple[str, ...]
    positions: Vector
    velocities: Vector | None
    times_ns: Times


def split(
    robot: RobotSpec, rows: Vector, times_ns: Times, with_velocities: bool
) -> tuple[ArmTrajectory, ...]:
    """Return one trajectory per arm.

    Args:
        robot: whose arms.
        rows: float64[1 + K, A], where the motion starts, and what it goes through.
        times_ns: int64[K], of what it goes through, after the start.
        with_velocities: add central differences, and rest at the end.
    """
    joints = robot.to_joints(rows)
    velocities = None
    if with_velocities:
        seconds = np.concatenate([[0], times_ns])[:, None] / 1e9
        velocities = np.zeros_like(joints[1:])
        velocities[:-1] = (joints[2:] - joints[:-2]) / (seconds[2:] - seconds[:-2])
    trajectories = []
    for arm in robot.arms:
        columns = robot.columns(arm.name)
        trajectories.append(
            ArmTrajectory(
                arm=arm.name,
                controller=arm.controller,
                joint_names=arm.joint_names,
                positions=joints[1:, columns],
                velocities=None if velocities is None else velocities[:, columns],
                times_ns=times_ns,
            )
        )
    return tuple(trajectories)
