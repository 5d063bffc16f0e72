"""Frames for TF: one tree, optical frames as in CameraInfo, all where the robot is."""

import numpy as np
import pytest

from aim_policy.robot import load_robot
from aim_ros.robot_frames import WORLD, RobotFrames


@pytest.fixture
def frames(robot):
    return RobotFrames(robot)


def joints_of(robot):
    return dict(zip(robot.joint_names, robot.to_joints(robot.home), strict=True))


def test_all_frames_are_one_tree_below_the_world(frames, robot):
    found = [*frames.static(), *frames.moving(joints_of(robot))]
    parent = {frame.child: frame.parent for frame in found}
    assert len(parent) == len(found)
    for child in parent:
        steps = 0
        while child != WORLD:
            child, steps = parent[child], steps + 1
            assert steps < 30
    assert {camera.frame_id for camera in robot.cameras} < set(parent)
    assert 'fl_link8' in parent  # the finger that mirrors, though nobody measured it


def test_links_without_a_measured_joint_are_left_out(frames):
    assert {frame.child for frame in frames.moving({'fl_joint1': 0.1, 'other': 1.0})} == {
        'fl_link1'
    }


def test_the_head_camera_looks_along_z_and_its_picture_is_upright(frames, robot):
    head = next(f for f in frames.static() if f.child == robot.cameras[0].frame_id)
    assert head.parent == WORLD
    assert np.allclose(head.pose[:3, 3], [-0.032, -0.45, 1.35])
    assert np.allclose(head.pose[:3, 2], [0, 0.6, -0.8])
    assert np.allclose(head.pose[:3, 0], [1, 0, 0])


@pytest.mark.sapien
def test_optical_frames_are_those_of_the_rendering_cameras(frames, robot):
    """A frame in the axes of the renderer (y up, z backward) would turn every camera over."""
    from sim_bridge.world import World

    world = World(robot)
    poses = {WORLD: np.eye(4)}
    pending = [*frames.static(), *frames.moving(joints_of(robot))]
    while pending:
        frame = next(f for f in pending if f.parent in poses)
        poses[frame.child] = poses[frame.parent] @ frame.pose
        pending.remove(frame)
    for camera in robot.cameras:
        world_to_camera = np.vstack(
            [world.cameras[camera.name].get_extrinsic_matrix(), [0, 0, 0, 1]]
        )
        pose = poses[camera.frame_id]
        assert np.allclose(np.linalg.inv(world_to_camera), pose, atol=1e-4), camera.name


def test_a_robot_without_urdf_and_placements_has_no_frames():
    frames = RobotFrames(load_robot('cobot_magic'))
    assert frames.static() == frames.moving({'left_joint1': 0.0}) == []
    assert frames.missing == ('head_camera', 'left_camera', 'right_camera')


def test_a_planned_path_ends_where_the_fingers_will_be(frames, robot):
    arm = robot.arm('left')
    home = robot.to_joints(robot.home)[robot.columns('left')]
    turned = home + [0.5, 0, 0, 0, 0, 0, -0.02]
    first, last = frames.finger_path('left', arm.joint_names, [home, turned])
    base = np.array([-0.297, -0.4195])  # the left arm's first axis in the world
    assert np.linalg.norm(first[:2] - base) == pytest.approx(
        np.linalg.norm(last[:2] - base), abs=1e-3
    )
    angles = [np.arctan2(*(point[:2] - base)[::-1]) for point in (first, last)]
    assert angles[1] - angles[0] == pytest.approx(0.5, abs=1e-2)
    assert first[2] == pytest.approx(last[2])


def test_an_empty_trajectory_has_no_path(frames, robot):
    assert frames.finger_path('left', robot.arm('left').joint_names, []).shape == (0, 3)
