"""The whole model: tokenizer, text encoder and transformer, with the canvas between them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from aim_policy.model.canvas import Canvas
from aim_policy.model.config import ModelConfig
from aim_policy.model.text import HashedTextEncoder
from aim_policy.model.tokenizer import LinearTokenizer
from aim_policy.model.transformer import AimTransformer


class AimModel(nn.Module):
    """Everything that a checkpoint holds weights of."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.canvas = Canvas(config)
        self.tokenizer = LinearTokenizer(config.cell_px, config.latent_channels)
        self.text_encoder = HashedTextEncoder(config.text_dim, config.text_tokens)
        self.transformer = AimTransformer(config)

    @classmethod
    def random(cls, config: ModelConfig, seed: int) -> AimModel:
        """Return an untrained model; leaves torch's global generator as it was."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(config).eval()

    def encode(self, views: dict[str, Tensor]) -> Tensor:
        """Camera -> float[B, T, 3, H, W] in [-1, 1], to latents float[B, C, T, rows, columns]."""
        return self.canvas.compose({c: self.tokenizer.encode(v) for c, v in views.items()})

    def decode(self, latents: Tensor) -> dict[str, Tensor]:
        """The inverse of `encode`, as near as the tokenizer gets."""
        return {c: self.tokenizer.decode(v) for c, v in self.canvas.split(latents).items()}

    def encode_maps(self, views: dict[str, Tensor]) -> Tensor:
        """Camera -> heat float[B, T, H, W] in [0, 1], to latents of the canvas."""
        return self.canvas.compose({c: self.tokenizer.encode_maps(v) for c, v in views.items()})

    def decode_maps(self, latents: Tensor) -> dict[str, Tensor]:
        """The inverse of `encode_maps`."""
        return {c: self.tokenizer.decode_maps(v) for c, v in self.canvas.split(latents).items()}
