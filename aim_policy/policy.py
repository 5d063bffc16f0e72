"""AIM as a policy: camera images and joints in, a chunk of joint targets and value maps out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from aim_policy.checks import check_instruction, check_joints, check_observation
from aim_policy.config import ConfigError
from aim_policy.interface import Observation, PolicyOutput, Vector
from aim_policy.model.aim import AimModel
from aim_policy.model.config import ModelConfig, load_model_config
from aim_policy.model.sampler import Sampler
from aim_policy.robot import RobotSpec
from aim_policy.transforms import Normalisation, Transforms


class AimPolicy:
    """Runs an AIM network on one robot. One seed and one sequence of inputs give one motion."""

    def __init__(
        self,
        robot: RobotSpec,
        config: ModelConfig,
        model: AimModel,
        figures: Normalisation | None = None,
        device: str = 'cpu',
        weights: str = 'own weights',
        show_future: bool = False,
    ) -> None:
        """Put a model to work.

        Args:
            robot: what it drives.
            config: what `model` was built from.
            model: the network.
            figures: normalisation that it was trained with; by default that of the robot's ranges.
            device: torch device to compute on.
            weights: where they come from, for `description`.
            show_future: decode the imagined camera images too.
        """
        figures = figures or Normalisation.of_robot(robot, config.action_unit_rad)
        self.robot = robot
        self.config = config
        self.device = _device(device)
        self.model = model.to(self.device).eval()
        self.description = f'AIM {config.name}, {weights}'
        self.show_future = show_future
        self._transforms = Transforms(robot, config, figures)
        self._sampler = Sampler(self.model.transformer, config.sampling)
        # On the CPU wherever the network is, so that every device draws the same noise.
        self._generator = torch.Generator().manual_seed(0)
        self._chunk_id = 0

    @classmethod
    def random(
        cls, robot: RobotSpec, config: ModelConfig, seed: int, device: str = 'cpu'
    ) -> AimPolicy:
        """Return a policy with untrained weights: it trembles, safely."""
        model = AimModel.random(config, seed)
        weights = 'random weights: expect no success'
        return cls(robot, config, model, device=device, weights=weights)

    def reset(self, instruction: str, seed: int) -> None:
        """Start an episode; all randomness of it comes from `seed`."""
        check_instruction(instruction)
        self._generator.manual_seed(seed)
        self._chunk_id = 0

    def observe(self, observation: Observation, executed: Vector) -> None:
        """Check a key frame between two chunks; this network keeps no history."""
        check_observation(observation, self.robot)
        for row in executed:
            check_joints('executed', row, self.robot)

    def infer(self, observation: Observation) -> PolicyOutput:
        """Imagine where to act, then act.

        Raises:
            ValueError: the observation does not fit the robot.
        """
        check_observation(observation, self.robot)
        timings: dict[str, float] = {}
        with torch.inference_mode():
            with self._stage('encode', timings):
                context = self._sampler.append(*self._encode(observation))
            with self._stage('imagine', timings):
                intent = self._sampler.imagine(context, self._generator)
            with self._stage('act', timings):
                actions = self._sampler.act(context, intent, self._generator)
            with self._stage('decode', timings):
                chunk = self._transforms.chunk(actions, observation, self._chunk_id)
                maps = self._transforms.value_maps(self.model.decode_maps(intent.value))
                future = self._future_images(intent.rgb)
        self._chunk_id += 1
        return PolicyOutput(chunk, maps, future, timings)

    def _encode(self, observation: Observation) -> tuple[Tensor, Tensor, Tensor]:
        views = self._transforms.images(observation.images)
        latents = self.model.encode({name: view.to(self.device) for name, view in views.items()})
        text = self.model.text_encoder.encode(observation.instruction)[None]
        joints = self._transforms.proprioception(
            observation.joint_position, observation.joint_target
        )
        return latents, text.to(self.device), joints.to(self.device)

    def _future_images(self, latents: Tensor | None) -> dict:
        if latents is None or not self.show_future:
            return {}
        return self._transforms.future_images(self.model.decode(latents))

    @contextmanager
    def _stage(self, name: str, timings: dict[str, float]) -> Iterator[None]:
        start = time.perf_counter()
        yield
        if self.device.type == 'cuda':
            torch.cuda.synchronize(self.device)
        timings[name] = 1e3 * (time.perf_counter() - start)


def make_aim(robot: RobotSpec, checkpoint: str, device: str) -> AimPolicy:
    """Build AIM for `aim_policy.registry`.

    Raises:
        ConfigError: a checkpoint is asked for.
    """
    if checkpoint:
        raise ConfigError(f'checkpoint is "{checkpoint}", expected none: no AIM can load one')
    return AimPolicy.random(robot, load_model_config('test'), seed=0, device=device)


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f'device "{name}" cannot be used: {reason}') from error
    return device
