"""Rotary positions in time and on the canvas."""

from __future__ import annotations

import torch
from torch import Tensor


def rotary_table(position: Tensor, head_dim: int) -> Tensor:
    """Cosines and sines of rotations for positions (time, row, column): float[2, N, head_dim / 2].

    Rows and columns get a third of the head each, rounded down to pairs; time gets the rest.
    """
    side = 2 * (head_dim // 6)
    angles = []
    for axis, dim in enumerate((head_dim - 2 * side, side, side)):
        frequency = 1 / 10_000.0 ** (torch.arange(0, dim, 2, dtype=torch.float64) / dim)
        angles.append(position[:, axis, None].double() * frequency)
    angle = torch.cat(angles, dim=1)
    return torch.stack([angle.cos(), angle.sin()]).float()


def rotate(heads: Tensor, table: Tensor) -> Tensor:
    """Turn neighbouring pairs of [B, heads, N, head_dim] by the table's angles."""
    cosine, sine = table
    first, second = heads.unflatten(-1, (-1, 2)).unbind(-1)
    turned = [first * cosine - second * sine, first * sine + second * cosine]
    return torch.stack(turned, dim=-1).flatten(-2).type_as(heads)
