"""Shared by all tests: the default robot, and the rule on what may be skipped."""

import importlib.util
import os

import pytest

from aim_policy.robot import load_robot

NEEDS = {'ros': 'rclpy', 'sapien': 'sapien'}


def pytest_collection_modifyitems(items):
    """Skip tests whose library is missing, except where it is promised to be there."""
    if os.environ.get('AIM_ROS_REQUIRE') == '1':
        return
    for item in items:
        for mark, module in NEEDS.items():
            if item.get_closest_marker(mark) and importlib.util.find_spec(module) is None:
                item.add_marker(pytest.mark.skip(reason=f'{module} is not installed'))


@pytest.fixture(scope='session')
def robot():
    """The robot that everything is shipped for."""
    return load_robot('aloha_agilex')


@pytest.fixture(scope='session')
def untrained(robot, tmp_path_factory):
    """A checkpoint of random weights: it moves, and solves nothing."""
    from aim_policy.checkpoint import CheckpointInfo, save_checkpoint
    from aim_policy.model.aim import AimModel
    from aim_policy.model.config import load_model_config
    from aim_policy.transforms import Normalisation

    config = load_model_config('test')
    model = AimModel.random(config, seed=0)
    info = CheckpointInfo(config, robot, Normalisation.of_robot(robot, config.action_unit_rad))
    folder = tmp_path_factory.mktemp('untrained')
    save_checkpoint(folder, info, model.transformer, model.tokenizer)
    return folder
