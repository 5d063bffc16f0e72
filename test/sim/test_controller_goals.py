"""How joint_trajectory_controller judges: a row for each rule of tolerances and goals."""

import math

import numpy as np
import pytest
from commands import BACK, LINE, SECOND, START, at, points

from sim_bridge.controller import (
    ErrorCode,
    JointTrajectoryController,
    TrajectoryRefused,
)
from sim_bridge.controller_config import Constraints, ControllerConfig, JointConstraint
from sim_bridge.follow_goal import ToleranceRequest

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
