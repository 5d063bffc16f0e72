"""What a policy that keeps a history is shown between two chunks."""

from dataclasses import replace

import numpy as np
import pytest

from aim_policy.baseline import HoldPolicy
from aim_policy.config import ConfigError
from aim_policy.rollout import Plan, PolicyStopped, Rollout, Scene, look
from aim_ros.key_frames import KeyFrames
from aim_ros.observer import Observer, ObserverConfig
from aim_ros.policy_loop import PolicyLoop
from aim_ros.trajectory import GateConfig, TrajectoryGate
from sim_bridge.fake import FakeBackend
from sim_bridge.sim_loop import SimLoop

SCENE = Scene('click_bell', 'easy', 7)


class Rememberer(HoldPolicy):
    """Lifts both arms slowly; notes what it sees and what it is shown."""

    def __init__(self, robot, key_frame_steps, chunks=4):
        super().__init__(robot)
        self.key_frame_steps, self._chunks = key_frame_steps, chunks
        self.planned, self.shown, self.rows = [], [], []

    def observe(self, observation, executed):
        self.shown.append(observation.stamp_ns)
        self.rows.append((executed, observation.joint_target))

    def infer(self, observation, committed=None):
        self.planned.append(observation.stamp_ns)
        if len(self.planned) > self._chunks:
            raise ValueError('enough')
        output = super().infer(observation)
        output.chunk.positions[:, [1, 8]] += 0.01 * np.arange(1, 17)[:, None]
        return output


def play(robot, policy):
    world = SimLoop(FakeBackend(robot))
    played = Rollout(Plan('hold', (SCENE.task,), backend='fake'), policy, world)
    with pytest.raises(PolicyStopped, match='enough'):
        played.play(SCENE)


@pytest.mark.parametrize('every', [4, 8, 10])
def test_key_frames_come_at_even_distances_with_what_was_commanded(robot, every):
    policy = Rememberer(robot, every)
    play(robot, policy)
    first = policy.planned[0]
    count = (policy.planned[-1] - first) // (every * robot.dt_ns)
    assert policy.shown == [first + (i + 1) * every * robot.dt_ns for i in range(count)]
    for rows, target in policy.rows:
        assert rows.shape == (every, len(robot.joint_names))
        np.testing.assert_array_equal(rows[-1], target)
        np.testing.assert_allclose(np.diff(rows[:, 1]), 0.01)


def test_who_keeps_no_history_is_shown_nothing(robot):
    policy = Rememberer(robot, 0)
    play(robot, policy)
    assert policy.shown == []


def make(robot, policy):
    """A loop in lockstep on a world at rest, and a function that lets a step pass, seen or not."""
    world = SimLoop(FakeBackend(robot))
    gate = TrajectoryGate(robot, GateConfig())
    loop = PolicyLoop(robot, policy, Observer(robot, ObserverConfig()), gate, lockstep=True)
    world.reset(SCENE.task, SCENE.seed, SCENE.setting)
    loop.start('press', 0, world.now_ns)

    def step(seen=True):
        world.advance()
        if seen:
            look(world, loop.observer)

    look(world, loop.observer)
    return loop, step


def test_a_lost_key_frame_ends_the_history_and_the_next_chunk_begins_another(robot):
    policy = Rememberer(robot, 4)
    loop, step = make(robot, policy)
    loop.poll(lambda: 0)
    for number in range(1, 16):
        step(seen=number not in (7, 8, 9))
        loop.poll(lambda: 0)
    begin, second = policy.planned
    assert second == begin + 10 * robot.dt_ns
    assert policy.shown == [begin + 4 * robot.dt_ns, second + 4 * robot.dt_ns]


def test_a_new_episode_begins_a_new_history(robot):
    policy = Rememberer(robot, 4)
    loop, step = make(robot, policy)
    loop.poll(lambda: 0)
    loop.start('press again', 0, 0)
    for _ in range(4):
        step()
    loop.poll(lambda: 0)
    assert policy.shown == []


def test_in_a_rehearsal_the_arms_stay(robot):
    policy = Rememberer(robot, 4)
    loop, step = make(robot, policy)
    loop.commit(loop.think(lambda: 0), lambda: 0, rehearse=True)
    for _ in range(4):
        step()
    loop.poll(lambda: 0)
    ((rows, _),) = policy.rows
    np.testing.assert_array_equal(rows, np.tile(robot.home, (4, 1)))


def test_cameras_of_another_rate_do_not_let_key_frames_drift(robot):
    """Frames every 20 ms: the one nearest to each multiple of 240 ms counts."""
    policy, targets = Rememberer(robot, 4), replace(robot, joint_targets_topic='')
    loop, _ = make(targets, policy)
    begin = loop.observer.latest(None).stamp_ns
    observe, commanded = policy.observe, []

    def note(observation, executed):
        commanded.append(loop.gate.reference_at(observation.stamp_ns))
        observe(observation, executed)

    policy.observe = note
    loop.poll(lambda: begin)
    image = np.zeros((240, 320, 3), np.uint8)
    for tick in range(1, 25):
        stamp_ns = begin + tick * 20_000_000 + 3_000_000
        for camera in robot.cameras:
            loop.observer.add_image(camera.name, stamp_ns, image)
        loop.observer.add_joints(stamp_ns, robot.joint_names, robot.to_joints(robot.home))
        loop.poll(lambda stamp_ns=stamp_ns: stamp_ns)
    near = [begin + count * 240_000_000 for count in (1, 2)]
    assert np.abs(np.subtract(policy.shown, near)).max() <= 17_000_000
    np.testing.assert_array_equal([target for _, target in policy.rows], commanded)
    assert commanded[0][1] > robot.home[1]


def test_fewer_pictures_than_a_chunk_has_steps_are_refused(robot):
    with pytest.raises(ConfigError, match='sync.queue_size is 7, expected at least'):
        KeyFrames(
            Rememberer(robot, 4),
            Observer(robot, ObserverConfig(queue_size=7)),
            TrajectoryGate(robot, GateConfig()),
        )
