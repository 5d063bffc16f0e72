"""The controller emulation follows joint_trajectory_controller, except that it refuses NaN."""

import dataclasses
import math

import numpy as np
import pytest

from sim_bridge.controller import (
    ErrorCode,
    JointTrajectoryController,
    TrajectoryCommand,
    TrajectoryRefused,
)

JOINTS = ('a', 'b')
SECOND = 1_000_000_000
NOW = 1_700_000_000 * SECOND
COMMAND = TrajectoryCommand(JOINTS, ((1.0, -1.0), (2.0, -3.0)), (SECOND, 2 * SECOND))


@pytest.fixture
def controller():
    return JointTrajectoryController(JOINTS, np.zeros(2))


def changed(**fields):
    return dataclasses.replace(COMMAND, **fields)


REFUSED = {
    'names empty': ({'joint_names': ()}, 'INVALID_JOINTS', 'missing'),
    'name unknown': ({'joint_names': ('a', 'x')}, 'INVALID_JOINTS', 'a, x, expected a, b'),
    'name doubled': ({'joint_names': ('a', 'a')}, 'INVALID_JOINTS', 'a, a'),
    'partial joints': ({'joint_names': ('a',)}, 'INVALID_JOINTS', 'expected a, b'),
    'no points': ({'positions': (), 'times_ns': ()}, 'INVALID_GOAL', 'no points'),
    'over already': ({'stamp_ns': NOW - 3 * SECOND}, 'OLD_HEADER_TIMESTAMP', 'ended 1.0 s ago'),
    'time repeats': ({'times_ns': (SECOND, SECOND)}, 'INVALID_GOAL', 'time_from_start of point 1'),
    'time decreases': ({'times_ns': (SECOND, 0)}, 'INVALID_GOAL', 'time_from_start of point 1'),
    'time not finite': ({'times_ns': (SECOND, math.inf)}, 'INVALID_GOAL', 'point 1 is inf'),
    'positions missing': ({'positions': None}, 'INVALID_GOAL', 'positions of 0 points'),
    'a point missing': ({'positions': ((1.0, 1.0), ())}, 'INVALID_GOAL', 'of point 1 have 0'),
    'positions short': ({'positions': ((1.0,), (1.0, 1.0))}, 'INVALID_GOAL', 'of point 0 have 1'),
    'fewer points than times': ({'positions': ((1.0, 1.0),)}, 'INVALID_GOAL', 'of 1 points'),
    'velocities short': ({'velocities': ((1.0,), (0.0, 0.0))}, 'INVALID_GOAL', 'velocities of'),
    'accelerations long': ({'accelerations': ((), (0.0,) * 3)}, 'INVALID_GOAL', 'have 3 values'),
    'moving at the end': ({'velocities': ((), (0.0, 0.5))}, 'INVALID_GOAL', 'b has velocity 0.5'),
    'effort': ({'efforts': ((), (1.0, 1.0))}, 'INVALID_GOAL', 'effort given'),
    'position NaN': ({'positions': ((1.0, math.nan), (1, 1))}, 'INVALID_GOAL', 'b in positions'),
    'velocity inf': ({'velocities': ((math.inf, 0), (0, 0))}, 'INVALID_GOAL', 'a in velocities'),
    'acceleration NaN': ({'accelerations': ((), (0, math.nan))}, 'INVALID_GOAL', 'b in accel'),
}


@pytest.mark.parametrize(('fields', 'code', 'reason'), REFUSED.values(), ids=REFUSED)
def test_refuses(controller, fields, code, reason):
    with pytest.raises(TrajectoryRefused) as refused:
        controller.accept(changed(**fields), NOW)
    assert refused.value.code == ErrorCode[code]
    assert reason in refused.value.reason
    assert '\n' not in refused.value.reason


def test_error_codes_are_those_of_follow_joint_trajectory():
    assert {code.name: code.value for code in ErrorCode} == {
        'SUCCESSFUL': 0,
        'INVALID_GOAL': -1,
        'INVALID_JOINTS': -2,
        'OLD_HEADER_TIMESTAMP': -3,
        'PATH_TOLERANCE_VIOLATED': -4,
        'GOAL_TOLERANCE_VIOLATED': -5,
    }


def test_refused_command_leaves_old_motion(controller):
    controller.accept(COMMAND, NOW)
    with pytest.raises(TrajectoryRefused):
        controller.accept(changed(joint_names=('a',)), NOW + SECOND // 2)
    assert controller.sample(NOW + SECOND)[0].tolist() == [1.0, -1.0]


def test_limits_are_not_its_business(controller):
    controller.accept(changed(positions=((1e6, 0.0), (0.0, 0.0))), NOW)
    assert controller.sample(NOW + SECOND)[0].tolist() == [1e6, 0.0]


def test_order_of_joints_is_free(controller):
    controller.accept(changed(joint_names=('b', 'a')), NOW)
    assert controller.sample(NOW + SECOND)[0].tolist() == [-1.0, 1.0]


@pytest.mark.parametrize('speed', [None, 0.3])
def test_knots_are_exact(controller, speed):
    rows = np.random.default_rng(0).normal(size=(5, 2))
    times = np.arange(1, 6) * 60_000_000
    velocities = None if speed is None else np.full((5, 2), speed) * (times < times[-1])[:, None]
    controller.accept(TrajectoryCommand.from_arrays(JOINTS, rows, times, velocities), NOW)
    assert np.array_equal(controller.sample_many(NOW + times)[0], rows)


def test_linear_between_positions(controller):
    controller.accept(COMMAND, NOW)
    positions, velocities = controller.sample(NOW + 3 * SECOND // 2)
    assert positions.tolist() == [1.5, -2.0]
    assert velocities.tolist() == [1.0, -2.0]


def test_cubic_with_velocities(controller):
    """From rest at 0 to rest at 1 in one second: 3 t^2 - 2 t^3."""
    controller.accept(TrajectoryCommand(JOINTS, ((1, 1),), (SECOND,), ((0, 0),)), NOW)
    positions, velocities = controller.sample(NOW + SECOND // 4)
    assert np.allclose(positions, 3 / 16 - 2 / 64)
    assert np.allclose(velocities, 6 / 4 - 6 / 16)


def test_quintic_with_accelerations(controller):
    """From rest at 0 to rest at 1 in two seconds: 10 u^3 - 15 u^4 + 6 u^5."""
    zeros = ((0.0, 0.0),)
    command = TrajectoryCommand(JOINTS, ((1, 1),), (2 * SECOND,), zeros, zeros)
    controller.accept(command, NOW)
    positions, velocities = controller.sample(NOW + SECOND // 2)
    assert np.allclose(positions, 10 / 4**3 - 15 / 4**4 + 6 / 4**5)
    assert np.allclose(velocities, (30 / 16 - 60 / 64 + 30 / 256) / 2)


@pytest.mark.parametrize('accelerations', [None, ((0.5, -2.0), (-1.0, 3.0), (0.0, 0.0))])
def test_curve_is_smooth_and_velocity_is_its_slope(controller, accelerations):
    command = TrajectoryCommand(
        JOINTS,
        ((1.0, -1.0), (2.0, -3.0), (0.5, 0.5)),
        (SECOND, 2 * SECOND, 3 * SECOND),
        ((0.5, -2.0), (-1.0, 0.0), (0.0, 0.0)),
        accelerations,
    )
    controller.accept(command, NOW)
    times = NOW + np.arange(0, 3 * SECOND, SECOND // 1000)
    positions, velocities = controller.sample_many(times)
    slope = (positions[2:] - positions[:-2]) / 0.002
    assert np.abs(slope - velocities[1:-1]).max() < 0.01


def test_holds_after_the_end(controller):
    controller.accept(COMMAND, NOW)
    assert controller.end_ns == NOW + 2 * SECOND
    assert controller.active(NOW + 2 * SECOND - 1)
    assert not controller.active(NOW + 2 * SECOND)
    positions, velocities = controller.sample(NOW + 9 * SECOND)
    assert positions.tolist() == [2.0, -3.0]
    assert velocities.tolist() == [0.0, 0.0]


def test_replacing_is_continuous_from_the_desired_state(controller):
    controller.accept(COMMAND, NOW)
    middle = NOW + 3 * SECOND // 2
    before = controller.sample(middle)[0]
    controller.accept(changed(positions=((0.0, 0.0), (1.0, 1.0))), middle)
    assert np.array_equal(controller.sample(middle)[0], before)
    assert controller.sample(middle + SECOND // 2)[0].tolist() == [0.75, -1.0]
    assert controller.sample(middle + SECOND)[0].tolist() == [0.0, 0.0]


def test_replacing_keeps_the_velocity_when_points_have_one(controller):
    controller.accept(COMMAND, NOW)
    middle = NOW + 3 * SECOND // 2
    before = controller.sample(middle)[1]
    controller.accept(TrajectoryCommand(JOINTS, ((0, 0),), (SECOND,), ((0, 0),)), middle)
    assert np.allclose(controller.sample(middle)[1], before)


def test_future_stamp_ramps_from_now_to_its_first_point(controller):
    controller.accept(changed(stamp_ns=NOW + SECOND), NOW)
    assert controller.sample(NOW + SECOND)[0].tolist() == [0.5, -0.5]
    assert controller.sample(NOW + 2 * SECOND)[0].tolist() == [1.0, -1.0]
    assert controller.end_ns == NOW + 3 * SECOND


def test_past_stamp_is_sampled_in_the_middle(controller):
    controller.accept(changed(stamp_ns=NOW - 3 * SECOND // 2), NOW)
    assert controller.sample(NOW)[0].tolist() == [1.5, -2.0]


def test_hold_stops_where_it_is(controller):
    controller.accept(COMMAND, NOW)
    controller.hold(NOW + SECOND // 2)
    positions, velocities = controller.sample(NOW + SECOND)
    assert positions.tolist() == [0.5, -0.5]
    assert velocities.tolist() == [0.0, 0.0]


def test_reset_forgets_the_motion(controller):
    controller.accept(COMMAND, NOW)
    controller.reset(np.array([0.1, 0.2]))
    assert not controller.active(NOW)
    assert controller.sample(NOW + SECOND)[0].tolist() == [0.1, 0.2]


def test_reset_refuses_what_is_not_finite(controller):
    with pytest.raises(ValueError, match='expected 2 finite numbers'):
        controller.reset(np.array([0.1, np.nan]))


def test_writing_into_a_sample_changes_nothing(controller):
    controller.sample(NOW)[0][:] = 9.0
    assert controller.sample(NOW)[0].tolist() == [0.0, 0.0]
