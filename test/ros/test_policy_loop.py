"""When a policy thinks and what leaves it: on the fake world, without ROS."""

import dataclasses

import numpy as np
import pytest

from aim_policy.baseline import HoldPolicy
from aim_policy.registry import make_policy
from aim_policy.rollout import look
from aim_ros.observer import Observer, ObserverConfig
from aim_ros.policy_loop import PolicyLoop, Sent, Waiting
from aim_ros.trajectory import ChunkConfig, ChunkRejected, GateConfig, TrajectoryGate
from sim_bridge.controller import TrajectoryCommand
from sim_bridge.fake import FakeBackend
from sim_bridge.sim_loop import SimLoop


def make(robot, policy, lockstep=True):
    observer = Observer(robot, ObserverConfig())
    return PolicyLoop(robot, policy, observer, TrajectoryGate(robot, GateConfig()), lockstep)


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
        look(world, loop.observer)
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
    look(world, loop.observer)
    execute(world, loop.poll(lambda: 0))
    for _ in range(GateConfig().execute_steps):
        assert isinstance(loop.poll(lambda: 0), Waiting)
        world.advance()
        look(world, loop.observer)
    assert isinstance(loop.poll(lambda: 0), Sent)


def test_observations_from_before_the_episode_are_ignored(robot):
    world, loop = SimLoop(FakeBackend(robot)), make(robot, HoldPolicy(robot))
    world.reset('click_bell', 1, 'easy')
    look(world, loop.observer)
    loop.start('wait', 0, world.now_ns + 1)
    look(world, loop.observer)
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
    look(world, loop.observer)
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
    look(world, loop.observer)
    loop.poll(lambda: world.now_ns)
    held = loop.hold(world.now_ns + robot.dt_ns)
    assert [list(t.times_ns) for t in held] == [[robot.dt_ns]] * 2
    assert loop.hold(world.now_ns + robot.dt_ns) == ()


def start_realtime(robot, policy=None, **chunks):
    """A world at rest that the loop has seen, and the loop."""
    world = SimLoop(FakeBackend(robot))
    loop = PolicyLoop(
        robot,
        policy or HoldPolicy(robot),
        Observer(robot, ObserverConfig(max_age_s=9.0)),
        TrajectoryGate(robot, GateConfig()),
        lockstep=False,
        chunks=ChunkConfig(**chunks),
    )
    world.reset('click_bell', 1, 'easy')
    loop.start('hold', 0, world.now_ns)
    look(world, loop.observer)
    return world, loop


def poll_late(world, loop, delay_steps):
    """Let thinking take so many steps; the clock is asked once after it."""
    thought = loop.think(lambda: world.now_ns)
    late_ns = world.now_ns + delay_steps * world.robot.dt_ns
    return thought if isinstance(thought, Waiting) else loop.commit(thought, lambda: late_ns)


def advance(world, loop, steps):
    for _ in range(steps):
        world.advance()
        look(world, loop.observer)


def test_a_robot_at_rest_loses_no_row_to_thinking(robot):
    world, loop = start_realtime(robot)
    sent = poll_late(world, loop, 2)
    assert len(sent.trajectories[0].positions) == len(sent.output.chunk.positions)
    assert sent.trajectories[0].times_ns[0] == robot.dt_ns


def test_realtime_sends_the_rest_of_the_chunk_that_overlaps_the_one_before(robot):
    world, loop = start_realtime(robot)
    sent = poll_late(world, loop, 2)
    advance(world, loop, 2)
    execute(world, sent)
    advance(world, loop, 5)
    assert isinstance(loop.poll(lambda: world.now_ns), Waiting)
    advance(world, loop, 1)  # two steps before the executed part ends, for two steps of thinking
    sent = poll_late(world, loop, 2)
    assert len(sent.trajectories[0].positions) == len(sent.output.chunk.positions) - 2
    assert sent.trajectories[0].times_ns[0] == robot.dt_ns


def test_a_policy_that_is_slower_than_its_chunk_moves_on_from_rest(robot):
    """It says so with numbers, and no chunk is lost to trimming."""
    world, loop = start_realtime(robot)
    for _ in range(3):
        sent = poll_late(world, loop, 20)
        assert len(sent.trajectories[0].positions) == 16
        assert 'it takes 1200 ms, too long for a chunk of 960 ms' in loop.complaint
        advance(world, loop, 20)
        execute(world, sent)
        advance(world, loop, 16)
        assert isinstance(loop.poll(lambda: world.now_ns), Waiting)
        advance(world, loop, 1)
    assert loop.gate.rejected == 0


class Driver(HoldPolicy):
    """Moves joint 1 at a speed that changes with every chunk; continues what is committed."""

    def __init__(self, robot):
        super().__init__(robot)
        self.committed = []

    def infer(self, observation, committed=None):
        output = super().infer(observation)
        rows = output.chunk.positions
        done = 0 if committed is None else len(committed)
        if done:
            rows[:done], rows[done:] = committed, committed[-1]
        speed = 0.02 if len(self.committed) % 2 else -0.02
        rows[done:, 0] += speed * np.arange(1, len(rows) - done + 1)
        self.committed.append(committed)
        return output


def drive(robot, blend):
    """Drive with chunks that take three steps each; returns joint 1's commands, step by step."""
    policy = Driver(robot)
    world, loop = start_realtime(robot, policy, blend=blend)
    commands, due, pending = [], None, None
    for step in range(40):
        if due is None and isinstance(result := poll_late(world, loop, 3), Sent):
            pending, due = result, step + 3
        if step == due:
            execute(world, pending)
            due = None
        advance(world, loop, 1)
        commands.append(world.snapshot().target[0])
    return np.array(commands), policy.committed


def test_real_time_chunking_commits_what_the_arms_follow_meanwhile(robot):
    commands, (first, second, *_) = drive(robot, 'rtc')
    assert first is None
    assert len(second) == 4  # three steps of thinking and one of lead
    begin = int(np.flatnonzero(np.isclose(commands, second[0, 0]))[0])
    np.testing.assert_allclose(commands[begin : begin + 4], second[:, 0], atol=1e-9)


class Leaper(HoldPolicy):
    """Wants joint 1 a little further away with every chunk, at once."""

    def infer(self, observation, committed=None):
        output = super().infer(observation)
        output.chunk.positions[:, 0] = 0.1 * (output.chunk.chunk_id + 1)
        return output


@pytest.mark.parametrize(('blend', 'step'), [('replace', 0.1), ('crossfade', 0.021)])
def test_crossfade_spreads_a_change_of_mind(robot, blend, step):
    world, loop = start_realtime(robot, Leaper(robot), blend=blend)
    execute(world, loop.poll(lambda: world.now_ns))
    advance(world, loop, 8)
    sent = loop.poll(lambda: world.now_ns)
    before = world.snapshot().target[0]
    moves = np.diff(sent.trajectories[0].positions[:, 0], prepend=before)
    assert np.abs(moves).max() <= step + 1e-9
    assert sent.trajectories[0].positions[-1, 0] == pytest.approx(0.2)


def test_time_that_goes_back_disarms_until_a_fresh_set_is_there(robot):
    world, loop = start_realtime(robot)
    loop.poll(lambda: world.now_ns)
    loop.observer.time_jumped()
    waiting = loop.poll(lambda: world.now_ns)
    assert waiting.reason == 'no image from head_camera yet'
    assert loop.hold(world.now_ns) == ()
    look(world, loop.observer)
    assert isinstance(loop.poll(lambda: world.now_ns), Sent)


def test_a_chunk_from_before_time_went_back_is_dropped(robot):
    world, loop = start_realtime(robot)
    thought = loop.think(lambda: world.now_ns)
    loop.observer.time_jumped()
    assert 'set back' in loop.commit(thought, lambda: world.now_ns).reason


def test_a_rehearsal_commands_nothing(robot):
    world, loop = start_realtime(robot)
    thought = loop.think(lambda: world.now_ns)
    assert loop.commit(thought, lambda: world.now_ns, rehearse=True).trajectories
    assert loop.hold(world.now_ns) == ()
    assert loop.steps_ahead(world.now_ns) == 0


def test_no_more_rows_are_sent_than_allowed(robot):
    world, loop = start_realtime(robot, publish_steps=5)
    assert len(loop.poll(lambda: world.now_ns).trajectories[0].positions) == 5
