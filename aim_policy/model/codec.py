"""Camera pictures and value maps <-> latents of the canvas: the frozen part of the model."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from aim_policy.model.canvas import Canvas
from aim_policy.model.config import ModelConfig
from aim_policy.tokenizers.linear import LinearTokenizer, Tokenizer


class Codec(nn.Module):
    """A tokenizer per view, and the canvas that the views share."""

    def __init__(self, config: ModelConfig, tokenizer: Tokenizer | None = None) -> None:
        """Put a tokenizer to work, by default a linear one that is not fitted to data."""
        super().__init__()
        self.config = config
        self.canvas = Canvas(config)
        self.tokenizer = tokenizer or LinearTokenizer(config.cell_px, config.latent_channels)

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
