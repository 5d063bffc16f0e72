"""Seven faults, and what the arms do: on the fake world, in real time."""

import math
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from nodes import BIN, done
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Bool
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory

from aim_policy.checkpoint import CheckpointInfo, save_checkpoint
from aim_policy.model.aim import AimModel
from aim_policy.model.config import load_model_config
from aim_policy.robot import share_dir
from aim_policy.transforms import Normalisation
from aim_ros import convert
from aim_ros.action import RunPolicy
from aim_ros.msg import PolicyStatus
from aim_ros.ros_util import LATCHED, STATES

pytestmark = pytest.mark.ros
ODD = Path(__file__).with_name('odd_policy_node.py')
CHUNK_S = 16 * 0.06
COMMANDS = ('left_arm_controller/joint_trajectory', 'right_arm_controller/joint_trajectory')
STATUS, TARGETS = 'policy/status', 'joint_targets'


class Cell:
    """A robot on the fake world, the odd policy that drives it, and who looks on."""

    def __init__(self, start, listener, robot, **parameters):
        self.listener, self.robot, self._start = listener, robot, start
        self.bridge = self.start_bridge()
        options = {'policy': 'odd', 'execution': 'realtime', 'use_sim_time': True, **parameters}
        words = [w for k, v in options.items() for w in ('-p', f'{k}:={str(v).lower()}')]
        cable = ['-r', 'left_camera/image_raw:=left_camera/cable']
        self.policy = start(sys.executable, str(ODD), '--ros-args', *words, *cable)
        for kind, topic, qos in (
            (PolicyStatus, STATUS, STATES),
            (JointState, TARGETS, 100),
            (DiagnosticArray, '/diagnostics', 10),
            *((JointTrajectory, topic, 100) for topic in COMMANDS),
        ):
            listener.listen(kind, topic, qos)
        self.plugged = True
        self._cable = listener.create_publisher(Image, 'left_camera/cable', 5)
        listener.create_subscription(Image, 'left_camera/image_raw', self._relay, 5)
        self.client = listener.action_client(RunPolicy, 'policy/run', 'policy', 40.0)
        self.wait_state(PolicyStatus.IDLE)

    def start_bridge(self):
        return self._start(
            str(BIN / 'bridge_node'), '--ros-args', '-p', 'backend:=fake', '-p',
            'execution:=realtime', '-p', 'task:=click_bell', '-p', 'judge:=false',
        )  # fmt: skip

    def _relay(self, message):
        if self.plugged:
            self._cable.publish(message)

    def run(self, instruction):
        """Send a goal; returns a function that waits for its result."""
        handle = done(self.client.send_goal_async(RunPolicy.Goal(instruction=instruction)))
        assert handle.accepted
        result = handle.get_result_async()
        return lambda: done(result).result

    def call(self, kind, name, **fields):
        return self.listener.call(kind, f'policy/{name}', **fields)

    def wait_state(self, state, after=0):
        return self.listener.wait(STATUS, lambda m: m.state == state, after=after)

    def moving(self):
        """Wait until the arms follow the policy."""
        begin = len(self.targets())
        self.listener.wait(TARGETS, lambda m: abs(m.position[0]) > 0.03, after=begin)

    def targets(self):
        return self.listener.received[TARGETS]

    def sent(self):
        return [len(self.listener.received[topic]) for topic in COMMANDS]

    def rests(self, within_s):
        """Wait so long; then nothing may move any more. Returns where the arms are."""
        time.sleep(within_s)
        begin = len(self.targets())
        time.sleep(0.4)
        rows = np.array([message.position for message in self.targets()[begin:]])
        assert len(rows) > 1
        np.testing.assert_allclose(rows, rows[:1].repeat(len(rows), 0), atol=1e-9)
        return rows[0]

    def check_motion(self):
        """No command of this test left the limits or was faster than the joints may be."""
        heard = list(self.targets())
        rows = np.array([message.position for message in heard])
        stamps = np.array([convert.to_ns(message.header.stamp) for message in heard])
        actions = self.robot.to_action(rows)
        assert np.isfinite(actions).all()
        assert (actions >= self.robot.lower - 1e-6).all()
        assert (actions <= self.robot.upper + 1e-6).all()
        steps = np.diff(stamps)
        forward = steps > 0
        speed = np.abs(np.diff(actions, axis=0))[forward] / (steps[forward, None] / 1e9)
        assert (speed <= self.robot.max_velocity * 1.01).all()

    def diagnostics(self, component, level, after=0):
        """Return what is said of a component once it is at a level."""

        def accept(message):
            return any(
                s.name.endswith(component) and s.level == bytes([level]) for s in message.status
            )

        message = self.listener.wait('/diagnostics', accept, after=after)
        return next(s for s in message.status if s.name.endswith(component))


@pytest.fixture
def cell(start, listener, robot):
    built = []

    def make(**parameters):
        built.append(Cell(start, listener, robot, **parameters))
        return built[0]

    yield make
    for found in built:
        found.check_motion()


def test_faults_that_leave_the_node_alive(cell):
    """Camera unplugged, NaN chunk, slow inference, bad chunks: one launch, one after the other."""
    c = cell(**{'safety.max_age_s': 3.0, 'max_rejected_chunks': 3})
    unplugged_camera(c)
    nan_chunk(c)
    slow_inference(c)
    for word, reason in (('jump', 'jumps by'), ('leave', 'allowed -0.100'), ('race', 'moves at')):
        refused(c, word, reason)
    inference_that_raises(c)


def unplugged_camera(c):
    result = c.run('move')
    c.moving()
    c.plugged, pulled_s = False, time.monotonic()
    begin = len(c.listener.received[STATUS])
    expected = 'left_camera is', 'old, allowed 0.5'
    waits = c.listener.wait(STATUS, lambda m: all(t in m.reason for t in expected), after=begin)
    assert waits.state == PolicyStatus.WAITING
    assert time.monotonic() - pulled_s < 0.5 + 1.0  # the allowed age, and what a slow machine adds
    assert 'left_camera' in c.diagnostics('streams', 2).message
    c.rests(CHUNK_S)
    c.plugged = True
    c.wait_state(PolicyStatus.RUNNING, len(c.listener.received[STATUS]))
    assert c.call(Trigger, 'stop').success
    assert result().reason == RunPolicy.Result.CANCELLED
    c.rests(0.3)


def nan_chunk(c):
    refused(c, 'spoil', 'fl_joint3 at step 3 is nan')


def refused(c, word, reason):
    """Nothing of such a chunk is sent, to neither arm; after so many the run is aborted."""
    sent, begin = c.sent(), len(c.listener.received['/diagnostics'])
    result = c.run(word)()
    assert result.reason == RunPolicy.Result.ABORTED
    assert result.rejected_chunks == 3
    assert reason in result.message
    assert c.sent() == sent
    assert reason in c.diagnostics('gate', 2, begin).message


def slow_inference(c):
    """The arms rest between chunks; no chunk is lost, nothing jumps, and it says so in numbers."""
    begin = len(c.listener.received[STATUS])
    result = c.run('dawdle')
    status = c.listener.wait(STATUS, lambda m: 'too long for a chunk of 960 ms' in m.reason)
    c.listener.wait(STATUS, lambda m: m.chunks >= 2 and m.state == 2, after=begin)
    assert status.inference_p50_ms > 0
    c.moving()
    assert 'the arms rest between chunks' in c.diagnostics('inference', 1).message
    c.call(Trigger, 'stop')
    assert result().rejected_chunks == 0
    c.rests(0.3)


def inference_that_raises(c):
    result = c.run('break')()
    assert result.reason == RunPolicy.Result.ABORTED
    assert 'RuntimeError: the network is broken' in result.message
    c.rests(0.3)
    assert c.policy.process.poll() is None


def test_a_policy_that_is_killed_leaves_the_arms_at_rest_within_a_chunk(cell):
    c = cell()
    c.run('move')
    c.moving()
    os.kill(c.policy.process.pid, signal.SIGKILL)
    c.rests(CHUNK_S + 0.1)


def test_sigterm_holds_the_arms_and_ends_cleanly(cell):
    c = cell()
    result = c.run('move')
    c.moving()
    before = c.sent()
    c.policy.process.send_signal(signal.SIGTERM)
    assert result().message == 'the node was ended'
    assert c.policy.wait(20) == 0, c.policy.output
    assert 'Traceback' not in c.policy.output
    for topic, count in zip(COMMANDS, before, strict=True):
        c.listener.wait(topic, after=count)
        assert len(c.listener.received[topic][-1].points) == 1  # the hold
    c.rests(0.1)


def test_after_time_went_back_a_fresh_set_of_sensors_is_needed(cell):
    c = cell()
    c.run('move')
    c.moving()
    # Longer than it takes to hear of another simulator, whose time begins anew.
    c.listener.wait(TARGETS, lambda m: m.header.stamp.sec >= 5)
    c.bridge.kill()
    c.plugged = False
    time.sleep(0.3)
    begin = len(c.listener.received[STATUS])
    sent = c.sent()
    c.bridge = c.start_bridge()
    waiting = c.listener.wait(STATUS, lambda m: m.time_jumps > 0, after=begin)
    assert waiting.state != PolicyStatus.RUNNING
    c.listener.wait(STATUS, lambda m: 'no image from left_camera yet' in m.reason, after=begin)
    assert c.sent() == sent
    c.listener.received[TARGETS].clear()  # the robot is another one
    c.plugged = True
    c.wait_state(PolicyStatus.RUNNING, begin)
    c.moving()


def test_joints_of_another_robot_end_the_run_with_both_lists(start, listener):
    policy = start(sys.executable, str(ODD), '--ros-args', '-p', 'policy:=odd')
    publisher = listener.create_publisher(JointState, 'joint_states', 5)
    wrong = JointState(name=['shoulder', 'elbow'], position=[0.0, 0.0])
    wrong.header.stamp.sec = 1
    timer = listener.create_timer(0.1, lambda: publisher.publish(wrong))
    client = listener.action_client(RunPolicy, 'policy/run', 'policy', 40.0)
    handle = done(client.send_goal_async(RunPolicy.Goal(instruction='move')))
    result = done(handle.get_result_async()).result
    assert result.reason == RunPolicy.Result.ABORTED
    assert 'found shoulder, elbow, expected fl_joint1, fl_joint2' in result.message
    assert policy.process.poll() is None
    timer.cancel()


def test_a_policy_for_other_joints_is_refused_at_configure(start, robot, tmp_path):
    text = (share_dir() / 'config' / 'robot' / 'aloha_agilex.yaml').read_text()
    (tmp_path / 'other.yaml').write_text(text.replace('fl_joint3', 'left_elbow'))
    config = load_model_config('test')
    figures = Normalisation.of_robot(robot, config.action_unit_rad)
    model = AimModel.random(config, 0)
    info = CheckpointInfo(config, robot, figures)
    save_checkpoint(tmp_path / 'made', info, model.transformer, model.tokenizer)
    words = f'checkpoint:={tmp_path / "made"}', f'robot:={tmp_path / "other.yaml"}'
    launched = start(str(BIN / 'policy_node'), '--ros-args', '-p', words[0], '-p', words[1])
    assert launched.wait(60) == 2
    assert 'left_elbow' in launched.output
    assert 'fl_joint3' in launched.output
    assert 'Traceback' not in launched.output


def test_an_emergency_stop_holds_and_stays_until_cleared(cell):
    c = cell()
    result = c.run('move')
    c.moving()
    button = c.listener.create_publisher(Bool, 'estop', LATCHED)
    button.publish(Bool(data=True))
    assert 'emergency stop' in result().message
    c.rests(0.2)
    sent = c.sent()
    goal = RunPolicy.Goal(instruction='move')
    assert not done(c.client.send_goal_async(goal)).accepted
    assert 'still says true' in c.call(Trigger, 'clear_estop').message
    button.publish(Bool(data=False))
    time.sleep(0.3)
    assert not done(c.client.send_goal_async(goal)).accepted
    assert c.call(Trigger, 'clear_estop').success
    assert c.sent() == sent
    c.run('move')
    c.wait_state(PolicyStatus.RUNNING, len(c.listener.received[STATUS]))


def test_a_stalled_inference_ends_in_held_arms(cell):
    c = cell(watchdog_timeout_s=0.5)
    result = c.run('freeze')()
    assert 'nothing heard of the policy for 0.' in result.message
    c.rests(0.1)
    assert 'fell silent' in c.diagnostics('watchdog', 2).message


def test_without_control_chunks_are_shown_and_nothing_is_sent(cell):
    c = cell(enable_control=False)
    result = c.run('move')
    c.listener.wait(STATUS, lambda m: m.chunks >= 3 and not m.control_enabled)
    assert c.sent() == [0, 0]
    assert c.call(SetBool, 'enable_control', data=True).success
    c.moving()
    assert c.call(SetBool, 'enable_control', data=False).success
    c.rests(0.2)
    c.call(Trigger, 'stop')
    assert result().reason == RunPolicy.Result.CANCELLED
    assert not math.isnan(c.targets()[-1].position[0])
