"""The policy node by itself: what it listens to, what it refuses."""

import threading
from pathlib import Path

import pytest
from ament_index_python.packages import get_package_prefix
from rclpy.qos import DurabilityPolicy, QoSProfile
from trajectory_msgs.msg import JointTrajectory

from aim_ros.action import RunPolicy
from aim_ros.msg import PolicyStatus

pytestmark = pytest.mark.ros
POLICY = Path(get_package_prefix('aim_ros')) / 'lib' / 'aim_ros' / 'policy_node'
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


@pytest.fixture
def node(start, listener):
    """A holding policy in its own process, up and waiting."""
    launched = start(str(POLICY), '--ros-args', '-p', 'policy:=hold')
    listener.listen(PolicyStatus, 'policy/status', LATCHED)
    listener.wait('policy/status', lambda message: message.state == PolicyStatus.IDLE)
    return launched


def test_no_ground_truth_reaches_the_policy(node, listener, robot):
    """Everything it subscribes to is a sensor of the robot."""
    listener.action_client(RunPolicy, 'policy/run')  # it is discovered when this returns
    found = dict(listener.get_subscriber_names_and_types_by_node('policy', '/'))
    expected = {f'/{camera.name}/image_raw' for camera in robot.cameras}
    expected |= {'/joint_states', '/joint_targets'}
    of_ros = {'/parameter_events', '/clock'}
    assert set(found) - of_ros == expected


def test_it_is_silent_and_waiting_without_observations(node, listener, robot):
    client = listener.action_client(RunPolicy, 'policy/run')
    client.send_goal_async(RunPolicy.Goal(instruction='press the bell'))
    waiting = listener.wait('policy/status', lambda m: m.state == PolicyStatus.WAITING)
    assert 'no controller of the' in waiting.reason
    topics = [f'{arm.controller}/joint_trajectory' for arm in robot.arms]
    for topic in topics:
        listener.listen(JointTrajectory, topic)
    listener.wait('policy/status', lambda m: 'no image from' in m.reason)
    assert all(listener.received[topic] == [] for topic in topics)


def test_an_empty_instruction_and_a_second_run_are_refused(node, listener):
    client = listener.action_client(RunPolicy, 'policy/run')
    for instruction, accepted in ((' ', False), ('press', True), ('press', False)):
        done = threading.Event()
        future = client.send_goal_async(RunPolicy.Goal(instruction=instruction))
        future.add_done_callback(lambda _, done=done: done.set())
        assert done.wait(10)
        assert future.result().accepted == accepted
    assert 'instruction is empty' in node.output
    assert 'a run is active' in node.output
