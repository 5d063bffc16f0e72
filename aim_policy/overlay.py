"""Value maps as pictures: false colours, blended over the camera image they belong to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aim_policy.interface import Image

ARM_COLOURS = {'left': (255, 176, 92), 'right': (98, 196, 214)}
"""The same in every picture."""

# sRGB, evenly spaced over [0, 1]: CIE lightness rises evenly from 14 to 92 while the hue turns
# from blue over magenta and orange to yellow, so that more always looks brighter, in grey too.
_ANCHORS = (
    (0, 35, 79),
    (0, 36, 138),
    (93, 0, 168),
    (142, 0, 145),
    (179, 0, 133),
    (213, 4, 122),
    (248, 0, 106),
    (254, 79, 95),
    (254, 120, 93),
    (255, 151, 98),
    (254, 180, 110),
    (255, 206, 125),
    (255, 232, 139),
)
_GAMMA = 2.2
_LEVELS = 256
_CROSS_ARM_PX = 6


def _table() -> Image:
    positions = np.linspace(0, len(_ANCHORS) - 1, _LEVELS)
    # In linear light, where a mixture lies between its two colours in brightness too.
    channels = (np.array(_ANCHORS).T / 255) ** _GAMMA
    columns = [np.interp(positions, np.arange(len(_ANCHORS)), channel) for channel in channels]
    table: Image = np.rint(255 * np.stack(columns, axis=1) ** (1 / _GAMMA)).astype(np.uint8)
    return table


_COLOURS = _table()


def colourise(heat: NDArray[np.float32]) -> Image:
    """Return uint8[H, W, 3] for float32[H, W]; values outside [0, 1] look like the nearest end."""
    if heat.ndim != 2 or heat.dtype != np.float32:
        raise ValueError(f'heat is {heat.dtype}{list(heat.shape)}, expected float32[H, W]')
    if not np.isfinite(heat).all():
        raise ValueError('heat has values that are not finite')
    levels = np.rint(np.clip(heat, 0, 1) * (_LEVELS - 1)).astype(np.intp)
    return _COLOURS[levels]


def overlay(
    image: Image,
    heat: NDArray[np.float32],
    peak_px: tuple[float, float] | None = None,
    alpha: float = 0.6,
) -> Image:
    """Blend a value map over its image: the higher the value, the less of the image is left.

    Args:
        image: uint8[H, W, 3], RGB.
        heat: float32[H, W] in [0, 1].
        peak_px: (column, row) to mark with a cross.
        alpha: share of the colour where the value is 1.
    """
    colour = colourise(heat)
    if image.shape != colour.shape or image.dtype != np.uint8:
        found = f'{image.dtype}{list(image.shape)}'
        raise ValueError(f'image is {found}, expected uint8{list(colour.shape)} like heat')
    if not 0 <= alpha <= 1:
        raise ValueError(f'alpha is {alpha}, expected 0 to 1')
    weight = np.float32(alpha) * np.clip(heat, 0, 1)[..., None]
    blended = np.rint(image + weight * (colour.astype(np.float32) - image)).astype(np.uint8)
    if peak_px is not None:
        _draw_cross(blended, *peak_px)
    return blended


def _draw_cross(image: Image, column: float, row: float) -> None:
    """Draw a white cross with a black rim in place; what lies outside is left out."""
    if not np.isfinite([column, row]).all():
        raise ValueError(f'peak_px is ({column}, {row}), expected finite numbers')
    x, y = round(float(column)), round(float(row))
    for rim, value in ((1, 0), (0, 255)):
        long, short = _CROSS_ARM_PX + rim, rim
        for across, down in ((long, short), (short, long)):
            rows = slice(max(y - down, 0), max(y + down + 1, 0))
            columns = slice(max(x - across, 0), max(x + across + 1, 0))
            image[rows, columns] = value
