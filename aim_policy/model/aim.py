"""The whole model: tokenizer, text encoder and transformer, with the canvas between them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from aim_policy.config import ConfigError
from aim_policy.model.canvas import Canvas
from aim_policy.model.config import ModelConfig
from aim_policy.model.transformer import AimTransformer
from aim_policy.tokenizers.linear import LinearTokenizer, Tokenizer
from aim_policy.tokenizers.text import HashedTextEncoder, TextEncoder


class AimModel(nn.Module):
    """Everything between pictures and words on one side, latents and actions on the other."""

    def __init__(
        self,
        config: ModelConfig,
        tokenizer: Tokenizer | None = None,
        text_encoder: TextEncoder | None = None,
        transformer: AimTransformer | None = None,
    ) -> None:
        """Put the parts together.

        Args:
            config: sizes and options.
            tokenizer: by default a linear one, not fitted to data.
            text_encoder: by default hashed words.
            transformer: by default one with random weights.

        Raises:
            ConfigError: a part has other sizes than `config` says.
        """
        super().__init__()
        self.config = config
        self.canvas = Canvas(config)
        self.tokenizer = tokenizer or LinearTokenizer(config.cell_px, config.latent_channels)
        self.text_encoder = text_encoder or HashedTextEncoder(config.text_dim, config.text_tokens)
        _check_parts(config, self.tokenizer, self.text_encoder)
        self.transformer = transformer or AimTransformer(config)

    @classmethod
    def random(
        cls,
        config: ModelConfig,
        seed: int,
        device: str = 'cpu',
        dtype: torch.dtype = torch.float32,
    ) -> AimModel:
        """Return an untrained model; leaves torch's global generator as it was.

        The transformer is made on the device and in the type that it will have there.
        """
        before = torch.get_default_dtype()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            try:
                torch.set_default_dtype(dtype)
                with torch.device(device):
                    transformer = AimTransformer(config)
            finally:
                torch.set_default_dtype(before)
        return cls(config, transformer=transformer).eval()

    def encode(self, views: dict[str, Tensor]) -> Tensor:
        """Camera -> float[B, T, 3, H, W] in [-1, 1], to latents float[B, C, T, rows, columns]."""
        return self.canvas.compose({c: self.tokenizer.encode(v) for c, v in views.items()})

    def stream(self) -> CanvasStream:
        """Start a clip that arrives in pieces."""
        return CanvasStream(self.canvas, self.tokenizer)

    def decode(self, latents: Tensor, before: Tensor | None = None) -> dict[str, Tensor]:
        """Latents of the canvas -> one frame per latent, as near as the tokenizer gets.

        Args:
            latents: float[B, C, t, rows, columns].
            before: latents that precede them, None at the start of a clip.

        Returns:
            camera -> float[B, t, 3, H, W].
        """
        return self._each_view(self.tokenizer.decode, latents, before)

    def encode_maps(self, views: dict[str, Tensor]) -> Tensor:
        """Camera -> heat float[B, T, H, W] in [0, 1], to latents of the canvas."""
        return self.canvas.compose({c: self.tokenizer.encode_maps(v) for c, v in views.items()})

    def decode_maps(self, latents: Tensor, before: Tensor | None = None) -> dict[str, Tensor]:
        """Like `decode`, to camera -> heat float[B, t, H, W]."""
        return self._each_view(self.tokenizer.decode_maps, latents, before)

    def _each_view(
        self, decode: Callable[..., Tensor], latents: Tensor, before: Tensor | None
    ) -> dict[str, Tensor]:
        past = {} if before is None else self.canvas.split(before)
        return {c: decode(v, past.get(c)) for c, v in self.canvas.split(latents).items()}


class CanvasStream:
    """The clips of all cameras, encoded as their frames arrive. A fresh one starts new clips."""

    def __init__(self, canvas: Canvas, tokenizer: Tokenizer) -> None:
        self._canvas = canvas
        self._streams = {camera: tokenizer.stream() for camera in canvas.views}

    def encode(self, views: dict[str, Tensor]) -> Tensor:
        """The next frames: camera -> float[B, T, 3, H, W] in [-1, 1], to latents of the canvas."""
        return self._canvas.compose({c: s.encode(views[c]) for c, s in self._streams.items()})


def _check_parts(config: ModelConfig, tokenizer: Tokenizer, text_encoder: TextEncoder) -> None:
    sizes = {
        'cell_px': (config.cell_px, tokenizer.cell_px),
        'latent_channels': (config.latent_channels, tokenizer.channels),
        'text_dim': (config.text_dim, text_encoder.dim),
        'text_tokens': (config.text_tokens, text_encoder.tokens),
    }
    for name, (found, expected) in sizes.items():
        if found != expected:
            part = 'text encoder' if name.startswith('text') else 'tokenizer'
            raise ConfigError(f'{name} is {found}, expected {expected} like the {part}')
