"""Rotary positions in time and on the canvas."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor


def rotary_table(position: Tensor, head_dim: int) -> Tensor:
    """Rotations e^(i angle) for positions (time, row, column): complex[N, head_dim / 2].

    Rows and columns get a third of the head each, rounded down to pairs; time gets the rest.
    """
    axes, frequency = _frequencies(head_dim)
    angle = position[:, axes].double() * frequency
    return torch.complex(angle.cos().float(), angle.sin().float())


def rotate(heads: Tensor, table: Tensor) -> Tensor:
    """Turn neighbouring pairs of [B, heads, N, head_dim] by the table's angles."""
    pairs = torch.view_as_complex(heads.float().unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * table).flatten(-2).type_as(heads)


@cache
def _frequencies(head_dim: int) -> tuple[list[int], Tensor]:
    """Per pair of a head, the axis whose position turns it and how fast, float64[head_dim / 2]."""
    side = 2 * (head_dim // 6)
    axes, frequencies = [], []
    for axis, dim in enumerate((head_dim - 2 * side, side, side)):
        share = torch.arange(0, dim, 2, dtype=torch.float64, device='cpu') / dim
        frequencies.append(1 / 10_000.0**share)
        axes += [axis] * len(share)
    return axes, torch.cat(frequencies)
