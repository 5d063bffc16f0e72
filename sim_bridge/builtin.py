"""The backend that is always there: SAPIEN physics and pictures, procedural objects."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Collection
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray

from aim_policy.interface import Image, Vector
from aim_policy.robot import RobotSpec, load_robot
from sim_bridge.backend import (
    SETTINGS,
    Episode,
    ExpertFailed,
    SimState,
    check_seed,
    check_setting,
    check_targets,
    ramp,
    wording_of,
)
from sim_bridge.clutter import scatter
from sim_bridge.expert import Expert, Habits
from sim_bridge.language import instructions
from sim_bridge.objects import Thing
from sim_bridge.scenery import draw_scenery
from sim_bridge.tasks import task_class, task_entry
from sim_bridge.tasks.base import Task
from sim_bridge.world import World

SETTLE_STEPS = 250


def random_stream(seed: int, name: str) -> np.random.Generator:
    """Return the generator of one concern of a scene: none shifts the draws of another."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


@cache
def shared_backend(smaller: int = 1) -> BuiltinBackend:
    """Return this process's one backend for the default robot; making one takes seconds.

    Its pictures are so many times smaller, in width and height, than the robot's are.
    """
    return BuiltinBackend(load_robot('aloha_agilex').with_smaller_pictures(smaller))


class BuiltinBackend:
    """See `sim_bridge.backend.SimBackend`.

    Attributes:
        world: the scene at hand.
        task: the task in it, None before the first reset.
        clutter: what else lies on the table; no things of the task.
        episode: what `reset` returned last.
    """

    def __init__(self, robot: RobotSpec) -> None:
        self.robot = robot
        self.world = World(robot)  # fails here, not at the first reset, where nothing can render
        self.task: Task | None = None
        self.clutter: list[Thing] = []
        self.episode: Episode | None = None
        self._success = False

    def reset(self, task: str, seed: int, setting: str, wording: str = 'auto') -> Episode:
        """See `SimBackend`."""
        entry = task_entry(task)
        check_setting(setting)
        check_seed(seed)
        split = wording_of(setting, wording)
        self.task = loaded = self._load(task, seed, SETTINGS[setting])
        self.world.settle(SETTLE_STEPS)
        self._success = False
        words, rng = loaded.words(), random_stream(seed, f'language {split}')
        (instruction,) = instructions(task, words, split, rng, 1)
        self.episode = Episode(task, setting, seed, instruction, entry.step_limit)
        return self.episode

    def _load(self, name: str, seed: int, switches: Collection[str]) -> Task:
        """Build the scene; what a switch adds never shifts the draws of the task."""
        stream = partial(random_stream, seed)
        self.world = World(self.robot, draw_scenery(switches, stream, seed))
        task = task_class(name)(self.world)
        task.load(stream(name))
        self.clutter = []
        if 'clutter' in switches:
            kinds = {word.split('/')[0] for key, word in task.words().items() if key.isupper()}
            self.clutter = scatter(self.world, stream('clutter'), task.keep_clear(), kinds)
        return task

    def step(self, positions: Vector, velocities: Vector) -> None:
        """See `SimBackend`."""
        check_targets(positions, velocities, len(self.robot.joint_names))
        for position, velocity in zip(positions, velocities, strict=True):
            self.world.step(position, velocity)
            self._success = self._success or (self.task is not None and self.task.success())

    def render(self) -> dict[str, Image]:
        """See `SimBackend`."""
        return self.world.render()

    def depth(self, camera: str) -> NDArray[np.float32]:
        """Return what belongs to the picture rendered last, see `World.depth`."""
        return self.world.depth(camera)

    def state(self) -> SimState:
        """See `SimBackend`."""
        return self.world.model.state()

    def success(self) -> bool:
        """See `SimBackend`."""
        return self._success

    def close(self) -> None:
        """See `SimBackend`."""
        self.task = None

    def demonstrate(
        self,
        habits: Habits | None = None,
        after_step: Callable[[], None] = lambda: None,
        begin: Callable[[], None] = lambda: None,
    ) -> Vector:
        """See `SimBackend`.

        Args:
            habits: what makes demonstrations differ; none by default.
            after_step: called after every policy step.
            begin: called where the demonstration begins, if that is not at once.
        """
        if self.task is None or self.episode is None:
            raise ExpertFailed('no episode: reset() comes first')

        def play(action: Vector) -> None:
            self.step(*ramp(self.robot, self.world.command, action))
            after_step()

        rng = random_stream(self.episode.seed, 'habits')
        expert = Expert(self.world, play, habits, rng, begin)
        expert.nudge()
        self.task.expert(expert)
        return np.array(expert.actions)
