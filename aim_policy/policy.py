"""AIM as a policy: camera images and joints in, a chunk of joint targets and value maps out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from aim_policy.checkpoint import load_checkpoint
from aim_policy.checks import check_instruction, check_joints, check_observation
from aim_policy.config import ConfigError
from aim_policy.history import History
from aim_policy.interface import Image, Observation, PolicyOutput, Vector
from aim_policy.model.aim import AimModel
from aim_policy.model.config import ModelConfig
from aim_policy.model.sampler import Sampler
from aim_policy.robot import RobotSpec, share_dir
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
        preset: str = '',
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
            preset: name in `aim_policy.model.config.PRESETS`, '' for the model's own steps.
        """
        figures = figures or Normalisation.of_robot(robot, config.action_unit_rad)
        self.robot = robot
        self.config = config
        self.device = _device(device)
        self.model = model.to(self.device).eval()
        self.description = f'AIM {config.name}, {weights}'
        self.show_future = show_future
        self._transforms = Transforms(robot, config, figures)
        self.sampling = config.sampling.preset(preset)
        self._black = self._black_maps()
        self.sampler = Sampler(self.model.transformer, self.sampling, self._black)
        self.history = History(self.model, self.sampler, self._transforms)
        self.key_frame_steps = self.history.key_frame_steps
        # On the CPU wherever the network is, so that every device draws the same noise.
        self._generator = torch.Generator().manual_seed(0)
        self._chunk_id = 0

    @classmethod
    def random(
        cls,
        robot: RobotSpec,
        config: ModelConfig,
        seed: int,
        device: str = 'cpu',
        preset: str = '',
    ) -> AimPolicy:
        """Return a policy with untrained weights: it trembles, safely."""
        model = AimModel.random(config, seed)
        weights = 'random weights: expect no success'
        return cls(robot, config, model, device=device, weights=weights, preset=preset)

    @classmethod
    def from_checkpoint(
        cls, path: Path | str, robot: RobotSpec, device: str = 'cpu', preset: str = ''
    ) -> AimPolicy:
        """Return the policy that a checkpoint of `aim_policy.checkpoint` holds.

        Raises:
            ConfigError: it is damaged, of another format, or made for another robot.
        """
        info, model = load_checkpoint(path, robot)
        weights = f'weights of {Path(path).resolve().name}'
        return cls(robot, info.model, model, info.normalisation, device, weights, preset=preset)

    def reset(self, instruction: str, seed: int) -> None:
        """Start an episode; all randomness of it comes from `seed`.

        Raises:
            ValueError: there is no word in the instruction, or more than the network reads.
        """
        check_instruction(instruction)
        with torch.inference_mode():
            self.history.begin(instruction)
        self._generator.manual_seed(seed)
        self._chunk_id = 0

    def observe(self, observation: Observation, executed: Vector) -> None:
        """Take note of a key frame between two chunks, if the network keeps a history.

        Key frames stand where the network expects them: `key_frame_steps` rows of motion apart.

        Args:
            observation: the frame.
            executed: float64[n, A], targets that were commanded since the frame before; empty if
                nobody knows, the last chunk then counts as executed.

        Raises:
            ValueError: the observation does not fit the robot, or `executed` not the time.
        """
        check_observation(observation, self.robot)
        for row in executed:
            check_joints('executed', row, self.robot)
        with torch.inference_mode():
            self.history.observe(observation, executed)

    def infer(self, observation: Observation, committed: Vector | None = None) -> PolicyOutput:
        """Imagine where to act, then act.

        Args:
            observation: what is known.
            committed: float64[k, A], the first k rows of the chunk as they were promised already;
                the others continue them (real-time chunking).

        Raises:
            ValueError: the observation, or what is committed, does not fit the robot.
        """
        check_observation(observation, self.robot)
        promised = self._promised(observation, committed)
        timings: dict[str, float] = {}
        with torch.inference_mode():
            with self._stage('append', timings):
                context = self.history.context(observation)
            with self._stage('imagine', timings):
                intent = self.sampler.imagine(context, self._generator)
            with self._stage('act', timings):
                actions = self.sampler.act(context, intent, self._generator, promised)
            with self._stage('decode', timings):
                chunk = self._transforms.chunk(actions, observation, self._chunk_id, committed)
                maps = self._transforms.value_maps(
                    self.model.decode_maps(intent.value, self._black)
                )
                future = self._future_images(intent.rgb, context.current)
        self.history.planned(context, observation, chunk.positions)
        self._chunk_id += 1
        return PolicyOutput(chunk, maps, future, timings)

    def _promised(self, observation: Observation, committed: Vector | None) -> Tensor | None:
        """What is committed in network units, float[1, k, A]."""
        if committed is None:
            return None
        if not 0 < len(committed) < self.config.steps:
            limit = f'1 to {self.config.steps - 1}'
            raise ValueError(f'{len(committed)} rows are committed, expected {limit}')
        for row in committed:
            check_joints('committed', row, self.robot)
        return self._transforms.actions(committed, observation.joint_target).to(self.device)

    def _black_maps(self) -> Tensor:
        """What maps without any heat look like in latents: float[1, C, 1, rows, columns]."""
        black = {
            view.camera: torch.zeros(1, 1, view.height, view.width, device=self.device)
            for view in self.config.views
        }
        with torch.inference_mode():
            return self.model.encode_maps(black)

    def _future_images(self, latents: Tensor | None, current: Tensor) -> dict[str, Image]:
        if latents is None or not self.show_future:
            return {}
        return self._transforms.future_images(self.model.decode(latents, current))

    @contextmanager
    def _stage(self, name: str, timings: dict[str, float]) -> Iterator[None]:
        """Time on the device itself where it keeps time."""
        if self.device.type == 'cuda':
            first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            first.record()
            yield
            last.record()
            last.synchronize()
            timings[name] = first.elapsed_time(last)
        else:
            start = time.perf_counter()
            yield
            timings[name] = 1e3 * (time.perf_counter() - start)


def make_aim(robot: RobotSpec, checkpoint: str, device: str, preset: str = '') -> AimPolicy:
    """Build AIM for `aim_policy.registry`.

    Without a checkpoint it takes the one that is shipped.

    Raises:
        ConfigError: the checkpoint cannot be loaded, or was made for another robot.
    """
    folder = checkpoint or share_dir() / 'models' / 'aim_tiny'
    return AimPolicy.from_checkpoint(folder, robot, device, preset)


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f'device "{name}" cannot be used: {reason}') from error
    return device
