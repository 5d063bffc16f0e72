"""Tasks that set an object down on or in another."""

from __future__ import annotations

import numpy as np
import sapien

from sim_bridge.arms import Carry
from sim_bridge.expert import Expert
from sim_bridge.objects import Box, Lathe, cup, cylinder
from sim_bridge.tasks.base import UPRIGHT, Task, sample_away, upright

WHITE, DARK, SILVER = (0.95, 0.95, 0.93), (0.12, 0.12, 0.14), (0.75, 0.76, 0.78)
BLUE, WOOD = (0.10, 0.25, 0.85), (0.50, 0.30, 0.14)
PILL_BOTTLES = (  # colour, radius, height
    ('orange', 0.030, 0.150),
    ('green', 0.027, 0.145),
    ('red', 0.032, 0.155),
    ('purple', 0.029, 0.140),
    ('brown', 0.031, 0.155),
)
CANS = (  # colour, radius, height
    ('red', 0.034, 0.096),
    ('green', 0.0325, 0.097),
    ('yellow', 0.033, 0.096),
    ('purple', 0.034, 0.097),
    ('black', 0.033, 0.096),
    ('orange', 0.032, 0.097),
)
BOXES = (  # colour, outer size
    ('blue', (0.155, 0.191, 0.075)),
    ('white', (0.139, 0.194, 0.076)),
)
COLOURS = {
    'black': (0.13, 0.13, 0.15),
    'blue': (0.12, 0.36, 0.80),
    'brown': (0.38, 0.20, 0.09),
    'green': (0.10, 0.55, 0.20),
    'orange': (0.95, 0.42, 0.05),
    'purple': (0.45, 0.15, 0.60),
    'red': (0.80, 0.08, 0.08),
    'white': (0.80, 0.84, 0.88),
    'yellow': (0.95, 0.78, 0.08),
}
WALL_M = 0.004
GRASP_BELOW_TOP_M = 0.014  # of a pill bottle
LABEL_M = 0.0006  # a label stands out so far


def pill_bottle_parts(radius: float, height: float, colour: tuple) -> tuple[Lathe, ...]:
    """Return a coloured bottle with a label around it and a white cap."""
    shoulder, neck = 0.76 * height, 0.80 * height
    label = cylinder(
        radius + LABEL_M,
        0.20 * height,
        WHITE,
        at=sapien.Pose([0, 0, 0.30 * height]),
        collides=False,
    )
    body = ((0.94 * radius, 0), (radius, 0.004), (radius, shoulder), (0.78 * radius, neck))
    cap = cylinder(0.86 * radius, height - neck, WHITE, at=sapien.Pose([0, 0, neck]))
    return Lathe(body, colour), label, cap


def can_parts(radius: float, height: float, colour: tuple) -> tuple[Lathe, ...]:
    """Return a drink can: coloured with silver ends, narrower at both."""
    low, high, end = 0.008, height - 0.012, 0.84 * radius
    return (
        Lathe(((radius, low), (radius, high), (end, height - 0.002)), colour),
        Lathe(((end, 0), (radius, low)), SILVER, metallic=0.5),
        Lathe(((end, height - 0.002), (end, height)), SILVER, metallic=0.5),
    )


def box_parts(size: tuple[float, float, float], colour: tuple) -> tuple[Box, ...]:
    """Return an open box: a floor and four walls of `WALL_M`."""
    x, y, z = (length / 2 for length in size)
    wall = WALL_M / 2
    sides = [
        Box((wall, y, z), colour, at=sapien.Pose([sign * (x - wall), 0, z])) for sign in (-1, 1)
    ] + [
        Box((x - WALL_M, wall, z), colour, at=sapien.Pose([0, sign * (y - wall), z]))
        for sign in (-1, 1)
    ]
    return (Box((x, y, wall), colour, at=sapien.Pose([0, 0, wall])), *sides)


class MovePillbottlePad(Task):
    """Stand the pill bottle on the pad."""

    def load(self, rng: np.random.Generator) -> None:
        """See `Task`; sampling range of RoboTwin's move_pillbottle_pad."""
        x, y = sample_away(rng, -0.25, 0.25, least=0.05), float(rng.uniform(-0.1, 0.1))
        while True:
            pad = np.sign(x) * rng.uniform(0.05, 0.25), rng.uniform(-0.2, 0.1)
            if np.hypot(x - pad[0], y - pad[1]) >= 0.1:
                break
        self.arm = self.side(x)
        self.colour, radius, height = PILL_BOTTLES[rng.integers(len(PILL_BOTTLES))]
        self.bottle = self.world.add(
            'pill_bottle',
            pill_bottle_parts(radius, height, COLOURS[self.colour]),
            upright(x, y, self.world.table_z_m),
            {'base': sapien.Pose(), 'cap': sapien.Pose([0, 0, height - GRASP_BELOW_TOP_M])},
            mass_kg=0.05,
        )
        half = (0.04, 0.04, 0.0005)
        self.pad = self.world.add(
            'pad',
            (Box(half, BLUE),),
            upright(*pad, self.world.table_z_m + half[2]),
            {'top': sapien.Pose([0, 0, half[2]])},
        )

    def success(self) -> bool:
        """The bottle stands near the pad's centre and both hands are open."""
        offset = np.abs(self.bottle.position('base') - self.pad.position('top'))
        return bool((offset < (0.03, 0.03, 0.005)).all()) and self.hands_are_open()

    def words(self) -> dict[str, str]:
        """See `Task`."""
        return {'A': f'pill_bottle/{self.colour}', 'B': 'pad/blue', 'a': self.arm}

    def expert(self, expert: Expert) -> None:
        """Take it by the cap, set it on the pad.

        A hand that comes from above and errs leaves it standing, to be tried again; one that
        comes from the side knocks it over.
        """
        put = Carry(self.bottle, 'base', self.pad.position('top') + [0, 0, 0.001], UPRIGHT)
        if not expert.holds(self.arm, self.bottle):
            cap, then = self.bottle.position('cap'), (put, put.raised(0.10))
            tilts = (67, 60, 73, 52, 45)
            way = expert.approach(self.arm, cap, 0.10, tilts_deg=tilts, then=then)
            expert.pick(self.arm, way)
        expert.place(self.arm, put, above_m=0.05, lift_m=0.05)


class PlaceEmptyCup(Task):
    """Stand the cup on the coaster."""

    def load(self, rng: np.random.Generator) -> None:
        """See `Task`; sampling range of RoboTwin's place_empty_cup."""
        side = rng.choice((-1, 1))
        while True:
            x, y = side * rng.uniform(0.15, 0.3), rng.uniform(-0.2, 0.05)
            to_x, to_y = side * rng.uniform(-0.05, 0.1), rng.uniform(-0.2, 0.05)
            if (x - to_x) ** 2 + (y - to_y) ** 2 >= 0.01:
                break
        self.arm = self.side(x)
        self.cup = self.world.add(
            'cup',
            (cup(0.036, 0.0435, 0.09, WALL_M, COLOURS['blue']),),
            upright(x, y, self.world.table_z_m),
            {'base': sapien.Pose(), 'axis': sapien.Pose([0, 0, 0.072])},
            mass_kg=0.01,
        )
        self.coaster = self.world.add(
            'coaster',
            (cylinder(0.0745, 0.008, WOOD),),
            upright(to_x, to_y, self.world.table_z_m),
            {'base': sapien.Pose(), 'top': sapien.Pose([0, 0, 0.008])},
        )

    def success(self) -> bool:
        """The cup stands near the coaster's centre and both hands are open."""
        offset = self.cup.position('base') - self.coaster.position('base')
        near = np.hypot(offset[0], offset[1]) < 0.035 and abs(offset[2]) < 0.015
        return bool(near) and self.hands_are_open()

    def words(self) -> dict[str, str]:
        """See `Task`."""
        return {'A': 'cup/blue', 'B': 'coaster', 'a': self.arm}

    def expert(self, expert: Expert) -> None:
        """Take the rim on the outer side, one finger inside, and set the cup on the coaster."""
        put = Carry(self.cup, 'base', self.coaster.position('top') + [0, 0, 0.001], UPRIGHT)
        if not expert.holds(self.arm, self.cup):
            self._take(expert, then=(put, put.raised(0.13)))
        expert.place(self.arm, put, above_m=0.04, lift_m=0.04)

    def _take(self, expert: Expert, then: tuple[Carry, ...]) -> None:
        axis = self.cup.position('axis')
        aside = expert.radial(self.arm, axis) + (np.pi / 2 if self.arm == 'left' else -np.pi / 2)
        across = np.array([np.cos(aside), np.sin(aside), 0.0])
        rim = axis + 0.041 * across
        way = expert.approach(self.arm, rim, 0.08, closings=[across], then=then)
        expert.pick(self.arm, way, opening=0.6)


class PlaceCansPlasticbox(Task):
    """Stand two cans in the box, each arm its own."""

    def load(self, rng: np.random.Generator) -> None:
        """See `Task`; sampling range of RoboTwin's place_cans_plasticbox."""
        z = self.world.table_z_m
        self.box_colour, size = BOXES[rng.integers(len(BOXES))]
        self.box = self.world.add(
            'plastic_box',
            box_parts(size, COLOURS[self.box_colour]),
            upright(0.0, float(rng.uniform(-0.15, -0.1)), z),
            {  # where RoboTwin's success test looks, and where the expert puts the cans
                'front': sapien.Pose([-0.012, -0.036, 0]),
                'back': sapien.Pose([0.012, 0.036, 0]),
                'left': sapien.Pose([-0.012, -0.050, WALL_M]),
                'right': sapien.Pose([0.012, 0.050, WALL_M]),
            },
            mass_kg=0.05,
        )
        self.cans, self.can_colours = {}, {}
        kinds = rng.choice(len(CANS), 2, replace=False)
        for arm, sign, kind in zip(('left', 'right'), (-1, 1), kinds, strict=True):
            colour, radius, height = CANS[kind]
            self.can_colours[arm] = colour
            self.cans[arm] = self.world.add(
                f'{arm}_can',
                can_parts(radius, height, COLOURS[colour]),
                upright(sign * rng.uniform(0.15, 0.25), float(rng.uniform(-0.15, -0.07)), z),
                {'base': sapien.Pose(), 'top': sapien.Pose([0, 0, height])},
                mass_kg=0.05,
            )

    def success(self) -> bool:
        """Each can stands near one of the box's two places and both hands are open."""
        places = np.array([self.box.position(name)[:2] for name in ('front', 'back')])
        for can in self.cans.values():
            if np.linalg.norm(places - can.position('base')[:2], axis=1).min() >= 0.04:
                return False
        return self.hands_are_open()

    def words(self) -> dict[str, str]:
        """See `Task`."""
        return {
            'A': f'can/{self.can_colours["left"]}',
            'B': f'can/{self.can_colours["right"]}',
            'C': f'plastic_box/{self.box_colour}',
            'a': 'left',
            'b': 'right',
        }

    def expert(self, expert: Expert) -> None:
        """Take both cans at once; put the right one in at the back, then the left one in front."""
        put, ways = {}, {}
        for arm, can in self.cans.items():
            put[arm] = Carry(can, 'base', self.box.position(arm) + [0, 0, 0.002], UPRIGHT)
            hold = can.position('top') - [0, 0, 0.010]
            ways[arm] = expert.approach(arm, hold, 0.07, then=(put[arm], put[arm].raised(0.11)))
        expert.pick_together(ways)
        expert.raise_by(0.10, *ways)
        expert.place('right', put['right'], above_m=0.10)
        expert.withdraw('right', distance_m=0.06)
        expert.place('left', put['left'], 0.10, meanwhile={'right': ways['right'].before})
