"""What a policy that keeps a history is shown between two chunks."""

import numpy as np
import pytest

from aim_policy.baseline import HoldPolicy
from aim_policy.rollout import Plan, PolicyStopped, Rollout, Scene, look
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


def rollout(robot, policy, **plan):
    world = SimLoop(FakeBackend(robot))
    played = Rollout(Plan('hold', (SCENE.task,), backend='fake', **plan), policy, world)
    with pytest.raises(PolicyStopped, match='enough'):
        played.play(SCENE)
    return policy


@pytest.mark.parametrize('every', [4, 8, 10])
def test_key_frames_come_at_even_distances_with_what_was_commanded(robot, every):
    policy = rollout(robot, Rememberer(robot, every))
    first = policy.planned[0]
    count = (policy.planned[-1] - first) // (every * robot.dt_ns)
    assert policy.shown == [first + (i + 1) * every * robot.dt_ns for i in range(count)]
    for rows, target in policy.rows:
        assert rows.shape == (every, len(robot.joint_names))
        np.testing.assert_array_equal(rows[-1], target)
        np.testing.assert_allclose(np.diff(rows[:, 1]), 0.01)


def test_who_keeps_no_history_is_shown_nothing(robot):
    policy = rollout(robot, Rememberer(robot, 0))
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
    assert loop.key_frames.due_ns is None
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
