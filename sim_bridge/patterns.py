"""Patterns that repeat: each draws two fields, the shares of a second and of a third colour."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

SIDE_PX = 256
Field = np.ndarray  # float64[H, W] in [0, 1]
Pattern = Callable[[np.random.Generator], tuple[Field, Field]]


# Building blocks


def grid(repeats: float = 1.0) -> tuple[Field, Field]:
    """Return v (down) and u (right), each counting from 0 to `repeats`."""
    line = (np.arange(SIDE_PX) + 0.5) / SIDE_PX * repeats
    v, u = np.meshgrid(line, line, indexing='ij')
    return v, u


def noise(rng: np.random.Generator, decay: float, stretch: tuple[float, float] = (1, 1)) -> Field:
    """Return random hills from 0 to 1; a larger `decay` makes them smoother.

    Args:
        rng: source of randomness.
        decay: exponent by which the spectrum falls.
        stretch: how much longer than wide they are, down and right.
    """
    down = np.fft.fftfreq(SIDE_PX)[:, None] * SIDE_PX * stretch[0]
    right = np.fft.fftfreq(SIDE_PX)[None, :] * SIDE_PX * stretch[1]
    spectrum = np.fft.fft2(rng.standard_normal((SIDE_PX, SIDE_PX)))
    hills = np.fft.ifft2(spectrum / np.maximum(np.hypot(down, right), 1.0) ** decay).real
    hills -= hills.min()
    return hills / hills.max()


def tone(rng: np.random.Generator, rows: Field, columns: Field, spread: float) -> Field:
    """Return one random tone, 0 to `spread`, for each (row, column) of whole numbers."""
    table = rng.uniform(0, spread, (64, 64))
    return table[rows.astype(int) % 64, columns.astype(int) % 64]


def near_edge(position: Field, width: float) -> Field:
    """Return 1 within `width` of a whole number, else 0."""
    part = position % 1.0
    return ((part < width) | (part > 1 - width)).astype(float)


def wave(position: Field) -> Field:
    """Return a cosine from 0 to 1, one period per unit."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * position)


# Patterns for training


def wood(rng: np.random.Generator) -> tuple[Field, Field]:
    """Planks with a grain."""
    planks = int(rng.integers(2, 6))
    v, _ = grid(planks)
    grain = noise(rng, 1.0, (0.15, 8.0))
    share = 0.6 * grain + tone(rng, v, np.zeros_like(v), 0.5)
    return np.clip(share, 0, 1), near_edge(v, 0.012 * planks)


def tiles(rng: np.random.Generator) -> tuple[Field, Field]:
    """Square tiles with joints."""
    count = int(rng.integers(2, 7))
    v, u = grid(count)
    joints = np.maximum(near_edge(v, 0.008 * count), near_edge(u, 0.008 * count))
    return np.clip(tone(rng, v, u, 0.5) + 0.3 * noise(rng, 1.5), 0, 1), joints


def checks(rng: np.random.Generator) -> tuple[Field, Field]:
    """A board of two colours."""
    v, u = grid(2 * int(rng.integers(1, 6)))
    return (v.astype(int) + u.astype(int)) % 2 * 1.0, 0.2 * noise(rng, 1.2)


def stripes(rng: np.random.Generator) -> tuple[Field, Field]:
    """Stripes of two widths."""
    v, u = grid(int(rng.integers(2, 10)))
    along = u if rng.random() < 0.5 else v
    wide, thin = rng.uniform(0.2, 0.6), rng.uniform(0.05, 0.15)
    return (along % 1 < wide) * 1.0, ((along + thin) % 1 < thin) * 1.0


def clouds(rng: np.random.Generator) -> tuple[Field, Field]:
    """Soft spots."""
    return noise(rng, rng.uniform(1.2, 2.2)), 0.5 * noise(rng, 1.0)


def marble(rng: np.random.Generator) -> tuple[Field, Field]:
    """Veins in stone."""
    v, u = grid()
    bent = int(rng.integers(1, 4)) * u + int(rng.integers(0, 3)) * v
    veins = wave(bent + rng.uniform(1.0, 2.5) * noise(rng, 1.7))
    return veins ** rng.uniform(2, 6), 0.4 * noise(rng, 1.3)


def fabric(rng: np.random.Generator) -> tuple[Field, Field]:
    """Woven threads."""
    v, u = grid(int(rng.integers(16, 33)))
    over = (v.astype(int) + u.astype(int)) % 2 == 0
    return np.where(over, wave(v), wave(u)), tone(rng, v, 0 * u, 0.3) + tone(rng, u, 0 * v, 0.3)


def gradient(rng: np.random.Generator) -> tuple[Field, Field]:
    """One colour turns into another."""
    v, u = grid()
    return wave(v + rng.random()), 0.8 * wave(u + rng.random()) * (rng.random() < 0.6)


def terrazzo(rng: np.random.Generator) -> tuple[Field, Field]:
    """Chips of stone in two colours."""
    first, second = noise(rng, rng.uniform(0.8, 1.1)), noise(rng, rng.uniform(0.8, 1.1))
    return (first > 0.62) * 1.0, (second > 0.66) * 1.0


def plaid(rng: np.random.Generator) -> tuple[Field, Field]:
    """Crossing bands."""
    v, u = grid(int(rng.integers(2, 6)))
    wide, thin = rng.uniform(0.2, 0.5), rng.uniform(0.05, 0.12)
    bands = 0.5 * (v % 1 < wide) + 0.5 * (u % 1 < wide)
    return bands, 0.6 * np.maximum((v + 0.3) % 1 < thin, (u + 0.3) % 1 < thin)


def mixed(second: Pattern, third: Pattern, rng: np.random.Generator) -> tuple[Field, Field]:
    """The second colour as in one pattern, the third as in another."""
    return second(rng)[0], third(rng)[1]


# Patterns for evaluation


def dots(rng: np.random.Generator) -> tuple[Field, Field]:
    """Round dots, every second row moved."""
    v, u = grid(2 * int(rng.integers(2, 6)))
    moved = u + 0.5 * (v.astype(int) % 2)
    distance = np.hypot(v % 1 - 0.5, moved % 1 - 0.5)
    return (distance < rng.uniform(0.2, 0.4)) * 1.0, 0.25 * noise(rng, 1.2)


def bricks(rng: np.random.Generator) -> tuple[Field, Field]:
    """Bricks in mortar."""
    rows = 2 * int(rng.integers(2, 6))
    v, u = grid(rows)
    moved = (u + (v.astype(int) % 2)) / 2
    joints = np.maximum(near_edge(v, 0.06), near_edge(moved, 0.03))
    return np.clip(tone(rng, v, moved % (rows / 2), 0.6) + 0.4 * noise(rng, 1.0), 0, 1), joints


def zebra(rng: np.random.Generator) -> tuple[Field, Field]:
    """Bent bands."""
    _, u = grid(int(rng.integers(3, 8)))
    bent = u + rng.uniform(1.0, 3.0) * noise(rng, 2.0)
    return (bent % 1 < rng.uniform(0.3, 0.6)) * 1.0, np.zeros_like(u)


def camouflage(rng: np.random.Generator) -> tuple[Field, Field]:
    """Blotches with sharp borders."""
    decay = rng.uniform(1.4, 2.0)
    return (noise(rng, decay) > 0.52) * 1.0, (noise(rng, decay) > 0.6) * 1.0


def herringbone(rng: np.random.Generator) -> tuple[Field, Field]:
    """Zigzag parquet."""
    count = 2 * int(rng.integers(2, 5))
    v, u = grid(count)
    slope = np.where(u.astype(int) % 2 == 0, u % 1, 1 - u % 1)
    courses = (2 * v + slope) % (2 * count)
    joints = np.maximum(near_edge(courses, 0.05), near_edge(u, 0.03))
    return tone(rng, courses, u, 0.8), joints


def cells(rng: np.random.Generator) -> tuple[Field, Field]:
    """Areas around random points, with borders."""
    v, u = grid()
    points = rng.random((int(rng.integers(12, 48)), 2))
    down = np.abs(v[..., None] - points[:, 0])
    right = np.abs(u[..., None] - points[:, 1])
    distance = np.hypot(np.minimum(down, 1 - down), np.minimum(right, 1 - right))
    first, second = np.partition(distance, 1, axis=-1)[..., :2].transpose(2, 0, 1)
    return rng.random(len(points))[distance.argmin(axis=-1)], (second - first < 0.012) * 1.0


def rings(rng: np.random.Generator) -> tuple[Field, Field]:
    """Rings in squares."""
    v, u = grid(int(rng.integers(2, 6)))
    distance = np.hypot(v % 1 - 0.5, u % 1 - 0.5)
    return wave(distance * int(rng.integers(3, 7))), 0.2 * noise(rng, 1.2)


def diamonds(rng: np.random.Generator) -> tuple[Field, Field]:
    """Squares on their tips."""
    v, u = grid(int(rng.integers(2, 7)))
    distance = np.abs(v % 1 - 0.5) + np.abs(u % 1 - 0.5)
    return (distance < 0.5) * 1.0, (np.abs(distance - 0.5) < 0.06) * 1.0


TRAINING = (wood, tiles, checks, stripes, clouds, marble, fabric, gradient, terrazzo, plaid)
EVALUATION = (dots, bricks, zebra, camouflage, herringbone, cells, rings, diamonds)
MIXED: tuple[Pattern, ...] = tuple(partial(mixed, a, b) for a in TRAINING for b in TRAINING)
