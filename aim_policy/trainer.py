"""The loop of Stage I: batches in, weights moved, what happens told and kept."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import DataLoader

from aim_policy.clip_sampler import ClipSampler
from aim_policy.data import ClipDataset, Clips, collate
from aim_policy.held_out import HeldOut
from aim_policy.losses import Losses
from aim_policy.muon import fast_type
from aim_policy.optimiser import Optimiser
from aim_policy.parallel import Processes, sharded_like, whole
from aim_policy.run_folder import RunFolder
from aim_policy.stage1 import StageOne, draw_noise
from aim_policy.train_config import Stage1Config
from aim_policy.training_log import TrainingLog


class TrainingStopped(Exception):
    """Training cannot go on; the last good state is kept."""


class Trainer:
    """One run, from its newest state to its end.

    Attributes:
        number: steps done.
    """

    def __init__(
        self,
        config: Stage1Config,
        stage: StageOne,
        dataset: ClipDataset,
        held_out: HeldOut | None,
        processes: Processes,
        folder: RunFolder,
        export: Callable[[dict[str, Tensor]], None],
        workers: int = 0,
    ) -> None:
        """Get ready, from the newest state if there is one.

        Args:
            config: of the run.
            stage: network and losses.
            dataset: to learn from.
            held_out: to look at now and then, None without.
            processes: of the run; `stage` is sharded over them.
            folder: of the run.
            export: writes averaged weights as a checkpoint.
            workers: processes that load data beside each of `processes`, 0 for none.
        """
        self.config, self.dataset, self.held_out = config, dataset, held_out
        self.processes, self.folder, self.export = processes, folder, export
        self.workers = workers
        self.number = 0
        self.stage = stage.to(processes.device)
        state = folder.load()
        if state:
            self.number, weights, optimiser = state
            self.stage.load_state_dict(weights)
        processes.shard(self.stage, 'predict')
        self.optimiser = Optimiser(self.stage, config.optimiser)
        if state:
            parameters = self.optimiser.parameters
            self.optimiser.load({
                name: sharded_like(tensor, parameters[name.split('/', 1)[1]])
                for name, tensor in optimiser.items()
            })  # fmt: skip
        self._stop = False

    def run(self) -> bool:
        """Train to the end; returns False when a signal ended it earlier.

        Raises:
            TrainingStopped: a loss is not finite, or the disk is full.
        """
        signal.signal(signal.SIGTERM, self._on_signal)
        config, first = self.config, self.number
        part = self.processes.part(config.batch)
        sampler = ClipSampler(
            self.dataset, config.batch, config.seed, first, config.steps, config.near_event, part,
            config.shares,
        )  # fmt: skip
        loader = DataLoader(
            self.dataset, batch_sampler=sampler, collate_fn=collate, num_workers=self.workers
        )
        shown = self.processes.rank == 0
        log = TrainingLog(self.folder.path, first, config.steps, config.batch, shown)
        try:
            self._steps(loader, part, log)
        except KeyboardInterrupt:
            self._stop = True
        finally:
            log.close()
        return self.number == config.steps

    def _steps(self, loader: DataLoader, part: slice, log: TrainingLog) -> None:
        config, begin_s = self.config, time.perf_counter()
        for clips in loader:
            log.waited(time.perf_counter() - begin_s)
            log.step(self.number, self._step(clips, part))
            done = self.number == config.steps or self._stop
            if self.held_out and (done or self.number % config.validate_every == 0):
                self._validate(self.held_out, log)
            if done or self.number % config.save_every == 0:
                self.save()
            if done:
                return
            begin_s = time.perf_counter()

    def _step(self, clips: Clips, part: slice) -> dict[str, float]:
        config, device = self.config, self.processes.device
        draw = np.random.default_rng([config.seed, self.number, 1])
        generator = torch.Generator(device).manual_seed(int(draw.integers(1 << 62)))
        shares = config.noise.rgb_share, config.noise.blind_share, config.noise.value_share
        rgb, blind, value = draw.random(3) < shares
        imagine = bool(value) and self.number >= config.action_only_steps
        moved = clips.to(device)
        moved = moved.evened(self.processes.mean(moved.acting.mean()))
        noise = draw_noise(moved, config.batch, config.noise, generator).part(part, config.batch)
        with self._precision():
            losses = self.stage(moved, noise, imagine, bool(rgb), bool(blind and imagine))
        figures = self._figures(losses, clips, imagine, rgb)
        losses.total.backward()
        figures['gradient'] = float(
            whole({'': self.optimiser.step(self.number, config.steps)})['']
        )
        self.number += 1
        return figures

    @contextmanager
    def _precision(self) -> Iterator[None]:
        """Passes in the type that the config asks for, with the attention that is then fastest."""
        device = self.processes.device
        kind = device.type
        half = self.config.precision == 'bfloat16' and fast_type(device) == torch.bfloat16
        # The fused one for a CPU spends half of a training step in its backward pass.
        attention = plain_attention(half) if kind == 'cpu' else nullcontext()
        with torch.autocast(kind, torch.bfloat16, enabled=half), attention:
            yield

    def _figures(self, losses: Losses, clips: Clips, imagine: bool, rgb: bool) -> dict[str, float]:
        values = torch.stack([losses.total, losses.rgb, losses.value, losses.action]).detach()
        total, lost_rgb, value, action = self.processes.mean(values).tolist()
        if not np.isfinite(total):
            names = '\n  '.join(self.dataset.name(item) for item in clips.item)
            raise TrainingStopped(
                f'step {self.number}: the loss is {total} (rgb {lost_rgb}, value {value}, action '
                f'{action}), expected a number; the last good state is kept. The batch was\n'
                f'  {names}'
            )
        figures = {'action': action}
        figures |= {'value': value} if imagine else {}
        return figures | ({'rgb': lost_rgb} if imagine and rgb else {})

    def _validate(self, held_out: HeldOut, log: TrainingLog) -> None:
        """Look at the averaged weights; the others come back after it."""
        parameters = self.optimiser.parameters
        own = {name: p.detach().clone() for name, p in parameters.items()}
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(self.optimiser.average[name])
        log.validated(self.number, held_out.figures(self.stage))
        for name, rows in held_out.samples(self.stage).items():
            log.pictures(self.number, name, rows)
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(own[name])

    def save(self) -> None:
        """Keep the state, and the averaged weights as a checkpoint.

        Raises:
            TrainingStopped: they cannot be written.
        """
        weights = whole(self.stage.state_dict())
        optimiser = whole(self.optimiser.state())
        if self.processes.rank:
            return
        prefix = 'average/transformer.'
        average = {n.removeprefix(prefix): t for n, t in optimiser.items() if n.startswith(prefix)}
        try:
            self.folder.save(self.number, weights, optimiser)
            self.export(average)
        except OSError as error:
            raise TrainingStopped(
                f'step {self.number}: cannot be written ({error}); the state before is kept'
            ) from error

    def _on_signal(self, *_: object) -> None:
        """Save after the step at hand."""
        self._stop = True


@contextmanager
def plain_attention(half: bool) -> Iterator[None]:
    """Attention by plain products, in bfloat16 where they come so: else torch turns to float32."""
    switch = torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp  # of every device
    before = torch.backends.cuda.fp16_bf16_reduction_math_sdp_allowed()
    switch(half)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        switch(before)
