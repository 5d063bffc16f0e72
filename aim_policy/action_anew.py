"""Learning to act behind eyes that are done: a's own weights begin anew, all others stay."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from aim_policy.model.transformer import AimTransformer

OWN = {'action', 'ACTION', 'proprio', 'step_coordinates'}
"""Parts of the names of weights through which nothing goes but a and what it is told of joints."""


def learn_action_alone(transformer: AimTransformer, anew: Mapping[str, Tensor]) -> None:
    """Let only a's own weights move.

    Args:
        transformer: changed in place.
        anew: values that they begin with, by name.
    """
    with torch.no_grad():
        for name, parameter in transformer.named_parameters():
            own = not OWN.isdisjoint(name.split('.'))
            parameter.requires_grad_(own)
            if own:
                parameter.copy_(anew[name])
