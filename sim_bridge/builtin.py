"""The backend that is always there: SAPIEN physics and pictures, procedural objects."""

from __future__ import annotations

import zlib

import numpy as np

from aim_policy.interface import Image, Vector
from aim_policy.robot import RobotSpec
from sim_bridge.backend import Episode, ExpertFailed, SimState, check_setting, check_targets, ramp
from sim_bridge.expert import Expert
from sim_bridge.tasks import task_class, task_entry
from sim_bridge.tasks.base import Task
from sim_bridge.world import World

SETTLE_STEPS = 250


def random_stream(seed: int, name: str) -> np.random.Generator:
    """Return the generator of one concern of a scene: none shifts the draws of another."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


class BuiltinBackend:
    """See `sim_bridge.backend.SimBackend`."""

    def __init__(self, robot: RobotSpec) -> None:
        self.robot = robot
        self._world = World(robot)  # fails here, not at the first reset, where nothing can render
        self._task: Task | None = None
        self._success = False

    def reset(self, task: str, seed: int, setting: str) -> Episode:
        """See `SimBackend`."""
        entry = task_entry(task)
        check_setting(setting)
        self._world = World(self.robot)
        self._task = task_class(task)(self._world)
        self._task.load(random_stream(seed, task))
        self._world.settle(SETTLE_STEPS)
        self._success = False
        return Episode(task, setting, seed, entry.instruction, entry.step_limit)

    def step(self, positions: Vector, velocities: Vector) -> None:
        """See `SimBackend`."""
        check_targets(positions, velocities, len(self.robot.joint_names))
        for position, velocity in zip(positions, velocities, strict=True):
            self._world.step(position, velocity)
            self._success = self._success or (self._task is not None and self._task.success())

    def render(self) -> dict[str, Image]:
        """See `SimBackend`."""
        return self._world.render()

    def state(self) -> SimState:
        """See `SimBackend`."""
        return self._world.model.state()

    def success(self) -> bool:
        """See `SimBackend`."""
        return self._success

    def close(self) -> None:
        """See `SimBackend`."""
        self._task = None

    def demonstrate(self) -> Vector:
        """See `SimBackend`."""
        if self._task is None:
            raise ExpertFailed('no episode: reset() comes first')
        expert = Expert(self._world, self._play)
        self._task.expert(expert)
        return np.array(expert.actions)

    def _play(self, action: Vector) -> None:
        self.step(*ramp(self.robot, self._world.command, action))
