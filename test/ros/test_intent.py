"""What value maps say of a chunk, and what is done where they say nothing."""

import math

import numpy as np
import pytest

from aim_policy.baseline import HoldPolicy
from aim_policy.interface import ActionChunk, PolicyOutput, ValueMaps
from aim_policy.map_view import Contact
from aim_policy.rollout import look
from aim_ros.gate_config import GateConfig
from aim_ros.intent import Contacts, lack_of_intent, with_arm
from aim_ros.observer import Observer, ObserverConfig
from aim_ros.policy_loop import PolicyLoop, Sent
from aim_ros.trajectory import TrajectoryGate
from sim_bridge.fake import FakeBackend
from sim_bridge.sim_loop import SimLoop


def value_maps(robot, value, pixel=(160, 120)):
    heat = np.zeros((2, 240, 320), np.float32)
    heat[0, pixel[1], pixel[0]] = value
    peaks = np.tile(np.array(pixel, float), (2, 1))
    cameras = [camera.name for camera in robot.cameras]
    return ValueMaps(dict.fromkeys(cameras, heat), np.ones(2), dict.fromkeys(cameras, peaks))


@pytest.mark.parametrize(
    ('value', 'least', 'reason'),
    [
        (0.1, 0.0, ''),
        (0.5, 0.5, ''),
        (0.4, 0.5, 'peak at 0.40, expected 0.5'),
        (math.nan, 0.5, 'no intent'),
    ],
)
def test_a_map_has_to_be_high_enough_somewhere(robot, value, least, reason):
    found = lack_of_intent(value_maps(robot, value), least)
    assert reason in found if reason else found == ''


def test_a_policy_without_maps_shows_no_intent():
    assert lack_of_intent(None, 0.0) == ''
    assert 'no value map' in lack_of_intent(None, 0.1)


class MovingPolicy(HoldPolicy):
    """Lifts a joint a little, and shows as much intent as it is told to."""

    value = 0.0

    def infer(self, observation, *committed):
        output = super().infer(observation, *committed)
        output.chunk.positions[:, 1] += 0.01
        return PolicyOutput(output.chunk, value_maps(self.robot, self.value))


@pytest.mark.parametrize('lockstep', [True, False])
def test_the_arms_hold_still_until_a_map_shows_intent(robot, lockstep):
    world, policy = SimLoop(FakeBackend(robot)), MovingPolicy(robot)
    gate = TrajectoryGate(robot, GateConfig(min_value_peak=0.3))
    loop = PolicyLoop(robot, policy, Observer(robot, ObserverConfig()), gate, lockstep)
    world.reset('click_bell', 1, 'easy')
    for policy.value, moved in ((0.1, 0.0), (0.9, 0.01)):
        loop.start('lift it', 0, world.now_ns)
        sent = think(loop, world)
        assert isinstance(sent, Sent)
        assert bool(sent.held) == (moved == 0)
        positions = sent.trajectories[0].positions
        np.testing.assert_allclose(positions[:, 1], robot.home[1] + moved, atol=1e-9)
        assert sent.output.chunk.positions[0, 1] == pytest.approx(robot.home[1] + 0.01)


def think(loop, world):
    look(world, loop.observer)
    return loop.poll(lambda: world.now_ns)


def test_the_arm_whose_path_comes_closest_is_named_with_its_time():
    line = np.linspace([0.0, 50.0], [80.0, 50.0], 9)
    paths = {'left': line, 'right': line + [0, 30]}
    found = with_arm(Contact((60, 75), 1.0, chunk_s=1.6), paths, near_px=10)
    assert found.arm == 'right'
    assert found.time_s == pytest.approx(1.2)
    assert str(found) == 'right arm: contact in 1.2 s'


def test_a_contact_that_the_chunk_does_not_reach_comes_after_it():
    paths = {'left': np.array([[0.0, 0.0], [np.nan, np.nan], [20.0, 0.0]])}
    found = with_arm(Contact((90, 0), 1.0, chunk_s=0.96), paths, near_px=10)
    assert str(found) == 'left arm: contact after 1.0 s'


def test_no_arm_is_named_where_none_is_seen():
    gone = {'left': np.full((3, 2), np.nan)}
    assert with_arm(Contact((9, 9), 1.0), gone, near_px=10).arm == ''


def test_fingers_appear_where_the_camera_sees_them(robot):
    """Arms at home: the head camera has them at its sides, wrist cameras before them."""
    chunk = ActionChunk(np.tile(robot.home, (4, 1)), robot.dt_s, robot.joint_names, 0, 0)
    output = PolicyOutput(chunk, value_maps(robot, 1.0))
    found = Contacts(robot).of(output, robot.home)
    left, right = (found['head_camera'].paths_px[arm][0] for arm in ('left', 'right'))
    assert left[0] < 160 < right[0]
    column, row = found['left_camera'].paths_px['left'][-1]
    assert 0 < column < 320
    assert row > 120
