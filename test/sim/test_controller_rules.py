"""How joint_trajectory_controller moves: a row for each of its rules that the emulation follows.

What is refused on arrival is in test_controller.py, goals are in test_controller_goals.py.
"""

import numpy as np
import pytest
from commands import BACK, BLEND, LINE, SECOND, START, accelerations, at, points, speeds

from sim_bridge.controller import (
    ErrorCode,
    JointTrajectoryController,
    TrajectoryCommand,
    TrajectoryRefused,
)
from sim_bridge.controller_config import ControllerConfig

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
