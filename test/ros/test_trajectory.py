"""A chunk passes the gate whole or not at all; what passes carries the right rows and times."""

import dataclasses

import numpy as np
import pytest

from aim_policy.config import ConfigError
from aim_policy.interface import ActionChunk
from aim_policy.robot import load_robot
from aim_ros.trajectory import ChunkRejected, GateConfig, TrajectoryGate

ROBOT = load_robot('aloha_agilex')
HOME = ROBOT.home
DT = ROBOT.dt_ns
STAMP = 1_700_000_000_000_000_000
STEPS = 6


def column(joint):
    return ROBOT.joint_names.index(joint)


def chunk(**fields):
    """All joints move slowly away from home."""
    rows = HOME + np.arange(1, STEPS + 1)[:, None] * 0.01
    rows[:, [column('fl_joint7'), column('fr_joint7')]] = 1.0
    base = ActionChunk(rows, ROBOT.dt_s, ROBOT.joint_names, STAMP, chunk_id=3)
    return dataclasses.replace(base, **fields)


def changed(step, joint, value):
    rows = chunk().positions
    rows[step, column(joint)] = value
    return chunk(positions=rows)


def gate(**config):
    return TrajectoryGate(ROBOT, GateConfig(**config))


def rejection(found, now_ns=STAMP, reference=HOME, **config):
    guard = gate(**config)
    with pytest.raises(ChunkRejected) as rejected:
        guard.admit(found, now_ns, reference)
    assert (guard.admitted, guard.rejected) == (0, 1)
    assert '\n' not in rejected.value.reason
    return rejected.value.reason


def test_good_chunk_becomes_one_trajectory_per_arm():
    guard = gate()
    left, right = guard.admit(chunk(), STAMP, HOME)
    assert (left.arm, left.controller) == ('left', 'left_arm_controller')
    assert right.joint_names == ROBOT.arms[1].joint_names
    assert left.times_ns.tolist() == [DT * k for k in range(1, STEPS + 1)]
    assert np.array_equal(left.positions[:, :6], chunk().positions[:, :6])
    assert np.allclose(left.positions[:, 6], 0.045)
    assert left.velocities is None
    assert (guard.admitted, guard.rejected) == (1, 0)


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
def test_not_finite_is_rejected(value):
    assert 'fr_joint2 at step 5 is' in rejection(changed(5, 'fr_joint2', value))


def test_far_beyond_a_limit_is_rejected():
    reason = rejection(changed(2, 'fl_joint4', -2.0))
    assert reason == 'fl_joint4 at step 2 is -2.000, allowed -1.950 to 1.950'


def test_limits_hold_for_steps_that_will_not_be_executed():
    with pytest.raises(ChunkRejected, match='fl_joint4 at step 5'):
        gate().admit(changed(5, 'fl_joint4', 2.0), STAMP, HOME, steps=2)


def test_slightly_beyond_a_limit_is_clamped():
    left, _ = gate().admit(changed(0, 'fl_joint2', -0.09), STAMP, HOME)
    assert left.positions[0, 1] == -0.05


def test_gripper_overshoot_is_clamped():
    left, _ = gate().admit(changed(0, 'fl_joint7', 1.2), STAMP, HOME)
    assert left.positions[0, 6] == pytest.approx(0.045)


def test_policy_reject_clamps_nothing():
    reason = rejection(changed(0, 'fl_joint2', -0.06), limit_policy='reject')
    assert 'fl_joint2 at step 0 is -0.060, allowed -0.050' in reason


def test_start_jump_is_rejected():
    reason = rejection(changed(0, 'fr_joint1', 0.2), max_start_jump_rad=0.1)
    assert reason == 'fr_joint1 at step 0 jumps by 0.200, allowed 0.1 from the last command'


def test_start_jump_counts_from_the_reference():
    reference = HOME.copy()
    reference[column('fl_joint3')] = 0.5
    assert 'fl_joint3 at step 0 jumps by 0.490' in rejection(chunk(), reference=reference)


def test_gripper_may_jump():
    closed = chunk()
    closed.positions[:, column('fl_joint7')] = 0.0
    assert gate(max_start_jump_rad=0.1).admit(closed, STAMP, HOME)


def test_too_fast_between_rows_is_rejected():
    reason = rejection(changed(3, 'fl_joint1', 0.4))
    assert reason == 'fl_joint1 at step 3 moves at 6.167, allowed 5.000 per second'


def test_too_fast_from_the_reference_is_rejected():
    reason = rejection(changed(0, 'fl_joint1', 0.2), max_velocity_scale=0.5)
    assert 'fl_joint1 at step 0 moves at 3.333' in reason


def test_exactly_at_the_speed_limit_is_admitted():
    rows = HOME + np.arange(1, STEPS + 1)[:, None] * ROBOT.max_velocity * ROBOT.dt_s
    rows[:, 6] = rows[:, 13] = 1.0
    rows[:, [1, 2, 3, 4, 5, 8, 9, 10, 11, 12]] = 0.0
    assert gate().admit(chunk(positions=rows), STAMP, HOME)


def test_old_chunk_is_rejected():
    reason = rejection(chunk(), now_ns=STAMP + 300_000_000, max_age_s=0.2)
    assert reason == 'chunk 3 is 0.3 s old, allowed 0.2 s'


def test_chunk_from_the_future_is_rejected():
    assert 'is -3.0 s old' in rejection(chunk(), now_ns=STAMP - 3_000_000_000)


def test_chunk_a_little_ahead_of_a_coarse_clock_is_admitted():
    """A /clock that ticks with the policy steps lags behind the images by up to one step."""
    assert gate().admit(chunk(), STAMP - DT, HOME)


def test_elapsed_chunk_is_rejected():
    assert 'all steps of chunk 3 have passed' in rejection(chunk(), now_ns=STAMP + 6 * DT)


def test_other_order_of_joints_is_rejected():
    reason = rejection(chunk(joint_names=ROBOT.joint_names[::-1]))
    assert 'joints of the chunk are fr_joint7' in reason
    assert 'expected fl_joint1' in reason


@pytest.mark.parametrize('shape', [(0, 14), (3, 13), (14,), (1, 3, 14)])
def test_other_shape_is_rejected(shape):
    assert 'expected [K, 14]' in rejection(chunk(positions=np.zeros(shape)))


@pytest.mark.parametrize('dt_s', [0.0, -0.1, np.nan, np.inf])
def test_impossible_step_time_is_rejected(dt_s):
    assert 'dt_s is' in rejection(chunk(dt_s=dt_s))


def test_reference_that_is_not_finite_is_rejected():
    """A comparison with NaN is false: without a check of its own any jump would pass."""
    assert 'reference is' in rejection(chunk(), reference=np.full(14, np.nan))


def test_bad_row_of_one_arm_stops_both():
    guard = gate()
    guard.rearm(HOME)
    with pytest.raises(ChunkRejected):
        guard.admit(changed(0, 'fr_joint6', np.nan), STAMP, HOME)
    assert np.array_equal(guard.reference_at(STAMP + DT), HOME)


def test_elapsed_steps_are_trimmed():
    now_ns = STAMP + 2 * DT + 1
    left, right = gate().admit(chunk(), now_ns, HOME)
    assert left.times_ns.tolist() == [DT * k - 1 for k in (2, 3, 4)]
    assert np.array_equal(right.positions[:, :6], chunk().positions[3:, 7:13])


def test_step_in_messages_counts_from_the_beginning_of_the_chunk():
    reason = rejection(changed(4, 'fl_joint1', 0.6), now_ns=STAMP + 2 * DT)
    assert 'fl_joint1 at step 4' in reason


def test_steps_keeps_the_first_rows_of_the_chunk():
    left, _ = gate().admit(chunk(), STAMP + DT, HOME, steps=3)
    assert left.times_ns.tolist() == [DT, 2 * DT]


def test_finite_differences_are_central_and_end_at_rest():
    left, _ = gate(velocities='finite_difference').admit(chunk(), STAMP, HOME)
    assert np.allclose(left.velocities[:-1, :6], 0.01 / ROBOT.dt_s)
    assert np.array_equal(left.velocities[-1], np.zeros(7))


def test_reference_follows_the_admitted_rows():
    guard = gate()
    guard.rearm(HOME)
    guard.admit(chunk(), STAMP, guard.reference_at(STAMP))
    assert np.array_equal(guard.reference_at(STAMP - 1), HOME)
    assert np.allclose(guard.reference_at(STAMP + DT // 2)[0], 0.005)
    assert np.array_equal(guard.reference_at(STAMP + 2 * DT), chunk().positions[1])
    assert np.array_equal(guard.reference_at(STAMP + 99 * DT), chunk().positions[-1])


def test_rearm_forgets_the_motion():
    guard = gate()
    guard.admit(chunk(), STAMP, HOME)
    guard.rearm(HOME)
    assert np.array_equal(guard.reference_at(STAMP + 2 * DT), HOME)


def test_reference_is_not_guessed():
    with pytest.raises(RuntimeError, match='rearm'):
        gate().reference_at(STAMP)


@pytest.mark.parametrize(
    ('field', 'value'),
    [('limit_policy', 'clip'), ('velocities', 'spline'), ('max_age_s', 0), ('execute_steps', 0)],
)
def test_config_refuses(field, value):
    with pytest.raises(ConfigError, match=field):
        GateConfig(**{field: value})


def test_a_first_row_far_from_the_resting_arms_is_rejected():
    """What was commanded may be near while somebody holds the arm elsewhere."""
    with pytest.raises(ChunkRejected, match='fl_joint1 .* from where the arms are'):
        gate().admit(chunk(), STAMP, HOME, resting_at=HOME + 0.5)


def test_a_resting_robot_starts_the_chunk_now():
    left, _ = gate().admit(chunk(), STAMP + 3 * DT, HOME, resting_at=HOME)
    assert left.times_ns.tolist() == [DT * k for k in range(1, STEPS + 1)]


def test_age_counts_for_a_resting_robot_too():
    with pytest.raises(ChunkRejected, match='3.0 s old, allowed 2.0'):
        gate().admit(chunk(), STAMP + 3_000_000_000, HOME, resting_at=HOME)


def test_start_ramp_approaches_slowly_instead_of_rejecting():
    guard = gate(start_ramp=True)
    left, _ = guard.admit(changed(0, 'fl_joint3', 1.0), STAMP, HOME)
    steps = np.diff(left.positions, axis=0, prepend=HOME[None, :7])
    assert np.abs(steps[:, :6]).max() <= 0.1 * ROBOT.max_velocity.max() * ROBOT.dt_s + 1e-12
    assert guard.ramped == 1


def test_fading_stays_within_the_limits():
    guard = gate()
    guard.admit(chunk(), STAMP, HOME)
    below = chunk(stamp_ns=STAMP + DT)
    below.positions[:, column('fl_joint2')] = -0.08
    left, _ = guard.admit(below, STAMP + DT, guard.reference_at(STAMP + DT), fade_steps=3)
    assert left.positions[:, 1].min() >= -0.05


def test_what_was_commanded_before_the_latest_chunk_is_remembered():
    guard = gate()
    guard.admit(chunk(), STAMP, HOME)
    later = chunk(stamp_ns=STAMP + 2 * DT)
    guard.admit(later, STAMP + 2 * DT, guard.reference_at(STAMP + 2 * DT))
    assert np.array_equal(guard.reference_at(STAMP + DT), chunk().positions[0])


def test_the_reason_of_the_latest_rejection_is_kept():
    guard = gate()
    with pytest.raises(ChunkRejected) as rejected:
        guard.admit(changed(0, 'fl_joint2', np.nan), STAMP, HOME)
    assert guard.reason == rejected.value.reason
    assert guard.end_ns == 0
