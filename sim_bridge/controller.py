"""What ros2_control's joint_trajectory_controller does with a command, without ROS or a clock.

Both generations of its rules are there: up to Kilted a new trajectory drops the old one at once,
from 6.8 on (`allow_trajectory_replacement`) it is blended in. Positions are in joint units.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from aim_policy.interface import Vector
from sim_bridge.controller_config import ControllerConfig
from sim_bridge.follow_goal import FollowGoal, ToleranceRequest, Tolerances
from sim_bridge.spline import Curve, Knot, Motion, Switch, rest
from sim_bridge.trajectory_command import (
    ErrorCode,
    Points,
    TrajectoryCommand,
    TrajectoryRefused,
    check_command,
    make_knots,
)

__all__ = [
    'ErrorCode',
    'JointTrajectoryController',
    'Points',
    'TrajectoryCommand',
    'TrajectoryRefused',
]


class JointTrajectoryController:
    """One controller: takes trajectories, says where its joints should be at any time."""

    def __init__(
        self, joints: tuple[str, ...], initial: Vector, config: ControllerConfig | None = None
    ) -> None:
        self.joints = joints
        self.config = config or ControllerConfig()
        self._defaults = Tolerances.of_config(self.config, joints)
        self._goal: FollowGoal | None = None
        self._motions: list[Motion] = []
        self._blendable = self._holds = self._reached = False
        self.reset(initial)

    def reset(self, positions: Vector) -> None:
        """Forget any motion and hold at float64[J] `positions`."""
        found = np.array(positions, float)
        if found.shape != (len(self.joints),) or not np.isfinite(found).all():
            raise ValueError(f'positions are {found}, expected {len(self.joints)} finite numbers')
        self.abort('the controller was reset')
        self._measured = rest(0, found)
        self._stand(0, found)

    def check(self, command: TrajectoryCommand, now_ns: int) -> None:
        """Refuse what cannot be followed; what is not refused can be.

        Raises:
            TrajectoryRefused: says why.
        """
        check_command(command, self.joints, now_ns, self.config)

    def accept(self, command: TrajectoryCommand, now_ns: int) -> None:
        """Follow `command` from now on. A goal under way goes on, and is judged by it.

        Raises:
            TrajectoryRefused: the command is not valid; nothing has changed.
        """
        self.check(command, now_ns)
        columns = [self.joints.index(name) for name in command.joint_names]
        if self.config.allow_trajectory_replacement and self._blendable and self.active(now_ns):
            self._blend(command, columns, now_ns)
        else:
            self._drop(command, columns, now_ns)
        self._blendable = len(command.times_ns) > 1
        self._holds = self._reached = False

    def follow(
        self, command: TrajectoryCommand, now_ns: int, request: ToleranceRequest
    ) -> tuple[FollowGoal, str]:
        """Follow `command` as a goal; one under way is pre-empted.

        Returns:
            The goal, and what was wrong with its tolerances, '' if nothing.

        Raises:
            TrajectoryRefused: the command is not valid; nothing has changed.
        """
        self.accept(command, now_ns)
        self.abort('pre-empted by a new goal')
        tolerances, warning = request.apply(self._defaults, self.joints)
        self._goal = FollowGoal(tolerances)
        return self._goal, warning

    def cancel(self, goal: FollowGoal, t_ns: int) -> None:
        """End a goal on its client's wish and hold the measured positions."""
        if goal is self._goal:
            self._end_goal(ErrorCode.SUCCESSFUL, 'cancelled')
            self._stand(t_ns, self._measured.positions)

    def abort(self, reason: str) -> None:
        """End the goal under way, if there is one; the motion goes on."""
        self._end_goal(ErrorCode.INVALID_GOAL, reason)

    def _end_goal(self, code: ErrorCode, reason: str) -> None:
        if self._goal:
            self._goal.end(code, reason)
        self._goal = None

    @property
    def has_goal(self) -> bool:
        """Whether a goal is under way."""
        return self._goal is not None

    def hold(self, t_ns: int) -> None:
        """Stop at the desired positions of `t_ns`."""
        self._stand(t_ns, self._state(t_ns).positions)

    def observe(self, t_ns: int, positions: Vector, velocities: Vector) -> str:
        """Judge what was measured, float64[J] each, by the tolerances.

        Returns:
            Why the motion was stopped at the measured positions, '' if it was not.
        """
        self._measured = Knot(t_ns, positions.copy(), velocities.copy(), None)
        limits = self._goal.tolerances if self._goal else self._defaults
        error = self._state(t_ns).positions - positions
        late_ns = t_ns - self.end_ns
        if self._holds:
            return ''
        if late_ns < 0:
            fault = self._outside(error, limits.path)
            return self._stop(ErrorCode.PATH_TOLERANCE_VIOLATED, fault) if fault else ''
        if not self._reached:
            speed_limit = np.full_like(error, limits.stopped_velocity)
            fault = self._outside(error, limits.goal) or self._outside(velocities, speed_limit)
            if fault and limits.goal_time_ns and late_ns > limits.goal_time_ns:
                return self._stop(ErrorCode.GOAL_TOLERANCE_VIOLATED, fault)
            self._reached = not fault
        if self._reached and self._goal:
            self._end_goal(ErrorCode.SUCCESSFUL, '')
        timeout_s = self.config.cmd_timeout
        if timeout_s and late_ns > round(timeout_s * 1e9):
            fault = f'no command for {timeout_s} s after the last point'
            return self._stop(ErrorCode.INVALID_GOAL, fault)
        return ''

    def _outside(self, error: Vector, limit: Vector) -> str:
        bad = np.flatnonzero((limit > 0) & (np.abs(error) > limit))
        if not len(bad):
            return ''
        i = bad[0]
        return f'{self.joints[i]} is off by {error[i]:.4g}, expected at most {limit[i]:.4g}'

    def _stop(self, code: ErrorCode, fault: str) -> str:
        self._end_goal(code, fault)
        self._stand(self._measured.time_ns, self._measured.positions)
        return f'{code.name}: {fault}'

    def report(self, t_ns: int) -> tuple[Knot, Knot]:
        """Return the desired state, and the one that was measured last."""
        return self._state(t_ns), self._measured

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
        return max(motion.end_ns for motion in self._motions)

    def active(self, t_ns: int) -> bool:
        """Whether a trajectory is still under way."""
        return t_ns < self.end_ns

    def _state(self, t_ns: int) -> Knot:
        motions = {id(motion): motion for motion in self._motions}
        states = {key: motion.at(t_ns) for key, motion in motions.items()}
        if len(states) == 1:
            return next(iter(states.values()))
        own = [states[id(motion)] for motion in self._motions]
        rows = [
            np.array([getattr(state, name)[i] for i, state in enumerate(own)])
            for name in ('positions', 'velocities', 'accelerations')
        ]
        return Knot(t_ns, *rows)

    def _stand(self, t_ns: int, positions: Vector) -> None:
        self._motions = [Curve([rest(t_ns, positions)])] * len(self.joints)
        self._blendable, self._holds, self._reached = False, True, True

    def _drop(self, command: TrajectoryCommand, columns: list[int], now_ns: int) -> None:
        """Forget the old motion; joints that are not commanded stay where they should be now."""
        desired = self._state(now_ns)
        start = desired if self.config.interpolate_from_desired_state else self._measured
        start = replace(start, time_ns=now_ns)
        knots = make_knots(command, columns, command.stamp_ns or now_ns, start)
        lead = [start] if knots[0].time_ns > now_ns else []
        curve, held = self._curve(lead, knots), Curve([rest(now_ns, desired.positions)])
        self._motions = [curve if i in columns else held for i in range(len(self.joints))]

    def _blend(self, command: TrajectoryCommand, columns: list[int], now_ns: int) -> None:
        """Go on as before until the start, then smoothly to the first new point.

        A start in the past is taken for now; joints that are not commanded go on as before.
        """
        start_ns = max(command.stamp_ns, now_ns)
        start = self._state(start_ns)
        knots = make_knots(command, columns, start_ns, start)
        knots = [knot for knot in knots if knot.time_ns > start_ns] or knots[-1:]
        lead = [start] if knots[0].time_ns > start_ns else []
        if lead and knots[0].velocities is None:
            lead.append(replace(knots[0], velocities=_slope(knots), accelerations=None))
        after = self._curve(lead, knots)
        switches: dict[int, Motion] = {}
        for column in columns:
            before = self._motions[column].current(now_ns)
            switch = switches.setdefault(id(before), Switch(before, after, start_ns))
            self._motions[column] = switch

    def _curve(self, lead: list[Knot], knots: list[Knot]) -> Curve:
        jump = self.config.interpolation_method == 'none'
        return Curve([*lead, *knots], jump, len(lead))


def _slope(knots: list[Knot]) -> Vector:
    """Return how fast the motion begins that follows the first knot."""
    if len(knots) == 1:
        return np.zeros_like(knots[0].positions)
    span_s = (knots[1].time_ns - knots[0].time_ns) / 1e9
    slope: Vector = (knots[1].positions - knots[0].positions) / span_s
    return slope
