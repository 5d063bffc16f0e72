"""Tasks that build towers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import sapien

from sim_bridge.arms import Approach, Carry
from sim_bridge.expert import Expert
from sim_bridge.objects import Box, Thing
from sim_bridge.tasks.base import CLEARANCE_M, UPRIGHT, Task, sample_away, upright

HALF_M = 0.025
TOWER = (0.0, -0.13)
COLOURS = {'red': (0.80, 0.08, 0.08), 'green': (0.10, 0.55, 0.20)}
SQUARE_YAWS = (0.0, np.pi / 2, -np.pi / 2, 0.3, -0.3, 0.6, -0.6)  # along the table's edges first
GAP_M = 0.001  # a block is let go so far above what it is put on
LIFT_M = 0.08  # a block carried so high passes over another
HOLD_M = 0.034  # how high on a block the fingers close


class StackBlocksTwo(Task):
    """Put the red block in the middle and the green one on it."""

    def load(self, rng: np.random.Generator) -> None:
        """See `Task`; sampling range of RoboTwin's stack_blocks_two."""
        red = sample_place(rng)
        while True:
            green = sample_place(rng)
            if (red[0] - green[0]) ** 2 + (red[1] - green[1]) ** 2 >= 0.01:
                break
        self.red = self._add('red', red, rng)
        self.green = self._add('green', green, rng)
        self.arms = {thing.name: self.side(thing.pose.p[0]) for thing in (self.red, self.green)}

    def _add(self, colour: str, place: tuple[float, float], rng: np.random.Generator) -> Thing:
        yaw = float(rng.uniform(-0.75, 0.75))
        size = (HALF_M, HALF_M, HALF_M)
        return self.world.add(
            f'{colour}_block',
            (Box(size, COLOURS[colour], at=sapien.Pose([0, 0, HALF_M])),),
            upright(*place, self.world.table_z_m, yaw),
            {
                'base': sapien.Pose(),
                'hold': sapien.Pose([0, 0, HOLD_M]),
                'top': sapien.Pose([0, 0, 2 * HALF_M]),
            },
            mass_kg=0.01,
        )

    def success(self) -> bool:
        """The green block is on the red one and both hands are open."""
        offset = self.green.position('base') - self.red.position('base')
        offset[2] -= 2 * HALF_M
        return bool((np.abs(offset) < (0.025, 0.025, 0.012)).all()) and self.hands_are_open()

    def words(self) -> dict[str, str]:
        """See `Task`."""
        arms = {'a': self.arms[self.green.name], 'b': self.arms[self.red.name]}
        return {'A': 'block/green', 'B': 'block/red', **arms}

    def keep_clear(self) -> list[tuple[float, float, float]]:
        """See `Task`; also where the tower is built."""
        return [*super().keep_clear(), (*TOWER, CLEARANCE_M)]

    def expert(self, expert: Expert) -> None:
        """Set the red block in the middle, the green one on it; two arms take them at once."""
        first, second = self.arms[self.red.name], self.arms[self.green.name]
        middle = np.array([*TOWER, self.world.table_z_m + GAP_M])
        ground = Carry(self.red, 'base', middle, UPRIGHT, SQUARE_YAWS)
        upon = Carry(self.green, 'base', middle + [0, 0, 2 * HALF_M], UPRIGHT, SQUARE_YAWS)
        reds_way, greens_way = self._way(expert, first, ground), self._way(expert, second, upon)
        both = first != second
        taken = {first: reds_way, second: greens_way} if both else {first: reds_way}
        expert.pick_together(taken)
        expert.raise_by(LIFT_M, *taken)
        expert.place(first, ground, LIFT_M)
        expert.withdraw(first)
        if not both:
            expert.pick(second, greens_way)
            expert.raise_by(LIFT_M, second)
        upon = replace(upon, target=self.red.position('top') + [0, 0, GAP_M])
        expert.place(second, upon, meanwhile={first: expert.rest(first)} if both else None)

    def _way(self, expert: Expert, arm: str, put: Carry) -> Approach:
        """Return how to take a block by two of its faces."""
        faces = put.thing.pose.to_transformation_matrix()[:3, :2].T
        hold = put.thing.position('hold')
        then = (put, put.raised(0.08))
        return expert.approach(arm, hold, 0.08, closings=list(faces), then=then)


def sample_place(rng: np.random.Generator) -> tuple[float, float]:
    """Draw a place for a block as RoboTwin does: not in front of the robot nor in the middle."""
    while True:
        x, y = sample_away(rng, -0.28, 0.28, least=0.05), float(rng.uniform(-0.08, 0.05))
        if abs(x) < 0.15 and y > 0:
            y = float(rng.uniform(-0.08, 0.0))
        if x * x + (y + 0.1) ** 2 >= 0.0225:
            return x, y
