"""A recorded episode as a model sees it: pictures and contacts as latents."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from aim_policy.episode import Episode, EpisodeError
from aim_policy.model.codec import Codec
from aim_policy.robot import RobotSpec
from aim_policy.transforms import resize_images
from aim_policy.value_map import chunk_maps


@dataclass(frozen=True)
class EncodedEpisode:
    """An episode as a model sees it: T policy steps, L latents.

    Attributes:
        path: the recording.
        task, setting, seed: of the scene.
        instructions: training wordings.
        steps: int[L], policy step at which each latent closes.
        latents: float16[L, C, rows, columns].
        first: float16[C, rows, columns], of what a policy saw first in the scene.
        maps: float16[L, F, C, rows, columns], of a chunk planned there.
        heat: float16[L, F, rows, columns] in [0, 1], the hottest pixel of each latent cell.
        has_maps: False where contacts were not recorded; the maps then mean nothing.
        position: float64[T, A], measured joints; the commanded ones where they are not known.
        target: float64[T, A], commanded joints.
        event_steps: int[E], when contacts began.
    """

    path: str
    task: str
    setting: str
    seed: int
    instructions: tuple[str, ...]
    steps: Tensor
    latents: Tensor
    first: Tensor
    maps: Tensor
    heat: Tensor
    has_maps: bool
    position: Tensor
    target: Tensor
    event_steps: Tensor


def encode_episode(episode: Episode, codec: Codec, robot: RobotSpec) -> EncodedEpisode:
    """Turn pictures into latents, and contacts into the latents of value maps.

    A tokenizer of single frames gives a latent for each step with pictures; one of clips gives
    a latent for each `steps_per_frame`, encoded as the live policy does.

    Raises:
        EpisodeError: the episode is of another robot, or lacks a camera or pictures.
    """
    check_episode(episode, codec, robot)
    steps, latents = _latents(episode, codec)
    maps = [_maps(episode, codec, int(step)) for step in steps]
    measured = episode.joint_target if episode.joint_position is None else episode.joint_position
    return EncodedEpisode(
        path='', task=episode.task, setting=episode.setting, seed=episode.seed,
        instructions=tuple(episode.instructions.get('seen', ())) or (episode.instruction,),
        steps=torch.from_numpy(steps),
        latents=latents.half(),
        first=_first(episode, codec).half(),
        maps=torch.cat([map_latents for map_latents, _ in maps]).transpose(1, 2).half(),
        heat=torch.cat([cells for _, cells in maps]).half(),
        has_maps=bool(episode.events),
        position=torch.from_numpy(measured),
        target=torch.from_numpy(episode.joint_target),
        event_steps=torch.tensor([event.step for event in episode.events], dtype=torch.int64),
    )  # fmt: skip


def check_episode(episode: Episode, codec: Codec, robot: RobotSpec) -> None:
    """Refuse a recording that does not fit the model or the robot."""
    if episode.robot and episode.robot != robot.name:
        raise EpisodeError(f'robot is {episode.robot}, expected {robot.name}')
    columns, expected = episode.joint_target.shape[1], len(robot.joint_names)
    if columns != expected:
        raise EpisodeError(f'joint_target has {columns} columns, expected {expected}')
    if not np.isclose(episode.dt_s, robot.dt_s, rtol=0.02):
        raise EpisodeError(f'dt_s is {episode.dt_s}, expected {robot.dt_s} like {robot.name}')
    if not episode.instruction:
        raise EpisodeError('no instruction, expected at least one wording')
    for view in codec.config.views:
        if view.camera not in episode.cameras:
            known = ', '.join(sorted(episode.cameras)) or 'none'
            raise EpisodeError(f'camera {view.camera} is missing, found: {known}')


def _latents(episode: Episode, codec: Codec) -> tuple[np.ndarray, Tensor]:
    """Steps int64[L] and latents float[L, C, rows, columns]."""
    per_latent = codec.tokenizer.frames_per_latent
    first = episode.cameras[codec.config.views[0].camera]
    if per_latent == 1:
        wanted = first.image_steps
        apart = np.diff(wanted)
        if len(apart) and ((apart != apart[0]).any() or codec.config.steps_per_frame % apart[0]):
            raise EpisodeError(
                f'pictures are {sorted(set(apart.tolist()))} steps apart, expected a divisor of '
                f'{codec.config.steps_per_frame}'
            )
    else:
        wanted = np.arange(0, len(episode), codec.config.steps_per_frame // per_latent)
        wanted = wanted[: 1 + (len(wanted) - 1) // per_latent * per_latent]
    views = {v.camera: _pictures(episode, v.camera, wanted) for v in codec.config.views}
    return np.asarray(wanted)[::per_latent], _encoded(views, codec)


def _first(episode: Episode, codec: Codec) -> Tensor:
    """Latent of what was seen when the scene was reset, float[C, rows, columns]."""
    cameras = [view.camera for view in codec.config.views]
    return _encoded({c: episode.cameras[c].first_image()[None] for c in cameras}, codec)[0]


def _encoded(views: dict[str, np.ndarray], codec: Codec) -> Tensor:
    """Pictures uint8[n, H, W, 3] of each camera to latents float[L, C, rows, columns]."""
    small = {v.camera: resize_images(views[v.camera], v)[None] for v in codec.config.views}
    return codec.encode(small)[0].transpose(0, 1)


def _pictures(episode: Episode, camera: str, steps: np.ndarray) -> np.ndarray:
    """Decode pictures uint8[n, H, W, 3]; each step must have one."""
    track = episode.cameras[camera]
    index = [track.latest(int(step)) for step in steps]
    for step, found in zip(steps, index, strict=True):
        if track.image_steps[found] != step:
            raise EpisodeError(f'{camera} has no picture at step {step}, expected one')
    return np.stack([track.image(i) for i in index])


def _maps(episode: Episode, codec: Codec, now: int) -> tuple[Tensor, Tensor]:
    """Latents float[1, C, F, rows, columns] and cell heat float[1, F, rows, columns]."""
    config = codec.config
    size = {view.camera: (view.height, view.width) for view in config.views}
    heat = {
        camera: torch.from_numpy(
            chunk_maps(episode, camera, now, config.frames, config.steps_per_frame, pixels)
        )[None]
        for camera, pixels in size.items()
    }
    cells = {c: functional.max_pool2d(h, config.cell_px)[:, None] for c, h in heat.items()}
    return codec.encode_maps(heat), codec.canvas.compose(cells)[:, 0]
