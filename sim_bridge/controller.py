"""What ros2_control's joint_trajectory_controller does with a command, without ROS or a clock.

Rules of the releases up to Kilted with `interpolate_from_desired_state: true`: a new trajectory
drops the old one at once and starts from where the old one wanted the joints to be. Positions are
in joint units. Stricter than the original: values that are not finite are refused.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.polynomial.polynomial import polyder, polyval
from numpy.typing import ArrayLike

from aim_policy.interface import Vector

Points = tuple[tuple[float, ...], ...]

# Below this a last velocity counts as zero.
_STANDSTILL = float(np.finfo(np.float32).eps)


class ErrorCode(IntEnum):
    """Names and numbers of control_msgs/FollowJointTrajectory."""

    INVALID_GOAL = -1
    INVALID_JOINTS = -2
    OLD_HEADER_TIMESTAMP = -3


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


@dataclass(frozen=True)
class _Knot:
    """A state that the curve passes through; what is None is left to the interpolation."""

    time_ns: int
    positions: Vector
    velocities: Vector | None
    accelerations: Vector | None


class JointTrajectoryController:
    """One controller: takes trajectories, says where its joints should be at any time."""

    def __init__(self, joints: tuple[str, ...], initial: Vector) -> None:
        self.joints = joints
        self.reset(initial)

    def reset(self, positions: Vector) -> None:
        """Forget any motion and hold at float64[J] `positions`."""
        found = np.array(positions, float)
        if found.shape != (len(self.joints),) or not np.isfinite(found).all():
            raise ValueError(f'positions are {found}, expected {len(self.joints)} finite numbers')
        self._knots = [_rest(0, found)]

    def accept(self, command: TrajectoryCommand, now_ns: int) -> None:
        """Drop the motion under way and follow `command`.

        Raises:
            TrajectoryRefused: the command is not valid; nothing has changed.
        """
        _check_names(command, self.joints)
        _check_times(command, now_ns)
        _check_rows(command)
        columns = [command.joint_names.index(joint) for joint in self.joints]
        knots = _knots(command, columns, now_ns)
        if knots[0].time_ns > now_ns:
            knots.insert(0, self._state(now_ns))
        self._knots = knots

    def hold(self, t_ns: int) -> None:
        """Stop at the desired positions of `t_ns`."""
        self._knots = [_rest(t_ns, self._state(t_ns).positions)]

    def sample(self, t_ns: int) -> tuple[Vector, Vector]:
        """Return the desired positions and velocities, float64[J] each."""
        state = self._state(t_ns)
        assert state.velocities is not None
        return state.positions, state.velocities

    def sample_many(self, times_ns: Iterable[int]) -> tuple[Vector, Vector]:
        """Return the desired positions and velocities, float64[S, J] each."""
        positions, velocities = zip(*(self.sample(int(t)) for t in times_ns), strict=True)
        return np.array(positions), np.array(velocities)

    @property
    def end_ns(self) -> int:
        """When the last point is reached; while holding, when that began."""
        return self._knots[-1].time_ns

    def active(self, t_ns: int) -> bool:
        """Whether a trajectory is still under way."""
        return t_ns < self.end_ns

    def _state(self, t_ns: int) -> _Knot:
        index = bisect_right(self._knots, t_ns, key=lambda knot: knot.time_ns) - 1
        if 0 <= index < len(self._knots) - 1:
            return _interpolate(self._knots[index], self._knots[index + 1], t_ns)
        return _rest(t_ns, self._knots[max(index, 0)].positions)


def _rest(t_ns: int, positions: Vector) -> _Knot:
    zeros = np.zeros_like(positions)
    return _Knot(t_ns, positions.copy(), zeros, zeros.copy())


def _knots(command: TrajectoryCommand, columns: list[int], now_ns: int) -> list[_Knot]:
    start_ns = command.stamp_ns or now_ns
    positions = np.array(command.positions, float)[:, columns]

    def row(points: Points | None, i: int) -> Vector | None:
        return np.array(points[i], float)[columns] if points and points[i] else None

    speeds, accelerations = command.velocities, command.accelerations
    return [
        _Knot(start_ns + t, positions[i], row(speeds, i), row(accelerations, i))
        for i, t in enumerate(command.times_ns)
    ]


def _interpolate(start: _Knot, end: _Knot, t_ns: int) -> _Knot:
    """Linear, cubic or quintic, by what both ends know."""
    duration = (end.time_ns - start.time_ns) / 1e9
    fraction = (t_ns - start.time_ns) / (end.time_ns - start.time_ns)
    p0, delta = start.positions, end.positions - start.positions
    v0, v1, a0, a1 = start.velocities, end.velocities, start.accelerations, end.accelerations
    if v0 is None or v1 is None:
        return _Knot(t_ns, p0 + delta * fraction, delta / duration, np.zeros_like(p0))
    # Coefficients over the fraction of the segment: derivatives scale with its duration.
    v0, v1 = v0 * duration, v1 * duration
    if a0 is None or a1 is None:
        terms = np.array([p0, v0, 3 * delta - 2 * v0 - v1, v0 + v1 - 2 * delta])
    else:
        a0, a1 = a0 * duration**2, a1 * duration**2
        cubic = 10 * delta - 6 * v0 - 4 * v1 - 1.5 * a0 + 0.5 * a1
        quartic = -15 * delta + 8 * v0 + 7 * v1 + 1.5 * a0 - a1
        quintic = 6 * delta - 3 * (v0 + v1) + (a1 - a0) / 2
        terms = np.array([p0, v0, a0 / 2, cubic, quartic, quintic])
    position, first, second = (
        np.asarray(polyval(fraction, polyder(terms, order))) for order in range(3)
    )
    return _Knot(t_ns, position, first / duration, second / duration**2)


def _check_names(command: TrajectoryCommand, joints: tuple[str, ...]) -> None:
    if sorted(command.joint_names) != sorted(joints):
        found = ', '.join(command.joint_names) or 'missing'
        reason = f'joint names are {found}, expected {", ".join(joints)} in any order'
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


def _check_rows(command: TrajectoryCommand) -> None:
    for field in ('positions', 'velocities', 'accelerations'):
        rows = getattr(command, field)
        if rows is None and field != 'positions':
            continue
        if len(rows or ()) != len(command.times_ns):
            reason = f'{field} of {len(rows or ())} points, expected {len(command.times_ns)}'
            raise TrajectoryRefused(ErrorCode.INVALID_GOAL, reason)
        for index, row in enumerate(rows):
            if row or field == 'positions':
                _check_row(command.joint_names, f'{field} of point {index}', row)
    if command.velocities:
        for joint, speed in zip(command.joint_names, command.velocities[-1], strict=False):
            if abs(speed) > _STANDSTILL:
                reason = f'{joint} has velocity {speed} at the last point, expected 0'
                raise TrajectoryRefused(ErrorCode.INVALID_GOAL, reason)
    if any(command.efforts or ()):
        raise TrajectoryRefused(ErrorCode.INVALID_GOAL, 'effort given, expected positions only')


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
