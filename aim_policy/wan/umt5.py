"""Wan's text encoder: UMT5 and its tokenizer, from a local diffusers folder."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer
from torch import Tensor
from transformers import UMT5Config, UMT5EncoderModel

from aim_policy.config import ConfigError
from aim_policy.weights import (
    load_weights,
    read_json,
    read_weights,
    weight_files,
    without_weights,
)

SHARED, EMBEDDING = 'shared.weight', 'encoder.embed_tokens.weight'  # one tensor, two names
PROBES, PROBE_BYTES = 64, 65536


class Umt5TextEncoder:
    """11 GB at full size: hold it no longer than needed, see `tokenizers.text_cache`."""

    def __init__(self, model: UMT5EncoderModel, tokenizer: Tokenizer, tokens: int) -> None:
        self.dim = model.config.d_model
        self.tokens = tokens
        self._model = model.eval().requires_grad_(False)
        self._tokenizer = tokenizer
        tokenizer.no_padding()
        tokenizer.no_truncation()

    @classmethod
    def load(cls, folder: Path | str, tokens: int, device: str = 'cpu') -> Umt5TextEncoder:
        """Read the folders `text_encoder` and `tokenizer` of a diffusers folder.

        Args:
            folder: holds both.
            tokens: vectors per instruction.
            device: torch device.

        Raises:
            ConfigError: something is missing, of another class, or does not fit.
        """
        encoder = Path(folder) / 'text_encoder'
        config = read_json(encoder / 'config.json')
        if config.get('model_type') != 'umt5':
            raise ConfigError(
                f'{encoder}: model_type is {config.get("model_type")}, expected umt5'
            )
        with without_weights():
            model = UMT5EncoderModel(UMT5Config.from_dict(config))
        tensors = read_weights(encoder, 'model')
        for name, other in ((SHARED, EMBEDDING), (EMBEDDING, SHARED)):
            if name not in tensors and other in tensors:
                tensors[name] = tensors[other]
        load_weights(model, tensors, str(encoder))
        return cls(model.to(device), _tokenizer(Path(folder) / 'tokenizer'), tokens)

    def encode(self, text: str) -> Tensor:
        """Return float[L, text_dim] in the weights' type; rows past the last token are zero.

        Raises:
            ConfigError: `text` has no word, or more tokens than there are rows.
        """
        if not any(letter.isalnum() for letter in text):
            raise ConfigError(f'instruction is "{text}", expected at least one word')
        ids = self._tokenizer.encode(_clean(text)).ids
        if len(ids) > self.tokens:
            expected = f'expected at most {self.tokens}'
            raise ConfigError(f'instruction "{text[:40]}..." has {len(ids)} tokens, {expected}')
        return self._vectors(ids)

    def empty(self) -> Tensor:
        """Return the encoding of an empty prompt, which Wan was trained with for guidance."""
        return self._vectors(self._tokenizer.encode('').ids)

    def _vectors(self, ids: list[int]) -> Tensor:
        with torch.inference_mode():
            hidden = self._model(torch.tensor([ids], device=self._model.device))[0][0]
        result = torch.zeros(self.tokens, self.dim, dtype=hidden.dtype)
        result[: len(ids)] = hidden.cpu()
        return result


def umt5_fingerprint(folder: Path | str) -> str:
    """Return a hash that changes with the encoder, its tokenizer and the library that runs it.

    Of each weight file it reads the size and evenly spaced samples, not all gigabytes.
    """
    folder = Path(folder)
    digest = hashlib.sha256(transformers.__version__.encode())
    for path in (folder / 'text_encoder/config.json', folder / 'tokenizer/tokenizer.json'):
        if not path.is_file():
            raise ConfigError(f'{path} is missing, expected a text encoder and its tokenizer')
        digest.update(path.read_bytes())
    for path in weight_files(folder / 'text_encoder', 'model'):
        size = path.stat().st_size
        digest.update(str(size).encode())
        with path.open('rb') as file:
            for probe in range(PROBES):
                file.seek(size * probe // PROBES)
                digest.update(file.read(PROBE_BYTES))
    return digest.hexdigest()[:16]


def _tokenizer(folder: Path) -> Tokenizer:
    path = folder / 'tokenizer.json'
    if not path.is_file():
        raise ConfigError(f'{path} is missing, expected the tokenizer of the text encoder')
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library knows no narrower type
        raise ConfigError(f'{path}: not a tokenizer: {error}') from error


def _clean(text: str) -> str:
    return re.sub(r'\s+', ' ', text).strip()
