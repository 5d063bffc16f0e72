"""Fits the linear tokenizer to pictures and value maps, and says how well it then does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from aim_policy.tokenizers.linear import LinearTokenizer, map_basis, patches

BUSY_CONTRAST = 0.1
"""Standard deviation within a patch, on [-1, 1], from which it shows more than a plain surface."""
WARM = 0.05
"""Heat from which a cell of a map counts as more than black."""
MAP_SCALE_FLOOR = 0.15
"""Least scale of a map channel, as a share of the largest: below it, noise would be blown up."""
PEAK_REACH = 3
"""Pixels around the highest one that say where between pixels a peak lies."""


@dataclass(frozen=True)
class FitFigures:
    """What is lost by encoding and decoding again, on the data of the fit."""

    picture_error: float  # root mean square, on [-1, 1]
    picture_spread: float  # the same of the pictures around their mean
    map_error: float  # root mean square of heat, on [0, 1]
    peak_median_px: float  # how far the peak of a map moves, see `_peak`
    peak_worst_px: float
    brightest_pixel_worst_px: float  # how far the highest pixel moves, a whole number each way


def fit(
    frames: Sequence[Tensor], maps: Sequence[Tensor], cell_px: int, channels: int
) -> tuple[LinearTokenizer, FitFigures]:
    """Find the patch code that keeps most of what matters.

    The basis holds the principal directions of picture patches. Those with contrast weigh more
    than half of all: otherwise the table would take every channel, and small objects none.

    Args:
        frames: per view float[N, 3, H, W] in [-1, 1], at the size that the model sees.
        maps: per view float[N, H, W] heat in [0, 1]; some of it must be warm.
        cell_px: side of a patch.
        channels: how many numbers a patch becomes.

    Raises:
        ValueError: no warm cell in `maps`.
    """
    tokenizer = LinearTokenizer(cell_px, channels)
    pictures = torch.cat([patches(view, cell_px).flatten(0, 2) for view in frames])
    heat = torch.cat([patches(view[:, None], cell_px).flatten(0, 2) for view in maps])
    warm = heat[heat.amax(dim=1) > WARM]
    if not len(warm):
        raise ValueError(f'maps have no cell warmer than {WARM}, expected some to fit to')
    tokenizer.basis.copy_(_basis(pictures, channels))
    codes = pictures @ tokenizer.basis.T
    tokenizer.offset.copy_(codes.mean(0))
    tokenizer.scale.copy_(codes.std(0).clamp(min=1e-3))
    basis, _ = map_basis(cell_px, channels)
    spread = (warm @ basis.T).square().mean(0).sqrt()
    tokenizer.scale_maps(basis, spread.clamp(min=MAP_SCALE_FLOOR * float(spread.max())))
    return tokenizer, figures(tokenizer, frames, maps)


def figures(
    tokenizer: LinearTokenizer, frames: Sequence[Tensor], maps: Sequence[Tensor]
) -> FitFigures:
    """Measure a tokenizer on data; arguments as in `fit`."""
    pictures = torch.cat([view.flatten() for view in frames])
    decoded = [tokenizer.decode(tokenizer.encode(view[None]))[0] for view in frames]
    heat = [tokenizer.decode_maps(tokenizer.encode_maps(view[None]))[0] for view in maps]
    moved = torch.cat([_peak_moves(*pair) for pair in zip(maps, heat, strict=True)])
    peak, brightest = moved.T
    return FitFigures(
        picture_error=_rms(torch.cat([view.flatten() for view in decoded]) - pictures),
        picture_spread=float(pictures.std()),
        map_error=_rms(torch.cat([(a - b).flatten() for a, b in zip(maps, heat, strict=True)])),
        peak_median_px=float(peak.median()),
        peak_worst_px=float(peak.max()),
        brightest_pixel_worst_px=float(brightest.max()),
    )


def _basis(pictures: Tensor, channels: int) -> Tensor:
    """Directions float[C, 3 p p] of the largest weighted second moment, largest first."""
    busy = pictures.std(dim=1) > BUSY_CONTRAST
    moment = torch.zeros(pictures.shape[1], pictures.shape[1], dtype=torch.float64)
    for share, part in ((0.65, pictures[busy]), (0.35, pictures[~busy])):
        exact = part.double()
        moment += share * exact.T @ exact / max(len(exact), 1)
    _, directions = torch.linalg.eigh(moment)
    return directions.flip(1)[:, :channels].T.float()


def _peak_moves(before: Tensor, after: Tensor) -> Tensor:
    """How far the peak and the highest pixel of maps [N, H, W] move: float[n, 2] of the warm ones.

    Two arms make two peaks that are equally high but for rounding: either may end as the highest,
    so distances are to the nearest one.
    """
    moves = []
    for old, new in zip(before, after, strict=True):
        if float(old.max()) > WARM:
            highest = functional.max_pool2d(old[None], 3, 1, 1)[0]
            pixels = ((old == highest) & (old > old.max() / 2)).nonzero()
            pixel = torch.tensor(divmod(int(new.argmax()), new.shape[1]))
            places = torch.stack([_peak(old, *each) for each in pixels.tolist()])
            moved = (places - _peak(new, *pixel.tolist())).norm(dim=1).min()
            moves.append(torch.stack([moved, (pixels - pixel).float().norm(dim=1).min()]))
    return torch.stack(moves)


def _peak(heat: Tensor, row: int, column: int) -> Tensor:
    """Where between pixels a peak lies: the mean place of what is hotter than half of it.

    Args:
        heat: float[H, W].
        row: of its highest pixel.
        column: of it; pixels at most `PEAK_REACH` away count, by how much hotter they are.
    """
    top, left = max(row - PEAK_REACH, 0), max(column - PEAK_REACH, 0)
    near = heat[top : row + PEAK_REACH + 1, left : column + PEAK_REACH + 1]
    weight = (near - near.max() / 2).clamp(min=0)
    down = weight.sum(1) @ (top + torch.arange(len(near)).float())
    across = weight.sum(0) @ (left + torch.arange(near.shape[1]).float())
    return torch.stack([down, across]) / weight.sum()


def _rms(values: Tensor) -> float:
    return float(values.square().mean().sqrt())
