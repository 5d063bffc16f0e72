"""Wan's causal video VAE as a tokenizer, from a local diffusers folder."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderKLWan
from einops import rearrange, repeat
from torch import Tensor, nn

from aim_policy.config import ConfigError
from aim_policy.weights import load_weights, read_json, read_weights, without_weights


class WanVae(nn.Module):
    """Frozen. Latents are the distribution's mode, at zero mean and unit variance per channel.

    Value maps are grey pictures to it. Computes in the weights' own type, gives float32.
    """

    def __init__(self, vae: AutoencoderKLWan) -> None:
        super().__init__()
        self.vae = vae.eval().requires_grad_(False)
        config = vae.config
        self.cell_px = config.scale_factor_spatial
        self.frames_per_latent = config.scale_factor_temporal
        self.channels = config.z_dim
        shape = (1, config.z_dim, 1, 1, 1)
        self.register_buffer('mean', torch.tensor(config.latents_mean).view(shape))
        self.register_buffer('std', torch.tensor(config.latents_std).view(shape))

    @classmethod
    def load(cls, folder: Path | str) -> WanVae:
        """Read a `vae` folder of diffusers.

        Raises:
            ConfigError: it is missing, of another class, or its tensors do not fit.
        """
        folder = Path(folder)
        config = read_json(folder / 'config.json')
        if config.get('_class_name') != 'AutoencoderKLWan':
            found = config.get('_class_name')
            raise ConfigError(f'{folder}: _class_name is {found}, expected AutoencoderKLWan')
        with without_weights():
            vae = AutoencoderKLWan.from_config(config)
        load_weights(vae, read_weights(folder, 'diffusion_pytorch_model'), str(folder))
        return cls(vae)

    def stream(self) -> WanStream:
        """Start a clip that arrives in pieces."""
        return WanStream(self)

    def encode(self, frames: Tensor) -> Tensor:
        """A clip float[B, 1 + 4 n, 3, H, W] in [-1, 1] -> latents float[B, C, 1 + n, h, w]."""
        return self.stream().encode(frames)

    def decode(self, latents: Tensor, before: Tensor | None = None) -> Tensor:
        """Latents -> the last frame of each, float[B, t, 3, H, W] in [-1, 1].

        Args:
            latents: float[B, C, t, h, w].
            before: latents that precede them, None at the start of a clip.
        """
        clip = latents if before is None else torch.cat([before, latents], dim=2)
        codes = (clip * self.std + self.mean).to(self.vae.dtype)
        frames = self.vae.decode(codes).sample.float()[:, :, :: self.frames_per_latent]
        return rearrange(frames[:, :, -latents.shape[2] :], 'b c t h w -> b t c h w')

    def encode_maps(self, heat: Tensor) -> Tensor:
        """Heat float[B, 1 + 4 n, H, W] in [0, 1] -> latents float[B, C, 1 + n, h, w]."""
        return self.encode(repeat(2 * heat - 1, 'b t h w -> b t c h w', c=3))

    def decode_maps(self, latents: Tensor, before: Tensor | None = None) -> Tensor:
        """Like `decode`, to heat float[B, t, H, W] in [0, 1]."""
        return (self.decode(latents, before).mean(dim=2) + 1) / 2


class WanStream:
    """One camera's clip. The encoder's causal convolutions keep what they saw of it in `_past`."""

    def __init__(self, tokenizer: WanVae) -> None:
        self._tokenizer = tokenizer
        # One place per causal convolution; an upper bound will do.
        self._past: list[Tensor | None] = [None] * sum(1 for _ in tokenizer.vae.encoder.modules())
        self._started = False

    def encode(self, frames: Tensor) -> Tensor:
        """The next frames float[B, T, 3, H, W] in [-1, 1] -> latents float[B, C, t, h, w].

        Raises:
            ValueError: T is not 1 + 4 n at the start of the clip, 4 n later; the clip goes on as
                if nothing had happened.
        """
        group, first = self._tokenizer.frames_per_latent, 0 if self._started else 1
        count = frames.shape[1]
        if count < max(first, 1) or (count - first) % group:
            expected = f'{first} + a multiple of {group}' if first else f'a multiple of {group}'
            raise ValueError(f'clip piece has {count} frames, expected {expected}')
        pieces = [frames[:, :first]] if first else []
        pieces += list(frames[:, first:].split(group, dim=1)) if count > first else []
        self._started = True
        codes = torch.cat([self._encode_group(piece) for piece in pieces], dim=2)
        return (codes.float() - self._tokenizer.mean) / self._tokenizer.std

    def _encode_group(self, frames: Tensor) -> Tensor:
        vae = self._tokenizer.vae
        patch = vae.config.patch_size or 1
        pixels = rearrange(
            frames.to(vae.dtype), 'b t c (h p) (w q) -> b (c q p) t h w', p=patch, q=patch
        )
        with torch.no_grad():
            code = vae.quant_conv(vae.encoder(pixels, feat_cache=self._past, feat_idx=[0]))
        return code.chunk(2, dim=1)[0]  # the mode; the other half says how sure it is
