import numpy as np
import pytest

from aim_policy.config import ConfigError
from aim_policy.hardware import ArmDriver, DriverLaunch, Placement


def test_a_placement_is_a_right_handed_frame():
    matrix = Placement((1, 2, 3), forward=(0, 2, 0), left=(-1, 0, 0)).matrix
    assert matrix[:3].tolist() == [[0, -1, 0, 1], [1, 0, 0, 2], [0, 0, 1, 3]]
    assert np.isclose(np.linalg.det(matrix), 1)


@pytest.mark.parametrize(('forward', 'left'), [((1, 0, 0), (1, 1, 0)), ((0, 0, 0), (1, 0, 0))])
def test_a_placement_needs_axes_at_right_angles(forward, left):
    with pytest.raises(ConfigError, match='not at right angles'):
        Placement((0, 0, 0), forward, left)


@pytest.mark.parametrize('topics', [{}, {'joint_trajectory': 'a', 'set_points': 'b'}])
def test_a_driver_takes_one_kind_of_command(topics):
    with pytest.raises(ConfigError, match='either joint_trajectory or set_points'):
        ArmDriver('states', ('a',), **topics)


def test_a_driver_launch_is_a_python_file():
    with pytest.raises(ConfigError, match='driver.launch.xml, expected a Python launch file'):
        DriverLaunch('driver.launch.xml')
