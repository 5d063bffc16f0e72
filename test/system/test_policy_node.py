"""The policy node by itself: what it listens to, what it refuses."""

import re
import signal
from pathlib import Path
from queue import Queue

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from nodes import BIN, done, words
from rcl_interfaces.srv import DescribeParameters, ListParameters
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from aim_ros.action import RunPolicy
from aim_ros.installation import transport
from aim_ros.msg import PolicyStatus
from aim_ros.policy_node import PolicyNode
from aim_ros.ros_util import STATES
from aim_ros.srv import SetInstruction

pytestmark = pytest.mark.ros
POLICY = BIN / 'policy_node'


@pytest.fixture
def node(start, listener):
    """A holding policy in its own process, up and waiting."""
    launched = start(str(POLICY), '--ros-args', '-p', 'policy:=hold')
    listener.listen(PolicyStatus, 'policy/status', STATES)
    listener.wait('policy/status', lambda message: message.state == PolicyStatus.IDLE)
    return launched


def test_no_ground_truth_reaches_the_policy(node, listener, robot):
    """Everything it subscribes to is a sensor of the robot."""
    expected = {f'/{camera.name}/image_raw' for camera in robot.cameras}
    expected |= {'/joint_states', '/joint_targets', '/instruction', '/estop'}
    of_ros = {'/parameter_events', '/clock'}
    assert listener.topics_of('policy', expected) - of_ros == expected


def test_its_end_takes_no_topic_from_under_an_executor():
    rclpy.init(args=['--ros-args', '-p', 'policy:=hold'])
    try:
        node = PolicyNode()
        before = list(node.publishers)
        node.stop()
        assert list(node.publishers) == before
        assert len(before) > 20
    finally:
        rclpy.try_shutdown()


def test_it_is_silent_and_waiting_without_observations(node, listener, robot):
    client = listener.action_client(RunPolicy, 'policy/run', 'policy')
    client.send_goal_async(RunPolicy.Goal(instruction='press the bell'))
    waiting = listener.wait('policy/status', lambda m: m.state == PolicyStatus.WAITING)
    assert 'no controller of the' in waiting.reason
    topics = [f'{arm.controller}/joint_trajectory' for arm in robot.arms]
    for topic in topics:
        listener.listen(JointTrajectory, topic)
    listener.wait('policy/status', lambda m: 'no image from' in m.reason)
    assert all(listener.received[topic] == [] for topic in topics)


def test_an_empty_instruction_and_a_second_run_are_refused(node, listener):
    client = listener.action_client(RunPolicy, 'policy/run', 'policy')
    for instruction, accepted in ((' ', False), ('press', True), ('press', False)):
        future = client.send_goal_async(RunPolicy.Goal(instruction=instruction))
        assert done(future).accepted == accepted
    node.wait_for('instruction is empty')
    node.wait_for('a run is active')


def test_an_instruction_that_the_network_cannot_read_ends_the_run_not_the_node(start, listener):
    start(str(POLICY), '--ros-args', '-p', 'policy:=aim')
    client, results = listener.action_client(RunPolicy, 'policy/run', 'policy'), Queue()
    future = client.send_goal_async(RunPolicy.Goal(instruction='very ' * 40 + 'long'))
    future.add_done_callback(
        lambda accepted: accepted.result().get_result_async().add_done_callback(results.put)
    )
    result = results.get(timeout=20).result().result
    assert result.reason == RunPolicy.Result.ABORTED
    assert 'has 41 words, expected at most 32' in result.message


@pytest.fixture
def managed(start, listener):
    """A holding policy that waits for a manager."""
    launched = start(str(POLICY), '--ros-args', '-p', 'policy:=hold', '-p', 'autostart:=false')
    listener.listen(PolicyStatus, 'policy/status', STATES)
    listener.wait('policy/status', lambda message: message.state == PolicyStatus.INACTIVE)
    return launched


def change(listener, transition):
    wanted = Transition(id=transition)
    return listener.call(ChangeState, 'policy/change_state', transition=wanted).success


def accepted(listener, client):
    return done(client.send_goal_async(RunPolicy.Goal(instruction='press'))).accepted


def test_a_goal_is_refused_unless_the_node_is_active(managed, listener):
    client = listener.action_client(RunPolicy, 'policy/run', 'policy')
    assert not accepted(listener, client)
    assert change(listener, Transition.TRANSITION_CONFIGURE)
    assert not accepted(listener, client)
    assert change(listener, Transition.TRANSITION_ACTIVATE)
    assert accepted(listener, client)
    assert change(listener, Transition.TRANSITION_DEACTIVATE)
    assert not accepted(listener, client)
    managed.wait_for('goal refused: the node is not active')
    assert change(listener, Transition.TRANSITION_CLEANUP)
    assert change(listener, Transition.TRANSITION_CONFIGURE)
    assert change(listener, Transition.TRANSITION_ACTIVATE)
    assert accepted(listener, client)


def test_a_run_can_be_started_and_stopped_without_an_action_client(node, listener):
    assert 'instruction is empty' in listener.call(Trigger, 'policy/start').message
    told = {'instruction': 'press the bell'}
    assert listener.call(SetInstruction, 'policy/set_instruction', **told).success
    assert listener.call(Trigger, 'policy/start').success
    listener.wait('policy/status', lambda m: m.state == PolicyStatus.WAITING)
    assert listener.call(Trigger, 'policy/stop').message == 'stopped'


def test_parameters_describe_themselves(node, listener):
    """`ros2 param describe` reads like documentation."""
    names = listener.call(ListParameters, 'policy/list_parameters')
    own = [n for n in names.result.names if not n.startswith(('use_sim_time', 'start_type'))]
    name = 'policy/describe_parameters'
    described = listener.call(DescribeParameters, name, names=own).descriptors
    by_name = {found.name: found for found in described}
    assert by_name['safety.limit_policy'].additional_constraints == 'one of clamp, reject'
    assert by_name['safety.max_age_s'].floating_point_range[0].to_value == 60.0
    assert by_name['sync.queue_size'].integer_range[0].from_value == 1
    ours = [found for found in described if not found.name.startswith('qos_overrides.')]
    assert all(len(found.description) > 10 and found.read_only for found in ours)
    overrides = 'qos_overrides./head_camera/image_raw.subscription.reliability'
    assert overrides in by_name


def test_a_value_out_of_range_is_one_line(start):
    launched = start(str(POLICY), '--ros-args', '-p', 'safety.max_velocity_scale:=7.0')
    assert launched.wait(60) == 2
    assert 'safety.max_velocity_scale' in launched.output
    assert 'expected 0.01 to 1.0' in launched.output
    assert 'Traceback' not in launched.output


def test_quality_of_service_can_be_overridden_and_a_mismatch_is_told(start, listener):
    override = 'qos_overrides./joint_states.subscription.reliability:=reliable'
    start(str(POLICY), '--ros-args', '-p', 'policy:=hold', '-p', override)
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    command = 'left_arm_controller/joint_trajectory'
    listener.create_subscription(JointTrajectory, command, lambda _: None, latched)
    best_effort = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    listener.create_publisher(JointState, 'joint_states', best_effort)
    listener.listen(DiagnosticArray, '/diagnostics')

    def told(message):
        values = [value for status in message.status for value in status.values]
        keys = ' '.join(value.key for value in values)
        return all(f'{topic}: incompatible QoS' in keys for topic in ('joint_states', command))

    listener.wait('/diagnostics', told)


@pytest.mark.parametrize(
    ('node', 'parameters', 'ready'),
    [
        ('policy_node', {'policy': 'hold'}, 'waiting for ~/run'),
        ('bridge_node', {'backend': 'fake'}, 'backend fake'),
    ],
)
def test_nodes_leave_no_shared_memory_behind(start, node, parameters, ready):
    """Participants must end with their nodes, or megabytes of pictures stay in there."""
    others = set(Path('/dev/shm').glob('fastdds_*'))  # it reads what they write
    launched = start(str(BIN / node), *words(**parameters), **transport())
    launched.wait_for(ready)
    maps = Path(f'/proc/{launched.process.pid}/maps').read_text()
    own = {Path(text) for text in re.findall(r'/dev/shm/fastdds_[0-9a-f]{16}', maps)} - others
    assert own
    assert all(path.exists() for path in own)
    launched.process.send_signal(signal.SIGINT)
    assert launched.wait(30) == 0
    assert [path for path in own if path.exists()] == []
