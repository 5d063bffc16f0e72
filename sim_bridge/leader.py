"""Scenes that a learned policy has begun, for the expert to go on from and be recorded.

What a policy learns from its own mistakes put right: DAgger (Ross et al., AISTATS 2011), with
whole demonstrations in place of single relabelled actions.
"""

from __future__ import annotations

from functools import cache

import torch

from aim_policy.rollout import Plan, Scene, make_rollout
from sim_bridge.builtin import BuiltinBackend, random_stream

PRESET = 'realtime'
MOST_IN_MEAN = 3
"""A policy leads for no more than so many times as many chunks as in the mean."""


class Leader:
    """A policy that begins episodes.

    Attributes:
        backend: where.
    """

    def __init__(self, checkpoint: str) -> None:
        self._rollout = make_rollout(Plan('aim', (), checkpoint, preset=PRESET))
        backend = self._rollout.world.backend
        assert isinstance(backend, BuiltinBackend)
        self.backend = backend

    def begin(self, chunks: float, task: str, seed: int, setting: str) -> None:
        """Reset the backend and let the policy act, for so many chunks in the mean.

        The seed decides for how many (geometric, cut off): any chunk may be the last one.
        """
        count = int(random_stream(seed, 'leader').geometric(1 / chunks))
        most = int(MOST_IN_MEAN * chunks)
        self._rollout.play(Scene(task, setting, seed), chunks=min(count, most))


@cache
def leader(checkpoint: str) -> Leader:
    """Return this process's one leader with the weights of a folder; they share the cores."""
    torch.set_num_threads(1)
    return Leader(checkpoint)
