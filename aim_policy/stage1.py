"""What Stage I learns from (section 3.5): clips, noise, and the passes that turn them into losses.

The passes are those of the live policy: append, imagine, act. Only the noise is drawn at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from aim_policy.config import ConfigError
from aim_policy.data import Clips
from aim_policy.losses import LossConfig, Losses, stream_loss, total_loss
from aim_policy.model.cache import narrow
from aim_policy.model.config import ModelConfig, SamplingConfig
from aim_policy.model.flow import interpolate
from aim_policy.model.sampler import Context, Intent, Sampler, Text
from aim_policy.model.transformer import AimTransformer, Memory, planned_at


@dataclass(frozen=True)
class NoiseConfig:
    """How noise levels are drawn. x and m of a clip share one, a has its own."""

    video_shift: float = 5.0  # s of sigma = s u / (1 + (s - 1) u), u even in [0, 1]
    action_shift: float = 1.0
    few_step_share: float = 0.0  # of clips whose x and m are nearly noise, for one-step sampling
    clean_share: float = 0.0  # of clips whose x and m are nearly clean: as a sees m at run time
    clean_sigma: float = 0.3  # most noise of those
    history_share: float = 0.0  # of clips whose observed frames are noisy too
    history_sigma: float = 0.5  # most noise of those
    value_share: float = 1.0  # of batches that imagine; in the others a acts without m
    rgb_share: float = 1.0  # of those batches that imagine x; in the others m does without
    blind_share: float = 0.0  # of batches whose a goes by m and its joints alone, without o
    text_dropout: float = 0.0  # share of clips without instruction; only for guidance
    action_draws: int = 1  # of noise for a, per clip

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            share = name.endswith(('_share', '_sigma', '_dropout'))
            if not (0 <= value <= 1 if share else value > 0):
                expected = '0 to 1' if share else 'a positive number'
                raise ConfigError(f'{name} is {value}, expected {expected}')


@dataclass(frozen=True)
class Noise:
    """All that is random about one batch.

    Attributes:
        history_sigma: float[B, 1, 1, 1, 1], of observed frames.
        history, rgb, value: float[B, C, T or F, rows, columns].
        sigma_video: float[B, 1].
        sigma_action: float[B n, 1], n draws per clip.
        action: float[B n, K, A].
        keep_text: float[B, 1, 1].
    """

    history_sigma: Tensor
    history: Tensor
    rgb: Tensor
    value: Tensor
    sigma_video: Tensor
    sigma_action: Tensor
    action: Tensor
    keep_text: Tensor

    def part(self, which: slice, batch: int) -> Noise:
        """The noise of some clips of a batch of B."""
        first, last, _ = which.indices(batch)
        return Noise(*(t[first * len(t) // batch : last * len(t) // batch]
                       for t in vars(self).values()))  # fmt: skip


def draw_noise(clips: Clips, batch: int, config: NoiseConfig, generator: torch.Generator) -> Noise:
    """Draw for a batch of B clips, of which `clips` show the shapes."""
    device = clips.observed.device

    def even(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, device=device)

    def normal(like: Tensor, count: int = batch) -> Tensor:
        return torch.randn((count, *like.shape[1:]), generator=generator, device=device)

    kind, level = even(batch, 1), even(batch, 1)
    sigma = _shifted(level, config.video_shift)
    sigma = torch.where(kind < config.few_step_share, 1 - 0.15 * level.square(), sigma)
    sigma = torch.where(kind > 1 - config.clean_share, config.clean_sigma * level, sigma)
    noisy = even(batch) < config.history_share
    draws = batch * config.action_draws
    return Noise(
        history_sigma=(noisy * config.history_sigma * even(batch))[:, None, None, None, None],
        history=normal(clips.observed),
        rgb=normal(clips.future),
        value=normal(clips.maps),
        sigma_video=sigma,
        sigma_action=_shifted(even(draws, 1), config.action_shift),
        action=normal(clips.actions, draws),
        keep_text=(even(batch) >= config.text_dropout).float()[:, None, None],
    )


def _shifted(u: Tensor, shift: float) -> Tensor:
    return shift * u / (1 + (shift - 1) * u)


class StageOne(nn.Module):
    """The network with its losses: L_x, L_m and L_a of a batch."""

    def __init__(
        self,
        transformer: AimTransformer,
        losses: LossConfig,
        draws: int,
        sampling: SamplingConfig | None = None,
    ) -> None:
        """Take a network.

        Args:
            transformer: to train, or to measure.
            losses: weights of the streams.
            draws: of noise for a, per clip.
            sampling: steps of `predict`; the network's own by default.
        """
        super().__init__()
        self.transformer = transformer
        self.losses = losses
        self.draws = draws
        self.sampler = Sampler(transformer, sampling or transformer.config.sampling)

    @property
    def config(self) -> ModelConfig:
        """Of the network."""
        return self.transformer.config

    def forward(
        self, clips: Clips, noise: Noise, imagine: bool, rgb: bool, blind: bool = False
    ) -> Losses:
        """Losses of a batch.

        Args:
            clips: data.
            noise: to take out.
            imagine: False leaves x and m out, a then acts on what is observed.
            rgb: False leaves x out.
            blind: a sees m and its joints, and nothing that was observed.
        """
        text = self.transformer.read_text(clips.text * noise.keep_text)
        context = self.context(clips, noise, text)
        zero = context.current.new_zeros(())
        lost_rgb, lost_value, shown = zero, zero, []
        if imagine:
            lost_rgb, lost_value, shown = self._imagine(clips, noise, context, rgb)
        seen = self.blind(clips, context) if blind else context
        lost_action = self._act(clips, noise, seen, shown)
        return total_loss(lost_rgb, lost_value, lost_action, self.losses)

    def predict(self, clips: Clips, generator: torch.Generator) -> tuple[Intent, Tensor]:
        """Do what the live policy does: imagined latents, and actions float[B, K, A]."""
        clean = draw_noise(clips, len(clips), NoiseConfig(), generator)
        context = self.context(clips, clean, self.transformer.read_text(clips.text))
        intent = self.sampler.imagine(context, generator)
        return intent, self.sampler.act(context, intent, generator)

    def context(self, clips: Clips, noise: Noise, text: Text) -> Context:
        """Keys of what is known, as `History` makes them for the live policy."""
        observed = interpolate(clips.observed, noise.history, noise.history_sigma)
        frames, reach = observed.shape[2], self.config.frames
        executed, planned = None, None
        if clips.executed.shape[1]:
            now = frames - 1
            plans = torch.arange(now % reach, now, reach)
            executed, planned = clips.executed, planned_at(torch.arange(1, frames), plans, reach)
        memory = self.sampler.append(observed, text, (), 0, executed, planned)
        return self.sampler.context(memory, text, observed[:, :, -1:], frames - 1, clips.proprio)

    def blind(self, clips: Clips, context: Context) -> Context:
        """Keys of the joints alone, which have seen nothing either."""
        known = context.text, context.current, context.now
        return self.sampler.context((), *known, clips.proprio)

    def _imagine(
        self, clips: Clips, noise: Noise, context: Context, rgb: bool
    ) -> tuple[Tensor, Tensor, list[Memory]]:
        embed, known = self.transformer.embedding, clips.has_maps[:, None]
        level = 1 - known * (1 - noise.sigma_video)  # an unknown map stays pure noise
        sigma = level[:, :, None, None, None]
        pairs = [(clips.future, noise.rgb), (clips.maps, noise.value)]
        segments = [
            make(interpolate(*pair, sigma), level, context.current, context.now)
            for make, pair in zip([embed.rgb, embed.value], pairs, strict=True)
        ][0 if rgb else 1 :]
        hidden, memory = self.transformer.run(segments, context.text, context.memory)
        velocity = [self.transformer.velocity(s, h) for s, h in zip(segments, hidden, strict=True)]
        lost_rgb = context.current.new_zeros(())
        if rgb:
            lost_rgb = stream_loss(velocity[0], *pairs[0], sigma, self.losses)
        weight = 1 + self.losses.foreground * clips.heat[:, None]
        weight = weight * known[:, :, None, None, None]
        lost_value = stream_loss(velocity[-1], *pairs[1], sigma, self.losses, weight)
        return lost_rgb, lost_value, memory

    def _act(self, clips: Clips, noise: Noise, context: Context, shown: list[Memory]) -> Tensor:
        """Several draws of noise over the same keys."""
        sigma = noise.sigma_action
        clean = clips.actions.repeat_interleave(self.draws, dim=0)
        noisy = interpolate(clean, noise.action, sigma[..., None])
        segment = self.transformer.embedding.actions(noisy, sigma, context.now)
        known = narrow(self.transformer.scope, [segment.place], [*context.memory, *shown])
        known = [memory.repeated(self.draws) for memory in known]
        (hidden,), _ = self.transformer.run([segment], context.text, known)
        velocity = self.transformer.velocity(segment, hidden)
        acting = clips.acting.repeat_interleave(self.draws, dim=0)[..., None]
        return stream_loss(
            velocity, clean, noise.action, sigma[..., None], self.losses, weight=acting
        )
