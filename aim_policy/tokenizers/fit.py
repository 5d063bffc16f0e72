"""Fits the linear tokenizer to pictures and value maps, and says how well it then does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from einops import rearrange, repeat
from torch import Tensor
from torch.nn import functional

from aim_policy.tokenizers.linear import LinearTokenizer

BUSY_CONTRAST = 0.1
"""Standard deviation within a patch, on [-1, 1], from which it shows more than a plain surface."""
WARM = 0.05
"""Heat from which a cell of a map counts as more than black."""
MAP_SCALE_FLOOR = 0.15
"""Least scale of a map channel, as a share of the largest: below it, noise would be blown up."""
BLOBS = 4096


@dataclass(frozen=True)
class FitFigures:
    """What is lost by encoding and decoding again, on the data of the fit."""

    picture_error: float  # root mean square, on [-1, 1]
    picture_spread: float  # the same of the pictures around their mean
    map_error: float  # root mean square of heat, on [0, 1]
    peak_median_px: float  # how far the highest point of a map moves
    peak_worst_px: float


def fit(
    frames: Sequence[Tensor], maps: Sequence[Tensor], cell_px: int, channels: int, seed: int = 0
) -> tuple[LinearTokenizer, FitFigures]:
    """Find the patch code that keeps most of what matters.

    The basis holds the principal directions of picture patches, of made-up heat blobs and of the
    maps. Patches with contrast weigh more than half of all: otherwise the table would take every
    channel, and small objects none.

    Args:
        frames: per view float[N, 3, H, W] in [-1, 1], at the size that the model sees.
        maps: per view float[N, H, W] heat in [0, 1]; some of it must be warm.
        cell_px: side of a patch.
        channels: how many numbers a patch becomes.
        seed: of the made-up blobs.

    Raises:
        ValueError: no warm cell in `maps`.
    """
    tokenizer = LinearTokenizer(cell_px, channels)
    pictures = torch.cat([_patches(view, cell_px) for view in frames])
    heat = torch.cat([_patches(_grey(view), cell_px) for view in maps])
    warm = heat[heat.amax(dim=1) > 2 * WARM - 1]
    if not len(warm):
        raise ValueError(f'maps have no cell warmer than {WARM}, expected some to fit to')
    blobs = _patches(_grey(_blobs(cell_px, seed)), cell_px)
    tokenizer.basis.copy_(_basis(pictures, torch.cat([blobs, warm]), channels))
    codes = pictures @ tokenizer.basis.T
    tokenizer.offset.copy_(codes.mean(0))
    tokenizer.scale.copy_(codes.std(0).clamp(min=1e-3))
    black = tokenizer.basis @ -torch.ones(tokenizer.basis.shape[1])
    spread = (warm @ tokenizer.basis.T - black).square().mean(0).sqrt()
    tokenizer.map_offset.copy_(black)
    tokenizer.map_scale.copy_(spread.clamp(min=MAP_SCALE_FLOOR * float(spread.max())))
    return tokenizer, figures(tokenizer, frames, maps)


def figures(
    tokenizer: LinearTokenizer, frames: Sequence[Tensor], maps: Sequence[Tensor]
) -> FitFigures:
    """Measure a tokenizer on data; arguments as in `fit`."""
    pictures = torch.cat([view.flatten() for view in frames])
    decoded = [tokenizer.decode(tokenizer.encode(view[None]))[0] for view in frames]
    heat = [tokenizer.decode_maps(tokenizer.encode_maps(view[None]))[0] for view in maps]
    moved = torch.cat([_peak_moves(*pair) for pair in zip(maps, heat, strict=True)])
    return FitFigures(
        picture_error=_rms(torch.cat([view.flatten() for view in decoded]) - pictures),
        picture_spread=float(pictures.std()),
        map_error=_rms(torch.cat([(a - b).flatten() for a, b in zip(maps, heat, strict=True)])),
        peak_median_px=float(moved.median()),
        peak_worst_px=float(moved.max()),
    )


def _basis(pictures: Tensor, heat: Tensor, channels: int) -> Tensor:
    """Directions float[C, 3 p p] of the largest weighted second moment, largest first."""
    busy = pictures.std(dim=1) > BUSY_CONTRAST
    moment = torch.zeros(pictures.shape[1], pictures.shape[1], dtype=torch.float64)
    for share, patches in ((0.6, pictures[busy]), (0.3, pictures[~busy]), (0.1, heat)):
        exact = patches.double()
        moment += share * exact.T @ exact / max(len(exact), 1)
    _, directions = torch.linalg.eigh(moment)
    return directions.flip(1)[:, :channels].T.float()


def _blobs(cell_px: int, seed: int) -> Tensor:
    """One patch each of heat around a point in or near it, float[n, p, p]."""
    draw = torch.Generator().manual_seed(seed)
    centre = torch.rand(BLOBS, 2, generator=draw) * 3 * cell_px - cell_px
    width = cell_px * (0.15 + 0.6 * torch.rand(BLOBS, 1, 1, generator=draw))
    pixel = torch.arange(cell_px) + 0.5
    rows = (pixel - centre[:, :1])[:, :, None]
    columns = (pixel - centre[:, 1:])[:, None, :]
    return torch.exp(-(rows**2 + columns**2) / (2 * width**2))


def _grey(heat: Tensor) -> Tensor:
    return repeat(2 * heat - 1, 'n h w -> n c h w', c=3)


def _patches(frames: Tensor, size: int) -> Tensor:
    return rearrange(frames, 'n c (h p) (w q) -> (n h w) (c p q)', p=size, q=size)


def _peak_moves(before: Tensor, after: Tensor) -> Tensor:
    """Distance from the highest point of each map [N, H, W] to the nearest peak it had before.

    Two arms make two peaks that are equally high but for rounding: either may end as the highest.
    """
    moves = []
    for old, new in zip(before, after, strict=True):
        if float(old.max()) > WARM:
            highest = functional.max_pool2d(old[None], 3, 1, 1)[0]
            peaks = ((old == highest) & (old > old.max() / 2)).nonzero()
            place = torch.tensor(divmod(int(new.argmax()), new.shape[1]))
            moves.append((peaks - place).float().norm(dim=1).min())
    return torch.stack(moves)


def _rms(values: Tensor) -> float:
    return float(values.square().mean().sqrt())
