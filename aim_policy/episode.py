"""Recorded episodes: the data, and reading and writing them as one HDF5 file each."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from aim_policy import episode_writer, robotwin_layout
from aim_policy.atomic import written_aside
from aim_policy.camera_track import CameraTrack, encode_jpeg
from aim_policy.events import EpisodeError, Event
from aim_policy.interface import Vector

__all__ = [
    'CameraTrack',
    'Episode',
    'EpisodeError',
    'Event',
    'encode_jpeg',
    'read_episode',
    'write_episode',
]


@dataclass(frozen=True)
class Episode:
    """T recorded frames, frame 0 included; the action of frame t is `joint_target[t + 1]`.

    Attributes:
        task: name of the task.
        setting: easy or hard, or the name of RoboTwin's task config.
        seed: of the scene; -1 if unknown.
        robot: name of the robot; '' if unknown.
        instructions: wordings of the task: 'seen' ones for training, 'unseen' ones for evaluation.
        dt_s: time between frames.
        joint_target: float64[T, A], commanded.
        joint_position: float64[T, A], measured; None where it was not recorded.
        endpose: arm -> float64[T, 7], xyz + wxyz in the world; None where it was not recorded.
        cameras: camera name -> what it saw.
        object_pose: object name -> float64[T, 7], xyz + wxyz in the world.
        events: contacts; empty where none were recorded.
    """

    task: str
    setting: str
    seed: int
    robot: str
    instructions: dict[str, tuple[str, ...]]
    dt_s: float
    joint_target: Vector
    joint_position: Vector | None
    endpose: dict[str, Vector] | None
    cameras: dict[str, CameraTrack]
    object_pose: dict[str, Vector]
    events: tuple[Event, ...]

    def __post_init__(self) -> None:
        shape = np.shape(self.joint_target)
        if len(shape) != 2 or 0 in shape:
            raise EpisodeError(f'joint_target has shape {shape}, expected (T, A)')
        if not self.dt_s > 0:
            raise EpisodeError(f'dt_s is {self.dt_s}, expected more than 0')
        _check('joint_target', self.joint_target, shape)
        if self.joint_position is not None:
            _check('joint_position', self.joint_position, shape)
        for name in (*self.cameras, *self.object_pose):
            if not name or '/' in name:
                raise EpisodeError(f'the name "{name}" is empty or has a slash, expected a word')
        poses = {f'endpose/{arm}': pose for arm, pose in (self.endpose or {}).items()}
        poses.update({f'object_pose/{name}': pose for name, pose in self.object_pose.items()})
        for name, pose in poses.items():
            _check(name, pose, (len(self), 7))
        for name, camera in self.cameras.items():
            self._check_camera(f'cameras/{name}', camera)
        for event in self.events:
            self._check_event(event)

    def __len__(self) -> int:
        """T."""
        return len(self.joint_target)

    @property
    def instruction(self) -> str:
        """The first wording that there is, or ''."""
        known = (*self.instructions.get('seen', ()), *self.instructions.get('unseen', ()), '')
        return known[0]

    def _check_camera(self, name: str, camera: CameraTrack) -> None:
        _check(f'{name}/intrinsic', camera.intrinsic, (len(self), 3, 3))
        _check(f'{name}/extrinsic', camera.extrinsic, (len(self), 3, 4))
        steps = camera.image_steps
        if not len(steps) or len(steps) != len(camera.jpeg):
            found = f'{len(camera.jpeg)} pictures and {len(steps)} image_steps'
            raise EpisodeError(f'{name} has {found}, expected as many of both, and at least one')
        if steps[0] < 0 or steps[-1] >= len(self) or (np.diff(steps) <= 0).any():
            expected = f'rising from 0 to {len(self) - 1}'
            raise EpisodeError(f'{name}/image_steps is {steps.tolist()}, expected {expected}')

    def _check_event(self, event: Event) -> None:
        what = f'event {event.kind} {event.object}'
        if not 0 <= event.step < len(self):
            raise EpisodeError(f'{what} is at step {event.step}, expected 0 to {len(self) - 1}')
        if event.object not in self.object_pose:
            known = ', '.join(sorted(self.object_pose)) or 'none'
            raise EpisodeError(f'{what}: object_pose/{event.object} is missing, found: {known}')


def read_episode(path: Path | str) -> Episode:
    """Read an episode: our files, RoboTwin's raw ones and RoboTwin's of version 1.0.

    Raises:
        EpisodeError: the file is cut off, foreign or not consistent; names file and field.
    """
    path = Path(path)
    if not path.is_file():
        raise EpisodeError(f'{path}: no such file')
    try:
        with h5py.File(path, 'r') as file:
            return Episode(**robotwin_layout.read(file, path))
    except EpisodeError as error:
        raise EpisodeError(f'{path}: {error}') from error
    except (OSError, RuntimeError, TypeError, ValueError, KeyError) as error:
        # h5py reports damage as any of these.
        reason = ' '.join(str(error).split())
        raise EpisodeError(f'{path}: cannot be read as HDF5: {reason}') from error


def write_episode(path: Path | str, episode: Episode, overwrite: bool = False) -> None:
    """Write an episode in RoboTwin's raw layout, whole or not at all.

    Raises:
        EpisodeError: the file exists, or the layout has no place for this robot.
        OSError: it could not be written, for example to a full disk; nothing is left of it.
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise EpisodeError(f'{path}: exists already, expected a new name')
    # Built in memory, because HDF5 does not fail in an orderly way on a full disk.
    content = io.BytesIO()
    with h5py.File(content, 'w') as file:
        episode_writer.fill(file, episode)
    with written_aside(path) as aside:
        aside.write_bytes(content.getbuffer())


def _check(name: str, values: Vector, shape: tuple[int, ...]) -> None:
    if np.shape(values) != shape:
        raise EpisodeError(f'{name} has shape {np.shape(values)}, expected {shape}')
    if values.dtype != np.float64:
        raise EpisodeError(f'{name} has type {values.dtype}, expected float64')
    if not np.isfinite(values).all():
        raise EpisodeError(f'{name} has values that are not finite, expected numbers')
