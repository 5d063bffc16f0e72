"""The action of a trajectory controller, where control_msgs is installed."""

import threading
import time
from pathlib import Path

import pytest
from ament_index_python.packages import get_package_prefix
from rclpy.qos import DurabilityPolicy, QoSProfile
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from aim_ros import convert
from aim_ros.msg import EpisodeStatus

control = pytest.importorskip('control_msgs.action', reason='control_msgs is not installed')
states = pytest.importorskip('control_msgs.msg')

from action_msgs.msg import GoalStatus  # noqa: E402

pytestmark = pytest.mark.ros
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
BRIDGE = Path(get_package_prefix('aim_ros')) / 'lib' / 'aim_ros' / 'bridge_node'
ACTION = 'left_arm_controller/follow_joint_trajectory'


@pytest.fixture
def client(start, listener, request):
    """A client of the left arm's action of a bridge that runs an episode."""
    execution = getattr(request, 'param', 'lockstep')
    options = {'backend': 'fake', 'task': 'click_bell', 'judge': 'false', 'execution': execution}
    words = [word for name, value in options.items() for word in ('-p', f'{name}:={value}')]
    start(str(BRIDGE), '--ros-args', '-p', 'partial_wait_s:=0.1', *words)
    listener.listen(EpisodeStatus, 'episode_status', LATCHED)
    listener.wait('episode_status', lambda message: message.state == EpisodeStatus.RUNNING)
    return listener.action_client(control.FollowJointTrajectory, ACTION)


def goal(robot, value=0.3, seconds=0.6):
    arm = robot.arm('left')
    point = JointTrajectoryPoint(positions=[value] * 6 + [0.0])
    point.time_from_start = convert.to_duration(round(seconds * 1e9))
    trajectory = JointTrajectory(joint_names=list(arm.joint_names), points=[point])
    return control.FollowJointTrajectory.Goal(trajectory=trajectory)


def wait(future, timeout_s=20.0):
    done = threading.Event()
    future.add_done_callback(lambda _: done.set())
    assert done.wait(timeout_s)
    return future.result()


@pytest.mark.parametrize('client', ['lockstep', 'realtime'], indirect=True)
def test_a_goal_is_reached(client, listener, robot):
    topic = 'left_arm_controller/controller_state'
    listener.listen(states.JointTrajectoryControllerState, topic)
    handle = wait(client.send_goal_async(goal(robot)))
    assert handle.accepted
    answer = wait(handle.get_result_async())
    assert answer.status == GoalStatus.STATUS_SUCCEEDED
    assert answer.result.error_code == control.FollowJointTrajectory.Result.SUCCESSFUL
    state = listener.wait(topic, lambda message: message.feedback.positions[0] > 0.29)
    assert state.joint_names == list(robot.arm('left').joint_names)
    assert abs(state.error.positions[0]) < 1e-9


def test_a_bad_goal_is_rejected(client, robot):
    bad = goal(robot)
    bad.trajectory.joint_names[0] = 'elbow'
    assert not wait(client.send_goal_async(bad)).accepted


@pytest.mark.parametrize('client', ['realtime'], indirect=True)
def test_a_new_goal_preempts_and_cancelling_stops(client, robot):
    feedback = []
    send = client.send_goal_async
    first = wait(send(goal(robot, 0.5, 20.0)))
    ended = first.get_result_async()
    second = wait(send(goal(robot, -0.5, 20.0), feedback_callback=feedback.append))
    answer = wait(ended)
    assert answer.status == GoalStatus.STATUS_ABORTED
    assert answer.result.error_code == control.FollowJointTrajectory.Result.INVALID_GOAL
    assert answer.result.error_string == 'pre-empted by a new goal'
    while not feedback:
        time.sleep(0.01)
    assert feedback[0].feedback.desired.positions[0] == pytest.approx(
        feedback[0].feedback.actual.positions[0], abs=1e-9
    )
    ended = second.get_result_async()
    wait(second.cancel_goal_async())
    assert wait(ended).status == GoalStatus.STATUS_CANCELED
