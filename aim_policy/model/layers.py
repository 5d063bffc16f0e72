"""The parts of a layer. Each follows Wan 2.2's block, so that its weights fit the video branch."""

from __future__ import annotations

import math

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from aim_policy.model.attention import KeyValue
from aim_policy.model.rotary import rotate

EPS = 1e-6


def adaptive_norm(hidden: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """AdaLN: normalise over the width, then scale and shift by what the noise level says."""
    normal = functional.layer_norm(hidden.float(), hidden.shape[-1:], eps=EPS)
    return (normal * (1 + scale) + shift).type_as(hidden)


def gated(hidden: Tensor, gate: Tensor, change: Tensor) -> Tensor:
    """Residual, in float32 whatever the weights' type."""
    return (hidden.float() + gate * change).type_as(hidden)


def modulation_table(count: int, width: int) -> nn.Parameter:
    """What a place in the network adds to the modulation by noise level, float[count, D]."""
    return nn.Parameter(torch.randn(count, width) / width**0.5)


class TimeEmbedding(nn.Module):
    """Model time 1000 sigma -> a vector, and its shift, scale and gate of both layer halves."""

    def __init__(self, frequency_dim: int, width: int) -> None:
        super().__init__()
        self.half = frequency_dim // 2
        self.embed = nn.Sequential(
            nn.Linear(frequency_dim, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.project = nn.Linear(width, 6 * width)

    def forward(self, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """float[B, T] -> vectors [B, T, D] and modulation [B, T, 6, D]."""
        steps = torch.arange(self.half, device=sigma.device, dtype=torch.float32)
        frequency = torch.exp(-math.log(10_000.0) * steps / self.half)
        angle = 1000.0 * sigma[..., None].float() * frequency
        waves = torch.cat([angle.cos(), angle.sin()], dim=-1)
        # Wan keeps the first two layers in float32 beside a network in bfloat16.
        vector = self.embed(waves.to(self.embed[0].weight.dtype)).to(self.project.weight.dtype)
        return vector, self.project(functional.silu(vector)).unflatten(-1, (6, -1))


class PatchEmbedding(nn.Linear):
    """Latents -> tokens: a matrix over the numbers under a token, computed as Wan does it."""

    def __init__(self, channels: int, size: int, width: int) -> None:
        super().__init__(channels * size**2, width)
        self.kernel = (channels, 1, size, size)

    def forward(self, latents: Tensor) -> Tensor:
        """float[B, C, T, rows, columns] -> [B, T n, D], rows first."""
        weight = self.weight.unflatten(1, self.kernel)
        cells = latents.to(weight.dtype)
        tokens = functional.conv3d(cells, weight, self.bias, stride=self.kernel[1:])
        return rearrange(tokens, 'b d t h w -> b (t h w) d').contiguous()


class StreamAttention(nn.Module):
    """A stream's own Q, K, V into the attention width that all streams share, and its O back."""

    def __init__(self, width: int, heads: int, head_dim: int) -> None:
        super().__init__()
        common = heads * head_dim
        self.heads = heads
        self.query = nn.Linear(width, common)
        self.key = nn.Linear(width, common)
        self.value = nn.Linear(width, common)
        self.output = nn.Linear(common, width)
        self.norm_query = nn.RMSNorm(common, eps=EPS)
        self.norm_key = nn.RMSNorm(common, eps=EPS)

    def project(self, tokens: Tensor, rotary: Tensor) -> tuple[Tensor, KeyValue]:
        """Tokens [B, N, D] -> Q and (K, V), turned to their positions."""
        key, value = self.read(tokens)
        return rotate(self.ask(tokens), rotary), (rotate(key, rotary), value)

    def ask(self, tokens: Tensor) -> Tensor:
        """Q before rotation."""
        return self._split(self.norm_query(self.query(tokens)))

    def read(self, tokens: Tensor) -> KeyValue:
        """K before rotation, and V."""
        return self._split(self.norm_key(self.key(tokens))), self._split(self.value(tokens))

    def merge(self, attended: Tensor) -> Tensor:
        """Attention's result [B, heads, N, head_dim] -> [B, N, D]."""
        return self.output(attended.transpose(1, 2).flatten(2))

    def _split(self, tokens: Tensor) -> Tensor:
        return tokens.unflatten(2, (self.heads, -1)).transpose(1, 2)  # [B, heads, N, head_dim]


class TextAttention(StreamAttention):
    """Cross-attention to the instruction, whose K, V are the same at every noise level."""

    def __init__(self, width: int, heads: int, head_dim: int) -> None:
        super().__init__(width, heads, head_dim)
        self.norm = nn.LayerNorm(width, eps=EPS)

    def forward(self, hidden: Tensor, text: KeyValue) -> Tensor:
        """What the tokens [B, N, D] take from the instruction."""
        normal = functional.layer_norm(
            hidden.float(),
            hidden.shape[-1:],
            self.norm.weight.float(),
            self.norm.bias.float(),
            EPS,
        )
        query = self.ask(normal.type_as(hidden))
        return self.merge(functional.scaled_dot_product_attention(query, *text))


class FeedForward(nn.Sequential):
    """Two layers with a GELU between."""

    def __init__(self, width: int, inner: int, outer: int) -> None:
        super().__init__(nn.Linear(width, inner), nn.GELU('tanh'), nn.Linear(inner, outer))


class OutputHead(nn.Module):
    """Hidden tokens -> velocities. Starts at zero: an untrained stream predicts no motion."""

    def __init__(self, width: int, numbers: int) -> None:
        super().__init__()
        self.table = modulation_table(2, width)
        self.linear = nn.Linear(width, numbers)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, hidden: Tensor, time: Tensor) -> Tensor:
        """[B, N, D], time vectors [B, N or 1, D] -> [B, N, numbers]."""
        shift, scale = (self.table + time.unsqueeze(-2)).unbind(-2)
        return self.linear(adaptive_norm(hidden, shift, scale))
