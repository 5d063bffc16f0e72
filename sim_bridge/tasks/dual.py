"""Tasks that lift one object with both arms."""

from __future__ import annotations

import numpy as np
import sapien

from sim_bridge.arms import Carry
from sim_bridge.expert import Expert
from sim_bridge.motion import turned
from sim_bridge.objects import HULL_SEGMENTS, Box, Colour, Lathe, Part, Thing, cylinder
from sim_bridge.tasks.base import CLOSED, Task, upright

ARMS = ('left', 'right')
BROWN, DARK, STEEL = (0.66, 0.42, 0.20), (0.14, 0.12, 0.11), (0.70, 0.72, 0.76)
RED, BLUE, GREEN = (0.80, 0.12, 0.10), (0.12, 0.30, 0.75), (0.10, 0.48, 0.22)
ALONG_X = sapien.Pose(q=[0.5**0.5, 0, 0.5**0.5, 0]) * turned(np.pi / HULL_SEGMENTS)  # facet down

ROLLERS = (  # radius, length, radius of the handles; RoboTwin's ids 0 and 2
    (0.0175, 0.232, 0.011),
    (0.0160, 0.251, 0.008),
)
ROLLER_COLOURS = {'blue': BLUE, 'brown': BROWN, 'red': RED}
BARREL_HALF_M = 0.1
HOLD_M = 0.085  # from the middle of a roller to where it is held

ATTEMPTS = 2  # at a good hold
POTS = (  # radius, height without the lid
    (0.070, 0.085),
    (0.064, 0.095),
)
POT_COLOURS = {'blue': BLUE, 'green': GREEN, 'red': RED}
HANDLE_M = (0.115, 0.065)  # from the pot's axis, above its base
BAR_HALF_M = (0.005, 0.034, 0.008)


class GrabRoller(Task):
    """Lift the rolling pin with both arms."""

    def load(self, rng: np.random.Generator) -> None:
        """See `Task`; sampling range of RoboTwin's grab_roller."""
        x, y = rng.uniform(-0.15, 0.15), rng.uniform(-0.25, -0.05)
        yaw = float(rng.uniform(-0.8, 0.8))
        shape = ROLLERS[rng.integers(len(ROLLERS))]
        self.colour = tuple(ROLLER_COLOURS)[rng.integers(len(ROLLER_COLOURS))]
        self.roller = self.world.add(
            'roller',
            roller_parts(*shape, ROLLER_COLOURS[self.colour]),
            upright(float(x), float(y), self.world.table_z_m, yaw),
            ends(HOLD_M, shape[0]),
            mass_kg=0.01,
        )

    def success(self) -> bool:
        """Both grippers are closed and the roller is in the air."""
        closed = all(self.world.gripper_command(arm) < CLOSED for arm in ARMS)
        return closed and bool(self.roller.pose.p[2] > 0.8)

    def words(self) -> dict[str, str]:
        """See `Task`."""
        return {'A': f'roller/{self.colour}'}

    def expert(self, expert: Expert) -> None:
        """Take it near both ends, fingers across, and lift."""
        lift(expert, self.roller, (0, 1, 0), to_m=0.83)


class LiftPot(Task):
    """Lift the pot by its two handles."""

    def load(self, rng: np.random.Generator) -> None:
        """See `Task`; sampling range of RoboTwin's lift_pot."""
        x, y = rng.uniform(-0.05, 0.05, 2)
        yaw = float(rng.uniform(-np.pi / 8, np.pi / 8))
        shape = POTS[rng.integers(len(POTS))]
        self.colour = tuple(POT_COLOURS)[rng.integers(len(POT_COLOURS))]
        self.pot = self.world.add(
            'pot',
            pot_parts(*shape, POT_COLOURS[self.colour]),
            upright(float(x), float(y), self.world.table_z_m, yaw),
            ends(*HANDLE_M),
            mass_kg=0.01,
        )

    def success(self) -> bool:
        """The pot is in the air, upright, and each hand is at its handle."""
        up = self.pot.pose.to_transformation_matrix()[2, 2]
        reached = [
            np.linalg.norm(self.world.model.tcp(arm).p - self.pot.position(arm)) < 0.03
            for arm in ARMS
        ]
        return all(reached) and bool(up > 0.8) and bool(self.pot.pose.p[2] > 0.82)

    def words(self) -> dict[str, str]:
        """See `Task`."""
        return {'A': f'pot/{self.colour}'}

    def expert(self, expert: Expert) -> None:
        """Take both handles, one finger between handle and body, and lift."""
        tilts = (67.0, 56.0, 45.0)
        lift(expert, self.pot, (1, 0, 0), to_m=0.88, tilts_deg=tilts, opening=0.5, within_m=0.02)


def lift(
    expert: Expert,
    thing: Thing,
    closing: tuple[float, float, float],
    to_m: float,
    tilts_deg: tuple[float, ...] = (90.0, 78.0, 67.0, 56.0, 45.0),
    opening: float = 1.0,
    within_m: float = np.inf,
) -> None:
    """Lift a thing until its base is at `to_m`, each arm at the point of its name.

    The fingers close along `closing` in the thing's frame. Hands that hold it farther than
    `within_m` from their point let go first.
    """
    for _ in range(ATTEMPTS):
        near = {arm for arm in ARMS if _distance_m(expert, arm, thing) < within_m}
        if all(arm in near and expert.holds(arm, thing) for arm in ARMS):
            break
        _let_go(expert, thing, near)
        _take(expert, thing, closing, to_m - float(thing.pose.p[2]), tilts_deg, opening)
    expert.raise_by(to_m - float(thing.pose.p[2]), *ARMS)


def _distance_m(expert: Expert, arm: str, thing: Thing) -> float:
    return float(np.linalg.norm(expert.tcp(arm).p - thing.position(arm)))


def _let_go(expert: Expert, thing: Thing, near: set[str]) -> None:
    """Take hands off that touch a thing in a wrong place, or that hold it up on their own."""
    world = expert.world
    stands = len(world.between([world.table.body], thing)) > 0
    touching = [arm for arm in ARMS if len(world.between(world.model.fingers[arm], thing)) > 0]
    wrong = [arm for arm in touching if not (stands and arm in near)]
    if wrong:
        expert.open(1.0, *wrong)
        expert.withdraw(*wrong)


def _take(
    expert: Expert,
    thing: Thing,
    closing: tuple[float, float, float],
    height_m: float,
    tilts_deg: tuple[float, ...],
    opening: float,
) -> None:
    across = thing.pose.to_transformation_matrix()[:3, :3] @ closing
    ways = {}
    for arm in ARMS:
        point = thing.position(arm)
        up = Carry(thing, arm, point + [0, 0, height_m], yaws=(0.0,))
        ways[arm] = expert.approach(
            arm, point, 0.08, closings=[across], tilts_deg=tilts_deg, then=(up,)
        )
    expert.pick_together(ways, opening=opening)


def ends(x: float, z: float) -> dict[str, sapien.Pose]:
    """Return the points where each arm takes hold."""
    return {'left': sapien.Pose([-x, 0, z]), 'right': sapien.Pose([x, 0, z])}


def roller_parts(radius: float, length: float, handle: float, colour: Colour) -> tuple[Part, ...]:
    """Return a rolling pin that lies along x on a facet of its barrel."""
    axis = radius * np.cos(np.pi / HULL_SEGMENTS)
    knob = length / 2 - BARREL_HALF_M
    edge = 0.004

    def along(start: float) -> sapien.Pose:
        return sapien.Pose([start, 0, axis]) * ALONG_X

    barrel = Lathe(
        (
            (radius - edge, 0.0),
            (radius, edge),
            (radius, 2 * BARREL_HALF_M - edge),
            (radius - edge, 2 * BARREL_HALF_M),
        ),
        colour,
        at=along(-BARREL_HALF_M),
    )
    knobs = (cylinder(handle, knob, DARK, at=along(x)) for x in (-length / 2, BARREL_HALF_M))
    return (barrel, *knobs)


def pot_parts(radius: float, height: float, colour: Colour) -> tuple[Part, ...]:
    """Return a covered pot with a handle at -x and one at +x."""
    angle = np.linspace(0.0, np.pi / 2, 7)
    dome = [(radius * np.cos(a), 0.018 * np.sin(a)) for a in angle[:-1]]
    top = height + 0.018
    return (
        Lathe(((radius - 0.008, 0.0), (radius, 0.012), (radius, height)), colour),
        Lathe(tuple(dome), STEEL, at=sapien.Pose([0, 0, height]), metallic=0.4),
        cylinder(0.014, 0.016, DARK, at=sapien.Pose([0, 0, top])),
        *(part for side in (-1, 1) for part in _handle(side, radius)),
    )


def _handle(side: int, radius: float) -> tuple[Box, ...]:
    """Return an upright bar along y, held off the pot by two posts."""
    x, z = HANDLE_M
    inner = 0.85 * radius
    bar = Box(BAR_HALF_M, DARK, at=sapien.Pose([side * x, 0, z]))
    posts = (
        Box(
            ((x - inner) / 2, BAR_HALF_M[0], BAR_HALF_M[2]),
            DARK,
            at=sapien.Pose([side * (x + inner) / 2, y * (BAR_HALF_M[1] - BAR_HALF_M[0]), z]),
        )
        for y in (-1, 1)
    )
    return (bar, *posts)
