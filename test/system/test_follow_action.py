"""The action of a trajectory controller, where control_msgs is installed."""

import time

import pytest
from action_msgs.msg import GoalStatus
from nodes import BIN, done
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from aim_ros import convert
from aim_ros.msg import EpisodeStatus
from aim_ros.ros_util import LATCHED

control = pytest.importorskip('control_msgs.action', reason='control_msgs is not installed')
states = pytest.importorskip('control_msgs.msg')


pytestmark = pytest.mark.ros
BRIDGE = BIN / 'bridge_node'
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
    return listener.action_client(control.FollowJointTrajectory, ACTION, 'sim_bridge')


def goal(robot, value=0.3, seconds=0.6):
    arm = robot.arm('left')
    point = JointTrajectoryPoint(positions=[value] * 6 + [0.0])
    point.time_from_start = convert.to_duration(round(seconds * 1e9))
    trajectory = JointTrajectory(joint_names=list(arm.joint_names), points=[point])
    return control.FollowJointTrajectory.Goal(trajectory=trajectory)


@pytest.mark.parametrize('client', ['lockstep', 'realtime'], indirect=True)
def test_a_goal_is_reached(client, listener, robot):
    topic = 'left_arm_controller/controller_state'
    listener.listen(states.JointTrajectoryControllerState, topic)
    handle = done(client.send_goal_async(goal(robot)))
    assert handle.accepted
    answer = done(handle.get_result_async())
    assert answer.status == GoalStatus.STATUS_SUCCEEDED
    assert answer.result.error_code == control.FollowJointTrajectory.Result.SUCCESSFUL
    state = listener.wait(topic, lambda message: message.feedback.positions[0] > 0.29)
    assert state.joint_names == list(robot.arm('left').joint_names)
    assert abs(state.error.positions[0]) < 1e-9


def test_a_bad_goal_is_rejected(client, robot):
    bad = goal(robot)
    bad.trajectory.joint_names[0] = 'elbow'
    assert not done(client.send_goal_async(bad)).accepted


@pytest.mark.parametrize('client', ['realtime'], indirect=True)
def test_a_new_goal_preempts_and_cancelling_stops(client, robot):
    feedback = []
    send = client.send_goal_async
    first = done(send(goal(robot, 0.5, 20.0)))
    ended = first.get_result_async()
    second = done(send(goal(robot, -0.5, 20.0), feedback_callback=feedback.append))
    answer = done(ended)
    assert answer.status == GoalStatus.STATUS_ABORTED
    assert answer.result.error_code == control.FollowJointTrajectory.Result.INVALID_GOAL
    assert answer.result.error_string == 'pre-empted by a new goal'
    end = time.monotonic() + 20
    while not feedback and time.monotonic() < end:
        time.sleep(0.01)
    assert feedback[0].feedback.desired.positions[0] == pytest.approx(
        feedback[0].feedback.actual.positions[0], abs=1e-9
    )
    ended = second.get_result_async()
    done(second.cancel_goal_async())
    assert done(ended).status == GoalStatus.STATUS_CANCELED
