"""Every rule of joint_trajectory_controller that the emulation follows: a row for each.

What is refused on arrival is in test_controller.py.
"""

import math

import numpy as np
import pytest

from sim_bridge.controller import (
    ErrorCode,
    JointTrajectoryController,
    TrajectoryCommand,
    TrajectoryRefused,
)
from sim_bridge.controller_config import Constraints, ControllerConfig, JointConstraint
from sim_bridge.follow_goal import ToleranceRequest

SECOND = 1_000_000_000
START = 100 * SECOND
BLEND = {'allow_trajectory_replacement': True}


def at(seconds):
    return START + round(seconds * SECOND)


def points(*rows, stamp=None, joints=('a',), v=None):
    """A command from (time, positions...) rows, with velocities where `v` gives them."""
    times, positions = [], []
    for time_s, *values in rows:
        times.append(round(time_s * SECOND))
        positions.append(tuple(map(float, values)))
    stamp_ns = 0 if stamp is None else at(stamp)
    speeds = None if v is None else tuple((float(x),) for x in v)
    return TrajectoryCommand(joints, tuple(positions), tuple(times), speeds, stamp_ns=stamp_ns)


def speeds(*rows):
    """A command that gives velocities alone."""
    times = tuple(round(time_s * SECOND) for time_s, _ in rows)
    return TrajectoryCommand(('a',), None, times, tuple((float(v),) for _, v in rows))


def accelerations(*rows):
    times = tuple(round(time_s * SECOND) for time_s, _ in rows)
    return TrajectoryCommand(('a',), None, times, None, tuple((float(a),) for _, a in rows))


LINE = points((1, 1.0), (2, 2.0))  # one unit per second
BACK = points((1, 0.0), (2, -1.0))

# name -> parameters, [(when, command)], {when: (position, velocity or None)}
MOTIONS = {
    'before the first point: from the last command': (
        {},
        [(0, LINE)],
        {0: (0, 1), 0.5: (0.5, 1), 1: (1, 1)},
    ),
    'interpolate_from_desired_state off: from the measured state': (
        {'interpolate_from_desired_state': False},
        [(0, LINE)],
        {0: (-0.5, None), 0.5: (0.25, None)},
    ),
    'none: wait before the first point, then jump to the next': (
        {'interpolation_method': 'none'},
        [(0, LINE)],
        {0.9: (0, 0), 1: (2, 0), 1.5: (2, 0), 2: (2, 0)},
    ),
    'a first point at once begins there': ({}, [(0, points((0, 3.0), (1, 4.0)))], {0: (3, 1)}),
    'after the last point: hold, at rest': ({}, [(0, LINE)], {2: (2, 0), 9: (2, 0)}),
    'velocity at the end allowed: still at rest after it': (
        {'allow_nonzero_velocity_at_trajectory_end': True},
        [(0, points((1, 1.0), v=[2]))],
        {1: (1, 0), 2: (1, 0)},
    ),
    'integration allowed: positions from velocities': (
        {'allow_integration_in_goal_trajectories': True},
        [(0, speeds((1, 2.0), (2, 0.0)))],
        {1: (1, 2), 2: (2, 0)},
    ),
    'integration allowed: velocities from accelerations': (
        {'allow_integration_in_goal_trajectories': True},
        [(0, accelerations((1, 0.0), (3, 2.0)))],
        {1: (0, 0), 3: (2, 0)},
    ),
    'stamp 0 up to Kilted: old one dropped, straight to the first point': (
        {},
        [(0, LINE), (1.5, BACK)],
        {1.5: (1.5, -1.5), 2: (0.75, -1.5), 2.5: (0, -1)},
    ),
    'stamp 0 from 6.8: bridge that keeps the velocity at both ends': (
        BLEND,
        [(0, LINE), (1.5, BACK)],
        {1.5: (1.5, 1), 2.4999: (0, -1), 2.5: (0, -1), 3: (-0.5, -1)},
    ),
    'stamp 0 from 6.8: bridge to the velocity of the first point': (
        BLEND,
        [(0, LINE), (1.5, points((1, 0.0), (2, -1.0), v=[-3, 0]))],
        {1.5: (1.5, 1), 2.499999: (0, -3), 3.5: (-1, 0)},
    ),
    'future stamp up to Kilted: old one dropped at once, slow ramp': (
        {},
        [(0, LINE), (1, points((1, 3.0), (2, 4.0), stamp=2))],
        {1: (1, 1), 2: (2, 1), 3: (3, 1)},
    ),
    'future stamp from 6.8: old points up to the stamp, then a bridge': (
        BLEND,
        [(0, points((1, 1.0), (2, 3.0))), (0.2, points((1, 0.0), stamp=1.5))],
        {0.5: (0.5, 1), 1.2: (1.4, 2), 1.5: (2, 2), 2.5: (0, 0)},
    ),
    'future stamp from 6.8 beyond the old end: hold in between': (
        BLEND,
        [(0, LINE), (1, points((1, 5.0), stamp=4))],
        {1.5: (1.5, 1), 3: (2, 0), 4: (2, 0)},
    ),
    'future stamp from 6.8 replaced before it comes': (
        BLEND,
        [(0, LINE), (0.5, points((1, 9.0), (2, 9.0), stamp=1.5)), (1, BACK)],
        {1: (1, 1), 2: (0, -1), 3: (-1, 0)},
    ),
    'past stamp up to Kilted: sampled in the middle': (
        {},
        [(0, LINE), (1.5, points((1, 5.0), (2, 7.0), stamp=0))],
        {1.5: (6, 2), 2: (7, 0)},
    ),
    'past stamp from 6.8: shifted to begin now': (
        BLEND,
        [(0, LINE), (1.5, points((1, 5.0), (2, 7.0), stamp=0))],
        {1.5: (1.5, 1), 2.5: (5, 2), 3.5: (7, 0)},
    ),
    'from 6.8 over a single point: as before': (
        BLEND,
        [(0, points((2, 2.0))), (1, BACK)],
        {1: (1, -1), 2: (0, -1)},
    ),
    'from 6.8 over a hold: as before': (
        BLEND,
        [(0, LINE), (3, points((1, 5.0), (2, 7.0), stamp=2))],
        {3: (5, 2), 4: (7, 0)},
    ),
}


def play(config, commands, measured=-0.5):
    """Feed commands to a controller of joint a, which is measured somewhere else."""
    controller = JointTrajectoryController(('a',), np.zeros(1), ControllerConfig(**config))
    controller.observe(START, np.array([measured]), np.zeros(1))
    for when, command in commands:
        controller.accept(command, at(when))
    return controller


@pytest.mark.parametrize(('config', 'commands', 'expected'), MOTIONS.values(), ids=MOTIONS)
def test_motion(config, commands, expected):
    controller = play(config, commands)
    for when, (position, velocity) in expected.items():
        positions, velocities = controller.sample(at(when))
        assert positions[0] == pytest.approx(position, abs=1e-3), when
        if velocity is not None:
            assert velocities[0] == pytest.approx(velocity, abs=1e-3), when


PARTIAL = {
    # name -> parameters, {when: (position of a, position of b)}
    'partial joints up to Kilted: others hold their last command': (
        {},
        {0.5: (0.5, 0.5), 1: (0, 0.5), 2: (0, 0.5)},
    ),
    'partial joints from 6.8: others go on, beyond the new end too': (
        BLEND,
        {0.5: (0.5, 0.5), 1: (0, 1), 1.5: (0, 1.5), 2: (0, 2)},
    ),
}


@pytest.mark.parametrize(('config', 'expected'), PARTIAL.values(), ids=PARTIAL)
def test_partial_joints(config, expected):
    config = ControllerConfig(allow_partial_joints_goal=True, **config)
    controller = JointTrajectoryController(('a', 'b'), np.zeros(2), config)
    controller.accept(points((1, 1, 1), (2, 2, 2), joints=('a', 'b')), START)
    controller.accept(points((0.5, 0.0)), at(0.5))
    for when, positions in expected.items():
        assert controller.sample(at(when))[0] == pytest.approx(positions), when


@pytest.mark.parametrize('joints', [(), ('x',), ('a', 'a')])
def test_partial_joints_must_be_some_of_the_joints(joints):
    config = ControllerConfig(allow_partial_joints_goal=True)
    controller = JointTrajectoryController(('a', 'b'), np.zeros(2), config)
    with pytest.raises(TrajectoryRefused, match='expected some of a, b') as refused:
        controller.accept(points((1, *(0.0 for _ in joints)), joints=joints), START)
    assert refused.value.code == ErrorCode.INVALID_JOINTS


def test_integration_still_needs_something_to_integrate():
    config = ControllerConfig(allow_integration_in_goal_trajectories=True)
    controller = JointTrajectoryController(('a',), np.zeros(1), config)
    with pytest.raises(TrajectoryRefused, match='point 0 is empty'):
        controller.accept(TrajectoryCommand(('a',), None, (SECOND,)), START)


STRICT = {
    'constraints': Constraints(
        goal_time=0.5, joints={'a': JointConstraint(trajectory=0.1, goal=0.01)}
    )
}
VELOCITY = {
    'constraints': Constraints(goal_time=0.5),
    'command_interfaces': ('position', 'velocity'),
}
SILENT = {'cmd_timeout': 0.5}
FREE = ToleranceRequest(path={'a': -1}, goal={'a': -1}, goal_time_s=-1)
NOTHING = ToleranceRequest()

# name -> parameters, the goal's request (None: from the topic), [(when, measured, speed)], how the
# goal ended (None: not yet), what it holds then (None: the motion goes on)
JUDGED = {
    'path tolerance met': (STRICT, NOTHING, [(0.5, 0.55, 1)], None, None),
    'path tolerance violated': (
        STRICT,
        NOTHING,
        [(0.5, 0.65, 1)],
        'PATH_TOLERANCE_VIOLATED',
        0.65,
    ),
    'path tolerance is checked for topic trajectories too': (
        STRICT,
        None,
        [(0.5, 0.65, 1)],
        None,
        0.65,
    ),
    'tolerance 0 is not checked': ({}, NOTHING, [(0.5, 9.0, 1)], None, None),
    'a goal that asks for -1 is not checked': (STRICT, FREE, [(0.5, 9.0, 1)], None, None),
    'a goal that asks for 0 keeps the default': (
        STRICT,
        ToleranceRequest(path={'a': 0.0}),
        [(0.5, 0.65, 1)],
        'PATH_TOLERANCE_VIOLATED',
        0.65,
    ),
    'a goal may ask for its own tolerance': (
        STRICT,
        ToleranceRequest(path={'a': 0.2}),
        [(0.5, 0.65, 1)],
        None,
        None,
    ),
    'other negative tolerances: the defaults': (
        STRICT,
        ToleranceRequest(path={'a': -2.0}),
        [(0.5, 0.65, 1)],
        'PATH_TOLERANCE_VIOLATED',
        0.65,
    ),
    'tolerance of an unknown joint: the defaults': (
        STRICT,
        ToleranceRequest(path={'a': 9, 'x': 9}),
        [(0.5, 0.65, 1)],
        'PATH_TOLERANCE_VIOLATED',
        0.65,
    ),
    'goal reached: success holds the last point': (
        STRICT,
        NOTHING,
        [(2, 1.995, 0)],
        'SUCCESSFUL',
        2.0,
    ),
    'goal reached late, within goal_time': (
        STRICT,
        NOTHING,
        [(2, 1.95, 0), (2.4, 1.995, 0)],
        'SUCCESSFUL',
        2.0,
    ),
    'goal not reached within goal_time': (
        STRICT,
        NOTHING,
        [(2, 1.95, 0), (2.6, 1.96, 0)],
        'GOAL_TOLERANCE_VIOLATED',
        1.96,
    ),
    'goal_time is checked for topic trajectories too': (
        STRICT,
        None,
        [(2, 1.95, 0), (2.6, 1.96, 0)],
        None,
        1.96,
    ),
    'goal_time 0 waits for ever': (
        {'constraints': Constraints(joints={'a': JointConstraint(goal=0.01)})},
        NOTHING,
        [(2, 1.9, 0), (99, 1.9, 0)],
        None,
        None,
    ),
    'stopped velocity: not checked by position controllers': (
        {'constraints': Constraints(goal_time=0.5)},
        NOTHING,
        [(2, 2.0, 0.5)],
        'SUCCESSFUL',
        2.0,
    ),
    'stopped velocity: checked where velocities are commanded': (
        VELOCITY,
        NOTHING,
        [(2, 2.0, 0.5), (2.6, 2.1, 0.5)],
        'GOAL_TOLERANCE_VIOLATED',
        2.1,
    ),
    'cmd_timeout: holds this long after the last point': (
        SILENT,
        None,
        [(2.4, 1.7, 0), (2.6, 1.8, 0)],
        None,
        1.8,
    ),
    'cmd_timeout: not before': (SILENT, None, [(1.9, 1.7, 0), (2.4, 1.7, 0)], None, None),
    'cmd_timeout 0: never': ({}, None, [(99, 1.7, 0)], None, None),
}


@pytest.mark.parametrize(
    ('config', 'request_', 'seen', 'outcome', 'held'), JUDGED.values(), ids=JUDGED
)
def test_tolerances(config, request_, seen, outcome, held):
    controller = JointTrajectoryController(('a',), np.zeros(1), ControllerConfig(**config))
    goal, now = None, START
    if request_ is None:
        controller.accept(LINE, now)
    else:
        goal, _ = controller.follow(LINE, now, request_)
    for when, position, speed in seen:
        now = at(when)
        controller.observe(now, np.array([position]), np.array([float(speed)]))
    if goal is not None:
        assert goal.ended == (outcome is not None)
        assert goal.code == ErrorCode[outcome or 'SUCCESSFUL']
    last = 2.0 if held is None else held
    assert controller.sample(now + 9 * SECOND)[0][0] == pytest.approx(last)


@pytest.fixture
def controller():
    return JointTrajectoryController(('a',), np.zeros(1))


def test_a_fault_says_which_joint_is_how_far_off():
    controller = JointTrajectoryController(('a',), np.zeros(1), ControllerConfig(**STRICT))
    goal, _ = controller.follow(LINE, START, NOTHING)
    reason = controller.observe(at(0.5), np.array([0.75]), np.zeros(1))
    assert reason == 'PATH_TOLERANCE_VIOLATED: a is off by -0.25, expected at most 0.1'
    assert goal.reason == 'a is off by -0.25, expected at most 0.1'


def test_a_wrong_tolerance_is_told(controller):
    _, warning = controller.follow(LINE, START, ToleranceRequest(goal={'x': 1.0}))
    assert warning == 'goal tolerance of unknown joint x; using the defaults'
    _, warning = controller.follow(LINE, START, ToleranceRequest(path={'a': math.nan}))
    assert 'path tolerance of a is nan' in warning


def test_a_new_goal_preempts_the_old_one(controller):
    old, _ = controller.follow(LINE, START, NOTHING)
    new, _ = controller.follow(BACK, at(0.5), NOTHING)
    assert (old.ended, old.code) == (True, ErrorCode.INVALID_GOAL)
    assert not new.ended


def test_a_refused_goal_leaves_the_old_one(controller):
    old, _ = controller.follow(LINE, START, NOTHING)
    with pytest.raises(TrajectoryRefused):
        controller.follow(points((1, math.nan)), at(0.5), NOTHING)
    assert not old.ended
    assert controller.sample(at(1))[0] == 1


def test_a_topic_message_during_a_goal_replaces_the_motion_and_is_judged(controller):
    goal, _ = controller.follow(LINE, START, NOTHING)
    controller.accept(points((1, 5.0)), at(1))
    controller.observe(at(1.9), np.array([4.9]), np.zeros(1))
    assert not goal.ended
    controller.observe(at(2), np.array([5.0]), np.zeros(1))
    assert (goal.ended, goal.code) == (True, ErrorCode.SUCCESSFUL)


def test_cancel_holds_the_measured_position(controller):
    goal, _ = controller.follow(LINE, START, NOTHING)
    controller.observe(at(0.5), np.array([0.4]), np.zeros(1))
    controller.cancel(goal, at(0.5))
    assert goal.ended
    assert controller.sample(at(9))[0] == pytest.approx(0.4)


def test_cancelling_what_is_over_changes_nothing(controller):
    old, _ = controller.follow(LINE, START, NOTHING)
    controller.follow(BACK, at(0.5), NOTHING)
    controller.cancel(old, at(0.6))
    assert controller.active(at(0.6))


def test_a_reset_aborts_the_goal(controller):
    goal, _ = controller.follow(LINE, START, NOTHING)
    controller.reset(np.zeros(1))
    assert (goal.ended, goal.code) == (True, ErrorCode.INVALID_GOAL)
