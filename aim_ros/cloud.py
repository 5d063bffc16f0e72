"""Depth, colours and value map of one camera as coloured points. Knows no ROS."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aim_policy.interface import Image, Vector
from aim_policy.overlay import overlay

Map = NDArray[np.float32]
POINT = np.dtype([('x', '<f4'), ('y', '<f4'), ('z', '<f4'), ('rgb', '<u4'), ('value', '<f4')])
"""One point: metres in the camera's optical frame, 0x00RRGGBB, value of the map."""


def coloured_cloud(depth: Map, image: Image, heat: Map, intrinsic: Vector) -> NDArray:
    """Return POINT[P], for all pixels that have a depth.

    Args:
        depth: float32[H, W], metres along the optical axis; what is not finite and positive is
            left out.
        image: uint8[H, W, 3], RGB, of the same view.
        heat: float32[H, W] in [0, 1], of the same view.
        intrinsic: float64[3, 3].
    """
    if not depth.shape == heat.shape == image.shape[:2]:
        shapes = f'{list(depth.shape)}, {list(image.shape)} and {list(heat.shape)}'
        raise ValueError(f'depth, image and value map are {shapes}, expected one size')
    rows, columns = np.nonzero(np.isfinite(depth) & (depth > 0))
    cloud = np.zeros(len(rows), POINT)
    z = depth[rows, columns]
    cloud['x'] = (columns + 0.5 - intrinsic[0, 2]) / intrinsic[0, 0] * z
    cloud['y'] = (rows + 0.5 - intrinsic[1, 2]) / intrinsic[1, 1] * z
    cloud['z'] = z
    colours = overlay(image, heat)[rows, columns].astype(np.uint32)
    cloud['rgb'] = colours @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    cloud['value'] = heat[rows, columns]
    return cloud
