"""Append, imagine, freeze, act (section 3.6): noise becomes maps, then maps become motion."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from aim_policy.model.attention import KeyValue
from aim_policy.model.config import SamplingConfig
from aim_policy.model.embedding import Segment
from aim_policy.model.flow import clean_estimate, euler_step, sigma_grid
from aim_policy.model.transformer import AimTransformer, Memory


@dataclass(frozen=True)
class Context:
    """What is known when a chunk is planned.

    Attributes:
        memory: keys of o_{<=t} and proprioception.
        text: keys of the instruction.
        current: float[B, C, 1, rows, columns], o_t.
        now: t.
    """

    memory: tuple[Memory, ...]
    text: list[KeyValue]
    current: Tensor
    now: int


@dataclass(frozen=True)
class Intent:
    """What was imagined: latents float[B, C, F, ...] to look at, and m's keys to act on."""

    rgb: Tensor | None
    value: Tensor
    memory: Memory


class Sampler:
    """Draws chunks from a transformer; all randomness comes from the generator it is given."""

    def __init__(self, transformer: AimTransformer, config: SamplingConfig) -> None:
        self.transformer = transformer
        self.config = config
        self.video_grid = sigma_grid(config.video_steps, config.video_shift, config.sigma_end)
        self.action_grid = sigma_grid(config.action_steps, config.action_shift)

    def append(self, observed: Tensor, text: Tensor, proprio: Tensor | None = None) -> Context:
        """Run o, and proprioception, once at time 0; arguments as in `AimTransformer.forward`."""
        read = self.transformer.read_text(text)
        _, memory = self.transformer.run(self.transformer.past(observed, proprio), read)
        return Context(tuple(memory), read, observed[:, :, -1:], observed.shape[2] - 1)

    def imagine(self, context: Context, generator: torch.Generator) -> Intent:
        """Denoise x and m together, and freeze the keys of m."""
        shape = list(context.current.shape)
        shape[2] = self.transformer.config.frames
        noises = [self._noise(shape, context, generator) for _ in range(2)]
        noisy = noises if self.config.imagine_rgb else noises[1:]
        for sigma, after in pairwise(self.video_grid.tolist()):
            segments = self._future(noisy, sigma, context)
            hidden, memory = self.transformer.run(segments, context.text, context.memory)
            velocities = [
                self.transformer.velocity(s, h) for s, h in zip(segments, hidden, strict=True)
            ]
            pairs = list(zip(noisy, velocities, strict=True))
            clean = [clean_estimate(z, v, sigma) for z, v in pairs]
            noisy = [euler_step(z, v, sigma, after) for z, v in pairs]
        if self.config.extra_freeze_pass:
            segments = self._future(noisy, self.config.sigma_end, context)
            _, memory = self.transformer.run(segments, context.text, context.memory)
        return Intent(clean[0] if self.config.imagine_rgb else None, clean[-1], memory[-1])

    def act(self, context: Context, intent: Intent, generator: torch.Generator) -> Tensor:
        """Denoise a over keys that are ready: o_t, proprioception, m. Returns float[B, K, A]."""
        config, embed = self.transformer.config, self.transformer.embedding
        shape = [len(context.current), config.steps, config.action_dim]
        action = self._noise(shape, context, generator)
        memory = [*context.memory, intent.memory]
        for sigma, after in pairwise(self.action_grid.tolist()):
            segment = embed.actions(action, _level(action, sigma), context.now)
            (hidden,), _ = self.transformer.run([segment], context.text, memory)
            action = euler_step(action, self.transformer.velocity(segment, hidden), sigma, after)
        return action

    def _future(self, noisy: list[Tensor], sigma: float, context: Context) -> list[Segment]:
        """[x, m], or [m] where x is left out."""
        embed, level = self.transformer.embedding, _level(context.current, sigma)
        makers = [embed.rgb, embed.value] if self.config.imagine_rgb else [embed.value]
        return [
            make(z, level, context.current, context.now)
            for make, z in zip(makers, noisy, strict=True)
        ]

    @staticmethod
    def _noise(shape: list[int], context: Context, generator: torch.Generator) -> Tensor:
        noise = torch.randn(shape, generator=generator, device=generator.device)
        return noise.to(context.current)


def _level(like: Tensor, sigma: float) -> Tensor:
    return like.new_full((len(like), 1), sigma)
