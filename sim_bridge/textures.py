"""Procedural pictures for table and wall, in two sets that share no pattern and no colours.

Every picture is uint8[256, 256, 3] RGB and continues over its edges, so that it can be repeated.
Training has any colours but those of evaluation: who has only seen wood and stone takes a bright
cloth for a thing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from aim_policy.interface import Image, Vector
from sim_bridge import patterns

EVALUATION_PALETTES = (
    ('9ed8cf', '4fa79c', 'e88f6b'),
    ('c8b6e0', '8d74b8', '4b3574'),
    ('f2d98b', 'd9a93a', '4a4a4a'),
    ('e6a7bd', 'b8587c', '5c1f3a'),
    ('c5e27f', '86b03c', '2f5a34'),
    ('8fd3f0', '2f86c4', '123f73'),
    ('f5b58c', 'd96f3d', '7a2e1a'),
    ('3f3a52', '6d6390', 'b7a7d6'),
)
"""Hexadecimal RGB."""
SPREAD = 0.04
"""Most by which red, green and blue of 0 to 1 differ from those of a palette."""
APART = 0.16
"""Least distance, in RGB of 0 to 1, of colours in training from palettes of evaluation."""

Palette = Callable[[np.random.Generator], Vector]


@dataclass(frozen=True)
class TextureSet:
    """Pictures by number.

    Attributes:
        patterns: each makes two fields: the share of the second and of the third colour.
        palette: draws three colours, float64[3, 3], RGB in [0, 1].
        count: number of pictures.
    """

    patterns: tuple[patterns.Pattern, ...]
    palette: Palette
    count: int

    def picture(self, number: int) -> Image:
        """Make one picture; the same number, the same picture."""
        rng = np.random.default_rng([number, self.count])
        colours = self.palette(rng)
        second, third = self.patterns[number % len(self.patterns)](rng)
        paint = colours[0] + second[..., None] * (colours[1] - colours[0])
        paint = paint + third[..., None] * (colours[2] - paint)
        return (np.clip(paint, 0, 1) * 255 + 0.5).astype(np.uint8)

    def draw(self, rng: np.random.Generator) -> Image:
        """Make any picture."""
        return self.picture(int(rng.integers(self.count)))


def evaluation_palette(rng: np.random.Generator) -> Vector:
    """Draw one of the palettes of evaluation, a little changed."""
    palette = _EVALUATION[rng.integers(len(_EVALUATION))]
    return palette + rng.uniform(-SPREAD, SPREAD, (3, 3))


def training_palette(rng: np.random.Generator) -> Vector:
    """Draw any colours that evaluation does not use."""
    drawn: list[Vector] = []
    while len(drawn) < 3:
        colour = rng.uniform(0, 1, 3)
        if np.linalg.norm(_EVALUATION - colour, axis=-1).min() >= APART:
            drawn.append(colour)
    return np.array(drawn)


def _colour(name: str) -> tuple[float, ...]:
    return tuple(int(name[i : i + 2], 16) / 255 for i in (0, 2, 4))


_EVALUATION = np.array([[_colour(name) for name in names] for names in EVALUATION_PALETTES])
SEEN = TextureSet(patterns.MIXED, training_palette, 10_000)
UNSEEN = TextureSet(patterns.EVALUATION, evaluation_palette, 200)
