"""Flow matching: a straight path from data (sigma 0) to noise (sigma 1). Knows no network."""

from __future__ import annotations

import torch
from torch import Tensor


def sigma_grid(steps: int, shift: float, end: float = 0.0) -> Tensor:
    """Noise levels of a sampler: sigma = s u / (1 + (s - 1) u), u falling evenly from 1.

    Returns:
        float[steps + 1], from 1 down to `end`.
    """
    u_end = end / (shift - (shift - 1) * end)
    u = torch.linspace(1.0, u_end, steps + 1, dtype=torch.float64)
    return (shift * u / (1 + (shift - 1) * u)).float()


def interpolate(clean: Tensor, noise: Tensor, sigma: Tensor | float) -> Tensor:
    """Path: z = (1 - sigma) z_0 + sigma eps."""
    return (1 - sigma) * clean + sigma * noise


def target(clean: Tensor, noise: Tensor) -> Tensor:
    """Target: u = eps - z_0, the velocity dz / dsigma that a network learns."""
    return noise - clean


def euler_step(z: Tensor, velocity: Tensor, sigma: float, after: float) -> Tensor:
    """One step: z <- z + (sigma_{i+1} - sigma_i) v."""
    return z + (after - sigma) * velocity


def clean_estimate(z: Tensor, velocity: Tensor, sigma: float) -> Tensor:
    """The z_0 that a straight path from z would end in."""
    return z - sigma * velocity
