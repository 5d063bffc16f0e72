"""Pictures and wordings of a clip made different without making its motion wrong.

Works on what the tokenizer decodes, so that latents stay all that is kept of an episode. What is
drawn depends on the clip's key alone. Value maps stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from aim_policy.config import ConfigError
from aim_policy.model.codec import Codec

SHADE_CELLS = 3, 4
SHADE_OCTAVES = 4
"""Shade is as coarse as those cells (rows, columns), or up to 2^3 times as fine: a cloth."""
PATCH_PX = 4, 17
AROUND_PX = 5
"""Pixels around a contact, as seen from now, in all, that nothing is pasted over."""
CONTACT_HEAT = 0.1
STRANGE_WORDS = 1000

Box = tuple[slice, slice]  # rows and columns


@dataclass(frozen=True)
class AugmentConfig:
    """How different clips become."""

    share: float = 0.0  # of clips that are changed
    colour: float = 0.0  # spread of the logarithm of each colour's brightness, all cameras alike
    shade: float = 0.0  # the same, over each picture, changing from place to place
    patches: int = 0  # most pieces of other recordings that are pasted into a camera's pictures
    words: float = 0.0  # share of an instruction's words, in every clip, that no language has

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            share = name in ('share', 'words')
            if value < 0 or (share and value > 1):
                expected = '0 to 1' if share else '0 or more'
                raise ConfigError(f'{name} is {value}, expected {expected}')


@dataclass(frozen=True)
class Scene:
    """What is seen in one recording: latents float[C, T, rows, columns], and its maps."""

    latents: Tensor
    maps: Tensor


class Augmentation:
    """Changes clips as a config says."""

    def __init__(self, codec: Codec, config: AugmentConfig) -> None:
        """Take the codec whose latents the clips are."""
        self._codec, self._config = codec, config

    def __call__(self, scene: Scene, other: Scene, draw: np.random.Generator) -> Tensor:
        """Return other latents of the same motion.

        Args:
            scene: frames of one clip, all of which change alike.
            other: a frame of another recording, to take clutter from.
            draw: decides all.
        """
        if draw.random() >= self._config.share:
            return scene.latents.float()
        config, views = self._config, self._pictures(scene)
        if config.patches:
            donors, taboo = self._pictures(other), self._contacts(scene)
            for camera, pieces in self._pieces(other, draw).items():
                for at, source in pieces:
                    _paste(views[camera], donors[camera][-1], at, source, taboo[camera])
        light = torch.from_numpy(draw.normal(0, config.colour, (3, 1, 1))).float().exp()
        finer = 2 ** draw.integers(SHADE_OCTAVES)
        cells = [count * finer for count in SHADE_CELLS]
        for camera, frames in views.items():
            field = torch.from_numpy(draw.normal(0, config.shade, (1, 3, *cells))).float()
            shade = functional.interpolate(field, frames.shape[-2:], mode='bilinear')[0].exp()
            views[camera] = (frames * light * shade).clamp(0, 1)
        return self._codec.encode({c: 2 * frames[None] - 1 for c, frames in views.items()})[0]

    def reword(self, text: str, draw: np.random.Generator) -> str:
        """Return an instruction with strange words in place of some.

        A word that training never had says nothing to the network, which has to go by the others.
        """
        words = text.split()
        strange = draw.random(len(words)) < self._config.words
        names = draw.integers(STRANGE_WORDS, size=len(words))
        triples = zip(words, strange, names, strict=True)
        return ' '.join(f'strange{name}' if odd else word for word, odd, name in triples)

    def _pictures(self, scene: Scene) -> dict[str, Tensor]:
        """Camera -> float[T, 3, H, W] in [0, 1]."""
        decoded = self._codec.decode(scene.latents.float()[None])
        return {camera: (frames[0] + 1) / 2 for camera, frames in decoded.items()}

    def _contacts(self, scene: Scene) -> dict[str, Tensor]:
        """Pixels near a contact, bool[H, W]."""
        heat = self._codec.decode_maps(scene.maps.float()[None])
        hottest = {camera: h[0].amax(0)[None, None] for camera, h in heat.items()}
        spread = AROUND_PX // 2
        return {
            camera: functional.max_pool2d(h, AROUND_PX, 1, spread)[0, 0] > CONTACT_HEAT
            for camera, h in hottest.items()
        }

    def _pieces(self, other: Scene, draw: np.random.Generator) -> dict[str, list[tuple[Box, Box]]]:
        """Where to paste, and what of the other recording: nothing that was touched there."""
        result = {}
        for camera, taboo in self._contacts(other).items():
            pairs = [
                _rectangles(taboo.shape, draw)
                for _ in range(draw.integers(self._config.patches + 1))
            ]
            result[camera] = [(at, source) for at, source in pairs if not taboo[source].any()]
        return result


def _rectangles(shape: torch.Size, draw: np.random.Generator) -> tuple[Box, Box]:
    """Two places of one size in pictures of a shape (H, W)."""
    size = [int(draw.integers(*PATCH_PX)) for _ in shape]
    size = [min(length, whole) for length, whole in zip(size, shape, strict=True)]

    def place() -> Box:
        begin = [int(draw.integers(n - m + 1)) for n, m in zip(shape, size, strict=True)]
        rows, columns = (slice(b, b + m) for b, m in zip(begin, size, strict=True))
        return rows, columns

    return place(), place()


def _paste(frames: Tensor, donor: Tensor, at: Box, source: Box, taboo: Tensor) -> None:
    """Put a piece of float[3, H, W] into float[T, 3, H, W], but not over a contact."""
    if not taboo[at].any():
        frames[(..., *at)] = donor[(..., *source)]
