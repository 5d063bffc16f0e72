"""What the diagnostics say, and who allows the arms to move."""

import threading
import time

import numpy as np
import pytest

from aim_policy.interface import ActionChunk
from aim_ros import health
from aim_ros.health import Level
from aim_ros.observer import Observer, ObserverConfig
from aim_ros.permission import Permission
from aim_ros.trajectory import ChunkRejected, GateConfig, TrajectoryGate
from aim_ros.watchdog import Watchdog

T0 = 1_700_000_000_000_000_000


def fed(robot, offset_ns=0):
    observer = Observer(robot, ObserverConfig())
    observer.set_instruction('press')
    for camera in robot.cameras:
        observer.add_image(camera.name, T0 + offset_ns, np.zeros((240, 320, 3), np.uint8))
    home = robot.to_joints(robot.home)
    observer.add_joints(T0 + offset_ns, robot.joint_names, home)
    observer.add_targets(T0 + offset_ns, robot.joint_names, home)
    return observer


def test_fresh_streams_are_fine(robot):
    found = health.of_streams(fed(robot), T0, True, {})
    assert (found.level, found.message) == (Level.OK, 'all fresh')
    assert found.values['left_camera: age [ms]'] == '0'


def test_a_missing_stream_is_an_error_in_a_run_and_a_warning_before(robot):
    observer = Observer(robot, ObserverConfig())
    observer.refuse('head_camera', 'encoding is "yuv422"')
    levels = [health.of_streams(observer, T0, running, {}).level for running in (True, False)]
    assert levels == [Level.ERROR, Level.WARN]
    assert 'yuv422' in health.of_streams(observer, T0, True, {}).message


def test_clocks_that_disagree_are_told_before_they_do_harm(robot):
    found = health.of_streams(fed(robot, 100_000_000), T0, True, {})
    assert found.level == Level.WARN
    assert '0.10 s in the future: do the clocks agree' in found.message


def test_a_publisher_that_cannot_be_heard_is_a_warning(robot):
    found = health.of_streams(fed(robot), T0, False, {'joint_states': 'DURABILITY'})
    assert found.level == Level.WARN
    assert found.values['joint_states: incompatible QoS'] == 'DURABILITY'


def test_a_refused_chunk_is_an_error_with_its_reason(robot):
    gate = TrajectoryGate(robot, GateConfig())
    rows = np.full((2, 14), np.nan)
    with pytest.raises(ChunkRejected):
        gate.admit(ActionChunk(rows, 0.06, robot.joint_names, T0, 0), T0, robot.home)
    found = health.of_gate(gate, refused_in_a_row=1)
    assert found.level == Level.ERROR
    assert 'fl_joint1 at step 0 is nan' in found.message
    assert found.values['rejected'] == '1'


def test_latencies_have_percentiles():
    latencies = health.Latencies()
    for value in range(1, 101):
        latencies.add(float(value))
    found = health.of_inference(latencies, 'too slow', 0)
    assert (found.level, found.message) == (Level.WARN, 'too slow')
    assert found.values['p50 [ms]'] == '50.5'
    assert found.values['p95 [ms]'] == '95.0'


def test_nothing_may_move_before_activation_without_control_or_after_a_stop():
    permission = Permission(control_enabled=True)
    assert 'not active' in permission.refusal
    permission.active = True
    assert permission.may_move
    permission.control_enabled = False
    assert not permission.may_move
    assert permission.refusal == ''  # chunks may be shown
    permission.control_enabled = True
    assert permission.stop('the button')
    assert not permission.stop('another one')
    assert permission.refusal == 'the button; call ~/clear_estop first'
    assert health.of_control(permission).level == Level.ERROR


def test_releasing_the_button_starts_nothing():
    permission = Permission(control_enabled=True)
    permission.active = True
    assert permission.hear_estop(True)
    assert 'still says true' in permission.clear_estop()
    assert not permission.hear_estop(False)
    assert not permission.may_move
    assert permission.clear_estop() == ''
    assert permission.may_move


def test_a_watchdog_notices_silence_once():
    heard = []
    called = threading.Event()
    watchdog = Watchdog(0.1, lambda silence_s: (heard.append(silence_s), called.set()))
    time.sleep(0.2)
    assert heard == []  # it is off
    watchdog.beat()
    assert called.wait(2)
    time.sleep(0.2)
    watchdog.close()
    assert len(heard) == watchdog.trips == 1
    assert heard[0] > 0.1
