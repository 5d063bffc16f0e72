"""Simulated time, trajectory controllers and one episode around a backend; no ROS, no wall clock.

One caller at a time: the bridge's simulation thread, or an offline evaluation.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from aim_policy.interface import Image, Vector
from aim_policy.robot import RobotSpec
from sim_bridge.backend import Episode, SimBackend, SimState
from sim_bridge.controller import JointTrajectoryController, TrajectoryCommand

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
    """

    def __init__(self, backend: SimBackend) -> None:
        self.backend = backend
        self.robot: RobotSpec = backend.robot
        self.now_ns = START_NS
        self.episode: Episode | None = None
        self.state = EpisodeState.IDLE
        self.step_count = 0
        self.reason = ''
        self._waiting: set[str] = set()
        home = self.robot.to_joints(self.robot.home)
        self._controllers = {
            arm.name: JointTrajectoryController(
                arm.joint_names, home[self.robot.columns(arm.name)]
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
        home = self.robot.to_joints(self.robot.home)
        for arm, controller in self._controllers.items():
            controller.reset(home[self.robot.columns(arm)])
        return self.episode

    def command(self, arm: str, command: TrajectoryCommand) -> None:
        """Hand a trajectory to an arm's controller.

        Raises:
            EpisodeOver: there is nothing to move for.
            TrajectoryRefused: says why; the motion before it goes on.
        """
        if self.state != EpisodeState.RUNNING:
            raise EpisodeOver(f'no episode is running (state {self.state.name})')
        self._controllers[arm].accept(command, self.now_ns)
        self._waiting.add(arm)

    @property
    def waiting(self) -> bool:
        """Whether some arm has a trajectory that no time has passed for yet."""
        return bool(self._waiting)

    @property
    def complete(self) -> bool:
        """Whether every arm has one: a step of all arms together can begin."""
        return len(self._waiting) == len(self._controllers)

    @property
    def moving(self) -> bool:
        """Whether some arm's trajectory lasts beyond now."""
        return any(c.active(self.now_ns) for c in self._controllers.values())

    def advance(self) -> None:
        """Let one policy step of simulated time pass and judge the episode."""
        self._waiting.clear()
        step_ns = self.robot.dt_ns // self.robot.substeps
        times = [self.now_ns + step_ns * (i + 1) for i in range(self.robot.substeps)]
        parts = [c.sample_many(times) for c in self._controllers.values()]
        positions, velocities = (np.concatenate(rows, axis=1) for rows in zip(*parts, strict=True))
        self.backend.step(positions, velocities)
        self.now_ns = times[-1]
        if self.state == EpisodeState.RUNNING:
            self._judge()

    def _judge(self) -> None:
        assert self.episode is not None
        self.step_count += 1
        if self.backend.success():
            self.state = EpisodeState.SUCCEEDED
        elif self.step_count >= self.episode.step_limit:
            self.state, self.reason = EpisodeState.FAILED, 'out of steps'

    def snapshot(self) -> Snapshot:
        """Read every sensor."""
        target = [c.sample(self.now_ns)[0] for c in self._controllers.values()]
        return Snapshot(
            stamp_ns=self.now_ns,
            images=self.backend.render(),
            state=self.backend.state(),
            target=np.concatenate(target),
        )
