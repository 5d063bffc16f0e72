"""Who may look at whom: the intent-causal mask (section 3.4).

Every token has a group, a frame and a `now`: the frame that was current at its chunk's planning.
`visibility` and `visible` are the whole rule; every execution of attention derives its mask from
them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import torch
from torch import Tensor

from aim_policy.model.config import STREAMS


class Group(IntEnum):
    """What a token stands for."""

    OBSERVED = 0  # o, clean frames up to the current one
    EXECUTED = 1  # a_{<=t}, what was done
    PROPRIO = 2  # measured and commanded joints now
    RGB = 3  # x, noisy future frames
    VALUE = 4  # m and its noise token, noisy future maps
    ACTION = 5  # a, noisy future actions


class Rule:
    """When a query of one group sees a key of another.

    Plain integers: inside FlexAttention's mask, a tensor compared with an enum is never equal.
    """

    NEVER = 0
    PAST = 1  # key.frame <= query.now, and in its window
    CURRENT = 2  # key.frame == query.now
    CHUNK = 3  # planned together
    CHUNKS = 4  # planned together or earlier, and in its window


@dataclass(frozen=True)
class Place:
    """Where the tokens of one group stand; frame and now: int[N], position: float[N, 3]."""

    group: Group
    frame: Tensor
    now: Tensor
    position: Tensor  # time, row, column


Ids = Tensor | int
ENDLESS = 2**31


@dataclass(frozen=True)
class Scope:
    """The mask of one network.

    Attributes:
        table: from `visibility`.
        window: latent frames that a token sees of the past, its current one included.
        pin_first: frame 0 is seen beyond the window too.
    """

    table: Tensor
    window: int = ENDLESS
    pin_first: bool = False


def visibility(
    history_to_action: bool = False, action_reads: Sequence[str] = ('value',)
) -> Tensor:
    """Table 3.4: int[query group, key group] of `Rule`."""
    never, past, current = Rule.NEVER, Rule.PAST, Rule.CURRENT
    chunk, chunks = Rule.CHUNK, Rule.CHUNKS
    shown = past if history_to_action else current
    rgb, value = (chunk if name in action_reads else never for name in STREAMS)
    return torch.tensor([
        # observed, executed, proprio, rgb, value, action
        [past, past, never, never, never, never],  # o
        [current, chunks, never, never, never, never],  # executed a
        [current, past, chunk, never, never, never],  # proprioception
        [past, past, never, chunk, never, never],  # x: does not know that the map exists
        [past, never, never, chunk, chunk, never],  # m
        [shown, past, chunk, rgb, value, chunk],  # a: the future only through m by default
    ])  # fmt: skip


def visible(
    rule: Ids, query_now: Ids, key_frame: Ids, key_now: Ids, scope: Scope
) -> Tensor | bool:
    """Whether a query sees a key; integers, or tensors that broadcast."""
    near = key_frame > query_now - scope.window
    if scope.pin_first:
        near = near | (key_frame == 0)
    return (
        ((rule == Rule.PAST) & (key_frame <= query_now) & near)
        | ((rule == Rule.CURRENT) & (key_frame == query_now))
        | ((rule == Rule.CHUNK) & (key_now == query_now))
        | ((rule == Rule.CHUNKS) & (key_now <= query_now) & near)
    )


def dense_mask(scope: Scope, queries: Sequence[Place], keys: Sequence[Place]) -> Tensor:
    """The mask of all queries against all keys, bool[N_q, N_k]."""
    rule = scope.table[groups(queries)][:, groups(keys)]
    query_now = joined(queries, 'now')[:, None]
    return visible(rule, query_now, joined(keys, 'frame'), joined(keys, 'now'), scope)


def groups(places: Sequence[Place]) -> Tensor:
    """Group of each token, int[N]."""
    return torch.cat([torch.full_like(place.now, int(place.group)) for place in places])


def joined(places: Sequence[Place], name: str) -> Tensor:
    """One field of several places, end to end."""
    return torch.cat([getattr(place, name) for place in places])
