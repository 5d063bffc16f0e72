"""Set points for real drivers: silent until told, from where the arm is, never blind."""

import numpy as np
import pytest

from sim_bridge.controller_config import Constraints, ControllerConfig, JointConstraint
from sim_bridge.set_points import SetPoints
from sim_bridge.trajectory_command import TrajectoryCommand, TrajectoryRefused

SECOND = 1_000_000_000
NOW = 100 * SECOND
TO_ONE = TrajectoryCommand(('a',), ((1.0,),), (SECOND,))


@pytest.fixture
def points():
    return SetPoints(('a',), None, max_age_s=0.2)


def test_nothing_is_sent_before_the_first_trajectory(points):
    points.observe(NOW, np.array([0.4]))
    assert points.next(NOW) is None


def test_it_starts_where_the_arm_is(points):
    points.observe(NOW, np.array([0.4]))
    points.accept(TO_ONE, NOW)
    assert points.next(NOW).tolist() == [0.4]
    points.observe(NOW + SECOND // 2, np.array([0.6]))
    assert points.next(NOW + SECOND // 2) == pytest.approx([0.7])


def test_an_arm_that_was_never_seen_is_not_moved(points):
    with pytest.raises(TrajectoryRefused, match='does not say where it is'):
        points.accept(TO_ONE, NOW)


def test_an_arm_that_falls_silent_gets_no_more_set_points(points):
    points.observe(NOW, np.array([0.4]))
    points.accept(TO_ONE, NOW)
    assert points.next(NOW + SECOND // 5 + 1) is None
    points.observe(NOW + SECOND, np.array([0.5]))
    assert points.next(NOW + SECOND) is None  # not before a new trajectory
    points.accept(TO_ONE, NOW + SECOND)
    assert points.next(NOW + SECOND).tolist() == [0.5]


def test_an_arm_that_does_not_follow_is_held_where_it_is():
    limits = Constraints(joints={'a': JointConstraint(trajectory=0.1)})
    points = SetPoints(('a',), ControllerConfig(constraints=limits), max_age_s=0.2)
    points.observe(NOW, np.array([0.0]))
    points.accept(TO_ONE, NOW)
    reason = points.observe(NOW + SECOND // 2, np.array([0.1]))
    assert 'PATH_TOLERANCE_VIOLATED: a is off by 0.4' in reason
    assert points.next(NOW + SECOND // 2).tolist() == [0.1]
