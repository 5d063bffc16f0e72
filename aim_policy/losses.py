"""What Stage I minimises (section 3.5): how far each stream's velocity is from noise - data."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from aim_policy.config import ConfigError
from aim_policy.model.flow import target

BELL_FLOOR = math.exp(-0.5)
BELL_MEAN = math.sqrt(math.pi / 2) * math.erf(math.sqrt(0.5)) - BELL_FLOOR


@dataclass(frozen=True)
class LossConfig:
    """L = L_x + lambda_m L_m + lambda_a L_a."""

    value: float = 1.0  # lambda_m
    action: float = 1.0  # lambda_a
    foreground: float = 4.0  # kappa: without it m learns that maps are black
    bell: bool = True  # weigh medium noise most, as LingBot-VA does; else all alike

    def __post_init__(self) -> None:
        for name in ('value', 'action', 'foreground'):
            if getattr(self, name) < 0:
                raise ConfigError(f'{name} is {getattr(self, name)}, expected 0 or more')


@dataclass(frozen=True)
class Losses:
    """One scalar per stream, and their weighted sum."""

    rgb: Tensor
    value: Tensor
    action: Tensor
    total: Tensor


def total_loss(rgb: Tensor, value: Tensor, action: Tensor, config: LossConfig) -> Losses:
    """L = L_x + lambda_m L_m + lambda_a L_a."""
    return Losses(rgb, value, action, rgb + config.value * value + config.action * action)


def stream_loss(
    velocity: Tensor,
    clean: Tensor,
    noise: Tensor,
    sigma: Tensor,
    config: LossConfig,
    weight: Tensor | None = None,
) -> Tensor:
    """Mean of w(sigma) |v - u|^2 over one stream; sigma and weight broadcast to its data."""
    error = (velocity.float() - target(clean, noise)).square()
    if config.bell:
        error = bell_weight(sigma) * error
    return (error if weight is None else weight * error).mean()


def bell_weight(sigma: Tensor) -> Tensor:
    """w(sigma): highest at 1/2, zero at both ends, one on average."""
    return (torch.exp(-2 * (sigma - 0.5).square()) - BELL_FLOOR) / BELL_MEAN
