"""One launch argument between a mocked robot and a real one."""

import importlib.util
import math
from functools import partial

import pytest
import yaml
from nav_msgs.msg import Path
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from aim_policy.robot import share_dir
from aim_ros import convert
from aim_ros.msg import ActionChunk, EpisodeStatus
from aim_ros.ros_util import LATCHED

pytestmark = pytest.mark.ros

DRIVER = """
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, LogInfo
from launch.substitutions import LaunchConfiguration

def generate_launch_description():
    argument = DeclareLaunchArgument('port')
    return LaunchDescription([argument, LogInfo(msg=['driver on ', LaunchConfiguration('port')])])
"""


@pytest.fixture
def launch(start):
    def start_robot(**arguments):
        words = [f'{name}:={value}' for name, value in arguments.items()]
        return start('ros2', 'launch', 'aim_ros', 'robot.launch.py', 'policy:=hold', *words)

    return start_robot


def trajectory(names, positions, seconds=0.3):
    point = JointTrajectoryPoint(
        positions=positions, time_from_start=convert.to_duration(round(seconds * 1e9))
    )
    return JointTrajectory(joint_names=list(names), points=[point])


def reaches(name, value):
    def accept(message):
        found = dict(zip(message.name, message.position, strict=True))
        return math.isclose(found[name], value, abs_tol=1e-6)

    return accept


def keep_sending(listener, message_type, topic, make, period_s=0.5):
    """Send what `make` returns again and again, for whoever is slow to listen."""
    publisher = listener.create_publisher(message_type, topic, 10)
    return listener.create_timer(period_s, lambda: publisher.publish(make()))


def test_a_mocked_robot_moves_and_is_never_judged(launch, listener, robot):
    launched = launch(hardware='mock', rviz='true')
    listener.listen(JointState, 'joint_states')
    listener.listen(String, 'robot_description', LATCHED)
    listener.listen(EpisodeStatus, 'episode_status', LATCHED)
    listener.wait('joint_states')
    assert listener.wait('robot_description').data.startswith('<?xml')
    left = robot.arm('left')
    topic = f'{left.controller}/joint_trajectory'
    for joint in (0.8, -0.8):  # past every mark of the world without SAPIEN
        goal = trajectory(left.joint_names, [joint] * 6 + [0.0])
        timer = keep_sending(listener, JointTrajectory, topic, lambda goal=goal: goal)
        listener.wait('joint_states', reaches('fl_joint1', joint))
        timer.cancel()
    chunk = ActionChunk(joint_names=list(robot.joint_names), steps=2, positions=[0.0] * 28)
    listener.listen(Path, 'planned_path/right', LATCHED)
    keep_sending(listener, ActionChunk, 'action_chunk', lambda: chunk)
    path = listener.wait('planned_path/right')
    assert path.header.frame_id == 'world'
    assert len(path.poses) == 2
    states = {message.state for message in listener.received['episode_status']}
    assert states == {EpisodeStatus.RUNNING}
    launched.wait_for('rviz2 is not installed')
    assert launched.process.poll() is None


def test_where_tf2_msgs_is_installed_links_and_cameras_have_frames(launch, listener, robot):
    tf = pytest.importorskip('tf2_msgs.msg', reason='tf2_msgs is not installed')
    listener.listen(tf.TFMessage, '/tf', 10)
    listener.listen(tf.TFMessage, '/tf_static', LATCHED)
    launch(hardware='mock')
    static = {frame.child_frame_id: frame for frame in listener.wait('/tf_static').transforms}
    assert {camera.frame_id for camera in robot.cameras} < set(static)
    head = static[robot.cameras[0].frame_id]
    assert head.header.frame_id == 'world'
    assert math.isclose(head.transform.translation.z, 1.35)
    moving = {frame.child_frame_id for frame in listener.wait('/tf').transforms}
    assert {'fl_link6', 'fr_link6', 'fl_link8'} < moving


def test_without_tf2_msgs_it_says_so(launch):
    if importlib.util.find_spec('tf2_msgs'):
        pytest.skip('tf2_msgs is installed')
    launch(hardware='mock').wait_for('tf2_msgs is not installed: robot_description only')


@pytest.fixture
def two_arms(tmp_path):
    """A robot of two equal arms whose driver only prints; the right one takes set points."""
    data = yaml.safe_load((share_dir() / 'config' / 'robot' / 'aloha_viperx.yaml').read_text())
    path = tmp_path / 'driver.launch.py'
    path.write_text(DRIVER)
    data['driver'] = {'file': str(path), 'arguments': {'port': 'can7'}}
    driver = data['arms'][1]['driver']
    del driver['joint_trajectory']
    driver['set_points'] = 'follower_right/set_points'
    robot = tmp_path / 'two_arms.yaml'
    robot.write_text(yaml.safe_dump(data))
    return robot


def test_a_real_robot_gets_its_driver_its_names_and_no_simulator(launch, listener, two_arms):
    launched = launch(hardware='real', robot=two_arms)
    launched.wait_for('driver on can7')
    launched.wait_for('control is off until the operator turns it on')
    listener.listen(JointState, 'joint_states')
    listener.listen(JointTrajectory, 'follower_left/arm_controller/joint_trajectory')
    listener.listen(JointState, 'follower_right/set_points')
    names = ['waist', 'shoulder', 'elbow', 'forearm_roll', 'wrist_angle', 'wrist_rotate']

    def measured(value):
        message = JointState(name=[*names, 'left_finger'], position=[value] * 6 + [0.03])
        message.header.stamp = listener.get_clock().now().to_msg()
        return message

    for side, value in (('left', 0.1), ('right', 0.2)):
        topic = f'follower_{side}/joint_states'
        keep_sending(listener, JointState, topic, partial(measured, value), 0.02)
    listener.wait('joint_states', reaches('right_elbow', 0.2))
    assert listener.received['follower_right/set_points'] == []
    for side in ('left', 'right'):
        topic = f'{side}_arm_controller/joint_trajectory'
        goal = trajectory(
            [f'{side}_{name}' for name in (*names, 'left_finger')], [0.3] * 6 + [0.04]
        )
        keep_sending(listener, JointTrajectory, topic, lambda goal=goal: goal)
    taken = listener.wait('follower_left/arm_controller/joint_trajectory')
    assert taken.joint_names == [*names, 'left_finger']
    points = 'follower_right/set_points'
    listener.wait(points, lambda message: message.position[2] > 0.25)
    assert listener.received[points][0].position[2] < 0.25  # it began where the arm is
    assert not [line for line in launched.members().values() if 'bridge_node' in line]


def test_a_missing_driver_is_one_line(launch):
    launched = launch(hardware='real', robot='cobot_magic')
    assert launched.wait(60) != 0
    assert 'driver package piper is not installed' in launched.output


def test_a_dry_run_starts_nothing(launch):
    launched = launch(hardware='real', robot='cobot_magic', dry_run='true')
    assert launched.wait(60) == 0
    assert 'camera_f/color/image_raw' in launched.output
    assert 'process started' not in launched.output
