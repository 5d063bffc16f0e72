"""Scripted experts: pick, place and press, with habits from which a policy learns to recover."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import sapien

from aim_policy.interface import Vector
from sim_bridge.arms import STEEP_DEG, Approach, Arms, Carry, Goals
from sim_bridge.motion import between, in_funnel, turned
from sim_bridge.objects import Thing
from sim_bridge.world import World

NOISE_DRAWS = 5
STRAY_M = 0.04, 0.15
STRAY_HEIGHT_M = -0.05, 0.08
NUDGE_M, NUDGE_RAD = 0.05, 0.35
NUDGED_APART_M = 0.06
NUDGE_SETTLE_STEPS = 100
GRASP_FUNNEL_M, PRESS_FUNNEL_M, PLACE_FUNNEL_M = 0.004, 0.015, 0.010
HAIR_M = 0.01
MISS_PART = 0.7  # a missed grasp stops so far before the place, as part of the approach


@dataclass(frozen=True)
class Habits:
    """What makes demonstrations differ, so that a policy also learns to recover.

    Attributes:
        noise_m: spread (Gaussian, each axis) of the points before a pick; half before a place.
        second_attempt: share of picks that first miss and of places that first let go too late.
        stray: share of first picks and presses, and of ways with a tool in hand, that begin
            somewhere else, as if the arm had gone astray.
        nudge: share of episodes in which things have been pushed elsewhere.

    What leads to where an arm went astray or a thing was pushed belongs to no demonstration.
    """

    noise_m: float = 0.0
    second_attempt: float = 0.0
    stray: float = 0.0
    nudge: float = 0.0


class Expert(Arms):
    """What tasks are done with."""

    def __init__(
        self,
        world: World,
        play: Callable[[Vector], None],
        habits: Habits | None = None,
        rng: np.random.Generator | None = None,
        begin: Callable[[], None] = lambda: None,
    ) -> None:
        """See `Arms`; all randomness of the habits comes from `rng`.

        `begin` is called where the demonstration begins, if that is not at once.
        """
        super().__init__(world, play)
        self._habits = habits or Habits()
        self._rng = rng or np.random.default_rng(0)
        self._begin, self._begun = begin, False

    def nudge(self) -> None:
        """Let what can be carried away have been pushed and turned, as by a clumsy hand."""
        if not self._habits.nudge or self._rng.random() >= self._habits.nudge:
            return
        for thing in self.world.things.values():
            if thing.movable:
                thing.entity.pose = self._nudged(thing)
        self.world.settle(NUDGE_SETTLE_STEPS)
        self._begin()

    def pick(
        self, arm: str, approach: Approach, closed: float = 0.0, opening: float = 1.0
    ) -> None:
        """Grasp what lies at the end of an approach, now and then at the second attempt."""
        self.pick_together({arm: approach}, closed, opening)

    def pick_together(
        self, approaches: Mapping[str, Approach], closed: float = 0.0, opening: float = 1.0
    ) -> None:
        """Grasp with several arms in lock step, see `pick`."""
        self.open(opening, *approaches)
        self._stray({arm: way.before for arm, way in approaches.items()}, (None, closed))
        if self._rng.random() < self._habits.second_attempt:
            self._miss(approaches, closed)
        self._begin_ways(approaches, GRASP_FUNNEL_M)
        self.line({arm: way.at for arm, way in approaches.items()})
        self.gripper(closed, *approaches)

    def place(
        self,
        arm: str,
        carry: Carry,
        above_m: float = 0.06,
        meanwhile: Goals | None = None,
        lift_m: float = 0.0,
    ) -> None:
        """Set a held thing's point down and let go, now and then too late at first.

        What is not on its way down already is lifted by up to `lift_m` above the table first.
        Another arm may go elsewhere `meanwhile`.
        """
        way = Approach(self.carry(arm, carry.raised(above_m)), self.carry(arm, carry))
        if meanwhile or not self.is_on(arm, way, PLACE_FUNNEL_M):
            self.raise_point(arm, carry.thing, carry.point, self.world.table_z_m + lift_m)
            first = self._noisy(arm, way.before, self._habits.noise_m / 2)
            self.reach({arm: first, **(meanwhile or {})})
        self.line({arm: self.carry(arm, carry)})
        if self._rng.random() < self._habits.second_attempt:
            self.raise_by(above_m / 2, arm)
            self.line({arm: self.carry(arm, carry)})
        self.gripper(1.0, arm)

    def raise_point(self, arm: str, thing: Thing, point: str, height_m: float) -> None:
        """Lift a held thing's point straight up to a height in the world; not for a hair."""
        missing_m = height_m - float(thing.position(point)[2])
        if missing_m > HAIR_M:
            self.raise_by(missing_m, arm)

    def withdraw(self, *arms: str, distance_m: float = 0.08) -> None:
        """Move TCPs straight back from where the fingers point."""
        self.line({arm: self.tcp(arm) * sapien.Pose([-distance_m, 0, 0]) for arm in arms})

    def press(
        self,
        arm: str,
        point: Vector,
        depth_m: float = 0.006,
        closings: Sequence[Vector] | None = None,
        tilts_deg: Sequence[float] = STEEP_DEG,
    ) -> None:
        """Press on a point, `depth_m` below it, with closed fingers and come back."""
        self.gripper(0.0, arm, steps=6)
        goal = np.asarray(point) - [0, 0, depth_m]
        way = self.approach(arm, goal, 0.08, tip=True, closings=closings, tilts_deg=tilts_deg)
        self._stray({arm: way.before}, (None,))
        self.touch(arm, way, PRESS_FUNNEL_M)
        self.line({arm: way.before})

    def touch(self, arm: str, way: Approach, funnel_m: float) -> None:
        """Go slowly to the end of a way, from where it begins unless the TCP is on it."""
        self._begin_ways({arm: way}, funnel_m)
        self.line({arm: way.at}, speed=0.5)

    def _begin_ways(self, ways: Mapping[str, Approach], funnel_m: float) -> None:
        """Bring the TCPs that are not on their way already to where it begins.

        To back off on one's way first would teach a policy to turn back before it arrives.
        """
        ahead = {
            arm: self._noisy(arm, way.before, self._habits.noise_m)
            for arm, way in ways.items()
            if not self.is_on(arm, way, funnel_m)
        }
        if ahead:
            self.reach(ahead)

    def stray_with(self, arm: str, before: sapien.Pose) -> None:
        """Go astray with what an arm holds on the way to a place, and begin there."""
        if self._habits.stray and self._rng.random() < self._habits.stray:
            self.reach({arm: self._astray(arm, before)})
            self._begin()

    def is_on(self, arm: str, way: Approach, funnel_m: float) -> bool:
        """Tell whether a TCP is on a way already, see `in_funnel`."""
        return in_funnel(self.tcp(arm), way.before, way.at, funnel_m)

    def _stray(self, before: Goals, openings: Sequence[float | None]) -> None:
        """Go astray on the way to a first pick or press, and begin there.

        Args:
            before: where to go instead of going astray.
            openings: of the gripper, one of which it has there; None leaves it as it is.
        """
        first, self._begun = not self._begun, True
        if not (first and self._habits.stray and self._rng.random() < self._habits.stray):
            return
        usual = max(self.world.gripper_command(arm) for arm in before)
        opening = openings[int(self._rng.integers(len(openings)))]
        if opening is not None:
            self.gripper(opening, *before)
        self.reach({arm: self._astray(arm, pose) for arm, pose in before.items()})
        self._begin()
        if opening is not None:
            self.gripper(usual, *before)

    def _nudged(self, thing: Thing) -> sapien.Pose:
        """Return a pose beside a thing's own, not too near to other things."""
        others = [o for o in self.world.things.values() if o is not thing]
        taken = [o.position(name) for o in others for name in o.points]
        for _ in range(NOISE_DRAWS):
            beside = np.append(self._rng.normal(0, NUDGE_M, 2), 0.0)
            q = (turned(self._rng.normal(0, NUDGE_RAD)) * sapien.Pose(q=thing.pose.q)).q
            pose = sapien.Pose(thing.pose.p + beside, q)
            places = [(pose * point).p for point in thing.points.values()]
            gaps = [np.linalg.norm((a - b)[:2]) for a in places for b in taken]
            if min(gaps, default=1.0) > NUDGED_APART_M:
                return pose
        return thing.pose

    def _astray(self, arm: str, pose: sapien.Pose) -> sapien.Pose:
        """Return a reachable pose a little or far beside another, and not much below it."""
        for _ in range(NOISE_DRAWS):
            spread = self._rng.choice(STRAY_M)
            beside = np.append(self._rng.normal(0, spread, 2), self._rng.uniform(*STRAY_HEIGHT_M))
            found = sapien.Pose(pose.p + beside, pose.q)
            if self.reachable(arm, [found]):
                return found
        return pose

    def _miss(self, approaches: Mapping[str, Approach], closed: float) -> None:
        """Close the fingers beside the thing, as a bad estimate of its place would."""
        opening = max(self.world.gripper_command(arm) for arm in approaches)
        before = {arm: way.before for arm, way in approaches.items()}
        self.reach(before)
        self.line({arm: between(way.at, way.before, MISS_PART) for arm, way in approaches.items()})
        self.gripper(closed, *approaches)
        self.line(before)
        self.gripper(opening, *approaches)

    def _noisy(self, arm: str, pose: sapien.Pose, spread_m: float) -> sapien.Pose:
        """Return a reachable pose near by, as seen by eyes that err."""
        for _ in range(NOISE_DRAWS if spread_m else 0):
            noisy = sapien.Pose(pose.p + self._rng.normal(0, spread_m, 3), pose.q)
            if self.reachable(arm, [noisy]):
                return noisy
        return pose
