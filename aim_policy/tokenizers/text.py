"""An instruction as vectors: what every text encoder can do, and one that needs no weights."""

from __future__ import annotations

import hashlib
import re
from typing import Protocol

import torch
from torch import Tensor

from aim_policy.config import ConfigError


class TextEncoder(Protocol):
    """Frozen; the same text always gives the same vectors."""

    dim: int
    tokens: int

    def encode(self, text: str) -> Tensor:
        """Return float[L, text_dim]; rows past the last word or token are zero.

        Raises:
            ConfigError: there is no word in `text`, or more than fit.
        """

    def empty(self) -> Tensor:
        """Return what stands for no instruction, float[L, text_dim]."""


class HashedTextEncoder:
    """Each word becomes the sum of two fixed pseudo-random vectors: its own, and its pair's.

    The pair with the word before carries order, which text attention by itself does not see.
    """

    def __init__(self, dim: int, tokens: int) -> None:
        self.dim = dim
        self.tokens = tokens

    def encode(self, text: str) -> Tensor:
        """Return float[L, text_dim], unit variance; rows past the last word are zero.

        Raises:
            ConfigError: there is no word in `text`, or more than `tokens`.
        """
        words = re.findall(r'\w+', text.lower())
        if not words:
            raise ConfigError(f'instruction is "{text}", expected at least one word')
        if len(words) > self.tokens:
            expected = f'expected at most {self.tokens}'
            raise ConfigError(f'instruction "{text[:40]}..." has {len(words)} words, {expected}')
        result = torch.zeros(self.tokens, self.dim)
        for row, (before, word) in enumerate(zip(['', *words], words, strict=False)):
            result[row] = (self._vector(word) + self._vector(f'{before} {word}')) / 2**0.5
        return result

    def empty(self) -> Tensor:
        """Return zero rows: no word."""
        return torch.zeros(self.tokens, self.dim)

    def _vector(self, gram: str) -> Tensor:
        digest = hashlib.shake_256(gram.encode()).digest(self.dim)
        return (torch.tensor(list(digest), dtype=torch.float32) - 127.5) / 73.9  # unit variance
