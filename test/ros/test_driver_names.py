"""Two equal arms look like one robot, and a dry run says how."""

import pytest

from aim_policy.config import ConfigError
from aim_policy.robot import load_robot
from aim_ros.driver_names import DriverNames

VIPERX = ['waist', 'shoulder', 'elbow', 'forearm_roll', 'wrist_angle', 'wrist_rotate']


@pytest.fixture
def viperx():
    return load_robot('aloha_viperx')


def test_both_arms_become_one_set_of_joints_in_action_order(viperx):
    names = DriverNames(viperx)
    left, right = viperx.arms
    theirs = ['left_finger', 'gripper', *VIPERX]
    assert names.add(right, 20, theirs, range(8)) is None  # the left one is not known yet
    reading = names.add(left, 30, theirs, range(10, 18))
    assert reading.names == viperx.joint_names
    assert reading.positions.tolist() == [12, 13, 14, 15, 16, 17, 10, 2, 3, 4, 5, 6, 7, 0]
    assert reading.stamp_ns == 20


def test_a_driver_that_forgets_a_joint_is_told(viperx):
    with pytest.raises(ValueError, match='left arm has no joint left_finger, found waist'):
        DriverNames(viperx).add(viperx.arms[0], 0, VIPERX, [0.0] * 6)


def test_trajectories_are_renamed_in_any_order(viperx):
    names = DriverNames(viperx)
    assert names.to_driver(viperx.arms[1], ['right_elbow', 'right_waist']) == ['elbow', 'waist']
    with pytest.raises(ValueError, match='right arm has no joint left_waist, expected right_wa'):
        names.to_driver(viperx.arms[1], ['left_waist'])


def test_a_robot_whose_arms_have_no_driver_needs_no_renaming(robot):
    with pytest.raises(ConfigError, match='no driver of arm left, right'):
        DriverNames(robot)


@pytest.mark.ros
def test_a_dry_run_names_topics_types_and_what_is_missing(capsys):
    from aim_ros.connections import main

    assert main(['--robot', 'cobot_magic']) == 1
    text = capsys.readouterr().out
    for word in (
        'camera_f/color/image_raw        sensor_msgs/Image       from robot  best effort, 5',
        'left/joint_ctrl_single          sensor_msgs/JointState  to robot    reliable, 10',
        'missing: driver package piper is not installed',
        'nothing is started',
    ):
        assert word in text


@pytest.mark.ros
def test_pictures_of_real_cameras_are_remapped_with_their_calibration(robot):
    from aim_ros.connections import remappings

    assert remappings(robot) == []
    pairs = dict(remappings(load_robot('cobot_magic')))
    assert pairs['head_camera/image_raw'] == 'camera_f/color/image_raw'
    assert pairs['head_camera/camera_info'] == 'camera_f/color/camera_info'


@pytest.mark.ros
def test_a_dry_run_of_an_unknown_robot_is_one_line(capsys):
    from aim_ros.connections import main

    assert main(['--robot', 'cobot_magik']) == 2
    assert 'did you mean "cobot_magic"' in capsys.readouterr().err
