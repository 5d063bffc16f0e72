"""Recorded episodes as latents on disk: what frozen tokenizers say of them, computed once.

One safetensors file per episode, in a folder named after everything that its numbers depend on.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from aim_policy.atomic import written_aside
from aim_policy.config import ConfigError
from aim_policy.episode import Episode, EpisodeError, read_episode
from aim_policy.model.codec import Codec
from aim_policy.robot import RobotSpec
from aim_policy.transforms import resize_images
from aim_policy.value_map import chunk_maps

VERSION = 1
"""Raised when what is computed from an episode changes."""


@dataclass(frozen=True)
class EncodedEpisode:
    """An episode as a model sees it: T policy steps, L latents.

    Attributes:
        path: the recording.
        task, setting, seed: of the scene.
        instructions: training wordings.
        steps: int[L], policy step at which each latent closes.
        latents: float16[L, C, rows, columns].
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
    maps: Tensor
    heat: Tensor
    has_maps: bool
    position: Tensor
    target: Tensor
    event_steps: Tensor


TENSORS = ('steps', 'latents', 'maps', 'heat', 'position', 'target', 'event_steps')


def encode_episodes(
    paths: Sequence[Path], codec: Codec, robot: RobotSpec, folder: Path, workers: int = 1
) -> tuple[list[EncodedEpisode], dict[Path, str]]:
    """Encode what is not in the cache yet, then read all of it.

    Args:
        paths: HDF5 files in any of the layouts that `read_episode` knows.
        codec: whose tokenizer and sizes count.
        robot: that the episodes must be of.
        folder: of the cache.
        workers: processes.

    Returns:
        The episodes in the order of `paths`, and why files gave none: damage, or another robot.
    """
    cache = folder / cache_key(codec)
    cache.mkdir(parents=True, exist_ok=True)
    missing = [path for path in paths if not _is_fresh(_cached(cache, path), path)]
    errors: dict[Path, str] = {}
    if missing:
        job = partial(_encode_file, codec=codec, robot=robot, cache=cache)
        with ProcessPoolExecutor(workers, get_context('spawn'), _one_thread) as pool:
            results = pool.map(job, missing, chunksize=8)
            bar = tqdm(zip(missing, results, strict=True), 'encode', len(missing), unit='episode')
            errors = {path: reason for path, reason in bar if reason}
    return [_read(_cached(cache, p), p) for p in paths if p not in errors], errors


def cache_key(codec: Codec) -> str:
    """Name everything that latents and maps depend on."""
    digest = hashlib.sha256()
    for name, tensor in sorted(codec.tokenizer.state_dict().items()):
        digest.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
    config = codec.config
    views = [asdict(view) for view in config.views]
    digest.update(json.dumps([VERSION, views, config.frames, config.steps]).encode())
    return digest.hexdigest()[:16]


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
    small = {v.camera: resize_images(views[v.camera], v)[None] for v in codec.config.views}
    latents = codec.encode(small)[0].transpose(0, 1)
    return np.asarray(wanted)[::per_latent], latents


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


def _encode_file(path: Path, codec: Codec, robot: RobotSpec, cache: Path) -> str:
    """Put one episode into the cache; returns why that was not possible, '' if it was."""
    try:
        with torch.inference_mode():
            encoded = encode_episode(read_episode(path), codec, robot)
    except EpisodeError as error:
        return str(error)
    about = {n: v for n, v in vars(encoded).items() if n not in TENSORS and n != 'path'}
    tensors = {name: getattr(encoded, name).contiguous() for name in TENSORS}
    target = _cached(cache, path)
    with written_aside(target) as aside:
        save_file(tensors, aside, {'about': json.dumps(about), 'source': _fingerprint(path)})
    return ''


def _read(file: Path, path: Path) -> EncodedEpisode:
    with safe_open(file, 'pt') as content:
        about = json.loads(content.metadata()['about'])
        tensors = {name: content.get_tensor(name) for name in TENSORS}
    about['instructions'] = tuple(about['instructions'])
    return EncodedEpisode(path=str(path), **about, **tensors)


def _cached(cache: Path, path: Path) -> Path:
    name = hashlib.sha256(os.fsencode(path.absolute())).hexdigest()[:24]
    return cache / f'{name}.safetensors'


def _is_fresh(file: Path, path: Path) -> bool:
    """Whether a cache file is whole and of this very recording."""
    if not file.is_file():
        return False
    try:
        with safe_open(file, 'pt') as content:
            return bool(content.metadata()['source'] == _fingerprint(path))
    except (SafetensorError, OSError, KeyError, TypeError):
        return False


def _fingerprint(path: Path) -> str:
    if not path.is_file():
        raise ConfigError(f'{path}: no such file')
    stat = path.stat()
    return f'{stat.st_size} bytes at {stat.st_mtime_ns}'


def _one_thread() -> None:
    torch.set_num_threads(1)
