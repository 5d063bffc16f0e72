"""What a task is: objects to load, a test of success, an expert that does it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np
import sapien

from sim_bridge.world import World

if TYPE_CHECKING:
    from sim_bridge.expert import Expert


CLEARANCE_M = 0.12
OPEN = 0.8  # RoboTwin calls a gripper open when it is commanded above this
CLOSED = 0.2  # and closed below this
UPRIGHT = np.array([1.0, 0.0, 0.0, 0.0])  # the rotation (wxyz) of a thing that stands on its base


class Task(ABC):
    """One task in one world. Loading happens in `load`, never in the constructor.

    Attributes:
        pressed: names of the things whose touch is an event (see `EventRecorder`).
    """

    pressed: tuple[str, ...] = ()

    def __init__(self, world: World) -> None:
        self.world = world

    @abstractmethod
    def load(self, rng: np.random.Generator) -> None:
        """Put the objects into the world; every random choice comes from `rng`."""

    @abstractmethod
    def success(self) -> bool:
        """Tell whether the task is done now; asked after every physics step."""

    @abstractmethod
    def expert(self, expert: Expert) -> None:
        """Do the task.

        Raises:
            ExpertFailed: something cannot be reached.
        """

    @abstractmethod
    def words(self) -> dict[str, str]:
        """Return what the placeholders of the instruction stand for.

        Upper-case letters name objects ('bell/brass'), lower-case ones arms ('left').
        """

    def keep_clear(self) -> list[tuple[float, float, float]]:
        """Return circles (x, y, radius in metres) of the table where no clutter may stand.

        By default one of `CLEARANCE_M` around the origin and the named points of each thing.
        """
        things = self.world.things.values()
        places = [thing.pose.p for thing in things]
        places += [thing.position(name) for thing in things for name in thing.points]
        return [(float(p[0]), float(p[1]), CLEARANCE_M) for p in places]

    def side(self, x: float) -> str:
        """Return the arm on whose side a world x lies."""
        return 'right' if x > 0 else 'left'

    def hands_are_open(self) -> bool:
        """Tell whether every gripper is commanded to be open."""
        return all(self.world.gripper_command(arm.name) > OPEN for arm in self.world.robot.arms)


def upright(x: float, y: float, z: float, yaw: float = 0.0) -> sapien.Pose:
    """Return a pose that stands on its base, turned about the vertical by `yaw` (rad)."""
    return sapien.Pose([x, y, z], [np.cos(yaw / 2), 0, 0, np.sin(yaw / 2)])


def sample_away(rng: np.random.Generator, low: float, high: float, least: float) -> float:
    """Draw uniformly from [low, high] until the magnitude is at least `least`."""
    while True:
        value = float(rng.uniform(low, high))
        if abs(value) >= least:
            return value
