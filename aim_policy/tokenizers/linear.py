"""Pictures <-> latents: what every tokenizer can do, and the small linear one."""

from __future__ import annotations

import math
from typing import Protocol

import torch
from einops import rearrange, repeat
from torch import Tensor, nn


class ClipStream(Protocol):
    """One camera's clip, encoded as its frames arrive. A fresh stream starts a new clip."""

    def encode(self, frames: Tensor) -> Tensor:
        """The next frames float[B, T, 3, H, W] in [-1, 1] -> their latents."""


class Tokenizer(Protocol):
    """Frozen code between camera pictures or value maps and latents, one view at a time.

    A latent after the first stands for `frames_per_latent` frames; the first of a clip for one.
    Encoding a clip in pieces, at such borders, equals encoding it whole.
    """

    cell_px: int  # pixels along a latent cell
    channels: int
    frames_per_latent: int

    def stream(self) -> ClipStream:
        """Start a clip that arrives in pieces."""

    def encode(self, frames: Tensor) -> Tensor:
        """A clip float[B, T, 3, H, W] in [-1, 1] -> latents float[B, C, t, h, w]."""

    def decode(self, latents: Tensor, before: Tensor | None = None) -> Tensor:
        """Latents -> the last frame that each stands for, float[B, t, 3, H, W].

        Args:
            latents: float[B, C, t, h, w].
            before: latents that precede them, None at the start of a clip.
        """

    def encode_maps(self, heat: Tensor) -> Tensor:
        """Heat float[B, T, H, W] in [0, 1] -> latents float[B, C, t, h, w]."""

    def decode_maps(self, latents: Tensor, before: Tensor | None = None) -> Tensor:
        """Like `decode`, to heat float[B, t, H, W]; may leave [0, 1]."""


class LinearTokenizer(nn.Module):
    """An orthonormal basis of `cell_px` x `cell_px` x 3 patches, latents scaled to unit variance.

    Nothing mixes frames. Value maps pass through the same basis with an offset and scale of their
    own: in the units of pictures, a nearly black map would be lost in unit noise. Before
    `aim_policy.tokenizers.fit` fits it to data, the basis holds the lowest spatial frequencies,
    brightness before colour.
    """

    frames_per_latent = 1

    def __init__(self, cell_px: int, channels: int) -> None:
        super().__init__()
        basis, scale = _low_frequencies(cell_px, channels)
        black = basis @ -torch.ones(basis.shape[1])
        self.cell_px = cell_px
        self.channels = channels
        self.register_buffer('basis', basis)  # [C, 3 p p]
        self.register_buffer('offset', torch.zeros(channels))
        self.register_buffer('scale', scale)
        self.register_buffer('map_offset', black)
        self.register_buffer('map_scale', scale / 2)

    def stream(self) -> LinearTokenizer:
        """Itself: no frame knows of another."""
        return self

    def encode(self, frames: Tensor) -> Tensor:
        """Frames float[B, T, 3, H, W] in [-1, 1] -> latents float[B, C, T, h, w]."""
        return self._scaled(self._project(frames), self.offset, self.scale)

    def decode(self, latents: Tensor, before: Tensor | None = None) -> Tensor:
        """The inverse of `encode`, as near as the basis allows; may leave [-1, 1]."""
        return self._unproject(self._unscaled(latents, self.offset, self.scale))

    def encode_maps(self, heat: Tensor) -> Tensor:
        """Heat float[B, T, H, W] in [0, 1] -> latents float[B, C, T, h, w], black at zero."""
        grey = repeat(2 * heat - 1, 'b t h w -> b t c h w', c=3)
        return self._scaled(self._project(grey), self.map_offset, self.map_scale)

    def decode_maps(self, latents: Tensor, before: Tensor | None = None) -> Tensor:
        """The inverse of `encode_maps`, as near as the basis allows; may leave [0, 1]."""
        grey = self._unproject(self._unscaled(latents, self.map_offset, self.map_scale)).mean(2)
        return (grey + 1) / 2

    def _project(self, frames: Tensor) -> Tensor:
        p = self.cell_px
        patches = rearrange(frames, 'b t c (h p) (w q) -> b t h w (c p q)', p=p, q=p)
        return patches @ self.basis.T  # [B, T, h, w, C]

    def _unproject(self, codes: Tensor) -> Tensor:
        p = self.cell_px
        return rearrange(codes @ self.basis, 'b t h w (c p q) -> b t c (h p) (w q)', p=p, q=p)

    @staticmethod
    def _scaled(codes: Tensor, offset: Tensor, scale: Tensor) -> Tensor:
        return rearrange((codes - offset) / scale, 'b t h w c -> b c t h w')

    @staticmethod
    def _unscaled(latents: Tensor, offset: Tensor, scale: Tensor) -> Tensor:
        return rearrange(latents, 'b c t h w -> b t h w c') * scale + offset


def _low_frequencies(size: int, channels: int) -> tuple[Tensor, Tensor]:
    """Orthonormal cosine basis float[C, 3 size size] and a guess of each coefficient's spread."""
    place = (torch.arange(size) + 0.5) * math.pi / size
    wave = torch.cos(torch.arange(size)[:, None] * place) * math.sqrt(2 / size)
    wave[0] /= math.sqrt(2)
    colour = torch.tensor([[1.0, 1, 1], [1, 0, -1], [1, -2, 1]])
    colour /= colour.norm(dim=1, keepdim=True)
    axes = torch.cartesian_prod(torch.arange(3), torch.arange(size), torch.arange(size))
    cost = (axes[:, 0] > 0) * 2 + axes[:, 1] + axes[:, 2]
    chosen = axes[cost.argsort(stable=True)[:channels]]
    factors = colour[chosen[:, 0]], wave[chosen[:, 1]], wave[chosen[:, 2]]
    basis = torch.einsum('kc,kp,kq->kcpq', *factors)
    spread = size / (1 + cost.sort(stable=True).values[:channels])
    return basis.flatten(1), spread.float()
