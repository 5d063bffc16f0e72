"""What one camera recorded over an episode: where it was, and its pictures as JPEG.

RoboTwin hands RGB arrays to an encoder that takes them for BGR, so the pictures in its files have
red and blue swapped for every other reader. Ours are written the same way, for its tools.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from aim_policy.events import EpisodeError
from aim_policy.interface import Image, Vector

JPEG_QUALITY = 95
_AXES = np.array([1.0, -1.0, -1.0])


def encode_jpeg(rgb: Image) -> bytes:
    """Compress uint8[H, W, 3] RGB the way RoboTwin does, red and blue swapped."""
    stream = io.BytesIO()
    swapped = np.ascontiguousarray(rgb[..., ::-1])
    PillowImage.fromarray(swapped).save(stream, 'JPEG', quality=JPEG_QUALITY)
    return stream.getvalue()


def decode_jpeg(data: bytes) -> Image:
    """Undo `encode_jpeg`, but for its losses: uint8[H, W, 3] RGB.

    Raises:
        OSError: the data are no whole JPEG.
    """
    with PillowImage.open(io.BytesIO(data), formats=['JPEG']) as picture:
        swapped = np.asarray(picture.convert('RGB'))
    return np.ascontiguousarray(swapped[..., ::-1])


def opengl_pose(extrinsic: Vector) -> Vector:
    """World -> camera float[T, 3, 4] to camera -> world float[T, 4, 4], OpenGL axes.

    OpenGL's camera looks along -z with y up.
    """
    rotation = extrinsic[:, :, :3].swapaxes(1, 2)
    pose = np.tile(np.eye(4), (len(extrinsic), 1, 1))
    pose[:, :3, :3] = rotation * _AXES
    pose[:, :3, 3:] = -rotation @ extrinsic[:, :, 3:]
    return pose


def extrinsic_of(pose: Vector) -> Vector:
    """Undo `opengl_pose`: float[T, 4, 4] to float[T, 3, 4]."""
    rotation = (pose[:, :3, :3] * _AXES).swapaxes(1, 2)
    return np.concatenate([rotation, -rotation @ pose[:, :3, 3:]], axis=2)


@dataclass(frozen=True)
class CameraTrack:
    """A camera over the T frames of an episode, with F pictures.

    Attributes:
        intrinsic: float64[T, 3, 3], pixels from the top left corner. Matrices are rounded to
            float32, as which they are stored.
        extrinsic: float64[T, 3, 4], world -> camera, OpenCV axes (z forward, x right, y down).
        image_steps: int64[F], the frame that each picture belongs to.
        jpeg: F pictures, see `encode_jpeg`.
        at_reset: the picture when the scene was reset; empty where frame 0 is that one.
        origin: file and field, for errors.
    """

    intrinsic: Vector
    extrinsic: Vector
    image_steps: NDArray[np.int64]
    jpeg: tuple[bytes, ...]
    at_reset: bytes = b''
    origin: str = field(default='', compare=False)

    def __post_init__(self) -> None:
        for name in ('intrinsic', 'extrinsic'):
            rounded = np.asarray(getattr(self, name)).astype(np.float32).astype(np.float64)
            object.__setattr__(self, name, rounded)

    @cached_property
    def size(self) -> tuple[int, int]:
        """Height and width of the pictures."""
        return self.image(0).shape[:2]

    def image(self, index: int) -> Image:
        """Decode picture `index`: uint8[H, W, 3], RGB.

        Raises:
            EpisodeError: it is damaged.
        """
        return self._decoded(self.jpeg[index], f'picture {index}')

    def first_image(self) -> Image:
        """Decode what a policy saw first in this scene: uint8[H, W, 3], RGB.

        Raises:
            EpisodeError: it is damaged.
        """
        if not self.at_reset:
            return self.image(0)
        return self._decoded(self.at_reset, 'picture at the reset')

    def _decoded(self, data: bytes, name: str) -> Image:
        try:
            return decode_jpeg(data)
        except OSError as error:
            where = f'{self.origin}: ' if self.origin else ''
            message = f'{where}{name} is {len(data)} bytes, expected a whole JPEG ({error})'
            raise EpisodeError(' '.join(message.split())) from error

    def latest(self, step: int) -> int:
        """Return the index of the newest picture at `step`, or of the first one before that."""
        return max(0, int(np.searchsorted(self.image_steps, step, side='right')) - 1)
