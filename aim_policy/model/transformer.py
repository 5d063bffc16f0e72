"""Three streams in one masked attention (section 3.3): x imagines, m points, a acts.

`run` is the only forward pass. Given all tokens at once it is the form for training; given keys
that earlier passes left behind it is the form for acting. The ids decide who sees whom in both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from aim_policy.model.attention import EXECUTIONS, KeyValue, Passes
from aim_policy.model.config import ModelConfig
from aim_policy.model.embedding import BRANCH, Segment, TokenEmbedding
from aim_policy.model.layers import (
    FeedForward,
    OutputHead,
    StreamAttention,
    TextAttention,
    adaptive_norm,
    gated,
    modulation_table,
)
from aim_policy.model.mask import Group, Place, Scope, visibility


@dataclass(frozen=True)
class Memory:
    """Keys and values that a segment left behind in each layer, for later segments to see."""

    place: Place
    layers: tuple[KeyValue, ...]

    def of(self, index: int) -> Memory:
        """One element of the batch."""
        one = slice(index, index + 1)
        return Memory(self.place, tuple((key[one], value[one]) for key, value in self.layers))

    def repeated(self, n: int) -> Memory:
        """Each element of the batch n times in a row: one past for n draws of noise."""
        layers = tuple(
            (key.repeat_interleave(n, dim=0), value.repeat_interleave(n, dim=0))
            for key, value in self.layers
        )
        return Memory(self.place, layers)


Modulation = tuple[Tensor, ...]


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

    def modulation(self, segment: Segment) -> Modulation:
        """Shift, scale and gate for both halves of the layer, from the noise level."""
        return (self.table[BRANCH[segment.place.group]] + segment.modulation.float()).unbind(-2)

    def project(
        self, segment: Segment, tokens: Tensor, modulation: Modulation
    ) -> tuple[Tensor, KeyValue]:
        """AdaLN, then the stream's Q and (K, V)."""
        shift, scale, *_ = modulation
        normal = adaptive_norm(tokens, shift, scale)
        return self._stream(segment).project(normal, segment.rotary)

    def update(
        self,
        segment: Segment,
        tokens: Tensor,
        modulation: Modulation,
        attended: Tensor,
        text: KeyValue,
    ) -> Tensor:
        """O and its gated residual, then text where the group reads it, then the feed-forward."""
        _, _, gate_attention, shift, scale, gate_ffn = modulation
        tokens = gated(tokens, gate_attention, self._stream(segment).merge(attended))
        if segment.place.group in self.readers:
            tokens = tokens + self.text(tokens, text)
        ffn = self.ffn[BRANCH[segment.place.group]]
        return gated(tokens, gate_ffn, ffn(adaptive_norm(tokens, shift, scale)))

    def _stream(self, segment: Segment) -> StreamAttention:
        if segment.place.group == Group.VALUE and 'value' in self.attention:
            return self.attention['value']
        return self.attention[BRANCH[segment.place.group]]


class AimTransformer(nn.Module):
    """The network: tokens in, velocities out. Knows no sampler and no pixels."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        table = visibility(config.history_to_action, config.action_reads)
        self.scope = Scope(table, config.history_frames, config.pin_first_frame)
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
        vectors = self.text(text.to(self.text[0].weight.dtype))
        return [layer.text.read(vectors) for layer in self.layers]

    def run(
        self,
        segments: Sequence[Segment],
        text: Sequence[KeyValue],
        memory: Sequence[Memory] = (),
        execution: str | Passes = 'split',
        only_memory: bool = False,
    ) -> tuple[list[Tensor], list[Memory]]:
        """Send segments through all layers.

        Args:
            segments: new tokens.
            text: from `read_text`.
            memory: of earlier segments; seen where the table allows.
            execution: name in `EXECUTIONS`, they agree; or the passes that this one belongs to.
            only_memory: leave out what follows the last keys; the hidden tokens mean nothing then.

        Returns:
            Per segment its hidden tokens float[B, N, D], and its memory.
        """
        queries = [s.place for s in segments]
        keys = [m.place for m in memory] + queries
        hidden, shown = [s.hidden for s in segments], []
        make = execution.ready if isinstance(execution, Passes) else EXECUTIONS[execution]
        attention = make(self.scope, queries, keys, hidden[0].device)
        for index, layer in enumerate(self.layers):
            modulation = [layer.modulation(segment) for segment in segments]
            inputs = list(zip(segments, hidden, modulation, strict=True))
            projected = [layer.project(*one) for one in inputs]
            shown.append([key_value for _, key_value in projected])
            if only_memory and len(shown) == len(self.layers):
                break
            known = [m.layers[index] for m in memory]
            attended = attention(index, [query for query, _ in projected], known + shown[-1])
            hidden = [
                layer.update(*one, taken, text[index])
                for one, taken in zip(inputs, attended, strict=True)
            ]
        layers = zip(*shown, strict=True)
        return hidden, [Memory(s.place, kv) for s, kv in zip(segments, layers, strict=True)]

    def velocity(self, segment: Segment, hidden: Tensor) -> Tensor:
        """Velocity v of x, m or a, in the shape of its data."""
        group = segment.place.group
        flat = self.heads[group.name](hidden, segment.time)
        return flat if group == Group.ACTION else self.embedding.to_canvas(flat, group)

    def forward(
        self,
        observed: Tensor,
        text: Tensor,
        noisy: Sample,
        sigma_video: Tensor,
        sigma_action: Tensor,
        proprio: Tensor | None = None,
        executed: Tensor | None = None,
        now: Tensor | None = None,
        execution: str = 'split',
    ) -> Sample:
        """Velocities of all streams in one pass: [o | a executed | x | m | a], one or more chunks.

        Args:
            observed: float[B, C, T, rows, columns], clean latents up to the last current frame.
            text: float[B, L, text_dim].
            noisy: z of each stream, chunk after chunk.
            sigma_video: float[B, 1 or n F], shared by x and m.
            sigma_action: float[B, 1 or n F].
            proprio: float[B, 2 A] or float[B, n, 2 A], with the option of that name.
            executed: float[B, (T - 1) n_a, A], what led from each frame to the next.
            now: int[n], rising: the frame at which each chunk is planned; by default the last.
            execution: see `run`.
        """
        now = torch.tensor([observed.shape[2] - 1]) if now is None else now
        embed, current = self.embedding, observed[:, :, now]
        segments = [embed.observed(observed)]
        if executed is not None:
            frame = torch.arange(1, observed.shape[2])
            plans = planned_at(frame, now, self.config.frames)
            segments.append(embed.executed(executed, frame, plans))
        if self.config.proprioception:
            assert proprio is not None
            segments.append(embed.proprioception(proprio, now))
        future = [] if noisy.rgb is None else [embed.rgb(noisy.rgb, sigma_video, current, now)]
        future.append(embed.value(noisy.value, sigma_video, current, now))
        future.append(embed.actions(noisy.action, sigma_action, now))
        read = self.read_text(text)
        hidden, _ = self.run([*segments, *future], read, execution=execution)
        pairs = zip(future, hidden[len(segments) :], strict=True)
        velocities = [self.velocity(segment, tokens) for segment, tokens in pairs]
        return Sample(*([None] * (noisy.rgb is None)), *velocities)


def planned_at(frame: Tensor, plans: Tensor, reach: int) -> Tensor:
    """When what led to each frame int[m] was planned.

    Args:
        frame: that it led to.
        plans: int[n], rising, frames at which chunks were planned.
        reach: F, frames that a chunk holds; motion beyond it counts as planned one frame before.
    """
    latest = torch.searchsorted(plans, frame) - 1  # the last plan before the frame
    now = torch.where(latest >= 0, plans[latest.clamp(min=0)], frame - 1)
    return torch.where(frame - now <= reach, now, frame - 1)
