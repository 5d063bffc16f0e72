"""Which clips a batch of training holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

import numpy as np
from torch.utils.data import Sampler

from aim_policy.config import ConfigError, unknown_name
from aim_policy.data import ClipDataset
from aim_policy.encoded_episode import EncodedEpisode

NEAR_EVENT = -14, 4
"""Policy steps around the beginning of a contact that decide whether it succeeds."""
AT_END_STEPS, AT_END_SHARE = 4, 0.1
"""Where an episode is as good as over there is little to learn."""


class ClipSampler(Sampler):
    """Batches of keys, each a function of the seed and its number alone.

    Tasks come up alike, or as often as `shares` says, and within a task latents near a contact
    more often. All clips of a batch see equally many frames, from 1 to the model's history.
    """

    def __init__(
        self, dataset: ClipDataset, batch: int, seed: int, first: int, count: int,
        near_event: float = 2.0, part: slice = slice(None),
        shares: Mapping[str, float] = MappingProxyType({}),
    ) -> None:  # fmt: skip
        """Plan batches `first` to `count` - 1.

        Args:
            dataset: to draw from.
            batch: clips per batch, over all processes.
            seed: of all draws.
            first: number of the first batch.
            count: batches from 0 on.
            near_event: how much more often latents near a contact are drawn.
            part: of each batch that this process gets.
            shares: task -> how much more often its clips are drawn than those of others; or
                setting -> the same, within each task.

        Raises:
            ConfigError: there are no episodes, or none of a task or setting in `shares`.
        """
        self.batch, self.seed, self.first, self.count = batch, seed, first, count
        self.part = part
        config = dataset.config
        grid = [np.arange(len(e.steps)) for e in dataset.episodes]
        self.keys = np.array([(i, j) for i, js in enumerate(grid) for j in js])
        if not len(self.keys):
            raise ConfigError('the data set is empty, expected at least one episode')
        weight = np.concatenate([_weights(e, near_event) for e in dataset.episodes])
        task, setting = (
            np.concatenate([[getattr(e, kind)] * len(e.steps) for e in dataset.episodes])
            for kind in ('task', 'setting')
        )
        known = {*task, *setting}
        for name in set(shares) - known:
            raise unknown_name('task or setting in shares', name, known)
        for name in np.unique(setting):
            weight[setting == name] *= shares.get(name, 1.0)
        for name in np.unique(task):
            weight[task == name] *= shares.get(name, 1.0) / weight[task == name].sum()
        past = np.concatenate([e.steps.numpy() for e in dataset.episodes])
        frames = past // config.steps_per_frame + 1  # that a clip ending there can see
        self.cumulative = [
            np.cumsum(weight * (frames >= t)) for t in range(1, config.history_frames + 1)
        ]

    def __iter__(self) -> Iterator[list[tuple[int, int, int, int]]]:
        """Give this process's part of one batch after another."""
        for number in range(self.first, self.count):
            yield self.keys_of(number)[self.part]

    def __len__(self) -> int:
        """How many are left."""
        return max(0, self.count - self.first)

    def keys_of(self, number: int) -> list[tuple[int, int, int, int]]:
        """The whole batch of a number."""
        draw = np.random.default_rng([self.seed, number])
        possible = sum(cumulative[-1] > 0 for cumulative in self.cumulative)
        frames = int(draw.integers(1, possible + 1))
        cumulative = self.cumulative[frames - 1]
        places = np.searchsorted(cumulative, draw.random(self.batch) * cumulative[-1], 'right')
        seeds = draw.integers(0, 1 << 30, self.batch)
        return [
            (int(i), int(j), frames, int(seed))
            for (i, j), seed in zip(self.keys[places], seeds, strict=True)
        ]


def _weights(episode: EncodedEpisode, near_event: float) -> np.ndarray:
    """Of each latent, before tasks are made equal."""
    before, after = NEAR_EVENT
    away = episode.steps.numpy()[:, None] - episode.event_steps.numpy()[None]
    near = ((away >= before) & (away <= after)).any(axis=1)
    over = len(episode.target) - 1 - episode.steps.numpy() < AT_END_STEPS
    return np.where(over, AT_END_SHARE, np.where(near, near_event, 1.0))
