"""Simulated time, trajectory controllers and one episode around a backend; no ROS, no wall clock.

One caller at a time: the bridge's simulation thread, or an offline evaluation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from aim_policy.interface import Image, Vector
from aim_policy.robot import RobotSpec
from sim_bridge.backend import Episode, SimBackend, SimState
from sim_bridge.controller import JointTrajectoryController, TrajectoryCommand
from sim_bridge.controller_config import ControllerConfig
from sim_bridge.follow_goal import FollowGoal, ToleranceRequest

START_NS = 1_000_000_000  # not 0, which means "no stamp" to much of ROS


class EpisodeState(IntEnum):
    """Values of aim_ros/msg/EpisodeStatus.state."""

    IDLE = 0
    RUNNING = 1
    SUCCEEDED = 2
    FAILED = 3


class EpisodeOver(Exception):
    """A trajectory came before an episode began or after it ended."""


@dataclass(frozen=True)
class Snapshot:
    """What all sensors say at one moment.

    Attributes:
        stamp_ns: simulated time.
        images: camera name -> uint8[H, W, 3] RGB.
        state: measured joints.
        target: float64[A], joint positions (rad, m) that the controllers want now, robot order.
    """

    stamp_ns: int
    images: dict[str, Image]
    state: SimState
    target: Vector


class SimLoop:
    """One world with a trajectory controller per arm.

    Attributes:
        now_ns: simulated time; never goes back, not even at a reset.
        episode: the scene at hand, None before the first reset.
        state: how its episode stands.
        reason: why the episode failed, '' if it did not.
        step_count: policy steps since the reset.
        stops: arm -> why its controller stopped a motion by itself, until the next command.
        limits: lowest and highest joint positions, float64[A] each (rad, m), that reach the plant;
            ros2_control clamps commands likewise (`enforce_command_limits`).
    """

    def __init__(
        self,
        backend: SimBackend,
        controllers: Mapping[str, ControllerConfig] | None = None,
        judge: bool = True,
    ) -> None:
        """Put controllers around a backend.

        Args:
            backend: the plant.
            controllers: arm -> parameters of its controller.
            judge: let episodes end; off, they go on for ever.
        """
        self.backend = backend
        self._judges = judge
        self.stops: dict[str, str] = {}
        self.robot: RobotSpec = backend.robot
        self.now_ns = START_NS
        self.episode: Episode | None = None
        self.state = EpisodeState.IDLE
        self.step_count = 0
        self.reason = ''
        self._waiting: set[str] = set()
        home, configs = self.robot.to_joints(self.robot.home), controllers or {}
        ends = [self.robot.to_joints(limit) for limit in (self.robot.lower, self.robot.upper)]
        self.limits = np.min(ends, axis=0), np.max(ends, axis=0)
        self.controllers = {
            arm.name: JointTrajectoryController(
                arm.joint_names, home[self.robot.columns(arm.name)], configs.get(arm.name)
            )
            for arm in self.robot.arms
        }

    def reset(self, task: str, seed: int, setting: str, wording: str = 'auto') -> Episode:
        """Start an episode, see `SimBackend.reset`; the robot is at home and at rest.

        Raises:
            ConfigError: an unknown name; the old episode goes on.
        """
        self.episode = self.backend.reset(task, seed, setting, wording)
        self.now_ns += self.robot.dt_ns
        self.state, self.step_count, self.reason = EpisodeState.RUNNING, 0, ''
        self._waiting.clear()
        self.stops.clear()
        home = self.robot.to_joints(self.robot.home)
        for arm, controller in self.controllers.items():
            controller.reset(home[self.robot.columns(arm)])
        return self.episode

    def command(self, arm: str, command: TrajectoryCommand) -> None:
        """Hand a trajectory to an arm's controller.

        Raises:
            EpisodeOver: there is nothing to move for.
            TrajectoryRefused: says why; the motion before it goes on.
        """
        self._check_running()
        self.controllers[arm].accept(command, self.now_ns)
        self._started(arm)

    def check(self, arm: str, command: TrajectoryCommand) -> None:
        """Refuse what `command` and `follow` would refuse, see there."""
        self._check_running()
        self.controllers[arm].check(command, self.now_ns)

    def follow(
        self, arm: str, command: TrajectoryCommand, request: ToleranceRequest
    ) -> tuple[FollowGoal, str]:
        """Hand a goal to an arm's controller, see `JointTrajectoryController.follow`.

        Raises:
            EpisodeOver, TrajectoryRefused: see `command`.
        """
        self._check_running()
        goal, warning = self.controllers[arm].follow(command, self.now_ns, request)
        self._started(arm)
        return goal, warning

    def cancel(self, arm: str, goal: FollowGoal) -> None:
        """End a goal before its time; the arm holds where it is."""
        self.controllers[arm].cancel(goal, self.now_ns)

    def _check_running(self) -> None:
        if self.state != EpisodeState.RUNNING:
            raise EpisodeOver(f'no episode is running (state {self.state.name})')

    def _started(self, arm: str) -> None:
        self.stops.pop(arm, None)
        self._waiting.add(arm)

    @property
    def waiting(self) -> bool:
        """Whether some arm has a trajectory that no time has passed for yet."""
        return bool(self._waiting)

    @property
    def complete(self) -> bool:
        """Whether every arm has one: a step of all arms together can begin."""
        return len(self._waiting) == len(self.controllers)

    @property
    def moving(self) -> bool:
        """Whether some arm's trajectory or goal lasts beyond now."""
        return any(c.active(self.now_ns) or c.has_goal for c in self.controllers.values())

    def advance(self) -> None:
        """Let one policy step of simulated time pass and judge the episode."""
        self._waiting.clear()
        step_ns = self.robot.dt_ns // self.robot.substeps
        times = [self.now_ns + step_ns * (i + 1) for i in range(self.robot.substeps)]
        parts = [c.sample_many(times) for c in self.controllers.values()]
        positions, velocities = (np.concatenate(rows, axis=1) for rows in zip(*parts, strict=True))
        self.backend.step(np.clip(positions, *self.limits), velocities)
        self.now_ns = times[-1]
        self._observe()
        if self.state == EpisodeState.RUNNING:
            self._judge()

    def _observe(self) -> None:
        """Let the controllers see what became of their commands."""
        state = self.backend.state()
        column = {name: i for i, name in enumerate(state.joint_names)}
        for arm, controller in self.controllers.items():
            own = [column[name] for name in controller.joints]
            reason = controller.observe(self.now_ns, state.position[own], state.velocity[own])
            if reason:
                self.stops[arm] = reason

    def _judge(self) -> None:
        assert self.episode is not None
        self.step_count += 1
        if not self._judges:
            return
        if self.backend.success():
            self.state = EpisodeState.SUCCEEDED
        elif self.step_count >= self.episode.step_limit:
            self.state, self.reason = EpisodeState.FAILED, 'out of steps'
        if self.state != EpisodeState.RUNNING:
            for controller in self.controllers.values():
                controller.abort('the episode is over')

    def snapshot(self) -> Snapshot:
        """Read every sensor."""
        target = [c.sample(self.now_ns)[0] for c in self.controllers.values()]
        return Snapshot(
            stamp_ns=self.now_ns,
            images=self.backend.render(),
            state=self.backend.state(),
            target=np.concatenate(target),
        )
