"""The controllers of a simulated robot behind their topics, as a target of `aim_ros.fuzz`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial

from hypothesis import strategies as st
from trajectory_msgs.msg import JointTrajectory

from aim_policy.robot import RobotSpec
from aim_ros.fuzz_messages import trajectories
from aim_ros.fuzz_report import Report
from sim_bridge.controller_topics import to_command
from sim_bridge.fake import FakeBackend
from sim_bridge.sim_loop import SimLoop
from sim_bridge.trajectory_command import TrajectoryRefused

ROUNDING = 1e-9


class Controllers:
    """Takes trajectories as the bridge does; a refusal is the answer that is expected of it."""

    def __init__(self, robot: RobotSpec) -> None:
        self.robot, self.report = robot, Report()
        self._world = SimLoop(FakeBackend(robot), judge=False)
        self._world.reset('click_bell', 0, 'easy')

    def now_ns(self) -> int:
        """Return the world's time."""
        return self._world.now_ns

    def topics(self, now_ns: int) -> Iterator[tuple[str, st.SearchStrategy, Callable]]:
        """Name the topics of both arms, what may come, and who takes it."""
        for arm in self.robot.arms:
            topic = f'{arm.controller}/joint_trajectory'
            yield topic, trajectories(now_ns, arm), partial(self._take, arm.name)

    def think(self, now_ns: int) -> None:
        """Let the world go on, and look where the arms are."""
        self._world.advance()
        lower, upper = self._world.limits
        at = self._world.backend.state().position
        if not ((at >= lower - ROUNDING) & (at <= upper + ROUNDING)).all():  # NaN is not, either
            self.report.faults.append(f'arms went to {at.tolist()}')

    def _take(self, arm: str, message: JointTrajectory) -> None:
        with contextlib.suppress(TrajectoryRefused):
            self._world.command(arm, to_command(message))
            self.report.let_through += 1
