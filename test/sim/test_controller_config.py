"""The file that ros2_control reads is the one that the emulation follows."""

import pytest
import yaml

from aim_policy.config import ConfigError
from aim_policy.robot import share_dir
from sim_bridge.controller import JointTrajectoryController
from sim_bridge.controller_config import ControllerConfig, load_controllers
from sim_bridge.fake import FakeBackend
from sim_bridge.sim_loop import SimLoop

SHIPPED = share_dir() / 'config' / 'controllers.yaml'


def test_the_shipped_file_is_what_the_simulator_does_without_one(robot):
    configs = load_controllers(SHIPPED, robot)
    assert list(configs) == ['left', 'right']
    for arm in robot.arms:
        assert configs[arm.name] == ControllerConfig(joints=arm.joint_names)


def test_a_file_reaches_the_controllers(robot):
    loop = SimLoop(FakeBackend(robot), load_controllers(SHIPPED, robot))
    controller = loop.controllers['left']
    assert isinstance(controller, JointTrajectoryController)
    assert controller.config.joints == controller.joints


@pytest.fixture
def changed(tmp_path):
    """The shipped file with the left controller's parameters changed."""

    def write(**parameters):
        data = yaml.safe_load(SHIPPED.read_text())
        data['left_arm_controller']['ros__parameters'].update(parameters)
        path = tmp_path / 'controllers.yaml'
        path.write_text(yaml.safe_dump(data))
        return path

    return write


def test_tolerances_of_joints_stand_beside_the_others(changed, robot):
    constraints = {'goal_time': 0.5, 'fl_joint2': {'trajectory': 0.2, 'goal': 0.05}}
    found = load_controllers(changed(constraints=constraints), robot)['left'].constraints
    assert found.goal_time == 0.5
    assert found.joints['fl_joint2'].goal == 0.05


REFUSED = {
    'unknown parameter': ({'open_loop': True}, 'unknown key "open_loop"'),
    'not emulated': ({'constraints': {'decelerate_on_cancel': True}}, 'decelerate_on_cancel'),
    'tolerance of another joint': (
        {'constraints': {'fr_joint1': {'goal': 0.1}}},
        'unknown key or joint in constraints "fr_joint1"',
    ),
    'joints of another arm': ({'joints': ['fr_joint1']}, 'like arm left'),
    'interpolation': ({'interpolation_method': 'spline'}, 'did you mean "splines"'),
    'timeout within goal_time': (
        {'cmd_timeout': 0.5, 'constraints': {'goal_time': 1.0}},
        'cmd_timeout is 0.5, expected > goal_time 1.0',
    ),
    'another controller': ({'type': 'forward_command_controller/X'}, 'expected joint_trajectory'),
    'rate': ({'action_monitor_rate': 0.0}, 'expected > 0'),
}


@pytest.mark.parametrize(('parameters', 'expected'), REFUSED.values(), ids=REFUSED)
def test_what_the_emulation_would_not_follow_is_refused(changed, robot, parameters, expected):
    with pytest.raises(ConfigError, match=expected) as refused:
        load_controllers(changed(**parameters), robot)
    assert 'controllers.yaml: left_arm_controller' in str(refused.value)


def test_a_file_for_another_robot_is_refused(tmp_path, robot):
    path = tmp_path / 'other.yaml'
    path.write_text('left_arm: {ros__parameters: {}}')
    with pytest.raises(ConfigError, match='unknown controller "left_arm_controller"'):
        load_controllers(path, robot)
