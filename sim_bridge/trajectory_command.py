"""A trajectory as it arrives at a controller, and the checks of joint_trajectory_controller on it.

Stricter than the original: values that are not finite are refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike

from aim_policy.interface import Vector
from sim_bridge.controller_config import ControllerConfig
from sim_bridge.spline import Knot

Points = tuple[tuple[float, ...], ...]

FIELDS = ('positions', 'velocities', 'accelerations')

# Below this a last velocity counts as zero.
_STANDSTILL = float(np.finfo(np.float32).eps)


class ErrorCode(IntEnum):
    """Names and numbers of control_msgs/FollowJointTrajectory."""

    SUCCESSFUL = 0
    INVALID_GOAL = -1
    INVALID_JOINTS = -2
    OLD_HEADER_TIMESTAMP = -3
    PATH_TOLERANCE_VIOLATED = -4
    GOAL_TOLERANCE_VIOLATED = -5


class TrajectoryRefused(Exception):
    """A command that the controller does not take; the motion before it goes on."""

    def __init__(self, code: ErrorCode, reason: str) -> None:
        super().__init__(f'{code.name}: {reason}')
        self.code = code
        self.reason = reason


@dataclass(frozen=True)
class TrajectoryCommand:
    """A trajectory as it arrives, unchecked: points may be ragged, as in the ROS message.

    Attributes:
        joint_names: column order of the points.
        positions: per point one value per joint; an empty point, or None, means not given.
            Likewise velocities, accelerations and efforts.
        times_ns: per point, after the start.
        stamp_ns: start; 0 means on arrival.
    """

    joint_names: tuple[str, ...]
    positions: Points | None
    times_ns: tuple[int, ...]
    velocities: Points | None = None
    accelerations: Points | None = None
    efforts: Points | None = None
    stamp_ns: int = 0

    @classmethod
    def from_arrays(
        cls,
        joint_names: Iterable[str],
        positions: ArrayLike,
        times_ns: ArrayLike,
        velocities: ArrayLike | None = None,
        stamp_ns: int = 0,
    ) -> TrajectoryCommand:
        """Build a command from float[K, J] rows and int[K] times."""
        rows = tuple(map(tuple, np.asarray(positions, float).tolist()))
        speeds = None if velocities is None else tuple(map(tuple, np.asarray(velocities).tolist()))
        times = tuple(np.asarray(times_ns).tolist())
        return cls(tuple(joint_names), rows, times, speeds, stamp_ns=stamp_ns)

    def row(self, field: str, index: int) -> tuple[float, ...]:
        """Return one point's positions, velocities or accelerations; () where not given."""
        rows = getattr(self, field)
        return rows[index] if rows else ()


def check_command(
    command: TrajectoryCommand, joints: tuple[str, ...], now_ns: int, config: ControllerConfig
) -> None:
    """Refuse what the controller of `joints` would refuse.

    Raises:
        TrajectoryRefused: says what was found and what would do.
    """
    _check_names(command, joints, config.allow_partial_joints_goal)
    _check_times(command, now_ns)
    _check_rows(command, config.allow_integration_in_goal_trajectories)
    if not config.allow_nonzero_velocity_at_trajectory_end:
        _check_end(command)
    if any(command.efforts or ()):
        raise TrajectoryRefused(ErrorCode.INVALID_GOAL, 'effort given, expected positions only')


def _check_names(command: TrajectoryCommand, joints: tuple[str, ...], partial: bool) -> None:
    names = command.joint_names
    complete = sorted(names) == sorted(joints)
    some = partial and names and len(set(names)) == len(names) and set(names) <= set(joints)
    if not complete and not some:
        found = ', '.join(names) or 'missing'
        which = 'some of ' if partial else ''
        reason = f'joint names are {found}, expected {which}{", ".join(joints)} in any order'
        raise TrajectoryRefused(ErrorCode.INVALID_JOINTS, reason)


def _check_times(command: TrajectoryCommand, now_ns: int) -> None:
    times = command.times_ns
    if not times:
        raise TrajectoryRefused(ErrorCode.INVALID_GOAL, 'no points, expected at least one')
    for index, time_ns in enumerate(times):
        if not math.isfinite(time_ns):
            reason = f'time_from_start of point {index} is {time_ns}, expected a finite number'
            raise TrajectoryRefused(ErrorCode.INVALID_GOAL, reason)
        if index and time_ns <= times[index - 1]:
            least = times[index - 1]
            reason = f'time_from_start of point {index} is {time_ns} ns, expected > {least} ns'
            raise TrajectoryRefused(ErrorCode.INVALID_GOAL, reason)
    end_ns = command.stamp_ns + times[-1]
    if command.stamp_ns and end_ns < now_ns:
        reason = f'trajectory ended {(now_ns - end_ns) / 1e9} s ago, expected an end in the future'
        raise TrajectoryRefused(ErrorCode.OLD_HEADER_TIMESTAMP, reason)


def _check_rows(command: TrajectoryCommand, integrates: bool) -> None:
    for field in FIELDS:
        rows = getattr(command, field)
        needed = field == 'positions' and not integrates
        if not rows and not needed:
            continue
        if len(rows or ()) != len(command.times_ns):
            reason = f'{field} of {len(rows or ())} points, expected {len(command.times_ns)}'
            raise TrajectoryRefused(ErrorCode.INVALID_GOAL, reason)
        for index, row in enumerate(rows):
            if row or needed:
                _check_row(command.joint_names, f'{field} of point {index}', row)
    for index in range(len(command.times_ns)):
        if not any(command.row(field, index) for field in FIELDS):
            reason = f'point {index} is empty, expected positions, velocities or accelerations'
            raise TrajectoryRefused(ErrorCode.INVALID_GOAL, reason)


def _check_row(joints: tuple[str, ...], where: str, row: tuple[float, ...]) -> None:
    reasons = [
        f'{joint} in {where} is {value}, expected a finite number'
        for joint, value in zip(joints, row, strict=False)
        if not math.isfinite(value)
    ]
    if len(row) != len(joints):
        reasons = [f'{where} have {len(row)} values, expected {len(joints)}']
    if reasons:
        raise TrajectoryRefused(ErrorCode.INVALID_GOAL, reasons[0])


def _check_end(command: TrajectoryCommand) -> None:
    speeds = command.row('velocities', -1)
    for joint, speed in zip(command.joint_names, speeds, strict=False):
        if abs(speed) > _STANDSTILL:
            reason = f'{joint} has velocity {speed} at the last point, expected 0'
            raise TrajectoryRefused(ErrorCode.INVALID_GOAL, reason)


def make_knots(
    command: TrajectoryCommand, columns: list[int], start_ns: int, before: Knot
) -> list[Knot]:
    """Return the points of a checked command; columns that it does not name hold zeros.

    Args:
        command: what to follow.
        columns: of its joints among those of the controller.
        start_ns: when it begins.
        before: state that points without positions are integrated from.
    """
    width = len(before.positions)

    def row(field: str, index: int) -> Vector | None:
        values = command.row(field, index)
        if not values:
            return None
        wide = np.zeros(width)
        wide[columns] = values
        return wide

    knots: list[Knot] = []
    for index, time_ns in enumerate(command.times_ns):
        positions, velocities, accelerations = (row(field, index) for field in FIELDS)
        time_ns = start_ns + time_ns
        if positions is None:
            knot = _integrated(knots[-1] if knots else before, time_ns, velocities, accelerations)
        else:
            knot = Knot(time_ns, positions, velocities, accelerations)
        knots.append(knot)
    return knots


def _integrated(
    before: Knot, time_ns: int, velocities: Vector | None, accelerations: Vector | None
) -> Knot:
    """Find the positions of a point by the trapezoid rule from the one before it."""
    span_s = (time_ns - before.time_ns) / 1e9
    speed = np.zeros_like(before.positions) if before.velocities is None else before.velocities
    if velocities is None:
        assert accelerations is not None
        first = accelerations if before.accelerations is None else before.accelerations
        velocities = speed + (first + accelerations) / 2 * span_s
    positions = before.positions + (speed + velocities) / 2 * span_s
    return Knot(time_ns, positions, velocities, accelerations)
