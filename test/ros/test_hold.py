"""Whatever happens, motion under way can be ended, and never by another motion."""

import numpy as np
import pytest

from aim_policy.baseline import HoldPolicy
from aim_policy.rollout import look
from aim_ros.observer import Observer, ObserverConfig
from aim_ros.policy_loop import PolicyLoop, Thought
from aim_ros.trajectory import ChunkRejected, GateConfig, TrajectoryGate
from sim_bridge.fake import FakeBackend
from sim_bridge.sim_loop import SimLoop

LIFT = 0.0025  # of joint 1 of both arms, ever faster


class Lifting(HoldPolicy):
    def infer(self, observation, committed=None):
        output = super().infer(observation)
        output.chunk.positions[:, [1, 8]] += LIFT * np.arange(1, 17)[:, None] ** 2
        return output


def moving(robot, lockstep=False, **safety):
    """A loop whose arms have just been sent a chunk, and when that was."""
    world = SimLoop(FakeBackend(robot))
    gate = TrajectoryGate(robot, GateConfig(**safety))
    observer = Observer(robot, ObserverConfig(max_age_s=9.0))
    loop = PolicyLoop(robot, Lifting(robot), observer, gate, lockstep)
    world.reset('click_bell', 1, 'easy')
    loop.start('lift', 0, world.now_ns)
    look(world, observer)
    loop.poll(lambda: world.now_ns)
    return loop, world.now_ns


def assert_holds(robot, loop, now_ns):
    """Both arms come to rest within a step, on their way."""
    here, rest = (loop.gate.reference_at(t) for t in (now_ns, now_ns + robot.dt_ns))
    held = loop.hold(now_ns)
    assert [t.arm for t in held] == ['left', 'right']
    for trajectory in held:
        columns = robot.columns(trajectory.arm)
        assert list(trajectory.times_ns) == [robot.dt_ns]
        np.testing.assert_allclose(trajectory.positions[-1], robot.to_joints(rest)[columns])
    assert rest[1] > here[1]
    assert loop.hold(now_ns) == ()
    np.testing.assert_array_equal(loop.gate.reference_at(now_ns + 10 * robot.dt_ns), rest)


@pytest.mark.parametrize(
    'safety',
    [{}, {'min_lead_steps': 5}, {'max_start_jump_rad': 0.003}],
    ids=['defaults', 'lead', 'jump limit'],
)
def test_no_setting_refuses_a_hold(robot, safety):
    loop, begin_ns = moving(robot, **safety)
    assert_holds(robot, loop, begin_ns + 6 * robot.dt_ns + robot.dt_ns // 3)


def test_in_lockstep_too(robot):
    loop, begin_ns = moving(robot, lockstep=True)
    assert_holds(robot, loop, begin_ns + 3 * robot.dt_ns)


def test_after_time_went_back_nothing_is_sent_that_belonged_to_the_old_time(robot):
    loop, begin_ns = moving(robot)
    loop.observer.time_jumped()
    assert loop.hold(begin_ns + robot.dt_ns) == ()


def test_before_the_motion_nothing_is_sent_either(robot):
    loop, begin_ns = moving(robot)
    assert loop.hold(begin_ns - robot.dt_ns) == ()


def test_a_rehearsal_leaves_what_is_under_way_to_be_held(robot):
    """Control was taken away while the policy thought: the chunk of before still has to end."""
    loop, begin_ns = moving(robot)
    now_ns = begin_ns + 2 * robot.dt_ns
    commanded = loop.gate.commanded
    observation = loop.observer.latest(None)
    thought = Thought(observation, Lifting(robot).infer(observation), 1.0)
    loop.commit(thought, lambda: now_ns, rehearse=True)
    assert loop.gate.commanded is commanded
    assert_holds(robot, loop, now_ns)


@pytest.mark.parametrize('lockstep', [False, True])
def test_arms_that_do_not_go_where_they_are_told_get_no_more_chunks(robot, lockstep):
    loop, begin_ns = moving(robot, lockstep, max_tracking_error_rad=0.1)
    later_ns = begin_ns + 8 * robot.dt_ns
    for camera in robot.cameras:
        image = np.zeros((camera.height, camera.width, 3), np.uint8)
        loop.observer.add_image(camera.name, later_ns, image)
    loop.observer.add_targets(later_ns, robot.joint_names, robot.to_joints(robot.home))
    loop.observer.add_joints(later_ns, robot.joint_names, robot.to_joints(robot.home))
    with pytest.raises(ChunkRejected, match=r'fl_joint2 is 0.160 from its command, allowed 0.1'):
        loop.poll(lambda: later_ns)
    assert loop.gate.rejected == 1
