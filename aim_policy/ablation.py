"""Policies with something taken from them, to see whether it mattered."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from aim_policy.config import ConfigError
from aim_policy.interface import Observation, Policy, PolicyOutput, Vector

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from aim_policy.model.sampler import Context, Intent
    from aim_policy.rollout import Rollout, Scene


class Ablation:
    """Passes everything on to a policy; what is taken from it, subclasses say."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.key_frame_steps = policy.key_frame_steps

    def prepare(self, scene: Scene, rollout: Rollout) -> None:
        """Get ready for an episode; the rollout may play other scenes before it."""

    def reset(self, instruction: str, seed: int) -> None:
        """See `Policy`."""
        self.policy.reset(instruction, seed)

    def observe(self, observation: Observation, executed: Vector) -> None:
        """See `Policy`."""
        self.policy.observe(self.altered(observation), executed)

    def infer(self, observation: Observation, committed: Vector | None = None) -> PolicyOutput:
        """See `Policy`."""
        return self.policy.infer(self.altered(observation), committed)

    def altered(self, observation: Observation) -> Observation:
        """Return what the policy gets to see."""
        return observation


class BlackCameras(Ablation):
    """All images are black."""

    def altered(self, observation: Observation) -> Observation:
        """See `Ablation`."""
        black = {name: np.zeros_like(image) for name, image in observation.images.items()}
        return replace(observation, images=black)


class OtherInstruction(Ablation):
    """What is said belongs to another of the evaluated tasks, or of all if there is one only."""

    def prepare(self, scene: Scene, rollout: Rollout) -> None:
        """Draw the other task, and hear what is said there."""
        from sim_bridge.tasks import tasks_of

        tasks = rollout.plan.tasks if len(rollout.plan.tasks) > 1 else tasks_of(['all'])
        others = sorted(set(tasks) - {scene.task})
        task = others[np.random.default_rng(scene.seed).integers(len(others))]
        self._instruction = rollout.instruction(replace(scene, task=task))

    def reset(self, instruction: str, seed: int) -> None:
        """See `Policy`."""
        self.policy.reset(self._instruction, seed)

    def altered(self, observation: Observation) -> Observation:
        """See `Ablation`."""
        return replace(observation, instruction=self._instruction)


class OtherMap(Ablation):
    """The action head acts on the value maps of another scene of the task, chunk by chunk.

    The other scene is one that no evaluation of this seed shows; what was imagined in it is kept.
    Stands in for the policy's sampler to hand the maps over.
    """

    def __init__(self, policy: Policy) -> None:
        super().__init__(policy)
        if not hasattr(policy, 'sampler'):
            raise ConfigError('other_map needs a policy that imagines maps, expected policy aim')
        self._sampler, policy.sampler = policy.sampler, self
        self.act = self._sampler.act
        self._donors: dict[tuple[str, str], list[Tensor]] = {}
        self._given: list[Tensor] = []
        self._own: list[Tensor] = []

    def prepare(self, scene: Scene, rollout: Rollout) -> None:
        """Imagine maps in another scene of the task, once."""
        from aim_policy.rollout import PolicyStopped
        from sim_bridge.backend import FIRST_EVALUATION_SEED

        key = scene.task, scene.setting
        if key not in self._donors:
            self._given = []
            last = (scene.seed // FIRST_EVALUATION_SEED + 1) * FIRST_EVALUATION_SEED - 1
            with contextlib.suppress(PolicyStopped):
                rollout.play(replace(scene, seed=last))
            if not self._own:
                raise RuntimeError(f'no map was imagined in seed {last}, expected at least one')
            self._donors[key] = self._own
        self._given = self._donors[key]

    def reset(self, instruction: str, seed: int) -> None:
        """See `Policy`."""
        self._own = []
        super().reset(instruction, seed)

    def imagine(self, context: Context, generator: torch.Generator) -> Intent:
        """See `Sampler`."""
        own = self._sampler.imagine(context, generator)
        self._own.append(own.value)
        if not self._given:
            return own
        value = self._given[min(len(self._own), len(self._given)) - 1]
        return self._sampler.freeze(value, context, own.rgb)


ABLATIONS: dict[str, type[Ablation]] = {
    'black_cameras': BlackCameras,
    'other_instruction': OtherInstruction,
    'other_map': OtherMap,
}
"""Name -> wrapper around a policy."""
