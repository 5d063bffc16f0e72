"""The gate between a policy and the controllers: a chunk leaves checked whole, or not at all.

Knows no ROS message and no clock: time is an argument, trajectories are numpy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aim_policy.config import ConfigError, unknown_name
from aim_policy.interface import ActionChunk, Vector
from aim_policy.robot import RobotSpec

Times = NDArray[np.int64]

# A figure that is at its limit stays admitted after rounding.
_ROUNDING = 1 + 1e-9


class ChunkRejected(Exception):
    """A chunk that must not move the robot."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class ArmTrajectory:
    """A motion for one controller, starting when it arrives.

    Attributes:
        arm: name of the arm.
        controller: name of its controller.
        joint_names: J names, the driven finger last.
        positions: float64[K, J], in joint units (rad; finger as its joint).
        velocities: float64[K, J] per second, or None to leave them to the controller.
        times_ns: int64[K], after the start.
    """

    arm: str
    controller: str
    joint_names: tuple[str, ...]
    positions: Vector
    velocities: Vector | None
    times_ns: Times


@dataclass(frozen=True)
class GateConfig:
    """What the gate lets through.

    Attributes:
        execute_steps: rows of a chunk to execute before the next inference in lockstep.
        max_start_jump_rad: from the last command to the first row, grippers excluded.
        limit_policy: beyond a position limit 'clamp' within the margin, or 'reject' at once.
        limit_margin_rad: joints further out than this are rejected in any case.
        limit_margin_gripper: the same for grippers, in openings.
        max_age_s: of the observation that the chunk was computed from.
        min_lead_steps: rows due sooner than this many steps from now are left out.
        velocities: 'none', or 'finite_difference' for controllers that shall interpolate smoothly.
        max_velocity_scale: share of the robot's speed limits that may be used.
    """

    execute_steps: int = 8
    max_start_jump_rad: float = 0.3
    limit_policy: str = 'clamp'
    limit_margin_rad: float = 0.05
    limit_margin_gripper: float = 0.25
    max_age_s: float = 1.0
    min_lead_steps: int = 1
    velocities: str = 'none'
    max_velocity_scale: float = 1.0

    def __post_init__(self) -> None:
        if self.limit_policy not in ('clamp', 'reject'):
            raise unknown_name('limit_policy', self.limit_policy, ('clamp', 'reject'))
        if self.velocities not in ('none', 'finite_difference'):
            raise unknown_name('velocities', self.velocities, ('none', 'finite_difference'))
        for field in ('execute_steps', 'max_start_jump_rad', 'max_age_s', 'max_velocity_scale'):
            if not getattr(self, field) > 0:  # so that .nan is refused too
                raise ConfigError(f'{field} is {getattr(self, field)}, expected more than 0')
        for field in ('limit_margin_rad', 'limit_margin_gripper', 'min_lead_steps'):
            if not getattr(self, field) >= 0:
                raise ConfigError(f'{field} is {getattr(self, field)}, expected 0 or more')


class TrajectoryGate:
    """Turns chunks into trajectories and remembers what was commanded.

    Attributes:
        admitted: chunks let through.
        rejected: chunks refused.
    """

    def __init__(self, robot: RobotSpec, config: GateConfig) -> None:
        self.robot = robot
        self.config = config
        self.admitted = 0
        self.rejected = 0
        self._times_ns: Times = np.zeros(0, np.int64)
        self._rows: Vector = np.zeros((0, len(robot.joint_names)))
        fingers = {arm.gripper.joint for arm in robot.arms}
        self._is_gripper = np.array([name in fingers for name in robot.joint_names])

    def rearm(self, reference: Vector) -> None:
        """Forget what was commanded; the robot stands at `reference`, float64[A]."""
        self._rows = np.array(reference, float)[None]
        self._times_ns = np.zeros(1, np.int64)

    def reference_at(self, now_ns: int) -> Vector:
        """Return the action vector, float64[A], that was commanded for a time."""
        if not len(self._rows):
            raise RuntimeError('nothing was commanded yet, expected rearm() first')
        after = int(np.searchsorted(self._times_ns, now_ns, side='right'))
        before, after = max(after - 1, 0), min(after, len(self._rows) - 1)
        start: Vector = self._rows[before].copy()
        if before == after:
            return start
        start_ns, end_ns = int(self._times_ns[before]), int(self._times_ns[after])
        start += (self._rows[after] - start) * ((now_ns - start_ns) / (end_ns - start_ns))
        return start

    def admit(
        self, chunk: ActionChunk, now_ns: int, reference: Vector, steps: int | None = None
    ) -> tuple[ArmTrajectory, ...]:
        """Check a chunk and return one trajectory per arm, starting now.

        Args:
            chunk: from the policy.
            now_ns: in the clock of the chunk's stamp.
            reference: float64[A], last commanded.
            steps: rows from the chunk's beginning to execute at most, None for all.

        Raises:
            ChunkRejected: the chunk is not safe; nothing of it was let through.
        """
        reference = np.array(reference, float)
        try:
            rows, times_ns = self._checked(chunk, now_ns, reference, steps)
        except ChunkRejected:
            self.rejected += 1
            raise
        self.admitted += 1
        self._rows = np.concatenate([reference[None], rows])
        self._times_ns = now_ns + np.concatenate([[0], times_ns])
        return self._trajectories(times_ns)

    def _checked(
        self, chunk: ActionChunk, now_ns: int, reference: Vector, steps: int | None
    ) -> tuple[Vector, Times]:
        self._check_form(chunk, reference)
        self._refuse(~np.isfinite(chunk.positions), chunk.positions, 'finite numbers')
        age_s = (now_ns - chunk.stamp_ns) / 1e9
        # A little ahead is what two clocks, or a coarse /clock, make of "now".
        if abs(age_s) > self.config.max_age_s:
            allowed = f'allowed {self.config.max_age_s} s'
            raise ChunkRejected(f'chunk {chunk.chunk_id} is {age_s} s old, {allowed}')
        rows = self._within_limits(chunk.positions)
        counts = np.arange(1, len(rows) + 1)
        due_ns = chunk.stamp_ns + np.rint(counts * chunk.dt_s * 1e9).astype(np.int64)
        lead_ns = max(round(self.config.min_lead_steps * chunk.dt_s * 1e9), 1)
        most = len(rows) if steps is None else steps
        kept = (due_ns >= now_ns + lead_ns) & (counts <= most)
        if not kept.any():
            raise ChunkRejected(f'all steps of chunk {chunk.chunk_id} have passed, {age_s} s old')
        times_ns = due_ns[kept] - now_ns
        self._check_motion(rows[kept], times_ns, reference, first_step=int(kept.argmax()))
        return rows[kept], times_ns

    def _check_form(self, chunk: ActionChunk, reference: Vector) -> None:
        names = self.robot.joint_names
        if tuple(chunk.joint_names) != names:
            found, expected = ', '.join(chunk.joint_names), ', '.join(names)
            raise ChunkRejected(f'joints of the chunk are {found}, expected {expected}')
        shape = chunk.positions.shape
        if len(shape) != 2 or shape[0] == 0 or shape[1] != len(names):
            raise ChunkRejected(f'positions have shape {shape}, expected [K, {len(names)}]')
        if not 1e-9 <= chunk.dt_s < np.inf:
            raise ChunkRejected(f'dt_s is {chunk.dt_s}, expected a positive number')
        if reference.shape != (len(names),) or not np.isfinite(reference).all():
            found = reference.tolist()
            raise ChunkRejected(f'reference is {found}, expected {len(names)} finite numbers')

    def _within_limits(self, positions: Vector) -> Vector:
        lower, upper, config = self.robot.lower, self.robot.upper, self.config
        margin = np.where(self._is_gripper, config.limit_margin_gripper, config.limit_margin_rad)
        margin = margin * (config.limit_policy == 'clamp')
        least, most = lower - margin, upper + margin
        allowed = [f'{a:.3f} to {b:.3f}' for a, b in zip(least, most, strict=True)]
        self._refuse((positions < least) | (positions > most), positions, allowed)
        return np.clip(positions, lower, upper)

    def _check_motion(
        self, rows: Vector, times_ns: Times, reference: Vector, first_step: int
    ) -> None:
        jump = np.abs(rows[:1] - reference)
        allowed = self.config.max_start_jump_rad
        too_far = (jump > allowed * _ROUNDING) & ~self._is_gripper
        self._refuse(too_far, jump, f'{allowed} from the last command', 'jumps by', first_step)
        seconds = np.diff(times_ns, prepend=0)[:, None] / 1e9
        speed = np.abs(np.diff(rows, axis=0, prepend=reference[None])) / seconds
        limit = self.robot.max_velocity * self.config.max_velocity_scale
        texts = [f'{value:.3f} per second' for value in limit]
        self._refuse(speed > limit * _ROUNDING, speed, texts, 'moves at', first_step)

    def _refuse(
        self,
        bad: NDArray[np.bool_],
        found: Vector,
        allowed: str | list[str],
        verb: str = 'is',
        first_step: int = 0,
    ) -> None:
        """Raise for the first bad entry of [K, A], if there is one."""
        if bad.any():
            row, column = np.argwhere(bad)[0]
            text = allowed if isinstance(allowed, str) else allowed[column]
            name = self.robot.joint_names[column]
            what = f'{name} at step {row + first_step} {verb} {found[row, column]:.3f}'
            raise ChunkRejected(f'{what}, allowed {text}')

    def _trajectories(self, times_ns: Times) -> tuple[ArmTrajectory, ...]:
        joints = self.robot.to_joints(self._rows)
        velocities = None
        if self.config.velocities == 'finite_difference':
            seconds = np.concatenate([[0], times_ns])[:, None] / 1e9
            velocities = np.zeros_like(joints[1:])
            velocities[:-1] = (joints[2:] - joints[:-2]) / (seconds[2:] - seconds[:-2])
        trajectories = []
        for arm in self.robot.arms:
            columns = self.robot.columns(arm.name)
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
