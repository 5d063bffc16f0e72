"""The border between numpy and the network: observations to tensors, tensors to motion and maps.

Training and the live policy use this same code. Images and joints must have passed
`aim_policy.checks` before.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from aim_policy.config import ConfigError
from aim_policy.interface import ActionChunk, Image, Observation, ValueMaps, Vector
from aim_policy.model.config import ModelConfig, ViewConfig
from aim_policy.robot import RobotSpec

SPEED_SHARE = 0.95
"""Share of a joint's top speed that a chunk may ask for; the rest is the gate's margin."""


@dataclass(frozen=True)
class Normalisation:
    """Figures between robot and network units: number = (value - offset) / scale; each has A.

    Joint actions are taken relative to the commanded joints first, grippers stay absolute.
    """

    joint_offset: tuple[float, ...]
    joint_scale: tuple[float, ...]
    action_offset: tuple[float, ...]
    action_scale: tuple[float, ...]

    def __post_init__(self) -> None:
        for name in ('joint_scale', 'action_scale'):
            if min(getattr(self, name)) <= 0:
                raise ConfigError(f'{name} is {getattr(self, name)}, expected positive numbers')

    @classmethod
    def of_robot(cls, robot: RobotSpec, action_unit_rad: float) -> Normalisation:
        """Figures that need no data: the joints' ranges, and one unit of relative motion."""
        offset, scale = (robot.lower + robot.upper) / 2, (robot.upper - robot.lower) / 2
        gripper = gripper_columns(robot)
        return cls(
            joint_offset=tuple(offset.tolist()),
            joint_scale=tuple(scale.tolist()),
            action_offset=tuple(np.where(gripper, offset, 0.0).tolist()),
            action_scale=tuple(np.where(gripper, scale, action_unit_rad).tolist()),
        )


def gripper_columns(robot: RobotSpec) -> np.ndarray:
    """Which columns of an action vector are grippers, bool[A]."""
    grippers = {arm.gripper.joint for arm in robot.arms}
    return np.array([name in grippers for name in robot.joint_names])


class Transforms:
    """Conversions for one robot, model and set of figures.

    Attributes:
        gripper: which columns of an action vector are grippers, bool[A].
    """

    def __init__(self, robot: RobotSpec, config: ModelConfig, figures: Normalisation) -> None:
        _check_fit(robot, config, figures)
        self.robot = robot
        self.config = config
        self.figures = figures
        self._cameras = {camera.name: camera for camera in robot.cameras}
        self.gripper = gripper_columns(robot)

    def images(self, images: dict[str, Image]) -> dict[str, Tensor]:
        """Scale camera images down by area.

        Args:
            images: camera -> uint8[H, W, 3] RGB.

        Returns:
            camera -> float[1, 1, 3, h, w] in [-1, 1], at the sizes of the canvas views.
        """
        views = self.config.views
        return {v.camera: resize_images(images[v.camera][None], v)[None] for v in views}

    def proprioception(self, position: Vector, target: Vector) -> Tensor:
        """Measured and commanded joints float64[A] -> float[1, 2 A], limits at -1 and 1."""
        offset, scale = np.array(self.figures.joint_offset), np.array(self.figures.joint_scale)
        joints = np.concatenate([(position - offset) / scale, (target - offset) / scale])
        return torch.from_numpy(joints).float()[None]

    def actions(self, positions: Vector, target: Vector) -> Tensor:
        """Joint targets float64[K, A] -> network units float[1, K, A].

        Args:
            positions: absolute.
            target: float64[A], commanded when the chunk was planned.
        """
        offset, scale = self._action_figures(target)
        return torch.from_numpy((positions - offset) / scale).float()[None]

    def positions(self, actions: Tensor, target: Vector) -> Vector:
        """The inverse of `actions`: absolute joint targets float64[K, A], unlimited."""
        offset, scale = self._action_figures(target)
        return actions[0].double().cpu().numpy() * scale + offset

    def chunk(
        self,
        actions: Tensor,
        observation: Observation,
        chunk_id: int,
        committed: Vector | None = None,
    ) -> ActionChunk:
        """Network units float[1, K, A] -> motion within the robot's limits and speeds.

        The first k rows are what is committed, float64[k, A], to the last bit.
        """
        target = observation.joint_target
        done = np.empty((0, len(target))) if committed is None else committed
        start = done[-1] if len(done) else target
        rows = limit_motion(self.positions(actions, target)[len(done) :], start, self.robot)
        return ActionChunk(
            positions=np.concatenate([done, rows]),
            dt_s=self.robot.dt_s,
            joint_names=self.robot.joint_names,
            stamp_ns=observation.stamp_ns,
            chunk_id=chunk_id,
        )

    def value_maps(self, heat: dict[str, Tensor]) -> ValueMaps:
        """Heat per camera float[1, F, h, w], about [0, 1] -> maps aligned to the camera images."""
        full = {
            name: self._enlarge(name, values[0, :, None])[:, 0].cpu().numpy()
            for name, values in heat.items()
        }
        per_frame_s = self.config.steps_per_frame * self.robot.dt_s
        return ValueMaps(
            heat={name: values.clip(0, 1) for name, values in full.items()},
            times_s=per_frame_s * np.arange(1, self.config.frames + 1),
            # Before clipping, which flattens the top of a map that overshoots.
            peak_px={name: _peaks(values) for name, values in full.items()},
        )

    def future_images(self, frames: dict[str, Tensor]) -> dict[str, Image]:
        """Imagined frames float[1, F, 3, h, w] in [-1, 1] -> uint8[F, H, W, 3] per camera."""
        result = {}
        for name, values in frames.items():
            pixels = (self._enlarge(name, values[0]) + 1) * 127.5
            result[name] = pixels.clamp(0, 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
        return result

    def _action_figures(self, target: Vector) -> tuple[Vector, Vector]:
        offset = np.array(self.figures.action_offset) + np.where(self.gripper, 0.0, target)
        return offset, np.array(self.figures.action_scale)

    def _enlarge(self, camera: str, values: Tensor) -> Tensor:
        size = self._cameras[camera].height, self._cameras[camera].width
        return functional.interpolate(values.float(), size, mode='bilinear', align_corners=False)


def resize_images(images: np.ndarray, view: ViewConfig) -> Tensor:
    """Scale uint8[n, H, W, 3] down by area to float[n, 3, h, w] in [-1, 1]."""
    pixels = torch.from_numpy(np.array(images, order='C')).permute(0, 3, 1, 2).float()
    small = functional.interpolate(pixels, (view.height, view.width), mode='area')
    return small / 127.5 - 1


def limit_motion(positions: Vector, target: Vector, robot: RobotSpec) -> Vector:
    """Keep a chunk float64[K, A] within the joints' limits, and each step within their speeds.

    Args:
        positions: where to be, step by step.
        target: float64[A], where the motion starts.
        robot: whose limits.
    """
    reach = SPEED_SHARE * robot.max_velocity * robot.dt_s
    before = np.clip(target, robot.lower, robot.upper)
    wanted = np.clip(positions, robot.lower, robot.upper)
    result = np.empty_like(wanted)
    for k, row in enumerate(wanted):
        result[k] = before = np.clip(row, before - reach, before + reach)
    return result


def _peaks(maps: np.ndarray) -> Vector:
    """Column and row of the highest value of maps [F, H, W]: float64[F, 2]."""
    flat = maps.reshape(len(maps), -1).argmax(axis=1)
    rows, columns = np.unravel_index(flat, maps.shape[1:])
    return np.stack([columns, rows], axis=1).astype(np.float64)


def _check_fit(robot: RobotSpec, config: ModelConfig, figures: Normalisation) -> None:
    count, cameras = len(robot.joint_names), {camera.name for camera in robot.cameras}
    if config.action_dim != count:
        expected = f'{count} like the joints of {robot.name}'
        raise ConfigError(f'{config.name}: action_dim is {config.action_dim}, expected {expected}')
    for view in config.views:
        if view.camera not in cameras:
            known = ', '.join(sorted(cameras))
            raise ConfigError(f'{config.name}: {robot.name} has no {view.camera}, only {known}')
    for name, values in vars(figures).items():
        if len(values) != count:
            raise ConfigError(f'normalisation {name} has {len(values)} values, expected {count}')
