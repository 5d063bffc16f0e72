"""Training clips: what was seen, what was done, and what came of it, cut from encoded episodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from aim_policy.augment import Augmentation, Scene
from aim_policy.encoded_episode import EncodedEpisode
from aim_policy.interface import Vector
from aim_policy.misses import misses
from aim_policy.model.config import ModelConfig
from aim_policy.model.transformer import planned_at
from aim_policy.tokenizers.text import TextEncoder
from aim_policy.transforms import Transforms

LEAST_SHARE = 1e-6  # of actions that count, instead of dividing by zero


@dataclass(frozen=True)
class Clips:
    """A batch of clips, each with one chunk to learn; T frames are seen, the last one is current.

    Without a history, the scene's first frame may stand before the current one (`recalls_first`).

    Attributes:
        observed: float[B, C, T, rows, columns], o.
        future: float[B, C, F, rows, columns], x at the end of each frame of the chunk.
        maps: float[B, C, F, rows, columns], m.
        heat: float[B, F, rows, columns] in [0, 1].
        has_maps: float[B], 0 where nobody knows the map.
        actions: float[B, K, A], a in network units; past the episode's end, the last command.
        acting: float[B, K], 0 where nobody showed what to do: past the episode's end, and from an
            attempt on that missed.
        executed: float[B, (T - 1) n_a, A], what led from frame to frame; without a history
            [B, 0, A], whatever T is.
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

    def evened(self, share: Tensor) -> Clips:
        """Let the actions that count weigh as much as if all did: padding dilutes no loss.

        Args:
            share: float[], of the actions of the whole batch that count.
        """
        return replace(self, acting=self.acting / share.clamp(min=LEAST_SHARE))

    def __getitem__(self, part: slice) -> Clips:
        """Some of the batch."""
        return Clips(*(tensor[part] for tensor in vars(self).values()))


def collate(clips: Sequence[Clips]) -> Clips:
    """Join single clips to a batch."""
    names = [field.name for field in fields(Clips)]
    return Clips(*(torch.stack([getattr(clip, name) for clip in clips]) for name in names))


class ClipDataset(Dataset):
    """Clips by key (episode, latent, frames up to the current one, seed): a key says all.

    The seed decides which wording is read and how pictures are augmented.
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
        self._encode = text_encoder.encode
        self.read = lru_cache(maxsize=16384)(text_encoder.encode)
        self._index = [{int(s): i for i, s in enumerate(e.steps)} for e in episodes]
        self._missed = [
            misses(e.target.numpy()[:, transforms.gripper], e.event_steps.numpy())
            for e in episodes
        ]

    def __getitem__(self, key: tuple[int, int, int, int]) -> Clips:
        """Cut one clip; its tensors have no batch dimension."""
        number, latent, frames, seed = key
        episode, n_a = self.episodes[number], self.config.steps_per_frame
        now = int(episode.steps[latent])
        past = [self._at(number, now - n_a * i) for i in reversed(range(frames))]
        ahead = [self._at(number, now + n_a * (i + 1)) for i in range(self.config.frames)]
        target, measured = episode.target.numpy(), episode.position[now].numpy()
        text = episode.instructions[seed % len(episode.instructions)]
        maps = episode.maps[latent].float().transpose(0, 1)
        pictures = self._pictures(episode, past + ahead)
        if self.augmentation:
            draw = np.random.default_rng(seed)
            pictures = self._augmented(self.augmentation, Scene(pictures, maps), draw)
            text = self.augmentation.reword(text, draw)
        now_at = pictures.shape[1] - len(ahead)
        return Clips(
            observed=pictures[:, :now_at].float(),
            future=pictures[:, now_at:].float(),
            maps=maps,
            heat=episode.heat[latent].float(),
            has_maps=torch.tensor(float(episode.has_maps)),
            actions=self._actions(target, now, now, self.config.steps),
            acting=self._acting(number, now),
            executed=self._executed(target, now, frames),
            proprio=self.transforms.proprioception(measured, target[now])[0],
            text=self._text(episode, text),
            item=torch.tensor([number, latent]),
        )

    def _text(self, episode: EncodedEpisode, text: str) -> Tensor:
        """Vectors of a wording; those with strange words will hardly come again."""
        return (self.read if text in episode.instructions else self._encode)(text)

    def _pictures(self, episode: EncodedEpisode, latents: list[int]) -> Tensor:
        """Some latents float16[C, T, rows, columns], behind the scene's first if that stays."""
        pictures = episode.latents[latents]
        if self.config.recalls_first:
            pictures = torch.cat([episode.first[None], pictures])
        return pictures.transpose(0, 1)

    def name(self, item: Tensor) -> str:
        """Tell where a clip comes from."""
        episode = self.episodes[int(item[0])]
        return f'{episode.path} step {int(episode.steps[int(item[1])])}'

    def _augmented(
        self, augmentation: Augmentation, scene: Scene, draw: np.random.Generator
    ) -> Tensor:
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

    def _acting(self, number: int, now: int) -> Tensor:
        """Of the steps after `now`, those before the episode's end and before a miss."""
        missed = torch.from_numpy(self._missed[number][now + 1 : now + 1 + self.config.steps])
        acting = torch.zeros(self.config.steps)
        acting[: len(missed)] = (~missed).cumprod(0).float()
        return acting

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
