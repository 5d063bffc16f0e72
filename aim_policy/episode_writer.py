"""Episodes into HDF5: RoboTwin's raw layout, with what it has no place for added beside.

Added: attributes on the root, `instructions` (JSON text), `joint_position/vector`,
`object_pose/<name>`, `events/<number>` (points, with attributes), for cameras with fewer pictures
than frames `observation/<camera>/image_steps`, and where a recording begins later than its scene
`observation/<camera>/rgb_at_reset`.
"""

from __future__ import annotations

import json
from importlib import metadata
from typing import TYPE_CHECKING

import h5py
import numpy as np

from aim_policy.camera_track import CameraTrack, opengl_pose
from aim_policy.events import EpisodeError, Event
from aim_policy.robotwin_layout import ARMS

if TYPE_CHECKING:
    from aim_policy.episode import Episode


def fill(file: h5py.File, episode: Episode) -> None:
    """Put an episode into an empty file.

    Raises:
        EpisodeError: the robot does not have two arms alike, left and right.
    """
    _check_arms(episode)
    _write_attributes(file, episode)
    file['instructions'] = _fixed(json.dumps(episode.instructions))
    gripper = {}
    for arm, columns in zip(ARMS, np.split(episode.joint_target, 2, axis=1), strict=True):
        gripper[arm] = columns[:, -1]
        file[f'joint_action/{arm}_arm'] = columns[:, :-1]
        file[f'joint_action/{arm}_gripper'] = gripper[arm]
    file['joint_action/vector'] = episode.joint_target
    if episode.joint_position is not None:
        file['joint_position/vector'] = episode.joint_position
    for arm, pose in (episode.endpose or {}).items():
        file[f'endpose/{arm}_endpose'] = pose
        file[f'endpose/{arm}_gripper'] = gripper[arm]
    for name, camera in episode.cameras.items():
        _write_camera(file.create_group(f'observation/{name}'), camera)
    for name, pose in episode.object_pose.items():
        file[f'object_pose/{name}'] = pose
    for number, event in enumerate(episode.events):
        _write_event(file, f'events/{number:04d}', event)


def _check_arms(episode: Episode) -> None:
    count = episode.joint_target.shape[1]
    if count % 2:
        found = f'joint_target has {count} columns'
        raise EpisodeError(f'{found}, expected an even number, for two arms alike')
    if episode.endpose is not None and set(episode.endpose) != set(ARMS):
        found = ', '.join(sorted(episode.endpose)) or 'none'
        raise EpisodeError(f'endpose is of {found}, expected {" and ".join(ARMS)}')


def _write_attributes(file: h5py.File, episode: Episode) -> None:
    try:
        version = metadata.version('aim_ros')
    except metadata.PackageNotFoundError:  # run from a checkout
        version = 'unknown'
    file.attrs['aim_ros_version'] = _fixed(version)
    for name in ('task', 'setting', 'robot', 'instruction'):
        file.attrs[name] = _fixed(getattr(episode, name))
    file.attrs.update(seed=episode.seed, dt_s=episode.dt_s)


def _write_camera(group: h5py.Group, camera: CameraTrack) -> None:
    group['intrinsic_cv'] = camera.intrinsic.astype(np.float32)
    group['extrinsic_cv'] = camera.extrinsic.astype(np.float32)
    group['cam2world_gl'] = opengl_pose(camera.extrinsic).astype(np.float32)
    group['rgb'] = np.array(camera.jpeg)  # fixed length: the longest, others padded with zeros
    if len(camera.jpeg) != len(camera.intrinsic):
        group['image_steps'] = camera.image_steps
    if camera.at_reset:
        group['rgb_at_reset'] = np.array([camera.at_reset])


def _write_event(file: h5py.File, name: str, event: Event) -> None:
    points = file.create_dataset(name, data=event.points, dtype=np.float64)
    points.attrs['step'] = event.step
    for word in ('arm', 'kind', 'object'):
        points.attrs[word] = _fixed(getattr(event, word))


def _fixed(text: str) -> np.bytes_:
    """Text of fixed length: HDF5 can hang on a damaged file with text of variable length."""
    return np.bytes_(text.encode())
