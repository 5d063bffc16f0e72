"""Recorded episodes as latents on disk: what frozen tokenizers say of them, computed once.

One safetensors file per episode, in a folder named after everything that its numbers depend on.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from tqdm import tqdm

from aim_policy.atomic import written_aside
from aim_policy.config import ConfigError
from aim_policy.encoded_episode import EncodedEpisode, encode_episode
from aim_policy.episode import EpisodeError, read_episode
from aim_policy.model.codec import Codec
from aim_policy.robot import RobotSpec

VERSION = 2
"""Raised when what is computed from an episode changes."""

TENSORS = 'steps', 'latents', 'first', 'maps', 'heat', 'position', 'target', 'event_steps'


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
