"""Forward kinematics from a URDF: by hand on a small one, and against SAPIEN on ours."""

import math

import numpy as np
import pytest

from aim_policy.config import ConfigError
from aim_policy.kinematics import Kinematics, quat_xyzw, rotation_rpy
from aim_policy.robot import load_robot, share_dir

ARM = """<robot name="r">
  <link name="tip"/><link name="base"/><link name="upper"/><link name="finger"/>
  <joint name="lift" type="prismatic">
    <parent link="upper"/><child link="tip"/><origin xyz="1 0 0" rpy="0 0 1.5707963267948966"/>
    <axis xyz="2 0 0"/>
  </joint>
  <joint name="turn" type="revolute">
    <parent link="base"/><child link="upper"/><origin xyz="0 0 0.5"/><axis xyz="0 0 1"/>
  </joint>
  <joint name="follow" type="prismatic">
    <parent link="tip"/><child link="finger"/><mimic joint="lift" multiplier="-2" offset="0.1"/>
  </joint>
</robot>"""


@pytest.fixture
def urdf(tmp_path):
    def write(text):
        path = tmp_path / 'arm.urdf'
        path.write_text(text)
        return path

    return write


def test_links_come_after_their_parents(urdf):
    kinematics = Kinematics(urdf(ARM))
    assert kinematics.root == 'base'
    assert kinematics.links == ('base', 'upper', 'tip', 'finger')


def test_pose_of_a_turned_and_lifted_link(urdf):
    pose = Kinematics(urdf(ARM)).pose('tip', {'turn': math.pi / 2, 'lift': 0.2})
    assert np.allclose(pose[:3, 3], [-0.2, 1, 0.5])
    assert np.allclose(pose[:3, 0], [-1, 0, 0])


def test_a_joint_may_mimic_another(urdf):
    kinematics = Kinematics(urdf(ARM))
    tip, finger = (kinematics.pose(link, {'turn': 0, 'lift': 0.2}) for link in ('tip', 'finger'))
    assert np.allclose((np.linalg.inv(tip) @ finger)[:3, 3], [-0.3, 0, 0])


def test_only_joints_on_the_way_are_needed(urdf):
    kinematics = Kinematics(urdf(ARM))
    assert np.array_equal(kinematics.pose('base', {}), np.eye(4))
    kinematics.pose('upper', {'turn': 1.0})
    with pytest.raises(ConfigError, match='no position of joint lift, found turn'):
        kinematics.pose('tip', {'turn': 1.0})


@pytest.mark.parametrize(
    ('old', 'new', 'expected'),
    [
        ('"upper"/><child', '"uper"/><child', 'not in the tree below base: '),
        ('"base"/><child', '"upper"/><child', 'not in the tree below base: '),
        ('revolute', 'floating', 'joint turn is floating, expected revolute'),
        ('0 0 0.5', '0 0', 'joint turn: origin xyz is "0 0", expected 3 numbers'),
        ('<parent link="base"/>', '', 'joint turn has no parent link'),
        ('</robot>', '', 'not valid XML'),
    ],
)
def test_a_broken_urdf_is_refused(urdf, old, new, expected):
    with pytest.raises(ConfigError, match=expected):
        Kinematics(urdf(ARM.replace(old, new)))


def test_an_unknown_link_is_refused(urdf):
    with pytest.raises(ConfigError, match='did you mean "upper"'):
        Kinematics(urdf(ARM)).pose('uper', {})


def test_quaternions_turn_as_their_matrices():
    rng = np.random.default_rng(0)
    for rpy in [*rng.uniform(-np.pi, np.pi, (50, 3)), (np.pi, 0, 0), (0, np.pi, 0), (0, 0, 0)]:
        rotation = rotation_rpy(np.array(rpy))
        x, y, z, w = quat_xyzw(rotation)
        vector = rng.normal(size=3)
        turned = vector + 2 * np.cross([x, y, z], np.cross([x, y, z], vector) + w * vector)
        assert np.allclose(turned, rotation @ vector)
        assert w >= 0


@pytest.mark.sapien
def test_every_link_of_our_robot_is_where_sapien_has_it(robot):
    from sim_bridge.world import World

    world = World(robot)
    drives = robot.to_joints(np.random.default_rng(0).uniform(0, 1, len(robot.joint_names)))
    world.model.set_positions(drives)
    state = world.model.state()
    joints = dict(zip(state.joint_names, state.position, strict=True))
    kinematics = Kinematics(share_dir() / robot.urdf)
    for link in kinematics.links:
        expected = world.model.link(link).entity_pose.to_transformation_matrix()
        assert np.allclose(robot.base.matrix @ kinematics.pose(link, joints), expected, atol=1e-5)


@pytest.mark.parametrize('name', ['aloha_agilex', 'cobot_magic', 'aloha_viperx'])
def test_every_shipped_robot_loads_and_starts_within_its_limits(name):
    robot = load_robot(name)
    assert len(robot.joint_names) == 14
    assert (robot.home >= robot.lower).all()
    assert (robot.home <= robot.upper).all()
