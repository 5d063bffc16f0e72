"""Depth and value map as points in space."""

import numpy as np
import pytest

from aim_ros.cloud import coloured_cloud

INTRINSIC = np.array([[10.0, 0, 2], [0, 10, 2], [0, 0, 1]])


def test_points_lie_where_the_camera_saw_them():
    depth = np.full((4, 4), np.nan, np.float32)
    depth[1, 3], depth[0, 0] = 2.0, 0.0
    heat, image = np.zeros((4, 4), np.float32), np.zeros((4, 4, 3), np.uint8)
    image[1, 3] = (10, 20, 30)
    (point,) = coloured_cloud(depth, image, heat, INTRINSIC).tolist()
    assert point == (pytest.approx(0.3), pytest.approx(-0.1), 2.0, 0x0A141E, 0.0)


def test_value_colours_the_points():
    depth, heat = np.ones((2, 2), np.float32), np.array([[0, 0], [0, 1]], np.float32)
    cloud = coloured_cloud(depth, np.zeros((2, 2, 3), np.uint8), heat, INTRINSIC)
    assert [colour > 0 for colour in cloud['rgb']] == [False, False, False, True]
    assert cloud['value'].tolist() == [0, 0, 0, 1]


def test_pictures_of_different_size_are_refused():
    image = np.zeros((2, 2, 3), np.uint8)
    with pytest.raises(ValueError, match='expected one size'):
        coloured_cloud(np.ones((2, 3), np.float32), image, np.ones((2, 2), np.float32), INTRINSIC)
