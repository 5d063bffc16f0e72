"""Three streams in one masked attention (section 3.3): x imagines, m points, a acts.

`run` is the only forward pass. Given all tokens at once it is the form for training; given keys
that earlier passes left behind it is the form for acting. The ids decide who sees whom in both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from aim_policy.model.attention import Group, KeyValue, Place, attend, look, visibility
from aim_policy.model.config import ModelConfig
from aim_policy.model.embedding import BRANCH, Segment, TokenEmbedding
from aim_policy.model.layers import (
    FeedForward,
    OutputHead,
    StreamAttention,
    TextAttention,
    adaptive_norm,
    modulation_table,
)


@dataclass(frozen=True)
class Memory:
    """Keys and values that a segment left behind in each layer, for later segments to see."""

    place: Place
    layers: tuple[KeyValue, ...]


@dataclass(frozen=True)
class Sample:
    """One tensor per predicted stream: data, noise or velocities."""

    rgb: Tensor | None  # x: float[B, C, F, rows, columns]; None where x is left out
    value: Tensor  # m: float[B, C, F, rows, columns]
    action: Tensor  # a: float[B, K, A]


class Layer(nn.Module):
    """Own projections per stream; feed-forward and modulation per branch."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        heads = config.heads, config.head_dim
        widths = {'video': config.width, 'action': config.action_width}
        inner = {'video': config.ffn, 'action': config.action_ffn}
        streams = widths | ({'value': config.width} if config.own_value_weights else {})
        attention = {name: StreamAttention(width, *heads) for name, width in streams.items()}
        ffn = {b: FeedForward(width, inner[b], width) for b, width in widths.items()}
        tables = {branch: modulation_table(6, width) for branch, width in widths.items()}
        self.attention = nn.ModuleDict(attention)
        self.text = TextAttention(config.width, *heads)
        self.ffn = nn.ModuleDict(ffn)
        self.table = nn.ParameterDict(tables)
        self.readers = {Group.RGB}
        self.readers |= {Group.OBSERVED} if config.text_to_observation else set()
        self.readers |= {Group.VALUE} if config.text_to_value else set()

    def project(self, segment: Segment, tokens: Tensor) -> tuple[Tensor, KeyValue]:
        """AdaLN, then the stream's Q and (K, V)."""
        shift, scale, *_ = self._modulation(segment)
        normal = adaptive_norm(tokens, shift, scale)
        return self._stream(segment).project(normal, segment.rotary)

    def update(self, segment: Segment, tokens: Tensor, attended: Tensor, text: KeyValue) -> Tensor:
        """O and its gated residual, then text where the group reads it, then the feed-forward."""
        _, _, gate_attention, shift, scale, gate_ffn = self._modulation(segment)
        tokens = tokens + gate_attention * self._stream(segment).merge(attended)
        if segment.place.group in self.readers:
            tokens = tokens + self.text(tokens, text)
        ffn = self.ffn[BRANCH[segment.place.group]]
        return tokens + gate_ffn * ffn(adaptive_norm(tokens, shift, scale))

    def _modulation(self, segment: Segment) -> tuple[Tensor, ...]:
        return (self.table[BRANCH[segment.place.group]] + segment.modulation).unbind(-2)

    def _stream(self, segment: Segment) -> StreamAttention:
        if segment.place.group == Group.VALUE and 'value' in self.attention:
            return self.attention['value']
        return self.attention[BRANCH[segment.place.group]]


class AimTransformer(nn.Module):
    """The network: tokens in, velocities out. Knows no sampler and no pixels."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.visibility = visibility(config.history_to_action)
        self.embedding = TokenEmbedding(config)
        self.text = FeedForward(config.text_dim, config.width, config.width)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.heads = nn.ModuleDict({
            Group.RGB.name: OutputHead(config.width, config.token_numbers),
            Group.VALUE.name: OutputHead(config.width, config.token_numbers),
            Group.ACTION.name: OutputHead(config.action_width, config.action_dim),
        })  # fmt: skip

    def read_text(self, text: Tensor) -> list[KeyValue]:
        """Per layer, the keys and values of an instruction float[B, L, text_dim]."""
        vectors = self.text(text)
        return [layer.text.read(vectors) for layer in self.layers]

    def run(
        self,
        segments: Sequence[Segment],
        text: Sequence[KeyValue],
        memory: Sequence[Memory] = (),
        dense: bool = False,
    ) -> tuple[list[Tensor], list[Memory]]:
        """Send segments through all layers.

        Args:
            segments: new tokens.
            text: from `read_text`.
            memory: of earlier segments; seen where the table allows.
            dense: mask what may not be seen instead of leaving it out.

        Returns:
            Per segment its hidden tokens float[B, N, D], and its memory.
        """
        places = [m.place for m in memory] + [s.place for s in segments]
        sights = [look(self.visibility, s.place, places, dense) for s in segments]
        hidden, shown = [s.hidden for s in segments], []
        for index, layer in enumerate(self.layers):
            projected = [layer.project(s, h) for s, h in zip(segments, hidden, strict=True)]
            shown.append([key_value for _, key_value in projected])
            keys = [m.layers[index] for m in memory] + shown[-1]
            hidden = [
                layer.update(segment, tokens, attend(query, keys, sight), text[index])
                for segment, tokens, (query, _), sight
                in zip(segments, hidden, projected, sights, strict=True)
            ]  # fmt: skip
        layers = zip(*shown, strict=True)
        return hidden, [Memory(s.place, kv) for s, kv in zip(segments, layers, strict=True)]

    def past(self, observed: Tensor, proprio: Tensor | None = None) -> list[Segment]:
        """What is known before imagining: o, and the proprioception token if the model has one."""
        segments = [self.embedding.observed(observed)]
        if self.config.proprioception:
            assert proprio is not None
            segments.append(self.embedding.proprioception(proprio, observed.shape[2] - 1))
        return segments

    def velocity(self, segment: Segment, hidden: Tensor) -> Tensor:
        """Velocity v of x, m or a, in the shape of its data."""
        flat = self.heads[segment.place.group.name](hidden, segment.time)
        return flat if segment.place.group == Group.ACTION else self.embedding.to_canvas(flat)

    def forward(
        self,
        observed: Tensor,
        text: Tensor,
        noisy: Sample,
        sigma_video: Tensor,
        sigma_action: Tensor,
        proprio: Tensor | None = None,
        dense: bool = False,
    ) -> Sample:
        """Velocities of all streams in one pass.

        Args:
            observed: float[B, C, T, rows, columns], clean latents up to the current frame.
            text: float[B, L, text_dim].
            noisy: z of each stream.
            sigma_video: float[B, 1 or F], shared by x and m.
            sigma_action: float[B, 1 or F].
            proprio: float[B, 2 A], with the option of that name.
            dense: see `run`.
        """
        embed, now, current = self.embedding, observed.shape[2] - 1, observed[:, :, -1:]
        past = self.past(observed, proprio)
        future = [
            embed.value(noisy.value, sigma_video, current, now),
            embed.actions(noisy.action, sigma_action, now),
        ]
        if noisy.rgb is not None:
            future.insert(0, embed.rgb(noisy.rgb, sigma_video, current, now))
        hidden, _ = self.run([*past, *future], self.read_text(text), dense=dense)
        pairs = zip(future, hidden[len(past) :], strict=True)
        velocities = [self.velocity(segment, tokens) for segment, tokens in pairs]
        return Sample(*([None] * (noisy.rgb is None)), *velocities)
