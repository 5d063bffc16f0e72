"""What may lie about on the table besides the task's objects: kinds, shapes and colours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import sapien

from sim_bridge.objects import Box, Colour, Lathe, Part, cup, cylinder

COLOURS: tuple[Colour, ...] = (
    (0.78, 0.15, 0.15),
    (0.16, 0.35, 0.75),
    (0.15, 0.55, 0.28),
    (0.93, 0.75, 0.15),
    (0.90, 0.48, 0.12),
    (0.50, 0.25, 0.62),
    (0.15, 0.58, 0.60),
    (0.92, 0.62, 0.68),
    (0.45, 0.30, 0.18),
    (0.85, 0.83, 0.78),
)
DARK, WHITE, PAPER = (0.13, 0.13, 0.15), (0.94, 0.94, 0.92), (0.95, 0.92, 0.84)
STEEL, LEAF, CARDBOARD = (0.70, 0.72, 0.75), (0.25, 0.45, 0.18), (0.70, 0.53, 0.34)


@dataclass(frozen=True)
class Shape:
    """An object to build: what it is made of, the circle that it stands in, its height (m)."""

    parts: tuple[Part, ...]
    radius: float
    height: float


@dataclass(frozen=True)
class Kind:
    """A kind of distractor.

    Attributes:
        make: makes one in a given colour.
        like: objects of tasks that it could be taken for.
    """

    make: Callable[[np.random.Generator, Colour], Shape]
    like: frozenset[str]


def at(x: float, y: float, z: float) -> sapien.Pose:
    """Return a place in the frame of an object."""
    return sapien.Pose([x, y, z])


def block(half: tuple[float, float, float], colour: Colour, z: float = 0.0) -> Box:
    """Return a box whose base is at height `z`."""
    return Box(half, colour, at=at(0, 0, z + half[2]))


def decal(half_x: float, half_y: float, colour: Colour, x: float, y: float, z: float) -> Box:
    """Return a flat mark on top of something."""
    return Box((half_x, half_y, 0.0006), colour, at=at(x, y, z), collides=False)


def carton(rng: np.random.Generator, colour: Colour) -> Shape:
    """A folding box with a band around it."""
    x, y, z = rng.uniform((0.022, 0.018, 0.02), (0.045, 0.03, 0.06)).tolist()
    band = Box((x + 0.0006, y + 0.0006, z * 0.35), colour, at=at(0, 0, z), collides=False)
    return Shape((block((x, y, z), CARDBOARD), band), float(np.hypot(x, y)), 2 * z)


def tin(rng: np.random.Generator, colour: Colour) -> Shape:
    """A preserving tin with metal rims."""
    radius, height = rng.uniform((0.028, 0.06), (0.038, 0.11)).tolist()
    body = cylinder(radius - 0.001, height - 0.001, colour)
    rims = [cylinder(radius, 0.004, STEEL, at=at(0, 0, z)) for z in (0.0, height - 0.004)]
    return Shape((body, *rims), radius, height)


def bowl(rng: np.random.Generator, colour: Colour) -> Shape:
    """An open bowl."""
    radius, height = rng.uniform((0.05, 0.035), (0.07, 0.05)).tolist()
    rim = [(0.45, 0.0), (0.8, 0.35), (1.0, 1.0), (0.94, 1.0), (0.74, 0.38), (0.4, 0.1)]
    profile = tuple((radius * r, height * z) for r, z in rim)
    return Shape((Lathe(profile, colour),), radius, height)


def toy_brick(rng: np.random.Generator, colour: Colour) -> Shape:
    """A building brick with studs."""
    columns = int(rng.integers(2, 5))
    x, y, z = 0.012 * columns, 0.024, 0.012
    studs = [
        cylinder(0.007, 0.005, colour, at=at(0.024 * i - x + 0.012, 0.024 * j - 0.012, 2 * z))
        for i in range(columns)
        for j in range(2)
    ]
    return Shape((block((x, y, z), colour), *studs), float(np.hypot(x, y)), 2 * z + 0.005)


def flask(rng: np.random.Generator, colour: Colour) -> Shape:
    """A bottle with a cap."""
    radius, height = rng.uniform((0.026, 0.15), (0.036, 0.22)).tolist()
    outline = ((1.0, 0.0), (1.0, 0.6), (0.4, 0.82), (0.4, 0.92))
    body = Lathe(tuple((radius * r, height * z) for r, z in outline), colour)
    cap = cylinder(0.45 * radius, 0.08 * height, WHITE, at=at(0, 0, 0.92 * height))
    label = cylinder(radius + 0.0006, 0.2 * height, PAPER, at=at(0, 0, 0.2 * height))
    return Shape((body, cap, label), radius, height)


def book(rng: np.random.Generator, colour: Colour) -> Shape:
    """A closed book."""
    x, y, z = rng.uniform((0.05, 0.07, 0.006), (0.065, 0.09, 0.015)).tolist()
    pages = Box((x - 0.003, y - 0.003, z - 0.001), PAPER, at=at(0.002, 0, z))
    covers = [block((x, y, 0.001), colour, level) for level in (0.0, 2 * z - 0.002)]
    title = decal(0.5 * x, 0.1 * y, PAPER, 0, 0.4 * y, 2 * z)
    return Shape((*covers, pages, title), float(np.hypot(x, y)), 2 * z)


def ball(rng: np.random.Generator, colour: Colour) -> Shape:
    """A ball that is flat below, so that it stays."""
    radius = float(rng.uniform(0.022, 0.034))
    angle = np.linspace(-np.pi / 3, np.pi / 2, 12)[:-1]
    outline = [(radius * np.cos(a), radius * (np.sin(a) + np.sin(np.pi / 3))) for a in angle]
    return Shape((Lathe(tuple(outline), colour),), radius, 1.87 * radius)


def mug(rng: np.random.Generator, colour: Colour) -> Shape:
    """A mug with a handle."""
    radius, height = rng.uniform((0.032, 0.07), (0.04, 0.095)).tolist()
    inside = cylinder(radius - 0.006, 0.001, DARK, at=at(0, 0, 0.75 * height), collides=False)
    handle = [
        Box((0.014, 0.005, 0.005), colour, at=at(radius + 0.01, 0, part * height))
        for part in (0.25, 0.75)
    ]
    grip = Box(
        (0.005, 0.005, 0.25 * height + 0.005), colour, at=at(radius + 0.022, 0, 0.5 * height)
    )
    body = cup(radius, radius, height, 0.005, colour)
    return Shape((body, inside, *handle, grip), radius + 0.027, height)


def plate(rng: np.random.Generator, colour: Colour) -> Shape:
    """A flat plate."""
    radius = float(rng.uniform(0.06, 0.08))
    outline = ((0.6, 0.0), (1.0, 0.014), (0.96, 0.016), (0.6, 0.006))
    return Shape((Lathe(tuple((radius * r, z) for r, z in outline), colour),), radius, 0.016)


def pen(rng: np.random.Generator, colour: Colour) -> Shape:
    """A marker that lies, too square to roll."""
    half = float(rng.uniform(0.055, 0.07))
    cap = Box((0.015, 0.0075, 0.0075), DARK, at=at(half - 0.015, 0, 0.0075))
    return Shape((block((half, 0.0065, 0.0065), colour), cap), half + 0.002, 0.015)


def remote(rng: np.random.Generator, colour: Colour) -> Shape:
    """A remote control with rows of keys."""
    x, y, z = 0.022, 0.08, 0.009
    keys = [
        decal(0.004, 0.004, WHITE, 0.012 * i, 0.016 * j - 0.02, 2 * z)
        for i in (-1, 0, 1)
        for j in range(4)
    ]
    power = decal(0.005, 0.005, colour, 0, 0.06, 2 * z)
    return Shape((block((x, y, z), DARK), *keys, power), float(np.hypot(x, y)), 2 * z)


def cone(rng: np.random.Generator, colour: Colour) -> Shape:
    """A small traffic cone."""
    height = float(rng.uniform(0.07, 0.12))
    foot = 0.3 * height + 0.012
    levels = ((0.0, 0.4, colour), (0.4, 0.65, WHITE), (0.65, 1.0, colour))

    def radius(part: float) -> float:
        return 0.004 + 0.28 * height * (1 - part)

    rings = [
        Lathe(
            ((radius(low), low * height), (radius(high), high * height)), paint, at=at(0, 0, 0.006)
        )
        for low, high, paint in levels
    ]
    base = block((foot, foot, 0.003), DARK)
    return Shape((base, *rings), foot * 2**0.5, height + 0.006)


def apple(rng: np.random.Generator, colour: Colour) -> Shape:
    """An apple with a stalk."""
    radius = float(rng.uniform(0.028, 0.036))
    outline = ((0.4, 0.0), (0.8, 0.25), (1.0, 0.8), (0.95, 1.25), (0.6, 1.6), (0.2, 1.5))
    body = Lathe(tuple((radius * r, radius * z) for r, z in outline), colour)
    stalk = cylinder(0.0025, 0.5 * radius, LEAF, at=at(0, 0, 1.45 * radius))
    return Shape((body, stalk), radius, 1.95 * radius)


def candle(rng: np.random.Generator, colour: Colour) -> Shape:
    """A candle in a dish."""
    radius, height = rng.uniform((0.018, 0.04), (0.025, 0.1)).tolist()
    dish = cylinder(radius + 0.015, 0.006, STEEL)
    wick = cylinder(0.0015, 0.01, DARK, at=at(0, 0, height))
    return Shape((dish, cylinder(radius, height, colour), wick), radius + 0.015, height + 0.01)


def toy_ring(rng: np.random.Generator, colour: Colour) -> Shape:
    """A thick ring."""
    radius, tube = rng.uniform((0.03, 0.010), (0.045, 0.014)).tolist()
    angle = np.linspace(-np.pi, np.pi, 17)  # from the hole over the bottom to the hole
    outline = [(radius + tube * np.cos(a), tube * (1 + np.sin(a))) for a in angle]
    return Shape((Lathe(tuple(outline), colour),), radius + tube, 2 * tube)


def puzzle_cube(rng: np.random.Generator, colour: Colour) -> Shape:
    """A cube with nine coloured fields on top and a coloured sticker on each side."""
    half = 0.027
    tints = rng.integers(len(COLOURS), size=(3, 3))
    top = [
        decal(0.0075, 0.0075, COLOURS[tints[i, j]], 0.0175 * (i - 1), 0.0175 * (j - 1), 2 * half)
        for i in range(3)
        for j in range(3)
    ]
    sides = [
        Box((a * half + 0.0005, b * half + 0.0005, 0.8 * half), tint, at=at(0, 0, half))
        for a, b, tint in ((1.0, 0.85, colour), (0.85, 1.0, WHITE))
    ]
    return Shape((block((half, half, half), DARK), *sides, *top), half * 1.43, 2 * half)


def kind(make: Callable[[np.random.Generator, Colour], Shape], *like: str) -> Kind:
    """Return a kind and what it could be taken for."""
    return Kind(make, frozenset(like))


KINDS = (
    kind(apple, 'bell'),
    kind(ball, 'bell'),
    kind(book, 'pad', 'coaster', 'plastic_box'),
    kind(bowl, 'bell', 'cup', 'pot', 'coaster', 'plastic_box'),
    kind(candle, 'can', 'pill_bottle', 'bottle', 'cup', 'roller'),
    kind(carton, 'block', 'tall_block', 'plastic_box', 'alarm_clock', 'switch'),
    kind(cone, 'bell'),
    kind(flask, 'bottle', 'pill_bottle', 'can'),
    kind(mug, 'cup', 'pot', 'can'),
    kind(pen, 'roller', 'hammer'),
    kind(plate, 'bell', 'coaster', 'pad'),
    kind(puzzle_cube, 'block', 'tall_block'),
    kind(remote, 'switch', 'pad'),
    kind(tin, 'can', 'pill_bottle', 'bottle', 'cup', 'pot'),
    kind(toy_brick, 'block', 'tall_block', 'switch'),
    kind(toy_ring, 'coaster', 'cup'),
)
