"""Keys and values of an episode's past (section 3.7): a ring of whole latent frames."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from aim_policy.model.config import ModelConfig
from aim_policy.model.mask import Group, Place, Scope, dense_mask
from aim_policy.model.rotary import rotary_table, rotate
from aim_policy.model.transformer import Memory

REBASE_AFTER = 900
"""Frame ids stay below this: the positions that Wan knows end at 1024."""


class RingCache:
    """o and executed a of the newest frames, allocated once. x, m and noisy a never enter.

    Keys were turned to their frame before they came, so the order of slots means nothing.
    """

    def __init__(
        self, config: ModelConfig, batch: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.window = config.history_frames
        self.pinned = int(config.pin_first_frame)
        self.frames = 0  # id of the next frame
        cells = config.rows * config.columns // config.patch**2
        self.tokens = {Group.OBSERVED: cells, Group.EXECUTED: config.steps_per_frame}
        self.pool: dict[Group, Tensor] = {}  # [layers, K and V, B, heads, slots, head_dim]
        self.frame: dict[Group, Tensor] = {}  # int[slots], -1 where there is nothing
        self.now: dict[Group, Tensor] = {}
        for group, tokens in self.tokens.items():
            slots = (self.pinned + self.window) * tokens
            shape = config.layers, 2, batch, config.heads, slots, config.head_dim
            self.pool[group] = torch.zeros(shape, device=device, dtype=dtype)
            self.frame[group] = torch.full((slots,), -1)
            self.now[group] = torch.full((slots,), -1)

    def clear(self) -> None:
        """Forget the episode."""
        self.frames = 0
        for frame in self.frame.values():
            frame.fill_(-1)

    def write(self, memories: Sequence[Memory]) -> None:
        """Take in o, and what was executed, of the next frames. The oldest go as a whole."""
        (first, last), *_ = (
            m.place.frame.aminmax() for m in memories if m.place.group == Group.OBSERVED
        )
        assert first == self.frames, f'frame {first} came, expected {self.frames}'
        self.frames = int(last) + 1
        for group, frame in self.frame.items():
            frame[self._slots(group, torch.arange(int(first), self.frames))] = -1
        for memory in memories:
            self._put(memory)
        if self.frames > REBASE_AFTER:
            self.rebase()

    def memory(self) -> list[Memory]:
        """What is kept, ready to be seen; views wherever a group's filled slots are in one run."""
        result = []
        for group, pool in self.pool.items():
            filled = (self.frame[group] >= 0).nonzero()[:, 0]
            if len(filled):
                result.append(self._view(group, pool, filled))
        return result

    def rebase(self) -> None:
        """Let frame ids start low again: turn the keys back by what is taken off their frames.

        Only differences of positions count in attention, so this changes no result. A pinned
        first frame stays frame 0, and so comes nearer.
        """
        shift = (self.frames - self.window - 1) // self.window * self.window
        if shift <= 0:
            return
        self.frames -= shift
        back = rotary_table(torch.tensor([[-float(shift), 0, 0]]), self._head_dim)
        for group, pool in self.pool.items():
            moving = slice(self.pinned * self.tokens[group], None)
            keys = pool[:, 0, ..., moving, :]
            keys.copy_(rotate(keys, back.to(keys.device)))
            frame, now = self.frame[group][moving], self.now[group][moving]
            filled = frame >= 0
            frame[filled] -= shift
            now[filled] -= shift

    @property
    def _head_dim(self) -> int:
        return self.pool[Group.OBSERVED].shape[-1]

    def _put(self, memory: Memory) -> None:
        group, place = memory.place.group, memory.place
        kept = (place.frame >= self.frames - self.window) | self._is_pinned(place.frame)
        frames = place.frame[:: self.tokens[group]]
        slots = self._slots(group, frames)[kept]
        self.frame[group][slots], self.now[group][slots] = place.frame[kept], place.now[kept]
        pool = self.pool[group]
        slots, kept = slots.to(pool.device), kept.to(pool.device)
        for layer, (key, value) in zip(pool, memory.layers, strict=True):
            layer[0, :, :, slots] = key[:, :, kept]
            layer[1, :, :, slots] = value[:, :, kept]

    def _slots(self, group: Group, frames: Tensor) -> Tensor:
        """Slots of whole frames int[m], token by token."""
        ring = self.pinned + (frames - self.pinned) % self.window
        place = torch.where(self._is_pinned(frames), 0, ring)
        tokens = self.tokens[group]
        return (place[:, None] * tokens + torch.arange(tokens)).flatten()

    def _is_pinned(self, frames: Tensor) -> Tensor:
        return (frames == 0) & bool(self.pinned)

    def _view(self, group: Group, pool: Tensor, filled: Tensor) -> Memory:
        first, count = int(filled[0]), len(filled)
        frame, now = self.frame[group][filled], self.now[group][filled]
        if int(filled[-1]) - first + 1 == count:
            kept = pool.narrow(4, first, count)
        else:
            kept = pool.index_select(4, filled.to(pool.device))
        place = Place(group, frame, now, torch.zeros(count, 3))
        return Memory(place, tuple((key, value) for key, value in kept))


def narrow(scope: Scope, queries: Sequence[Place], memories: Sequence[Memory]) -> list[Memory]:
    """Drop remembered tokens that none of the queries sees."""
    result = []
    for memory in memories:
        seen = dense_mask(scope, queries, [memory.place]).any(dim=0)
        if seen.all():
            result.append(memory)
        elif seen.any():
            result.append(_chosen(memory, seen))
    return result


def _chosen(memory: Memory, seen: Tensor) -> Memory:
    old, columns = memory.place, seen.nonzero()[:, 0]
    place = Place(old.group, old.frame[seen], old.now[seen], old.position[seen])
    columns = columns.to(memory.layers[0][0].device)
    layers = tuple(
        (k.index_select(2, columns), v.index_select(2, columns)) for k, v in memory.layers
    )
    return Memory(place, layers)
