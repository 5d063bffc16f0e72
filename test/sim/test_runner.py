"""When simulated time passes."""

import threading
import time

import numpy as np
import pytest

from aim_policy.config import ConfigError
from sim_bridge.brake import Brake, WrongState
from sim_bridge.controller import TrajectoryCommand
from sim_bridge.fake import FakeBackend
from sim_bridge.runner import Pacing, Runner
from sim_bridge.sim_loop import SimLoop


class Running:
    """A runner in its thread, with what it published."""

    def __init__(self, robot, **pacing):
        self.robot, self.snapshots, self.warnings = robot, [], []
        self.runner = Runner(
            SimLoop(FakeBackend(robot)),
            Pacing(**pacing),
            self.snapshots.append,
            self.warnings.append,
        )
        self._go_on = True
        self._thread = threading.Thread(target=self.runner.run, args=(lambda: self._go_on,))

    def __enter__(self):
        self._thread.start()
        self.runner.submit(lambda loop: loop.reset('click_bell', 5, 'easy')).result(5)
        return self

    def __exit__(self, *_):
        self._go_on = False
        self._thread.join(5)

    def stay(self, *arms, steps=3):
        for arm in arms:
            held = self.robot.to_joints(self.robot.home)[self.robot.columns(arm)]
            command = TrajectoryCommand.from_arrays(
                self.robot.arm(arm).joint_names,
                np.tile(held, (steps, 1)),
                np.arange(1, steps + 1) * self.robot.dt_ns,
            )
            self.runner.submit(lambda loop, a=arm, c=command: loop.command(a, c)).result(5)

    def steps(self):
        return self.runner.submit(lambda loop: loop.step_count).result(5)

    def wait_for_steps(self, count):
        end = time.monotonic() + 5
        while self.steps() < count and time.monotonic() < end:
            time.sleep(0.01)
        return self.steps()


def test_lockstep_time_stands_still_without_a_trajectory(robot):
    with Running(robot) as running:
        time.sleep(0.3)
        assert running.steps() == 0


def test_lockstep_runs_exactly_as_long_as_the_trajectories(robot):
    with Running(robot) as running:
        running.stay('left', 'right', steps=3)
        assert running.wait_for_steps(3) == 3
        time.sleep(0.2)
        assert running.steps() == 3


def test_lockstep_waits_for_both_arms_and_then_goes_on_with_one(robot):
    with Running(robot, partial_wait_s=0.3) as running:
        running.stay('left')
        time.sleep(0.1)
        assert running.steps() == 0
        assert running.wait_for_steps(3) == 3
        assert 'only some arms' in running.warnings[0]


def test_sensors_are_repeated_while_time_stands_still(robot):
    """A lost best-effort picture would stop a lockstep evaluation for good."""
    with Running(robot, repeat_s=0.05) as running:
        running.stay('left', 'right', steps=1)
        running.wait_for_steps(1)
        time.sleep(0.3)
        stamps = [snapshot.stamp_ns for snapshot in running.snapshots]
        assert stamps.count(stamps[-1]) > 2


def test_realtime_follows_the_clock(robot):
    with Running(robot, execution='realtime', realtime_factor=4.0) as running:
        time.sleep(0.6)
        steps = running.steps()
        assert 0.5 * 40 < steps < 1.5 * 40


def test_what_an_action_raises_reaches_who_submitted_it(robot):
    with Running(robot) as running, pytest.raises(ConfigError, match='unknown task'):
        running.runner.submit(lambda loop: loop.reset('fold_laundry', 0, 'easy')).result(5)


def test_a_reset_in_mid_motion_leaves_the_new_episode_untouched(robot):
    with Running(robot) as running:
        running.stay('left', 'right', steps=50)
        running.wait_for_steps(2)
        running.runner.submit(lambda loop: loop.reset('click_bell', 6, 'easy')).result(5)
        time.sleep(0.2)
        assert running.steps() == 0


def test_who_asks_after_the_end_gets_an_answer(robot):
    with Running(robot) as running:
        pass
    with pytest.raises(RuntimeError, match='has ended'):
        running.runner.submit(lambda loop: loop.step_count).result(5)


def test_unknown_execution_is_refused():
    with pytest.raises(ConfigError, match='did you mean "lockstep"'):
        Pacing(execution='lock_step')


def test_paused_time_passes_in_steps_only(robot):
    with Running(robot) as running:
        runner = running.runner
        runner.submit(lambda _: runner.brake.pull()).result(5)
        running.stay('left', 'right', steps=5)
        time.sleep(0.1)
        assert running.steps() == 0
        runner.step(2)
        assert running.steps() == 2
        runner.submit(lambda _: runner.brake.release()).result(5)
        assert running.wait_for_steps(5) == 5


@pytest.mark.parametrize('execution', ['lockstep', 'realtime'])
def test_a_paused_world_can_be_stepped_without_motion(robot, execution):
    with Running(robot, execution=execution) as running:
        runner = running.runner
        runner.submit(lambda _: runner.brake.pull()).result(5)
        before = running.steps()
        runner.step(3)
        assert running.steps() == before + 3
        assert running.snapshots[-1].stamp_ns % robot.dt_ns == 1_000_000_000 % robot.dt_ns


def test_steps_need_a_pause_and_an_episode(robot):
    with Running(robot) as running:
        with pytest.raises(WrongState, match='not paused'):
            running.runner.step(1)
        running.runner.submit(lambda loop: setattr(loop, 'episode', None)).result(5)
        with pytest.raises(WrongState, match='no episode'):
            running.runner.step(1)


def test_who_waits_for_steps_hears_that_they_will_not_come():
    brake = Brake()
    brake.pull()
    steps = brake.step(0)
    assert brake.steps == 1
    with pytest.raises(WrongState, match='still to be made'):
        brake.step(1)
    brake.release()
    with pytest.raises(WrongState, match='goes on'):
        steps.result(0)
