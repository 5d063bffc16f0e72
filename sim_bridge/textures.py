"""Procedural pictures for table and wall, in two sets that share no pattern and no colours.

Every picture is uint8[256, 256, 3] RGB and continues over its edges, so that it can be repeated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from aim_policy.interface import Image
from sim_bridge import patterns

Pattern = Callable[[np.random.Generator], tuple[patterns.Field, patterns.Field]]


@dataclass(frozen=True)
class TextureSet:
    """Pictures by number.

    Attributes:
        patterns: each makes two fields: the share of the second and of the third colour.
        palettes: hexadecimal colours, three each.
        count: number of pictures.
    """

    patterns: tuple[Pattern, ...]
    palettes: tuple[tuple[str, str, str], ...]
    count: int

    def picture(self, number: int) -> Image:
        """Make one picture; the same number, the same picture."""
        rng = np.random.default_rng([number, self.count])
        names = self.palettes[rng.integers(len(self.palettes))]
        colours = np.array([_colour(name) for name in names]) + rng.uniform(-0.04, 0.04, (3, 3))
        second, third = self.patterns[number % len(self.patterns)](rng)
        paint = colours[0] + second[..., None] * (colours[1] - colours[0])
        paint = paint + third[..., None] * (colours[2] - paint)
        return (np.clip(paint, 0, 1) * 255 + 0.5).astype(np.uint8)

    def draw(self, rng: np.random.Generator) -> Image:
        """Make any picture."""
        return self.picture(int(rng.integers(self.count)))


def _colour(name: str) -> tuple[float, ...]:
    return tuple(int(name[i : i + 2], 16) / 255 for i in (0, 2, 4))


SEEN = TextureSet(
    patterns.TRAINING,
    (
        ('c9a26d', 'a67c48', '6b4a2a'),
        ('8a5a35', '6e4428', '3d2617'),
        ('e0c79a', 'cdae7c', '9a7b4f'),
        ('e8e4da', 'cfc8b8', '8f8776'),
        ('9aa3a8', '7d878e', '4d565c'),
        ('d8dde0', 'b4bdc4', '6f7b85'),
        ('b9cfd8', '8fb0bf', '4f7489'),
        ('c4d6b8', '9fb88c', '5c7748'),
        ('e3c9b4', 'cfa184', '96603f'),
        ('d9b8b4', 'b98682', '7c4c4a'),
        ('7c8aa5', '5d6c8a', '343f57'),
        ('5b5f52', '43473c', '2a2d25'),
    ),
    1000,
)
UNSEEN = TextureSet(
    patterns.EVALUATION,
    (
        ('9ed8cf', '4fa79c', 'e88f6b'),
        ('c8b6e0', '8d74b8', '4b3574'),
        ('f2d98b', 'd9a93a', '4a4a4a'),
        ('e6a7bd', 'b8587c', '5c1f3a'),
        ('c5e27f', '86b03c', '2f5a34'),
        ('8fd3f0', '2f86c4', '123f73'),
        ('f5b58c', 'd96f3d', '7a2e1a'),
        ('3f3a52', '6d6390', 'b7a7d6'),
    ),
    200,
)
