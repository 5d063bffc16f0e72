"""When a policy thinks and what leaves it: on the fake world, without ROS."""

import dataclasses

import numpy as np
import pytest

from aim_policy.baseline import HoldPolicy
from aim_policy.registry import make_policy
from aim_ros.observer import Observer, ObserverConfig
from aim_ros.policy_loop import PolicyLoop, Sent, Waiting
from aim_ros.trajectory import ChunkRejected, GateConfig, TrajectoryGate
from sim_bridge.controller import TrajectoryCommand
from sim_bridge.fake import FakeBackend
from sim_bridge.sim_loop import SimLoop


def make(robot, policy, lockstep=True):
    observer = Observer(robot, ObserverConfig())
    return PolicyLoop(robot, policy, observer, TrajectoryGate(robot, GateConfig()), lockstep)


def show(loop, world):
    """Give the observer what the world's sensors say."""
    snapshot, robot = world.snapshot(), world.robot
    for camera, image in snapshot.images.items():
        loop.observer.add_image(camera, snapshot.stamp_ns, image)
    state = snapshot.state
    loop.observer.add_joints(snapshot.stamp_ns, state.joint_names, state.position)
    loop.observer.add_targets(snapshot.stamp_ns, robot.joint_names, snapshot.target)


def execute(world, sent):
    for trajectory in sent.trajectories:
        command = TrajectoryCommand.from_arrays(
            trajectory.joint_names,
            trajectory.positions,
            trajectory.times_ns,
            trajectory.velocities,
        )
        world.command(trajectory.arm, command)


def run(robot, policy, chunks, seed=3):
    """Run some chunks in lockstep; returns every position that was commanded."""
    world, loop = SimLoop(FakeBackend(robot)), make(robot, policy)
    episode = world.reset('click_bell', seed, 'easy')
    loop.start(episode.instruction, seed, world.now_ns)
    commanded = []
    for _ in range(chunks):
        show(loop, world)
        sent = loop.poll(lambda: 0)
        assert isinstance(sent, Sent)
        commanded.append(np.concatenate([t.positions for t in sent.trajectories], axis=1))
        execute(world, sent)
        while world.moving:
            world.advance()
    return np.concatenate(commanded)


def test_lockstep_executes_the_first_steps_of_each_chunk(robot):
    assert len(run(robot, HoldPolicy(robot), chunks=3)) == 3 * GateConfig().execute_steps


def test_same_seed_same_commands_to_the_last_bit(robot):
    first = run(robot, make_policy('aim', robot), chunks=4)
    second = run(robot, make_policy('aim', robot), chunks=4)
    np.testing.assert_array_equal(first, second)


def test_the_policy_waits_until_its_steps_are_executed(robot):
    world, loop = SimLoop(FakeBackend(robot)), make(robot, HoldPolicy(robot))
    world.reset('click_bell', 1, 'easy')
    loop.start('wait', 0, world.now_ns)
    show(loop, world)
    execute(world, loop.poll(lambda: 0))
    for _ in range(GateConfig().execute_steps):
        assert isinstance(loop.poll(lambda: 0), Waiting)
        world.advance()
        show(loop, world)
    assert isinstance(loop.poll(lambda: 0), Sent)


def test_observations_from_before_the_episode_are_ignored(robot):
    world, loop = SimLoop(FakeBackend(robot)), make(robot, HoldPolicy(robot))
    world.reset('click_bell', 1, 'easy')
    show(loop, world)
    loop.start('wait', 0, world.now_ns + 1)
    show(loop, world)
    waiting = loop.poll(lambda: 0)
    assert isinstance(waiting, Waiting)
    assert 'no image' in waiting.reason


class WildPolicy(HoldPolicy):
    """Wants one joint somewhere else at once."""

    def infer(self, observation):
        output = super().infer(observation)
        output.chunk.positions[:, 1] += 1.5
        return output


def test_a_chunk_that_the_gate_refuses_never_leaves(robot):
    world, loop = SimLoop(FakeBackend(robot)), make(robot, WildPolicy(robot))
    world.reset('click_bell', 1, 'easy')
    loop.start('jump', 0, world.now_ns)
    show(loop, world)
    with pytest.raises(ChunkRejected, match='fl_joint2'):
        loop.poll(lambda: 0)


def test_a_robot_without_a_targets_topic_starts_from_its_measured_joints(robot):
    plain = dataclasses.replace(robot, joint_targets_topic='')
    world, loop = SimLoop(FakeBackend(plain)), make(plain, HoldPolicy(plain), lockstep=False)
    world.reset('click_bell', 1, 'easy')
    loop.start('hold', 0, world.now_ns)
    snapshot = world.snapshot()
    for camera, image in snapshot.images.items():
        loop.observer.add_image(camera, snapshot.stamp_ns, image)
    state = snapshot.state
    loop.observer.add_joints(snapshot.stamp_ns, state.joint_names, state.position)
    sent = loop.poll(lambda: world.now_ns)
    assert isinstance(sent, Sent)
    np.testing.assert_allclose(sent.observation.joint_target, plain.home)


def test_hold_ends_what_is_underway_within_a_step(robot):
    world, loop = SimLoop(FakeBackend(robot)), make(robot, HoldPolicy(robot), lockstep=False)
    world.reset('click_bell', 1, 'easy')
    loop.start('hold', 0, world.now_ns)
    assert loop.hold(world.now_ns) == ()
    show(loop, world)
    loop.poll(lambda: world.now_ns)
    held = loop.hold(world.now_ns + robot.dt_ns)
    assert [list(t.times_ns) for t in held] == [[robot.dt_ns]] * 2
    assert loop.hold(world.now_ns + robot.dt_ns) == ()


def test_realtime_sends_the_whole_rest_of_the_chunk(robot):
    world, loop = SimLoop(FakeBackend(robot)), make(robot, HoldPolicy(robot), lockstep=False)
    world.reset('click_bell', 1, 'easy')
    loop.start('hold', 0, world.now_ns)
    show(loop, world)
    late_ns = world.now_ns + 2 * robot.dt_ns
    sent = loop.poll(lambda: late_ns)
    assert isinstance(sent, Sent)
    steps = len(sent.output.chunk.positions)
    assert len(sent.trajectories[0].positions) == steps - 2
    assert sent.trajectories[0].times_ns[0] == robot.dt_ns
