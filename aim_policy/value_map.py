"""Value maps as labels: where the coming contacts of an episode lie in a camera's picture.

Pixel coordinates are continuous with (0, 0) at the top left corner of the picture, so that the
middle of the first pixel is (0.5, 0.5) and resizing only scales them.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from aim_policy.config import unknown_name
from aim_policy.episode import CameraTrack, Episode, Event
from aim_policy.events import next_events
from aim_policy.interface import Vector

RADIUS_M = 0.018
"""Half a finger pad."""
SIGMA_MIN_PX = 2.0
SIGMA_MAX_SHARE = 0.08
HIDDEN_BEHIND_M = 0.02
HIDDEN_WEIGHT = 0.5

Map = NDArray[np.float32]


def value_map(
    episode: Episode,
    camera: str,
    step: int,
    size: tuple[int, int] | None = None,
    depth: Map | None = None,
    arms: Iterable[str] | None = None,
) -> Map:
    """Render where the arms will touch next: float32[H, W] in [0, 1], 0 after the last event.

    Args:
        episode: with events and object poses.
        camera: whose picture the map lies over.
        step: frame of the episode, for the poses of objects and camera.
        size: height and width to render at; the picture's own if None.
        depth: float32[H, W], metres, of that picture; dims points that something hides.
        arms: render only these.
    """
    if camera not in episode.cameras:
        raise unknown_name('camera', camera, episode.cameras)
    track = episode.cameras[camera]
    height, width = size or track.size
    names = sorted({e.arm for e in episode.events}) if arms is None else arms
    upcoming = next_events(episode.events, step, names)
    if not upcoming:
        return np.zeros((height, width), np.float32)
    points = np.concatenate([_world_points(episode, event, step) for event in upcoming])
    intrinsic = _intrinsic(track, step, size)
    weights = None if depth is None else _visibility(points, track, step, depth)
    focal = float(np.sqrt(intrinsic[0, 0] * intrinsic[1, 1]))
    where = project(points, intrinsic, track.extrinsic[step])
    return heat(*where, focal, height, width, weights=weights)


def chunk_maps(
    episode: Episode, camera: str, now: int, frames: int, steps_per_frame: int,
    size: tuple[int, int] | None = None,
) -> Map:  # fmt: skip
    """Render the maps of a chunk planned at `now`: float32[F, H, W] in [0, 1].

    Frame f holds the contact that each arm is heading for once the frame before it is over, seen
    at the end of frame f or at the contact itself, whichever comes first: what is then done with
    the object is no longer what the map is about.

    Args:
        episode: with events and object poses.
        camera: whose picture the maps lie over.
        now: frame of the episode that the chunk is planned at.
        frames: F.
        steps_per_frame: policy steps between two maps.
        size: height and width to render at; the picture's own if None.
    """
    arms, track = sorted({e.arm for e in episode.events}), episode.cameras[camera]
    height, width = size or track.size
    last, maps = len(episode) - 1, []
    for f in range(frames):
        begin, end = (min(now + i * steps_per_frame, last) for i in (f, f + 1))
        seen = [_seen(episode, event, track, min(event.step, end), size)
                for event in next_events(episode.events, begin + 1, arms)]  # fmt: skip
        blank = np.zeros((height, width), np.float32)
        maps.append(np.max([blank, *(heat(*one, height, width) for one in seen)], axis=0))
    return np.stack(maps)


def _seen(
    episode: Episode, event: Event, track: CameraTrack, step: int, size: tuple[int, int] | None
) -> tuple[Vector, Vector, float]:
    """Pixels, depths and focal length of a contact as a camera sees it at a step."""
    intrinsic = _intrinsic(track, step, size)
    focal = float(np.sqrt(intrinsic[0, 0] * intrinsic[1, 1]))
    return *project(_world_points(episode, event, step), intrinsic, track.extrinsic[step]), focal


def project(points: Vector, intrinsic: Vector, extrinsic: Vector) -> tuple[Vector, Vector]:
    """Project points into a picture.

    Args:
        points: float64[P, 3] in the world.
        intrinsic: float64[3, 3].
        extrinsic: float64[3, 4], world -> camera, OpenCV axes.

    Returns:
        float64[P, 2], pixels, NaN for what is not before the camera; float64[P], depth (m).
    """
    seen = points @ extrinsic[:, :3].T + extrinsic[:, 3]
    depth = seen[:, 2]
    divisor = np.where(depth > 0, depth, np.nan)
    return (seen @ intrinsic.T)[:, :2] / divisor[:, None], depth


def heat(
    uv: Vector,
    depth: Vector,
    focal: float,
    height: int,
    width: int,
    radius_m: float = RADIUS_M,
    weights: Vector | None = None,
) -> Map:
    """Draw a bell around each point, as wide as `radius_m` looks there; the highest value counts.

    Args:
        uv: float64[P, 2], see `project`.
        depth: float64[P], m; points at 0 or less are left out.
        focal: focal length in pixels.
        height: of the map.
        width: of the map.
        radius_m: standard deviation of the bells in space.
        weights: float64[P], heights of the bells, 1 if None.
    """
    result = np.zeros((height, width))
    rows, columns = np.arange(height) + 0.5, np.arange(width) + 0.5
    weights = np.ones(len(uv)) if weights is None else weights
    for (u, v), z, weight in zip(uv, depth, weights, strict=True):
        if z > 0:
            sigma = np.clip(focal * radius_m / z, SIGMA_MIN_PX, SIGMA_MAX_SHARE * width)
            across = np.exp(-0.5 * ((columns - u) / sigma) ** 2)
            down = np.exp(-0.5 * ((rows - v) / sigma) ** 2)
            np.maximum(result, weight * np.outer(down, across), out=result)
    return result.astype(np.float32)


def peak_px(values: Map) -> tuple[int, int] | None:
    """Return column and row of the highest value; None for a black map."""
    row, column = np.unravel_index(int(values.argmax()), values.shape)
    return (int(column), int(row)) if values[row, column] > 0 else None


def move_points(points: Vector, pose: Vector) -> Vector:
    """Carry points float64[P, 3] from an object's frame to the world, by its xyz + wxyz."""
    w, axis = pose[3] / np.linalg.norm(pose[3:]), pose[4:] / np.linalg.norm(pose[3:])
    across = 2 * np.cross(axis, points)
    return pose[:3] + points + w * across + np.cross(axis, across)


def _world_points(episode: Episode, event: Event, step: int) -> Vector:
    return move_points(event.points, episode.object_pose[event.object][step])


def _intrinsic(track: CameraTrack, step: int, size: tuple[int, int] | None) -> Vector:
    if size is None:
        return track.intrinsic[step]
    scale = np.divide(size, track.size)
    return track.intrinsic[step] * np.array([scale[1], scale[0], 1.0])[:, None]


def _visibility(points: Vector, track: CameraTrack, step: int, depth: Map) -> Vector:
    """Weights float64[P]: less for points behind what the depth image shows; 0 there is no hit."""
    uv, distance = project(points, track.intrinsic[step], track.extrinsic[step])
    height, width = depth.shape
    column, row = np.floor(np.nan_to_num(uv, nan=-1)).astype(np.int64).T
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    shown = depth[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]
    hidden = inside & (shown > 0) & (distance > shown + HIDDEN_BEHIND_M)
    return np.where(hidden, HIDDEN_WEIGHT, 1.0)
