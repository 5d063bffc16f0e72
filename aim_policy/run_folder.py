"""The folder of a training run: what it was started with, and how far it has come.

A state is written as a whole folder of its own and named last, so that a stop at any moment
leaves the one before. Tensors are safetensors, all else is JSON.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from torch import Tensor

from aim_policy.config import ConfigError
from aim_policy.weights import read_json, read_weights, write_json, write_weights

CONFIG_FILE = 'config.json'
STATE_FILE = 'state.json'


class RunFolder:
    """One run's folder.

    Attributes:
        path: the folder.
        checkpoint: where the averaged weights go that a policy loads.
    """

    def __init__(self, path: Path, config: dict[str, Any]) -> None:
        """Make the folder, or check that it was made with the same words.

        Args:
            path: the folder.
            config: all that decides what a run gives.

        Raises:
            ConfigError: the folder is of another config; names the first field that differs.
        """
        self.path = path
        self.checkpoint = path / 'checkpoint'
        path.mkdir(parents=True, exist_ok=True)
        mine = plain(config)
        file = path / CONFIG_FILE
        if not file.is_file():
            write_json(file, mine)
        for name, found, expected in differences('', read_json(file), mine):
            raise ConfigError(
                f'{file}: {name} is {found}, expected {expected}; a run goes on only as it began, '
                'choose another folder'
            )

    def save(self, step: int, weights: dict[str, Tensor], optimiser: dict[str, Tensor]) -> None:
        """Write the state after `step` steps; the one before is removed once this one counts.

        Raises:
            OSError: it cannot be written, for example to a full disk; the one before stays.
        """
        before = self._current()
        folder = self.path / f'state_{step:08d}'
        try:
            folder.mkdir(exist_ok=True)
            write_weights(folder, 'weights', weights)
            write_weights(folder, 'optimiser', optimiser)
            write_json(self.path / STATE_FILE, {'step': step, 'folder': folder.name})
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        if before and before != folder.name:
            shutil.rmtree(self.path / before, ignore_errors=True)

    def load(self) -> tuple[int, dict[str, Tensor], dict[str, Tensor]] | None:
        """Read the newest state: steps done, weights, optimiser; None in a new run."""
        name = self._current()
        if not name:
            return None
        folder = self.path / name
        step = int(read_json(self.path / STATE_FILE)['step'])
        return step, read_weights(folder, 'weights'), read_weights(folder, 'optimiser')

    def _current(self) -> str:
        file = self.path / STATE_FILE
        return str(read_json(file)['folder']) if file.is_file() else ''


def plain(data: Any) -> Any:
    """Data as JSON gives it back."""
    if isinstance(data, dict):
        return {key: plain(value) for key, value in data.items()}
    return [plain(value) for value in data] if isinstance(data, list | tuple) else data


def differences(name: str, found: Any, expected: Any) -> list[tuple[str, Any, Any]]:
    """Where two trees differ: (path, found, expected)."""
    if isinstance(found, dict) and isinstance(expected, dict):
        return [
            difference
            for key in sorted(found.keys() | expected.keys())
            for difference in differences(
                f'{name}.{key}'.lstrip('.'), found.get(key), expected.get(key)
            )
        ]
    return [] if found == expected else [(name, found, expected)]
