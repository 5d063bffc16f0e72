"""The RViz file shows what our nodes publish, with a QoS that hears it."""

import pytest
import yaml

from aim_policy.robot import share_dir

PICTURES = ('Image', 'Camera')


@pytest.fixture
def displays():
    text = (share_dir() / 'rviz' / 'aim.rviz').read_text()
    return yaml.safe_load(text)['Visualization Manager']['Displays']


def topics(displays, *kinds):
    wanted = {f'rviz_default_plugins/{kind}' for kind in kinds}
    return {d['Topic']['Value'] for d in displays if d['Class'] in wanted}


def test_it_shows_every_camera_with_and_without_its_value_map(displays, robot):
    expected = {f'value_map/{camera.name}/overlay' for camera in robot.cameras}
    expected |= {f'{camera.name}/image_raw' for camera in robot.cameras}
    imagined = {f'future/{robot.cameras[0].name}'}
    assert topics(displays, *PICTURES) == expected | imagined


def test_it_can_show_the_value_map_in_space(displays, robot):
    name = robot.cameras[0].name
    assert topics(displays, 'PointCloud2') == {f'value_map/{name}/points'}


def test_it_shows_the_robot_and_where_its_arms_go(displays, robot):
    assert topics(displays, 'Path') == {f'planned_path/{arm.name}' for arm in robot.arms}
    model = next(d for d in displays if d['Class'] == 'rviz_default_plugins/RobotModel')
    assert model['Description Topic']['Durability Policy'] == 'Transient Local'
