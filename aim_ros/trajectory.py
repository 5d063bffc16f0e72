"""The gate between a policy and the controllers: a chunk leaves checked whole, or not at all.

Knows no ROS message and no clock: time is an argument, trajectories are numpy.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aim_policy.interface import ActionChunk, Vector
from aim_policy.robot import RobotSpec
from aim_ros.arm_trajectory import ArmTrajectory, Times, split
from aim_ros.commanded import Commanded
from aim_ros.gate_config import ChunkConfig, GateConfig

__all__ = ['ArmTrajectory', 'ChunkConfig', 'ChunkRejected', 'GateConfig', 'TrajectoryGate']

# A figure that is at its limit stays admitted after rounding.
_ROUNDING = 1 + 1e-9


class ChunkRejected(Exception):
    """A chunk that must not move the robot."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class TrajectoryGate:
    """Turns chunks into trajectories and remembers what was commanded.

    Attributes:
        admitted: chunks let through.
        rejected: chunks refused.
        reason: why the latest refused chunk was, '' if none was.
        ramped: chunks that were approached slowly.
        clamped: chunks with a row beyond a limit, within the margin.
        commanded: what was let through.
    """

    def __init__(self, robot: RobotSpec, config: GateConfig) -> None:
        self.robot = robot
        self.config = config
        self.admitted = self.rejected = self.ramped = self.clamped = 0
        self.reason = ''
        self.forget()
        fingers = {arm.gripper.joint for arm in robot.arms}
        self._is_gripper = np.array([name in fingers for name in robot.joint_names])

    @property
    def end_ns(self) -> int:
        """When the motion that was let through ends; 0 before there is any."""
        return self.commanded.end_ns

    def forget(self) -> None:
        """Take nothing as commanded any more."""
        self.commanded = Commanded.nothing(len(self.robot.joint_names))

    def rearm(self, reference: Vector) -> None:
        """Forget what was commanded; the robot stands at `reference`, float64[A]."""
        self.commanded = Commanded.rest(reference)

    def reference_at(self, now_ns: int) -> Vector:
        """Return the action vector, float64[A], that was commanded for a time."""
        return self.commanded.at(now_ns)

    def hold(self, now_ns: int) -> tuple[ArmTrajectory, ...]:
        """Return motion that comes to rest within a policy step, () if none is under way.

        It stays on the way that was checked, so that nothing can refuse it.
        """
        commanded, times_ns = self.commanded, np.array([self.robot.dt_ns])
        if not commanded.moves_at(now_ns):
            return ()
        start, rest = commanded.at(now_ns), commanded.at(now_ns + self.robot.dt_ns)
        self.commanded = commanded.then(now_ns, start, times_ns, rest[None])
        smooth = self.config.velocities == 'finite_difference'
        return split(self.robot, np.stack([start, rest]), times_ns, smooth)

    def check_tracking(self, stamp_ns: int, measured: Vector) -> None:
        """Refuse to go on with arms that do not go where they are told.

        Args:
            stamp_ns: when they were measured.
            measured: float64[A].

        Raises:
            ChunkRejected: a joint is too far from what was commanded for that time.
        """
        gap = np.abs(measured - self.reference_at(stamp_ns)) * ~self._is_gripper
        allowed = self.config.max_tracking_error_rad
        if gap.max() > allowed:
            name = self.robot.joint_names[int(gap.argmax())]
            self.rejected += 1
            self.reason = f'{name} is {gap.max():.3f} from its command, allowed {allowed}'
            raise ChunkRejected(self.reason)

    def admit(
        self,
        chunk: ActionChunk,
        now_ns: int,
        reference: Vector,
        steps: int | None = None,
        fade_steps: int = 0,
        resting_at: Vector | None = None,
    ) -> tuple[ArmTrajectory, ...]:
        """Check a chunk and return one trajectory per arm, starting now.

        Args:
            chunk: from the policy.
            now_ns: in the clock of the chunk's stamp.
            reference: float64[A], last commanded.
            steps: rows from the chunk's beginning to execute at most, None for all.
            fade_steps: rows over which the motion that is underway fades into the chunk.
            resting_at: float64[A], measured, if the robot waited for this chunk: then none of
                its time has passed, and the start must be near.

        Raises:
            ChunkRejected: the chunk is not safe; nothing of it was let through.
        """
        reference, resting = np.array(reference, float), resting_at is not None
        try:
            rows, times_ns, first_step = self._due(
                chunk, now_ns, reference, steps, now_ns if resting else chunk.stamp_ns
            )
            rows = self._faded(rows, now_ns + times_ns, fade_steps)
            rows = self._ramped(rows, times_ns, reference)
            rows = np.clip(rows, self.robot.lower, self.robot.upper)
            starts = [reference, np.array(resting_at, float)] if resting else [reference]
            self._check_motion(rows, times_ns, starts, first_step)
        except ChunkRejected as error:
            self.rejected += 1
            self.reason = error.reason
            raise
        self.admitted += 1
        self.commanded = self.commanded.then(now_ns, reference, times_ns, rows)
        smooth = self.config.velocities == 'finite_difference'
        return split(self.robot, np.concatenate([reference[None], rows]), times_ns, smooth)

    def _due(
        self,
        chunk: ActionChunk,
        now_ns: int,
        reference: Vector,
        steps: int | None,
        begin_ns: int,
    ) -> tuple[Vector, Times, int]:
        """Return the rows that are left, within limits, their times, and which is the first."""
        self._check_form(chunk, reference)
        self._refuse(~np.isfinite(chunk.positions), chunk.positions, 'finite numbers')
        self._check_age(chunk, now_ns)
        rows = self._within_limits(chunk.positions)
        counts = np.arange(1, len(rows) + 1)
        due_ns = begin_ns + np.rint(counts * chunk.dt_s * 1e9).astype(np.int64)
        lead_ns = max(round(self.config.min_lead_steps * chunk.dt_s * 1e9), 1)
        most = len(rows) if steps is None else steps
        kept = (due_ns >= now_ns + lead_ns) & (counts <= most)
        if not kept.any():
            age_s = (now_ns - chunk.stamp_ns) / 1e9
            raise ChunkRejected(f'all steps of chunk {chunk.chunk_id} have passed, {age_s} s old')
        return rows[kept], due_ns[kept] - now_ns, int(kept.argmax())

    def _faded(self, rows: Vector, due_ns: Times, fade_steps: int) -> Vector:
        """Lead over from the motion that was let through before."""
        steps = min(fade_steps, len(rows))
        if not steps or not len(self.commanded.rows):
            return rows
        old = np.stack([self.reference_at(due) for due in due_ns[:steps].tolist()])
        share = (np.arange(1, steps + 1) / (steps + 1))[:, None]
        return np.concatenate([old + (rows[:steps] - old) * share, rows[steps:]])

    def _ramped(self, rows: Vector, times_ns: Times, reference: Vector) -> Vector:
        """Approach a first row that is too far away at a share of the speed limits."""
        jump = np.abs(rows[0] - reference)[~self._is_gripper].max()
        if not self.config.start_ramp or jump <= self.config.max_start_jump_rad:
            return rows
        self.ramped += 1
        speed = self.robot.max_velocity * self.config.start_ramp_scale
        result, before = np.empty_like(rows), reference
        for i, seconds in enumerate(np.diff(times_ns, prepend=0) / 1e9):
            before = np.clip(rows[i], before - speed * seconds, before + speed * seconds)
            result[i] = before
        return result

    def _check_age(self, chunk: ActionChunk, now_ns: int) -> None:
        age_s = (now_ns - chunk.stamp_ns) / 1e9
        # A little ahead is what two clocks, or a coarse /clock, make of "now".
        if abs(age_s) > self.config.max_age_s:
            allowed = f'allowed {self.config.max_age_s} s'
            raise ChunkRejected(f'chunk {chunk.chunk_id} is {age_s} s old, {allowed}')

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
        within = np.clip(positions, lower, upper)
        self.clamped += bool((within != positions).any())
        return within

    def _check_motion(
        self, rows: Vector, times_ns: Times, starts: list[Vector], first_step: int
    ) -> None:
        reference, allowed = starts[0], self.config.max_start_jump_rad
        places = 'the last command', 'where the arms are'
        for start, place in zip(starts, places, strict=False):
            jump = np.abs(rows[:1] - start)
            too_far = (jump > allowed * _ROUNDING) & ~self._is_gripper
            self._refuse(too_far, jump, f'{allowed} from {place}', 'jumps by', first_step)
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
