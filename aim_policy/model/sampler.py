"""Append, imagine, freeze, act (section 3.6): noise becomes maps, then maps become motion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from aim_policy.model.attention import KeyValue, Passes
from aim_policy.model.cache import narrow
from aim_policy.model.config import SamplingConfig
from aim_policy.model.embedding import Segment
from aim_policy.model.flow import clean_estimate, euler_step, interpolate, sigma_grid
from aim_policy.model.transformer import AimTransformer, Memory

Text = list[KeyValue]


@dataclass(frozen=True)
class Context:
    """What is known when a chunk is planned.

    Attributes:
        memory: keys of o_{<=t}, of executed a_{<=t} and of proprioception.
        text: keys of the instruction.
        current: float[B, C, 1, rows, columns], o_t.
        now: t.
        unguided: the same without the instruction, for guidance.
    """

    memory: tuple[Memory, ...]
    text: Text
    current: Tensor
    now: int
    unguided: Context | None = None


@dataclass(frozen=True)
class Intent:
    """What was imagined: latents float[B, C, F, ...] to look at, and keys of x and m to act on."""

    rgb: Tensor | None
    value: Tensor
    memory: tuple[Memory, ...]


class Sampler:
    """Draws chunks from a transformer; all randomness comes from the generator it is given."""

    def __init__(
        self, transformer: AimTransformer, config: SamplingConfig, black: Tensor | None = None
    ) -> None:
        """Prepare the noise levels.

        Args:
            transformer: the network.
            config: its steps.
            black: float[1, C, F, rows, columns], code of black maps; zero by default.
        """
        self.transformer = transformer
        self.config = config
        self.black = black
        self.video_grid = sigma_grid(config.video_steps, config.video_shift, config.sigma_end)
        self.action_grid = sigma_grid(config.action_steps, config.action_shift)

    def append(
        self,
        observed: Tensor,
        text: Text,
        past: Sequence[Memory] = (),
        first_frame: int = 0,
        executed: Tensor | None = None,
        planned: Tensor | None = None,
    ) -> list[Memory]:
        """Run o_{t-n+1..t}, and what was executed on the way there, once at time 0.

        Args:
            observed: float[B, C, n, rows, columns].
            text: from `AimTransformer.read_text`.
            past: what came before.
            first_frame: id of the first frame in `observed`.
            executed: float[B, m n_a, A], motion that led to the last m frames.
            planned: int[m], the frame that each block of it was planned at.

        Returns:
            Keys of what is new.
        """
        embed, frames = self.transformer.embedding, observed.shape[2]
        segments = [embed.observed(observed, first_frame)]
        if executed is not None:
            frame = first_frame + frames - len(planned) + torch.arange(len(planned))
            segments.append(embed.executed(executed, frame, planned))
        return self.transformer.run(segments, text, past, only_memory=True)[1]

    def context(
        self,
        memory: Sequence[Memory],
        text: Text,
        current: Tensor,
        now: int,
        proprio: Tensor | None = None,
    ) -> Context:
        """What is known at frame `now`, with the proprioception token if the model has one."""
        if self.transformer.config.proprioception:
            segment = self.transformer.embedding.proprioception(proprio, now)
            known = narrow(self.transformer.scope, [segment.place], memory)
            memory = [*memory, *self.transformer.run([segment], text, known, only_memory=True)[1]]
        return Context(tuple(memory), text, current, now)

    def imagine(self, context: Context, generator: torch.Generator) -> Intent:
        """Denoise x and m together, and freeze their keys."""
        shape = list(context.current.shape)
        shape[2] = self.transformer.config.frames
        if self.config.video_steps == 0:
            return self._blank(shape, context)
        noises = [self._noise(shape, context, generator) for _ in range(2)]
        noisy = noises if self.config.imagine_rgb else noises[1:]
        passes, blind = Passes(), Passes()
        for sigma, after in pairwise(self.video_grid.tolist()):
            segments = self._future(noisy, sigma, context)
            hidden, memory = self.transformer.run(segments, context.text, context.memory, passes)
            velocities = self._velocities(segments, hidden, context.unguided, blind)
            pairs = list(zip(noisy, velocities, strict=True))
            clean = [clean_estimate(z, v, sigma) for z, v in pairs]
            noisy = [euler_step(z, v, sigma, after) for z, v in pairs]
        if self.config.extra_freeze_pass:
            memory = self._keys(noisy, self.config.sigma_end, context, passes)
        return Intent(clean[0] if self.config.imagine_rgb else None, clean[-1], tuple(memory))

    def freeze(self, value: Tensor, context: Context, rgb: Tensor | None = None) -> Intent:
        """Take maps as if they had been imagined here.

        Args:
            value: float[B, C, F, rows, columns], clean.
            context: what is known.
            rgb: likewise what m sees of x; None where x is left out.
        """
        clean = [value] if rgb is None else [rgb, value]
        return Intent(rgb, value, self._keys(clean, self.config.sigma_end, context))

    def act(
        self,
        context: Context,
        intent: Intent,
        generator: torch.Generator,
        committed: Tensor | None = None,
    ) -> Tensor:
        """Denoise a over keys that are ready: o_t, executed a, and of the future m.

        Args:
            context: what is known.
            intent: what was imagined.
            generator: of the noise.
            committed: float[B, k, A], the first k actions as they were promised already; at every
                level the others are denoised beside them, and continue them.

        Returns:
            float[B, K, A]; its first k actions are those committed.
        """
        config, embed = self.transformer.config, self.transformer.embedding
        shape = [len(context.current), config.steps, config.action_dim]
        noise = self._noise(shape, context, generator)
        action, memory, passes = noise, None, Passes()
        for sigma, after in pairwise(self.action_grid.tolist()):
            action = _promised(action, committed, noise, sigma)
            segment = embed.actions(action, _level(action, sigma), context.now)
            if memory is None:
                known = [*context.memory, *intent.memory]
                memory = narrow(self.transformer.scope, [segment.place], known)
            (hidden,), _ = self.transformer.run([segment], context.text, memory, passes)
            action = euler_step(action, self.transformer.velocity(segment, hidden), sigma, after)
        return _promised(action, committed, noise, 0.0)

    def _future(self, noisy: list[Tensor], sigma: float, context: Context) -> list[Segment]:
        """Tokens of [x, m], or of [m] where x is left out."""
        embed, level = self.transformer.embedding, _level(context.current, sigma)
        makers = [embed.rgb, embed.value][-len(noisy) :]
        return [
            make(z, level, context.current, context.now)
            for make, z in zip(makers, noisy, strict=True)
        ]

    def _keys(
        self, noisy: list[Tensor], sigma: float, context: Context, passes: Passes | None = None
    ) -> tuple[Memory, ...]:
        """What [x, m] leave behind; the last is of m."""
        segments, known = self._future(noisy, sigma, context), context.memory
        run, execution = self.transformer.run, passes or 'split'
        return tuple(run(segments, context.text, known, execution, only_memory=True)[1])

    def _velocities(
        self,
        segments: list[Segment],
        hidden: list[Tensor],
        unguided: Context | None,
        passes: Passes,
    ) -> list[Tensor]:
        """Velocities; those that read text are pushed away from what they are without it."""
        velocity = self.transformer.velocity
        result = [velocity(s, h) for s, h in zip(segments, hidden, strict=True)]
        if unguided is not None:
            reading = segments[: 2 if self.transformer.config.text_to_value else 1]
            blind, _ = self.transformer.run(reading, unguided.text, unguided.memory, passes)
            for i, (segment, tokens) in enumerate(zip(reading, blind, strict=True)):
                without = velocity(segment, tokens)
                result[i] = without + self.config.guidance * (result[i] - without)
        return result

    def _blank(self, shape: list[int], context: Context) -> Intent:
        """A black map at no noise, in place of an imagined one."""
        blank = context.current.new_zeros(shape)
        if self.black is not None:
            blank = blank + self.black.to(blank)
        return Intent(None, blank, self._keys([blank], 0.0, context))

    @staticmethod
    def _noise(shape: list[int], context: Context, generator: torch.Generator) -> Tensor:
        noise = torch.randn(shape, generator=generator, device=generator.device)
        return noise.to(context.current)


def _promised(action: Tensor, committed: Tensor | None, noise: Tensor, sigma: float) -> Tensor:
    """Put what is committed, at a noise level, in the place of the first actions."""
    if committed is None:
        return action
    k = committed.shape[1]
    first = interpolate(committed.to(action), noise[:, :k], sigma) if sigma else committed
    return torch.cat([first.to(action), action[:, k:]], dim=1)


def _level(like: Tensor, sigma: float) -> Tensor:
    return like.new_full((len(like), 1), sigma)
