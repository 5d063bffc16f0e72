"""Simulated time, controllers and episodes around a backend."""

import numpy as np
import pytest

from sim_bridge.controller import TrajectoryCommand, TrajectoryRefused
from sim_bridge.fake import FakeBackend
from sim_bridge.sim_loop import EpisodeOver, EpisodeState, SimLoop


@pytest.fixture
def loop(robot):
    loop = SimLoop(FakeBackend(robot))
    loop.reset('click_bell', 5, 'easy')
    return loop


def stay(robot, arm, steps=2):
    held = robot.to_joints(robot.home)[robot.columns(arm)]
    times = np.arange(1, steps + 1) * robot.dt_ns
    return TrajectoryCommand.from_arrays(
        robot.arm(arm).joint_names, np.tile(held, (steps, 1)), times
    )


def test_a_step_is_one_policy_step_of_simulated_time(loop, robot):
    before = loop.now_ns
    loop.advance()
    assert loop.now_ns - before == robot.dt_ns
    assert loop.step_count == 1


def test_a_round_is_complete_when_every_arm_has_a_trajectory(loop, robot):
    loop.command('left', stay(robot, 'left'))
    assert loop.waiting
    assert not loop.complete
    loop.command('right', stay(robot, 'right'))
    assert loop.complete
    loop.advance()
    assert loop.moving
    loop.advance()
    assert not loop.moving


def test_replaying_the_expert_through_the_controllers_succeeds(loop, robot):
    expert = FakeBackend(robot)
    expert.reset('click_bell', 5, 'easy')
    joints = robot.to_joints(expert.demonstrate())
    times = np.arange(1, len(joints) + 1) * robot.dt_ns
    for arm in robot.arms:
        rows = joints[:, robot.columns(arm.name)]
        loop.command(arm.name, TrajectoryCommand.from_arrays(arm.joint_names, rows, times))
    while loop.moving and loop.state == EpisodeState.RUNNING:
        loop.advance()
    assert loop.state == EpisodeState.SUCCEEDED


def test_out_of_steps_is_a_failure(loop):
    while loop.state == EpisodeState.RUNNING:
        loop.advance()
    assert loop.state == EpisodeState.FAILED
    assert loop.step_count == loop.episode.step_limit


def test_no_trajectory_is_taken_when_no_episode_runs(robot):
    loop = SimLoop(FakeBackend(robot))
    with pytest.raises(EpisodeOver, match='IDLE'):
        loop.command('left', stay(robot, 'left'))


def test_a_refused_trajectory_leaves_the_old_motion(loop, robot):
    loop.command('left', stay(robot, 'left', steps=5))
    held = np.full((2, 7), np.nan)
    bad = TrajectoryCommand.from_arrays(
        robot.arm('left').joint_names, held, np.array([1, 2]) * robot.dt_ns
    )
    with pytest.raises(TrajectoryRefused, match='fl_joint1'):
        loop.command('left', bad)
    loop.advance()
    assert loop.moving


def test_time_never_goes_back_at_a_reset(loop):
    for _ in range(3):
        loop.advance()
    before = loop.now_ns
    loop.reset('click_bell', 6, 'easy')
    assert loop.now_ns > before
    assert loop.step_count == 0
