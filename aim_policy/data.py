"""Training clips: what was seen, what was done, and what came of it, cut from encoded episodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from aim_policy.augment import Augmentation, Scene
from aim_policy.config import ConfigError, unknown_name
from aim_policy.interface import Vector
from aim_policy.latent_cache import EncodedEpisode
from aim_policy.model.config import ModelConfig
from aim_policy.model.transformer import planned_at
from aim_policy.tokenizers.text import TextEncoder
from aim_policy.transforms import Transforms

NEAR_EVENT = -14, 4
"""Policy steps around the beginning of a contact that decide whether it succeeds."""
AT_END_STEPS, AT_END_SHARE = 4, 0.1
"""Where an episode is as good as over there is little to learn."""


@dataclass(frozen=True)
class Clips:
    """A batch of clips, each with one chunk to learn; T frames are seen, the last one is current.

    Attributes:
        observed: float[B, C, T, rows, columns], o.
        future: float[B, C, F, rows, columns], x at the end of each frame of the chunk.
        maps: float[B, C, F, rows, columns], m.
        heat: float[B, F, rows, columns] in [0, 1].
        has_maps: float[B], 0 where nobody knows the map.
        actions: float[B, K, A], a in network units; past the episode's end, the last command.
        acting: float[B, K], 0 past the episode's end, where nobody showed what to do.
        executed: float[B, (T - 1) n_a, A], what led from frame to frame.
        proprio: float[B, 2 A].
        text: float[B, L, text_dim].
        item: int64[B, 2], number of the episode and of its latent, to name a clip.
    """

    observed: Tensor
    future: Tensor
    maps: Tensor
    heat: Tensor
    has_maps: Tensor
    actions: Tensor
    acting: Tensor
    executed: Tensor
    proprio: Tensor
    text: Tensor
    item: Tensor

    def __len__(self) -> int:
        """B."""
        return len(self.item)

    def to(self, device: torch.device) -> Clips:
        """Move all of it."""
        return Clips(*(tensor.to(device, non_blocking=True) for tensor in vars(self).values()))

    def __getitem__(self, part: slice) -> Clips:
        """Some of the batch."""
        return Clips(*(tensor[part] for tensor in vars(self).values()))


def collate(clips: Sequence[Clips]) -> Clips:
    """Join single clips to a batch."""
    names = [field.name for field in fields(Clips)]
    return Clips(*(torch.stack([getattr(clip, name) for clip in clips]) for name in names))


class ClipDataset(Dataset):
    """Clips by key (episode, latent, frames T, wording): a key says all, nothing is drawn here.

    The number of the wording, of which there are few, decides how pictures are augmented, too.
    """

    def __init__(
        self,
        episodes: Sequence[EncodedEpisode],
        config: ModelConfig,
        transforms: Transforms,
        text_encoder: TextEncoder,
        augmentation: Augmentation | None = None,
    ) -> None:
        self.augmentation = augmentation
        self.episodes = episodes
        self.config = config
        self.transforms = transforms
        self.read = lru_cache(maxsize=16384)(text_encoder.encode)
        self._index = [{int(s): i for i, s in enumerate(e.steps)} for e in episodes]

    def __getitem__(self, key: tuple[int, int, int, int]) -> Clips:
        """Cut one clip; its tensors have no batch dimension."""
        number, latent, frames, wording = key
        episode, n_a = self.episodes[number], self.config.steps_per_frame
        now = int(episode.steps[latent])
        past = [self._at(number, now - n_a * i) for i in reversed(range(frames))]
        ahead = [self._at(number, now + n_a * (i + 1)) for i in range(self.config.frames)]
        target, measured = episode.target.numpy(), episode.position[now].numpy()
        text = episode.instructions[wording % len(episode.instructions)]
        maps = episode.maps[latent].float().transpose(0, 1)
        pictures = episode.latents[past + ahead].transpose(0, 1)
        if self.augmentation:
            pictures = self._augmented(self.augmentation, Scene(pictures, maps), wording)
        return Clips(
            observed=pictures[:, :frames].float(),
            future=pictures[:, frames:].float(),
            maps=maps,
            heat=episode.heat[latent].float(),
            has_maps=torch.tensor(float(episode.has_maps)),
            actions=self._actions(target, now, now, self.config.steps),
            acting=(torch.arange(1, self.config.steps + 1) < len(target) - now).float(),
            executed=self._executed(target, now, frames),
            proprio=self.transforms.proprioception(measured, target[now])[0],
            text=self.read(text),
            item=torch.tensor([number, latent]),
        )

    def name(self, item: Tensor) -> str:
        """Tell where a clip comes from."""
        episode = self.episodes[int(item[0])]
        return f'{episode.path} step {int(episode.steps[int(item[1])])}'

    def _augmented(self, augmentation: Augmentation, scene: Scene, wording: int) -> Tensor:
        draw = np.random.default_rng(wording)
        other = self.episodes[int(draw.integers(len(self.episodes)))]
        latent = int(draw.integers(len(other.steps)))
        latents, maps = other.latents[latent : latent + 1], other.maps[latent]
        return augmentation(scene, Scene(latents.transpose(0, 1), maps.transpose(0, 1)), draw)

    def _at(self, number: int, step: int) -> int:
        """Index of the latent at a step; the last one after the end."""
        index, last = self._index[number], int(self.episodes[number].steps[-1])
        if step <= last:
            return index[step]
        return index[last]

    def _actions(self, target: Vector, now: int, first: int, count: int) -> Tensor:
        """Commands of the steps after `first` in the units of a chunk planned at `now`."""
        rows = np.minimum(np.arange(first + 1, first + count + 1), len(target) - 1)
        return self.transforms.actions(target[rows], target[now])[0]

    def _executed(self, target: Vector, now: int, frames: int) -> Tensor:
        """As if every chunk before had been executed to its end."""
        n_a, reach = self.config.steps_per_frame, self.config.frames
        current = frames - 1
        plans = planned_at(
            torch.arange(1, frames), torch.arange(current % reach, current, reach), reach
        )
        blocks = [
            self._actions(target, now - n_a * (current - int(plan)), now - n_a * (frames - f), n_a)
            for f, plan in zip(range(1, frames), plans, strict=True)
        ]
        return torch.cat(blocks) if blocks else torch.empty(0, target.shape[1])


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
            shares: task -> how much more often its clips are drawn than those of others.

        Raises:
            ConfigError: there are no episodes, or none of a task in `shares`.
        """
        self.batch, self.seed, self.first, self.count = batch, seed, first, count
        self.part = part
        config = dataset.config
        grid = [np.arange(len(e.steps)) for e in dataset.episodes]
        self.keys = np.array([(i, j) for i, js in enumerate(grid) for j in js])
        if not len(self.keys):
            raise ConfigError('the data set is empty, expected at least one episode')
        weight = np.concatenate([_weights(e, near_event) for e in dataset.episodes])
        task = np.concatenate([[e.task] * len(e.steps) for e in dataset.episodes])
        for name in set(shares) - set(task):
            raise unknown_name('task in task_shares', name, set(task))
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
        wordings = draw.integers(0, 1 << 30, self.batch)
        return [
            (int(i), int(j), frames, int(w))
            for (i, j), w in zip(self.keys[places], wordings, strict=True)
        ]


def _weights(episode: EncodedEpisode, near_event: float) -> np.ndarray:
    """Of each latent, before tasks are made equal."""
    before, after = NEAR_EVENT
    away = episode.steps.numpy()[:, None] - episode.event_steps.numpy()[None]
    near = ((away >= before) & (away <= after)).any(axis=1)
    over = len(episode.target) - 1 - episode.steps.numpy() < AT_END_STEPS
    return np.where(over, AT_END_SHARE, np.where(near, near_event, 1.0))
