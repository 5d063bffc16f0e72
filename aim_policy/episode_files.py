"""Which recordings there are, and which of them are kept from training."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from aim_policy.config import ConfigError

HELD_OUT_EVERY = 20
"""Of this many seeds, the last one is never trained on."""


def find_episodes(folders: Iterable[Path]) -> list[Path]:
    """Return all HDF5 files below some folders, in a lasting order.

    Raises:
        ConfigError: a folder is missing or holds none.
    """
    found = []
    for folder in folders:
        if not folder.is_dir():
            raise ConfigError(f'{folder}: no such folder, expected recorded episodes')
        here = sorted(
            (
                Path(parent, name)
                for parent, _, names in os.walk(folder, followlinks=True)
                for name in names
                if name.endswith('.hdf5') and not name.startswith('.')
            ),
            key=_key,
        )
        if not here:
            raise ConfigError(f'{folder}: no *.hdf5 in it, expected recorded episodes')
        found += here
    return found


def split_held_out(paths: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Split into training and held-out episodes by the number in the name of each file.

    Whole scenes are held out, the same ones whatever else is there.

    Raises:
        ConfigError: nothing is left to train on.
    """
    held_out = held_out_of(paths)
    chosen = set(held_out)
    train = [path for path in paths if path not in chosen]
    if not train:
        raise ConfigError(f'all {len(paths)} episodes are held out, expected some to train on')
    return train, held_out


def held_out_of(paths: Sequence[Path]) -> list[Path]:
    """Return the episodes among these that training never uses."""
    return [path for path in paths if _number(path) % HELD_OUT_EVERY == HELD_OUT_EVERY - 1]


def _number(path: Path) -> int:
    digits = re.search(r'(\d+)$', path.stem)
    return int(digits[1]) if digits else 0


def _key(path: Path) -> tuple[str, int, str]:
    return str(path.parent), _number(path), path.name
