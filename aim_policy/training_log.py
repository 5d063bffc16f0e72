"""What a training run tells while it goes on: a progress bar, and TensorBoard."""

from __future__ import annotations

import time
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

SMOOTHING = 0.98


class TrainingLog:
    """Counts time and samples; every process may have one, only the first one shows it."""

    def __init__(self, folder: Path, first: int, steps: int, batch: int, shown: bool) -> None:
        self._batch = batch
        self._bar = tqdm(
            total=steps * batch, initial=first * batch, unit='sample', disable=not shown,
            smoothing=0.05, mininterval=1.0,
        )  # fmt: skip
        self._board = SummaryWriter(str(folder / 'tensorboard')) if shown else None
        self._means: dict[str, float] = {}
        self._begin_s = time.perf_counter()
        self._waited_s = 0.0
        self._samples = 0

    def waited(self, seconds: float) -> None:
        """Note time that was spent waiting for data."""
        self._waited_s += seconds

    def step(self, number: int, values: dict[str, float]) -> None:
        """Note a step's figures."""
        self._samples += self._batch
        for name, value in values.items():
            before = self._means.get(name, value)
            self._means[name] = SMOOTHING * before + (1 - SMOOTHING) * value
        if self._board:
            for name, value in values.items():
                self._board.add_scalar(f'train/{name}', value, number)
        figures = {name: f'{value:.3f}' for name, value in self._means.items()}
        self._bar.set_postfix(figures | {'waiting': f'{self.waiting_share:.1%}'}, refresh=False)
        self._bar.update(self._batch)

    @property
    def waiting_share(self) -> float:
        """Share of the time so far that was spent waiting for data."""
        return self._waited_s / max(time.perf_counter() - self._begin_s, 1e-9)

    @property
    def samples_per_s(self) -> float:
        """Mean speed since this process started."""
        return self._samples / max(time.perf_counter() - self._begin_s, 1e-9)

    def validated(self, number: int, figures: dict[str, float]) -> None:
        """Note figures on held-out episodes."""
        text = ', '.join(f'{name} {value:.3g}' for name, value in figures.items())
        if self._board:
            for name, value in figures.items():
                self._board.add_scalar(f'held_out/{name}', value, number)
            self._board.flush()
            tqdm.write(f'step {number}: {text}')

    def pictures(self, number: int, name: str, rows: list[Tensor]) -> None:
        """Show rows of pictures float[n, 3, h, w] in [0, 1], one below the other."""
        if self._board:
            lines = [torch.cat(list(functional.pad(row, (1, 1, 1, 1))), dim=2) for row in rows]
            self._board.add_image(name, torch.cat(lines, dim=1).clamp(0, 1), number)

    def close(self) -> None:
        """End the bar and the files."""
        self._bar.close()
        if self._board:
            self._board.close()
