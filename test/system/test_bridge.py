"""The bridge node by itself: what it takes, what it refuses, what it needs."""

import math

import pytest
from builtin_interfaces.msg import Duration, Time
from nodes import BIN
from sensor_msgs.msg import CameraInfo, Image, JointState
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from aim_ros import convert
from aim_ros.msg import EpisodeStatus
from aim_ros.ros_util import LATCHED
from aim_ros.srv import ResetEpisode

pytestmark = pytest.mark.ros
BRIDGE = BIN / 'bridge_node'


@pytest.fixture
def bridge(start, listener, robot):
    """A bridge on the fake world with an episode running; publishers for both arms."""
    launched = start(str(BRIDGE), '--ros-args', '-p', 'backend:=fake', '-p', 'partial_wait_s:=0.2')
    listener.listen(EpisodeStatus, 'episode_status', LATCHED)
    listener.listen(JointState, 'joint_targets')
    for arm in robot.arms:
        name = f'{arm.controller}/joint_trajectory'
        launched.__dict__[arm.name] = listener.create_publisher(JointTrajectory, name, 10)
    response = reset(listener, task='click_bell', seed=3)
    assert response.success, response.message
    launched.stamp = response.stamp
    listener.wait('episode_status', lambda message: message.state == EpisodeStatus.RUNNING)
    return launched


def reset(listener, **scene):
    return listener.call(ResetEpisode, 'sim_bridge/reset_episode', setting='easy', **scene)


def trajectory(robot, value=0.2, steps=3):
    arm = robot.arm('left')
    message = JointTrajectory(joint_names=list(arm.joint_names))
    for step in range(1, steps + 1):
        positions = [value * step / steps] * 6 + [0.045]
        message.points.append(
            JointTrajectoryPoint(
                positions=positions, time_from_start=convert.to_duration(step * robot.dt_ns)
            )
        )
    return message


def reached(value):
    return lambda message: math.isclose(message.position[1], value, abs_tol=1e-9)


def with_nan(message):
    message.points[1].positions[2] = math.nan


def with_wrong_names(message):
    message.joint_names = ['elbow', *message.joint_names[1:]]


def with_past_stamp(message):
    message.header.stamp = Time(nanosec=1)


def with_time_going_back(message):
    message.points[2].time_from_start = Duration()


@pytest.mark.parametrize(
    ('spoil', 'reason'),
    [
        (with_nan, 'fl_joint3'),
        (with_wrong_names, 'elbow'),
        (with_past_stamp, 'OLD_HEADER_TIMESTAMP'),
        (with_time_going_back, 'INVALID_GOAL'),
    ],
)
def test_a_bad_trajectory_is_refused_and_the_motion_goes_on(
    bridge, listener, robot, spoil, reason
):
    bridge.left.publish(trajectory(robot, 0.3, steps=20))
    bad = trajectory(robot, -0.5)
    spoil(bad)
    bridge.left.publish(bad)
    refusal = listener.wait('episode_status', lambda message: message.detail)
    assert reason in refusal.detail
    listener.wait('joint_targets', reached(0.3))
    assert min(message.position[1] for message in listener.received['joint_targets']) >= 0
    bridge.left.publish(trajectory(robot, 0.1))
    listener.wait('joint_targets', reached(0.1))
    assert bridge.process.poll() is None


def test_a_reset_that_cannot_be_done_says_why(bridge, listener):
    answer = reset(listener, task='clik_bell')
    assert not answer.success
    assert 'did you mean "click_bell"' in answer.message


def test_a_seed_that_names_no_scene_is_refused(bridge, listener):
    answer = reset(listener, task='click_bell', seed=-1)
    assert not answer.success
    assert answer.message == 'seed is -1, expected 0 or more'


def test_sensors_come_with_one_stamp_and_their_frames(bridge, listener, robot):
    for camera in robot.cameras:
        listener.listen(Image, f'{camera.name}/image_raw')
        listener.listen(CameraInfo, f'{camera.name}/camera_info')
    listener.listen(JointState, 'joint_states')
    stamp = bridge.stamp
    for camera in robot.cameras:
        for topic in ('image_raw', 'camera_info'):
            message = listener.wait(f'{camera.name}/{topic}')
            assert message.header.stamp == stamp
            assert message.header.frame_id == camera.frame_id
    joints = listener.wait('joint_states')
    assert joints.header.stamp == stamp
    assert set(robot.joint_names) <= set(joints.name)


@pytest.mark.sapien
def test_without_a_driver_that_renders_it_says_which_one_is_needed(start):
    launched = start(
        str(BRIDGE), VK_DRIVER_FILES='/nonexistent.json', VK_ICD_FILENAMES='/nonexistent.json'
    )
    assert launched.wait(60) == 2
    assert 'Mesa 24.3 or newer' in launched.output
    assert 'Traceback' not in launched.output


def test_an_unknown_parameter_value_is_one_line(start):
    launched = start(str(BRIDGE), '--ros-args', '-p', 'backend:=sapien')
    assert launched.wait(60) == 2
    assert launched.output.strip().splitlines() == [
        'unknown backend "sapien"; known: builtin, fake'
    ]
