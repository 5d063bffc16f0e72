"""The whole model: codec, text encoder and transformer."""

from __future__ import annotations

import torch

from aim_policy.config import ConfigError
from aim_policy.model.codec import Codec
from aim_policy.model.config import ModelConfig
from aim_policy.model.transformer import AimTransformer
from aim_policy.tokenizers.linear import Tokenizer
from aim_policy.tokenizers.text import HashedTextEncoder, TextEncoder


class AimModel(Codec):
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
        super().__init__(config, tokenizer)
        self.text_encoder = text_encoder or HashedTextEncoder(config.text_dim, config.text_tokens)
        _check_parts(config, self.tokenizer, self.text_encoder)
        self.transformer = transformer or AimTransformer(config)

    def codec(self) -> Codec:
        """The frozen part alone."""
        return Codec(self.config, self.tokenizer)

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
