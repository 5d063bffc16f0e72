"""Who may look at whom: the intent-causal mask, and rotary positions.

Every token has a group, a frame and a `now`: the frame that was current at its chunk's planning.
The table below is the whole rule; every way of computing attention derives its mask from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import torch
from torch import Tensor
from torch.nn import functional


class Group(IntEnum):
    """What a token stands for."""

    OBSERVED = 0  # o, clean frames up to the current one
    EXECUTED = 1  # a_{<=t}, what was done
    PROPRIO = 2  # measured and commanded joints now
    RGB = 3  # x, noisy future frames
    VALUE = 4  # m and its noise token, noisy future maps
    ACTION = 5  # a, noisy future actions


class Rule(IntEnum):
    """When a query of one group sees a key of another."""

    NEVER = 0
    PAST = 1  # key.frame <= query.now
    CURRENT = 2  # key.frame == query.now
    CHUNK = 3  # planned together
    CHUNKS = 4  # planned together or earlier


@dataclass(frozen=True)
class Place:
    """Where the tokens of one group stand; frame and now: int[N], position: float[N, 3]."""

    group: Group
    frame: Tensor
    now: Tensor
    position: Tensor  # time, row, column


Ids = Tensor | int
KeyValue = tuple[Tensor, Tensor]  # each [B, heads, N, head_dim]


def visibility(history_to_action: bool = False) -> Tensor:
    """Table 3.4: int[query group, key group] of `Rule`."""
    never, past, current, chunk, chunks = Rule
    shown = past if history_to_action else current
    return torch.tensor([
        # observed, executed, proprio, rgb, value, action
        [past, past, never, never, never, never],  # o
        [current, chunks, never, never, never, never],  # executed a
        [current, past, chunk, never, never, never],  # proprioception
        [past, past, never, chunk, never, never],  # x: does not know that the map exists
        [past, never, never, chunk, chunk, never],  # m
        [shown, past, chunk, never, chunk, chunk],  # a: the future only through m
    ])  # fmt: skip


def visible(rule: Ids, query_now: Ids, key_frame: Ids, key_now: Ids) -> Tensor | bool:
    """Whether a query sees a key; integers, or tensors that broadcast."""
    return (
        ((rule == Rule.PAST) & (key_frame <= query_now))
        | ((rule == Rule.CURRENT) & (key_frame == query_now))
        | ((rule == Rule.CHUNK) & (key_now == query_now))
        | ((rule == Rule.CHUNKS) & (key_now <= query_now))
    )


def dense_mask(table: Tensor, queries: Sequence[Place], keys: Sequence[Place]) -> Tensor:
    """The mask of all queries against all keys, bool[N_q, N_k]."""
    rule = table[_groups(queries)][:, _groups(keys)]
    query_now = torch.cat([place.now for place in queries])[:, None]
    key_frame = torch.cat([place.frame for place in keys])
    return visible(rule, query_now, key_frame, torch.cat([place.now for place in keys]))


def _groups(places: Sequence[Place]) -> Tensor:
    return torch.cat([torch.full_like(place.now, int(place.group)) for place in places])


@dataclass(frozen=True)
class Sight:
    """What one query segment sees: which key segments, and a mask if not all of them."""

    segments: tuple[int, ...]
    mask: Tensor | None


def look(table: Tensor, query: Place, keys: Sequence[Place], dense: bool = False) -> Sight:
    """Work out what the tokens of one place see.

    Key segments that nobody may see are left out rather than masked, so that their presence cannot
    change even the rounding of the result. `dense` masks them: the form to check against.
    """
    blocks = [dense_mask(table, [query], [key]) for key in keys]
    chosen = tuple(i for i, block in enumerate(blocks) if dense or block.any())
    mask = torch.cat([blocks[i] for i in chosen], dim=1)
    return Sight(chosen, None if mask.all() else mask)


def attend(query: Tensor, keys: Sequence[KeyValue], sight: Sight) -> Tensor:
    """softmax(Q K^T / sqrt(d)) V over what is in sight; [B, heads, N, head_dim]."""
    key = torch.cat([keys[i][0] for i in sight.segments], dim=2)
    value = torch.cat([keys[i][1] for i in sight.segments], dim=2)
    mask = None if sight.mask is None else sight.mask.to(query.device)
    return functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)


def rotary_table(position: Tensor, head_dim: int) -> Tensor:
    """Rotations for positions (time, row, column): complex[N, head_dim / 2].

    Rows and columns get a third of the head each, rounded down to pairs; time gets the rest.
    """
    side = 2 * (head_dim // 6)
    angles = []
    for axis, dim in enumerate((head_dim - 2 * side, side, side)):
        frequency = 10_000.0 ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)
        angles.append(position[:, axis, None].double() * frequency)
    angle = torch.cat(angles, dim=1).float()
    return torch.polar(torch.ones_like(angle), angle)


def rotate(heads: Tensor, table: Tensor) -> Tensor:
    """Turn neighbouring pairs of [B, heads, N, head_dim] by the table's angles."""
    pairs = torch.view_as_complex(heads.float().unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * table).flatten(-2).type_as(heads)
