"""Reads RoboTwin's HDF5 layouts: the raw one, with what ours adds to it, and version 1.0."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from aim_policy.camera_track import CameraTrack, extrinsic_of
from aim_policy.events import EpisodeError, Event
from aim_policy.hdf5_fields import numbers, parse_json, pictures, text, word
from aim_policy.interface import Vector

ARMS = ('left', 'right')
PHYSICS_DT_S = 0.004
DEFAULT_STRIDE = 15
"""RoboTwin records every so many physics steps, and does not say so in a raw file."""

_CAMERAS_V1 = {
    'cam_head': 'head_camera',
    'cam_left_wrist': 'left_camera',
    'cam_right_wrist': 'right_camera',
    'cam_third_view': 'front_camera',
}


def read(file: h5py.File, path: Path) -> dict[str, Any]:
    """Return the fields of an `Episode` from either layout; `path` tells what the file does not.

    Raises:
        EpisodeError: neither layout, or something in it is missing or of another type.
    """
    if 'joint_action' in file:
        fields = _read_raw(file, path)
    elif 'state' in file and 'action' in file:
        fields = _read_v1(file, path)
    else:
        found = ', '.join(sorted(file)) or 'nothing'
        expected = 'joint_action (raw layout) or state and action (version 1.0)'
        raise EpisodeError(f'has {found}, expected {expected}')
    if not fields['cameras']:
        raise EpisodeError('has no camera, expected at least one')
    return {**_origin(file, path), **fields}


def _origin(file: h5py.File, path: Path) -> dict[str, Any]:
    """What an episode is of; RoboTwin says it by folders: <task>/<task config>/data/<file>."""
    config = path.absolute().parent.parent
    standard = path.absolute().parent.name == 'data'
    task, setting = (config.parent.name, config.name) if standard else ('', '')
    return {
        'task': word(file.attrs, 'task', task),
        'setting': word(file.attrs, 'setting', setting),
        'seed': int(file.attrs.get('seed', -1)),
        'robot': word(file.attrs, 'robot', ''),
    }


def _read_raw(file: h5py.File, path: Path) -> dict[str, Any]:
    target = numbers(file, 'joint_action/vector', 2)
    observation, endpose = file.get('observation', {}), None
    if 'endpose' in file:
        endpose = {arm: numbers(file, f'endpose/{arm}_endpose', 2) for arm in ARMS}
    measured = 'joint_position' in file
    return {
        'instructions': _raw_instructions(file, path),
        'dt_s': float(file.attrs.get('dt_s', DEFAULT_STRIDE * PHYSICS_DT_S)),
        'joint_target': target,
        'joint_position': numbers(file, 'joint_position/vector', 2) if measured else None,
        'endpose': endpose,
        'cameras': {name: _raw_camera(file, name, path, len(target)) for name in observation},
        'object_pose': {
            name: numbers(file, f'object_pose/{name}', 2) for name in file.get('object_pose', {})
        },
        'events': tuple(_event(file, f'events/{name}') for name in sorted(file.get('events', {}))),
    }


def _raw_camera(file: h5py.File, name: str, path: Path, frames: int) -> CameraTrack:
    group = f'observation/{name}'
    jpeg = pictures(file, f'{group}/rgb')
    if f'{group}/image_steps' in file:
        steps = numbers(file, f'{group}/image_steps', 1).astype(np.int64)
    elif len(jpeg) == frames:
        steps = np.arange(frames)
    else:
        expected = f'{frames} like joint_action/vector, or image_steps'
        raise EpisodeError(f'{group}/rgb has {len(jpeg)} pictures, expected {expected}')
    at_reset = f'{group}/rgb_at_reset'
    return CameraTrack(
        intrinsic=numbers(file, f'{group}/intrinsic_cv', 3),
        extrinsic=numbers(file, f'{group}/extrinsic_cv', 3),
        image_steps=steps,
        jpeg=jpeg,
        at_reset=pictures(file, at_reset)[0] if at_reset in file else b'',
        origin=f'{path}: {group}/rgb',
    )


def _raw_instructions(file: h5py.File, path: Path) -> dict[str, tuple[str, ...]]:
    beside = path.absolute().parent.parent / 'instructions' / f'{path.stem}.json'
    if 'instructions' in file:
        wordings = parse_json(text(file, 'instructions'), dict, 'instructions')
    elif beside.is_file():
        wordings = parse_json(beside.read_text(encoding='utf-8'), dict, str(beside))
    else:
        wordings = {}
    return {name: tuple(map(str, wordings.get(name, ()))) for name in ('seen', 'unseen')}


def _event(file: h5py.File, where: str) -> Event:
    points, attributes = numbers(file, where, 2), file[where].attrs
    try:
        words = {name: word(attributes, name) for name in ('arm', 'kind', 'object')}
        return Event(step=int(attributes['step']), points=points, **words)
    except KeyError as error:
        raise EpisodeError(f'{where} has no attribute step, arm, kind or object') from error
    except EpisodeError as error:
        raise EpisodeError(f'{where}: {error}') from error


def _read_v1(file: h5py.File, path: Path) -> dict[str, Any]:
    parts = [f'{arm}_{part}_joint_states' for arm in ARMS for part in ('arm', 'ee')]
    columns = [_frames(file, name) for name in parts]
    lengths = [len(column) for column in columns]
    if len(set(lengths)) > 1:
        raise EpisodeError(f'action/{{{", ".join(parts)}}} have {lengths} frames, expected one')
    stride = numbers(file, 'additional_info/frequency', 0).item()
    wordings = parse_json(text(file, 'instructions'), list, 'instructions')
    return {
        'instructions': {'seen': tuple(map(str, wordings)), 'unseen': ()},
        'dt_s': stride * PHYSICS_DT_S,
        'joint_target': np.concatenate(columns, axis=1),
        'joint_position': None,
        'endpose': {arm: _frames(file, f'{arm}_ee_poses') for arm in ARMS},
        'cameras': {
            _CAMERAS_V1.get(name, name): _camera_v1(file, name, path)
            for name in file.get('vision', {})
        },
        'object_pose': {},
        'events': (),
    }


def _frames(file: h5py.File, name: str) -> Vector:
    """The first state, then what each frame's action leads to: [T, ...]."""
    states, actions = numbers(file, f'state/{name}', 2), numbers(file, f'action/{name}', 2)
    if states.shape != actions.shape:
        found = f'action/{name} has shape {actions.shape}'
        raise EpisodeError(f'{found}, expected {states.shape} like state/{name}')
    return np.concatenate([states[:1], actions])


def _camera_v1(file: h5py.File, name: str, path: Path) -> CameraTrack:
    group = f'vision/{name}'
    jpeg = pictures(file, f'{group}/colors')
    placed = numbers(file, f'{group}/extrinsics_matrix', 3)
    if placed.shape[1:] != (4, 4):
        found = f'{group}/extrinsics_matrix has shape {placed.shape}'
        raise EpisodeError(f'{found}, expected (T, 4, 4)')
    if len(jpeg) != len(placed):
        expected = f'{len(placed)} like extrinsics_matrix'
        raise EpisodeError(f'{group}/colors has {len(jpeg)} pictures, expected {expected}')
    return CameraTrack(
        intrinsic=_repeat_last(numbers(file, f'{group}/intrinsic_matrix', 3)),
        extrinsic=_repeat_last(extrinsic_of(placed)),
        image_steps=np.arange(len(jpeg)),
        jpeg=jpeg,
        origin=f'{path}: {group}/colors',
    )


def _repeat_last(matrices: Vector) -> Vector:
    """Add the last frame, of which this layout has an action but no picture and no camera."""
    return np.concatenate([matrices, matrices[-1:]])
