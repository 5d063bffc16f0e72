"""Weights of m and a out of those of x (section 3.3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from aim_policy.model.transformer import AimTransformer


@torch.no_grad()
def grow_streams(transformer: AimTransformer) -> list[str]:
    """Initialise m and a from x: m copied, a interpolated and scaled, output layers zero.

    Untrained, m and a then predict no motion, and x is what it was.

    Returns:
        Names of the parameters that were set.
    """
    config, names = transformer.config, dict(transformer.named_parameters())
    gain = (config.width / config.action_width) ** 0.5
    grown = []
    for name, parameter in names.items():
        source = names.get(_source(name))
        if name.startswith(('heads.VALUE.linear', 'heads.ACTION.linear')):
            nn.init.zeros_(parameter)
        elif source is None or source is parameter:
            continue
        elif source.shape == parameter.shape and '.action.' not in name:
            parameter.copy_(source)
        else:
            matrix = parameter.dim() == 2 and 'table' not in name
            parameter.copy_(_resized(source, parameter.shape) * (gain if matrix else 1.0))
        grown.append(name)
    return grown


def _source(name: str) -> str:
    """The parameter of x that one of m or a starts from; '' or itself if there is none."""
    for stream in ('.value.', '.action.'):
        for part in ('attention', 'ffn', 'time'):
            name = name.replace(f'{part}{stream}', f'{part}.video.')
    name = name.replace('table.action', 'table.video').replace('value_patch', 'patch')
    return name.replace('heads.VALUE', 'heads.RGB').replace('heads.ACTION', 'heads.RGB')


def _resized(weights: Tensor, shape: torch.Size) -> Tensor:
    """Linear interpolation along each axis, ends kept."""
    plane = weights.float().reshape(1, 1, -1, weights.shape[-1])
    size = (1, *shape)[-2:]
    return functional.interpolate(plane, size, mode='bilinear', align_corners=True).view(shape)
