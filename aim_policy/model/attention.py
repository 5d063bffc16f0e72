"""Attention over visible keys, executed in three ways that agree.

`Split` looks at what is visible, `Dense` at everything through a written-out mask, `Flex` at
everything in one call that skips blocks nobody sees. `Passes` is `Split` for a sampler, which asks
again and again from the same places.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

from aim_policy.model.mask import ENDLESS, Place, Scope, groups, joined, visible

KeyValue = tuple[Tensor, Tensor]  # each [B, heads, N, head_dim]


@dataclass(frozen=True)
class Sight:
    """What one query segment sees: which key segments, and a mask if not all of them."""

    segments: tuple[int, ...]
    mask: Tensor | None


def look(
    scope: Scope,
    query: Place,
    keys: Sequence[Place],
    dense: bool = False,
    device: torch.device | str = 'cpu',
) -> Sight:
    """Work out what the tokens of one place see.

    Key segments that nobody may see are left out rather than masked, so that their presence cannot
    change even the rounding of the result. `dense` masks them: the form to check against.
    """
    blocks = [_BlockMask(scope, query, key) for key in keys]
    chosen = tuple(i for i, block in enumerate(blocks) if dense or block.seen.any())
    if all(blocks[i].seen.all() for i in chosen):
        return Sight(chosen, None)
    return Sight(chosen, torch.cat([blocks[i].full() for i in chosen], dim=1).to(device))


class _BlockMask:
    """The mask between two places, one entry per pair of ids instead of per pair of tokens."""

    def __init__(self, scope: Scope, query: Place, key: Place) -> None:
        rule = scope.table[query.group, key.group]
        query_now, self.row = torch.unique(query.now, return_inverse=True)
        # One number for both ids: torch takes a hundred times as long over unique pairs.
        pair, self.column = torch.unique(key.frame * ENDLESS + key.now, return_inverse=True)
        key_frame, key_now = (
            torch.empty_like(pair).scatter(0, self.column, ids) for ids in (key.frame, key.now)
        )
        self.seen = visible(rule, query_now[:, None], key_frame, key_now, scope)

    def full(self) -> Tensor:
        """bool[N_q, N_k]."""
        return self.seen[self.row][:, self.column]


def attend(query: Tensor, keys: Sequence[KeyValue], sight: Sight) -> Tensor:
    """softmax(Q K^T / sqrt(d)) V over what is in sight; [B, heads, N, head_dim]."""
    together = _together([keys[i] for i in sight.segments])
    return functional.scaled_dot_product_attention(query, *together, attn_mask=sight.mask)


class Split:
    """Attention segment by segment, over visible keys only: for acting on remembered keys."""

    dense = False

    def __init__(
        self, scope: Scope, queries: Sequence[Place], keys: Sequence[Place], device: torch.device
    ) -> None:
        self.sights = [look(scope, query, keys, self.dense, device) for query in queries]

    def __call__(
        self, layer: int, queries: Sequence[Tensor], keys: Sequence[KeyValue]
    ) -> list[Tensor]:
        """Per query segment what it took from the keys of a layer."""
        return [attend(q, keys, sight) for q, sight in zip(queries, self.sights, strict=True)]


class Dense(Split):
    """Attention over all keys with the mask written out: the form to check against."""

    dense = True


class Passes(Split):
    """`Split` for many passes over tokens at the same places, all on the same memory.

    The first pass works out who sees whom, and lays remembered keys and new ones side by side; the
    others overwrite the new ones there, which cannot be differentiated.
    """

    def __init__(self) -> None:
        self.sights: list[Sight] = []
        self._rooms: dict[tuple[int, int], KeyValue] = {}  # by layer and query

    def ready(
        self, scope: Scope, queries: Sequence[Place], keys: Sequence[Place], device: torch.device
    ) -> Passes:
        """Prepare for a pass; only the first time there is something to do."""
        if not self.sights:
            super().__init__(scope, queries, keys, device)
            self._known = len(keys) - len(queries)
        return self

    def __call__(
        self, layer: int, queries: Sequence[Tensor], keys: Sequence[KeyValue]
    ) -> list[Tensor]:
        """Per query segment what it took from the keys of a layer."""
        pairs = enumerate(zip(queries, self.sights, strict=True))
        return [
            functional.scaled_dot_product_attention(
                query, *self._room((layer, index), keys, sight), attn_mask=sight.mask
            )
            for index, (query, sight) in pairs
        ]

    def _room(self, at: tuple[int, int], keys: Sequence[KeyValue], sight: Sight) -> KeyValue:
        new = _together([keys[i] for i in sight.segments if i >= self._known])
        known = [keys[i] for i in sight.segments if i < self._known]
        if not known:
            return new
        if at not in self._rooms:
            self._rooms[at] = _together([*known, new])
        else:
            for room, tensor in zip(self._rooms[at], new, strict=True):
                room[:, :, -tensor.shape[2] :] = tensor
        return self._rooms[at]


class Flex:
    """Attention of all tokens in one call, skipping blocks that nobody sees: for training."""

    def __init__(
        self, scope: Scope, queries: Sequence[Place], keys: Sequence[Place], device: torch.device
    ) -> None:
        table = scope.table.to(device)
        query_group, key_group = groups(queries).to(device), groups(keys).to(device)
        query_now, key_now = joined(queries, 'now').to(device), joined(keys, 'now').to(device)
        key_frame = joined(keys, 'frame').to(device)

        def mask(batch: Tensor, head: Tensor, q: Tensor, k: Tensor) -> Tensor:
            rule = table[query_group[q], key_group[k]]
            return visible(rule, query_now[q], key_frame[k], key_now[k], scope)

        sizes = len(query_now), len(key_now)
        self.mask = create_block_mask(mask, None, None, *sizes, device=str(device))
        self.lengths = [len(place.now) for place in queries]
        self.kernel = torch.compile(flex_attention) if device.type == 'cuda' else flex_attention

    def __call__(
        self, layer: int, queries: Sequence[Tensor], keys: Sequence[KeyValue]
    ) -> list[Tensor]:
        """Per query segment what it took from the keys of a layer."""
        query = torch.cat(list(queries), dim=2)
        attended = self.kernel(query, *_together(keys), block_mask=self.mask)
        return list(attended.split(self.lengths, dim=2))


EXECUTIONS = {'split': Split, 'dense': Dense, 'flex': Flex}


def _together(keys: Sequence[KeyValue]) -> KeyValue:
    if len(keys) == 1:
        return keys[0]
    key, value = (torch.cat(tensors, dim=2) for tensors in zip(*keys, strict=True))
    return key, value
