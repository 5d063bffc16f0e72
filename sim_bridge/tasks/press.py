"""Tasks that press something with closed fingers."""

from __future__ import annotations

import numpy as np
import sapien

from sim_bridge.expert import Expert
from sim_bridge.objects import Box, Lathe, Part, Thing, cylinder
from sim_bridge.tasks.base import Task, sample_away, upright
from sim_bridge.world import World

CLOSED = 0.2  # RoboTwin calls a gripper closed when it is commanded below this
BELLS = (  # base radius, height; RoboTwin's ids 0 and 1
    (0.065, 0.068),
    (0.052, 0.053),
)
METALS = {'brass': (0.80, 0.58, 0.16), 'steel': (0.72, 0.74, 0.78)}
COLOURS = {
    'red': (0.80, 0.08, 0.08),
    'blue': (0.08, 0.22, 0.80),
    'green': (0.06, 0.55, 0.18),
    'yellow': (0.95, 0.78, 0.08),
}
DARK, WHITE = (0.12, 0.12, 0.14), (0.95, 0.95, 0.92)
LEAST_GAP_M = 0.14  # between the middles of two bells
BELL_REACH, CLOCK_REACH = (0.025, 0.025, 0.03), (0.03, 0.03, 0.03)  # metres off the top
FACING_Y = sapien.Pose(q=[0.5**0.5, 0.5**0.5, 0, 0])  # z of a lathe -> -y


def touched(world: World, thing: Thing, reach: tuple[float, float, float]) -> bool:
    """Tell whether a finger presses on a thing no farther than `reach` from its top."""
    offsets = np.abs(world.fingers_on(thing) - thing.position('top'))
    return bool((offsets < reach).all(axis=1).any())


class PressTop(Task):
    """Press the top of `target`, which `load` puts onto the table."""

    target: Thing
    reach = BELL_REACH

    @property
    def arm(self) -> str:
        """The arm on the target's side."""
        return self.side(self.target.pose.p[0])

    def success(self) -> bool:
        """The gripper on the target's side is closed and a finger touches the top."""
        closed = self.world.gripper_command(self.arm) < CLOSED
        return closed and touched(self.world, self.target, self.reach)

    def expert(self, expert: Expert) -> None:
        """Close, go above, press."""
        expert.press(self.arm, self.target.position('top'))


class ClickBell(PressTop):
    """Press the bell's top."""

    pressed = ('bell',)

    def load(self, rng: np.random.Generator) -> None:
        """See `Task`; sampling range of RoboTwin's click_bell."""
        x, y = place_in_reach(rng)
        size = BELLS[rng.integers(len(BELLS))]
        self.metal = ('brass', 'steel')[rng.integers(2)]
        self.target = add_bell(self.world, 'bell', (x, y), size, METALS[self.metal])

    def words(self) -> dict[str, str]:
        """See `Task`."""
        return {'A': f'bell/{self.metal}', 'a': self.arm}


class ProbeTwoBells(PressTop):
    """Of two bells that differ in colour only press the one that the instruction names.

    It shows whether a policy listens; RoboTwin has no such task.
    """

    pressed = ('bell', 'other_bell')

    def load(self, rng: np.random.Generator) -> None:
        """See `Task`; both in the range of click_bell."""
        size = BELLS[rng.integers(len(BELLS))]
        self.colour, other_colour = rng.permutation(list(COLOURS))[:2].tolist()
        while True:
            place, other_place = place_in_reach(rng), place_in_reach(rng)
            if np.hypot(*np.subtract(place, other_place)) >= LEAST_GAP_M:
                break
        self.target = add_bell(self.world, 'bell', place, size, COLOURS[self.colour])
        self.other = add_bell(self.world, 'other_bell', other_place, size, COLOURS[other_colour])
        self._spoilt = False

    def success(self) -> bool:
        """The named bell is pressed; a touch of the other one's top spoils it for good."""
        self._spoilt = self._spoilt or touched(self.world, self.other, self.reach)
        return not self._spoilt and super().success()

    def words(self) -> dict[str, str]:
        """See `Task`."""
        return {'A': f'bell/{self.colour}', 'a': self.arm}


class ClickAlarmclock(PressTop):
    """Press the button at the top centre of an alarm clock."""

    pressed = ('alarm_clock',)
    reach = CLOCK_REACH

    def load(self, rng: np.random.Generator) -> None:
        """See `Task`; it may face anywhere."""
        x, y = place_in_reach(rng)
        yaw = float(rng.uniform(-np.pi, np.pi))
        make, height = ((digital_clock, 0.111), (twin_bell_clock, 0.165))[rng.integers(2)]
        self.colour = str(rng.choice(list(COLOURS)))
        self.target = self.world.add(
            'alarm_clock',
            make(height, COLOURS[self.colour]),
            upright(x, y, self.world.table_z_m, yaw),
            {'top': sapien.Pose([0, 0, height])},
        )

    def words(self) -> dict[str, str]:
        """See `Task`."""
        return {'A': f'alarm_clock/{self.colour}', 'a': self.arm}


def place_in_reach(rng: np.random.Generator) -> tuple[float, float]:
    """Draw x and y where RoboTwin puts what is pressed."""
    x = sample_away(rng, -0.25, 0.25, least=0.05)
    return x, float(rng.uniform(-0.2, 0.0))


def add_bell(
    world: World,
    name: str,
    place: tuple[float, float],
    size: tuple[float, float],
    colour: tuple[float, float, float],
) -> Thing:
    """Put a bell (base radius, height) onto the table."""
    top = {'top': sapien.Pose([0, 0, size[1]])}
    return world.add(name, bell_parts(*size, colour), upright(*place, world.table_z_m), top)


def bell_parts(radius: float, height: float, colour: tuple) -> tuple[Part, ...]:
    """Return a counter bell: dark foot, metal dome, a button on top at `height`."""
    dome = 0.82 * height
    angle = np.linspace(0.0, np.pi / 2, 9)[:-1]
    rise = dome - 0.2 * height
    profile = [(0.88 * radius * np.cos(a), 0.2 * height + rise * np.sin(a)) for a in angle]
    top = (0.012, dome)
    return (
        cylinder(radius, 0.2 * height, DARK),
        Lathe((*profile, top), colour, metallic=0.5),
        cylinder(0.011, height - dome, DARK, at=sapien.Pose([0, 0, dome])),
    )


def digital_clock(height: float, colour: tuple) -> tuple[Part, ...]:
    """Return a box with a screen that shows 12:00 and a button on top at `height`."""
    lit, half = (0.35, 0.95, 0.45), 0.5 * (height - 0.016)
    front = -0.043
    bars = [(x, 0.0, 0.003, 0.016) for x in (-0.055, 0.012, 0.032, 0.044, 0.064)]  # uprights
    bars += [(x, z, 0.011, 0.003) for x in (0.022, 0.054) for z in (-0.015, 0.015)]
    bars += [(-0.030, z, 0.011, 0.003) for z in (-0.015, 0.0, 0.015)]
    bars += [(-0.021, 0.008, 0.003, 0.008), (-0.039, -0.008, 0.003, 0.008)]
    bars += [(-0.004, z, 0.003, 0.003) for z in (-0.007, 0.007)]
    screen = Box(
        (0.080, 0.001, 0.026), DARK, at=sapien.Pose([0, -0.042, half + 0.003]), collides=False
    )
    digits = [
        Box((w, 0.001, h), lit, at=sapien.Pose([x, front, half + 0.003 + z]), collides=False)
        for x, z, w, h in bars
    ]
    return (
        Box((0.097, 0.042, half), colour, at=sapien.Pose([0, 0, half])),
        cylinder(0.024, 0.016, WHITE, at=sapien.Pose([0, 0, 2 * half])),
        screen,
        *digits,
    )


def twin_bell_clock(height: float, colour: tuple) -> tuple[Part, ...]:
    """Return a round clock on two feet with two bells and a button between them at `height`."""
    radius, middle = 0.068, 0.072
    dome = [(0.03 * np.cos(a), 0.022 * np.sin(a)) for a in np.linspace(0, np.pi / 2, 6)[:-1]]
    steel = METALS['steel']

    def side(sign: int) -> list[Part]:
        lean = sapien.Pose(q=[np.cos(0.3), 0, sign * np.sin(0.3), 0])
        bell = sapien.Pose([sign * 0.054, 0, 0.130]) * lean
        foot = Box((0.008, 0.015, 0.012), DARK, at=sapien.Pose([sign * 0.045, 0, 0.012]))
        return [Lathe((*dome, (0.004, 0.022)), steel, at=bell, metallic=0.5), foot]

    def disc(size: float, front: float, depth: float, paint: tuple, solid: bool) -> Lathe:
        at = sapien.Pose([0, front + depth, middle]) * FACING_Y
        return cylinder(size, depth, paint, at=at, collides=solid)

    hands = [
        Box((0.003, 0.001, 0.018), DARK, at=sapien.Pose([0, -0.035, middle + 0.016])),
        Box((0.026, 0.001, 0.0025), DARK, at=sapien.Pose([0.022, -0.035, middle])),
    ]
    return (
        disc(radius, -0.032, 0.064, colour, solid=True),
        disc(0.056, -0.034, 0.002, WHITE, solid=False),
        *hands,
        *side(-1),
        *side(1),
        cylinder(0.006, height - 0.145, steel, at=sapien.Pose([0, 0, 0.135])),
        cylinder(0.016, 0.012, DARK, at=sapien.Pose([0, 0, height - 0.012])),
    )
