"""Pictures <-> latents: what every tokenizer can do, and the small linear one."""

from __future__ import annotations

import math
from typing import Protocol

import torch
from einops import rearrange
from torch import Tensor, nn

COLOURS = torch.tensor([[1.0, 1, 1], [1, 0, -1], [1, -2, 1]])
"""Brightness and two colour differences, of red, green and blue."""
HEAT_CONTRAST = 0.25
"""Spread of heat beside that of pictures, guessed: a code that is not fitted needs one."""


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

    Nothing mixes frames. Value maps have a code of their own, linear as well: of one colour, they
    need all channels for the shape of a peak, and in the units of pictures a nearly black map
    would be lost in unit noise. Before `aim_policy.tokenizers.fit` fits it to data, both hold the
    lowest spatial frequencies, brightness before colour.
    """

    frames_per_latent = 1

    def __init__(self, cell_px: int, channels: int) -> None:
        super().__init__()
        basis, scale = _low_frequencies(cell_px, channels, COLOURS)
        self.cell_px = cell_px
        self.channels = channels
        self.register_buffer('basis', basis)  # [C, 3 p p]
        self.register_buffer('offset', torch.zeros(channels))
        self.register_buffer('scale', scale)
        self.register_buffer('map_code', torch.zeros(channels, cell_px**2))
        self.register_buffer('map_decode', torch.zeros(cell_px**2, channels))
        basis, spread = map_basis(cell_px, channels)
        self.scale_maps(basis, HEAT_CONTRAST * spread)

    def scale_maps(self, basis: Tensor, scale: Tensor) -> None:
        """Code maps by `map_basis` in units of `scale`, float[min(C, p p)]."""
        self.map_code[: len(basis)] = basis / scale[:, None]
        self.map_decode[:, : len(basis)] = basis.T * scale

    def stream(self) -> LinearTokenizer:
        """Itself: no frame knows of another."""
        return self

    def encode(self, frames: Tensor) -> Tensor:
        """Frames float[B, T, 3, H, W] in [-1, 1] -> latents float[B, C, T, h, w]."""
        codes = (patches(frames, self.cell_px) @ self.basis.T - self.offset) / self.scale
        return codes.movedim(-1, 1)

    def decode(self, latents: Tensor, before: Tensor | None = None) -> Tensor:
        """The inverse of `encode`, as near as the basis allows; may leave [-1, 1]."""
        codes = latents.movedim(1, -1) * self.scale + self.offset
        return whole(codes @ self.basis, self.cell_px)

    def encode_maps(self, heat: Tensor) -> Tensor:
        """Heat float[B, T, H, W] in [0, 1] -> latents float[B, C, T, h, w], black at zero."""
        return (patches(heat[:, :, None], self.cell_px) @ self.map_code.T).movedim(-1, 1)

    def decode_maps(self, latents: Tensor, before: Tensor | None = None) -> Tensor:
        """The inverse of `encode_maps`, as near as its code allows; may leave [0, 1]."""
        return whole(latents.movedim(1, -1) @ self.map_decode.T, self.cell_px)[:, :, 0]


def patches(frames: Tensor, size: int) -> Tensor:
    """Cut float[..., c, H, W] into float[..., h, w, c size size]."""
    return rearrange(frames, '... c (h p) (w q) -> ... h w (c p q)', p=size, q=size)


def whole(cut: Tensor, size: int) -> Tensor:
    """Put what `patches` cut together again."""
    return rearrange(cut, '... h w (c p q) -> ... c (h p) (w q)', p=size, q=size)


def map_basis(cell_px: int, channels: int) -> tuple[Tensor, Tensor]:
    """Orthonormal low frequencies of heat, float[min(C, p p), p p], and their spread in pictures.

    Not fitted: principal directions keep more of the heat, but move peaks farther.
    """
    return _low_frequencies(cell_px, min(channels, cell_px**2), torch.ones(1, 1))


def _low_frequencies(size: int, channels: int, colours: Tensor) -> tuple[Tensor, Tensor]:
    """Orthonormal cosine basis float[C, c size size] and a guess of each coefficient's spread."""
    place = (torch.arange(size) + 0.5) * math.pi / size
    wave = torch.cos(torch.arange(size)[:, None] * place) * math.sqrt(2 / size)
    wave[0] /= math.sqrt(2)
    colours = colours / colours.norm(dim=1, keepdim=True)
    axes = torch.cartesian_prod(torch.arange(len(colours)), torch.arange(size), torch.arange(size))
    cost = (axes[:, 0] > 0) * 2 + axes[:, 1] + axes[:, 2]
    chosen = axes[cost.argsort(stable=True)[:channels]]
    factors = colours[chosen[:, 0]], wave[chosen[:, 1]], wave[chosen[:, 2]]
    basis = torch.einsum('kc,kp,kq->kcpq', *factors)
    spread = size / (1 + cost.sort(stable=True).values[:channels])
    return basis.flatten(1), spread.float()
