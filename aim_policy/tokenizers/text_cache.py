"""Instructions as vectors on disk, so that a large text encoder is in memory only while needed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from torch import Tensor

from aim_policy.config import ConfigError
from aim_policy.tokenizers.text import TextEncoder
from aim_policy.weights import check_shape, read_file, write_weights


def default_folder() -> Path:
    """Return the user's folder of encoded instructions."""
    return Path.home() / '.cache' / 'aim_ros' / 'text'


class CachedText:
    """A text encoder that looks on disk first: one safetensors file per instruction."""

    def __init__(
        self,
        load: Callable[[], TextEncoder],
        fingerprint: str,
        dim: int,
        tokens: int,
        folder: Path | None = None,
    ) -> None:
        """Prepare; loads nothing yet.

        Args:
            load: gives the encoder.
            fingerprint: hash of the encoder, so that two never share a file.
            dim: text_dim.
            tokens: vectors per instruction.
            folder: of the cache, None for `default_folder`.
        """
        self.dim = dim
        self.tokens = tokens
        self._load = load
        self._folder = (folder or default_folder()) / f'{fingerprint}-{tokens}'
        self._last: tuple[str, Tensor] | None = None

    def prepare(self, instructions: Sequence[str]) -> None:
        """Encode what is not on disk yet, then let the encoder go; '' stands for `empty`."""
        missing = [text for text in instructions if not self._file(text).is_file()]
        if not missing:
            return
        encoder = self._load()
        self._folder.mkdir(parents=True, exist_ok=True)
        for text in dict.fromkeys(missing):
            vectors = encoder.encode(text) if text else encoder.empty()
            write_weights(self._folder, self._file(text).stem, {'text': vectors})

    def encode(self, text: str) -> Tensor:
        """Return float[L, text_dim]; the encoder is loaded only for an instruction never seen.

        Raises:
            ConfigError: the instruction cannot be encoded, or its file is damaged.
        """
        if not text:
            raise ConfigError('instruction is "", expected at least one word')
        return self._vectors(text)

    def empty(self) -> Tensor:
        """Return what the encoder has for no instruction, float[L, text_dim]."""
        return self._vectors('')

    def _vectors(self, text: str) -> Tensor:
        if self._last is None or self._last[0] != text:
            self.prepare([text])
            self._last = text, self._read(self._file(text))
        return self._last[1]

    def _read(self, path: Path) -> Tensor:
        tensors = read_file(path)
        if 'text' not in tensors:
            raise ConfigError(f'{path}: tensor text is missing')
        expected = tensors['text'].new_empty(self.tokens, self.dim)
        check_shape(str(path), 'text', tensors['text'], expected)
        return tensors['text']

    def _file(self, text: str) -> Path:
        return self._folder / f'{hashlib.sha256(text.encode()).hexdigest()[:32]}.safetensors'
