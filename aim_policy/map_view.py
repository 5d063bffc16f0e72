"""What a policy intends, as a picture for people: value map, planned paths, contact, legend.

Drawn at twice the size of the camera's picture, so that its words can be read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from aim_policy.interface import Image, Vector
from aim_policy.overlay import ARM_COLOURS, colourise, overlay

SCALE = 2
VISIBLE_VALUE = 0.2
"""Where no value is higher, the map shows no contact."""
WHITE, BLACK = (255, 255, 255), (0, 0, 0)
_STRIP_PX, _FONT_PX, _BAR, _MARGIN_PX = 28, 15, (110, 10), 10
_RING_PX = 12


@dataclass(frozen=True)
class Contact:
    """Where the arms will touch next, as one camera sees it.

    Attributes:
        peak_px: (column, row) of the map's highest value.
        value: that value.
        arm: whose fingers come closest to it, '' if nobody knows.
        time_s: when they do, after the observation; infinite if the chunk ends before.
        paths_px: arm -> float64[K, 2], where its fingers will be, NaN where out of sight.
        chunk_s: how long the paths last.
    """

    peak_px: tuple[float, float]
    value: float
    arm: str = ''
    time_s: float = math.inf
    paths_px: Mapping[str, Vector] = field(default_factory=dict)
    chunk_s: float = 0.0

    def __str__(self) -> str:
        """Say it in a few words."""
        if self.value < VISIBLE_VALUE:
            return 'no contact in view'
        if not self.arm:
            return 'contact'
        if math.isinf(self.time_s):
            return f'{self.arm} arm: contact after {self.chunk_s:.1f} s'
        return f'{self.arm} arm: contact in {self.time_s:.1f} s'


def draw(image: Image, heat: NDArray[np.float32], contact: Contact) -> Image:
    """Return uint8[SCALE * H, SCALE * W, 3]; the lowest rows hold the legend.

    Args:
        image: uint8[H, W, 3], RGB.
        heat: float32[H, W] in [0, 1].
        contact: what to mark.
    """
    height, width = heat.shape
    size = (SCALE * width, SCALE * height)
    page = PillowImage.fromarray(overlay(image, heat))
    page = page.resize(size, PillowImage.Resampling.BICUBIC)
    pen = ImageDraw.Draw(page, 'RGBA')
    for arm, path in contact.paths_px.items():
        _draw_path(pen, SCALE * (path + 0.5), ARM_COLOURS.get(arm, WHITE))
    if contact.value >= VISIBLE_VALUE:
        _draw_contact(pen, contact)
    _draw_legend(page, pen, contact)
    return np.asarray(page)


def _draw_path(pen: ImageDraw.ImageDraw, path: Vector, colour: tuple[int, int, int]) -> None:
    points = [tuple(point) for point in path.tolist() if np.isfinite(point).all()]
    for width, shade in ((5, BLACK), (3, colour)):
        pen.line(points, fill=shade, width=width)
    if points:
        pen.circle(points[-1], 4, fill=colour, outline=BLACK)


def _draw_contact(pen: ImageDraw.ImageDraw, contact: Contact) -> None:
    x, y = (SCALE * (value + 0.5) for value in contact.peak_px)
    colour = ARM_COLOURS.get(contact.arm, WHITE)
    for width, shade in ((6, BLACK), (3, colour)):
        pen.circle((x, y), _RING_PX + (width - 3) / 2, outline=shade, width=width)
    for width, shade in ((5, BLACK), (3, WHITE)):
        reach = 4 + width / 2
        pen.line((x - reach, y, x + reach, y), fill=shade, width=width)
        pen.line((x, y - reach, x, y + reach), fill=shade, width=width)


def _draw_legend(page: PillowImage.Image, pen: ImageDraw.ImageDraw, contact: Contact) -> None:
    top, font = page.height - _STRIP_PX, _font()
    middle, left = top + _STRIP_PX / 2, float(_MARGIN_PX)
    pen.rectangle((0, top, page.width, page.height), fill=(*BLACK, 170))
    for word in ('value 0', _bar(), '1'):
        if isinstance(word, str):
            pen.text((left, middle), word, WHITE, font, anchor='lm')
            left += pen.textlength(word, font) + 6
        else:
            page.paste(word, (round(left), round(middle - word.height / 2)))
            left += word.width + 6
    words = str(contact)
    right = page.width - _MARGIN_PX - pen.textlength(words, font)
    pen.text((right, middle), words, WHITE, font, anchor='lm')
    if contact.arm and contact.value >= VISIBLE_VALUE:
        colour = ARM_COLOURS.get(contact.arm, WHITE)
        pen.circle((right - 14, middle), 6, fill=colour, outline=WHITE)


@cache
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(_FONT_PX)


@cache
def _bar() -> PillowImage.Image:
    width, height = _BAR
    ramp = np.linspace(0, 1, width, dtype=np.float32)
    return PillowImage.fromarray(colourise(np.tile(ramp, (height, 1))))
