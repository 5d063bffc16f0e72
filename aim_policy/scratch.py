"""What a chunk costs without kept keys, for `aim_policy.bench` to compare with."""

from __future__ import annotations

import time
from functools import partial

import torch
from torch import Tensor

from aim_policy.interface import Observation
from aim_policy.model.transformer import Sample
from aim_policy.policy import AimPolicy
from aim_policy.roofline import best_seconds, count_flops, synchronize


class Scratch:
    """A policy that keeps latents, motion and text of its history, but no keys."""

    def __init__(self, policy: AimPolicy, observation: Observation) -> None:
        self._policy = policy
        self._observation = observation
        self._device = policy.device
        config, frames = policy.config, policy.config.frames_in_sight
        batch = 1 + policy.history.guided
        canvas = batch, config.latent_channels, frames, config.rows, config.columns
        motion = batch, (frames - 1) * config.steps_per_frame, config.action_dim
        shapes = canvas, motion, (batch, config.text_tokens, config.text_dim)
        noise = (torch.randn(shape, device=self._device) for shape in shapes)
        self._observed, self._executed, self._text = noise
        with torch.inference_mode():
            self._read = policy.model.transformer.read_text(self._text)

    @torch.inference_mode()
    def history(self) -> None:
        """In place of `observe`: code the new frames, then run all frames anew."""
        policy, frames = self._policy, self._policy.config.frames_in_sight
        for _ in range(policy.config.frames):
            views = policy.history.transforms.images(self._observation.images)
            policy.model.encode({name: view.to(self._device) for name, view in views.items()})
        planned = torch.arange(frames - 1)
        policy.sampler.append(self._observed, self._read, (), 0, self._executed, planned)

    def history_ms(self) -> float:
        """Time of `history`."""
        start = time.perf_counter()
        self.history()
        synchronize(self._device)
        return 1e3 * (time.perf_counter() - start)

    def history_flops(self) -> float:
        """Floating-point operations of `history`."""
        return count_flops(self.history)[1]

    @torch.inference_mode()
    def everything_ms(self) -> float:
        """Time of a chunk in which every step runs all tokens anew."""
        config, sampling = self._policy.config, self._policy.sampling
        batch = len(self._observed)
        one = torch.ones(batch, 1, device=self._device)
        video = self._observed[:, :, :1].expand(-1, -1, config.frames, -1, -1)
        action = video.new_zeros(batch, config.steps, config.action_dim)
        joints = video.new_zeros(batch, 2 * config.action_dim)
        noisy = Sample(video if sampling.imagine_rgb else None, video, action)
        network, executed = self._policy.model.transformer, self._executed
        work = partial(network, self._observed, self._text, noisy, one, one, joints, executed)
        passes = sampling.video_steps + sampling.extra_freeze_pass + sampling.action_steps
        return 1e3 * passes * best_seconds(work, self._device, 5)


def saved_by_cache(
    samples: list[dict[str, float]], flops: dict[str, float], scratch: Scratch, again: list[float]
) -> dict[str, float]:
    """What kept keys save: those of the past, and those of every step.

    Args:
        samples: stage -> ms of chunks with a cache.
        flops: of each stage.
        scratch: the same policy without.
        again: ms of `Scratch.history`, each measured right after the chunk of the same index.
    """
    cached = _median([sum(s.values()) for s in samples])
    pairs = zip(samples, again, strict=True)
    without_past = _median([sum(s.values()) - s['observe'] + ms for s, ms in pairs])
    without_any, total = scratch.everything_ms(), sum(flops.values())
    return {
        'chunk_ms': cached,
        'history_again_ms': without_past,
        'everything_again_ms': without_any,
        'faster_than_history_again': without_past / cached,
        'faster_than_everything_again': without_any / cached,
        'fewer_flops_than_history_again': (
            1 + (scratch.history_flops() - flops['observe']) / total
        ),
    }


def _median(values: list[float]) -> float:
    return float(Tensor(values).median())
