import dataclasses
from dataclasses import dataclass

import numpy as np
import pytest

from aim_policy.config import ConfigError, from_dict, load_config, load_yaml
from aim_policy.interface import ActionChunk
from aim_policy.model.config import ModelConfig, SamplingConfig, load_model_config
from aim_policy.robot import ArmSpec, GripperSpec, RobotSpec, load_robot

ROBOT = load_robot('aloha_agilex')
TEST = load_model_config('test')


@dataclass(frozen=True)
class Inner:
    size: int
    ratio: float = 0.5


@dataclass(frozen=True)
class Outer:
    name: str
    inner: Inner
    pairs: tuple[Inner, ...] = ()
    by_name: dict[str, int] = dataclasses.field(default_factory=dict)
    note: str | None = None
    fast: bool = False


def test_yaml_becomes_nested_dataclasses(tmp_path):
    path = tmp_path / 'x.yaml'
    path.write_text('{name: a, inner: {size: 3, ratio: 1}, pairs: [{size: 4}], by_name: {b: 2}}')
    outer = load_config(Outer, path)
    assert outer == Outer('a', Inner(3, 1.0), (Inner(4),), {'b': 2})
    assert isinstance(outer.inner.ratio, float)


@pytest.mark.parametrize(
    ('data', 'message'),
    [
        ({'nmae': 'a', 'inner': {'size': 1}}, 'x: unknown key "nmae" .did you mean "name"'),
        ({'name': 'a'}, 'x: inner is missing'),
        ({'name': 'a', 'inner': {'size': '3'}}, 'x: inner: size is "3", expected int'),
        ({'name': 'a', 'inner': {'size': True}}, 'x: inner: size is True, expected int'),
        ({'name': 'a', 'inner': 4}, 'x: inner is 4, expected a mapping'),
        ({'name': 'a', 'inner': {'size': 1}, 'pairs': 'ab'}, 'pairs is "ab", expected a list'),
        ({'name': 'a', 'inner': {'size': 1}, 'fast': 1}, 'fast is 1, expected bool'),
        ([], r'x is \[\], expected a mapping'),
    ],
)
def test_mistakes_are_named(data, message):
    with pytest.raises(ConfigError, match=message):
        from_dict(Outer, data, 'x')


def test_a_file_that_is_not_there_or_not_yaml_is_named(tmp_path):
    with pytest.raises(ConfigError, match='gone.yaml: cannot be read'):
        load_yaml(tmp_path / 'gone.yaml')
    (tmp_path / 'bad.yaml').write_text('a: [1')
    with pytest.raises(ConfigError, match='bad.yaml: not valid YAML'):
        load_yaml(tmp_path / 'bad.yaml')


def test_yaml_cannot_run_code(tmp_path):
    path = tmp_path / 'evil.yaml'
    path.write_text('!!python/object/apply:os.getcwd []')
    with pytest.raises(ConfigError, match='not valid YAML'):
        load_yaml(path)


def test_the_default_robot_has_two_arms_of_seven():
    assert len(ROBOT.joint_names) == 14
    assert ROBOT.columns('left') == slice(0, 7)
    assert ROBOT.columns('right') == slice(7, 14)
    assert ROBOT.substeps == 15
    assert ROBOT.dt_ns == 60_000_000
    assert (ROBOT.lower < ROBOT.upper).all()
    assert (ROBOT.home[[6, 13]] == 1).all()


def test_gripper_opening_and_finger_position_convert_both_ways():
    joints = ROBOT.to_joints(ROBOT.home)
    assert joints[6] == pytest.approx(0.045)
    np.testing.assert_allclose(ROBOT.to_action(joints), ROBOT.home)


def test_camera_focal_length_follows_the_field_of_view():
    head = ROBOT.cameras[0]
    half_height = 120 / head.intrinsic[1, 1]
    assert 2 * np.degrees(np.arctan(half_height)) == pytest.approx(37.0)
    assert head.frame_id == 'head_camera_optical_frame'


def test_unknown_robots_and_arms_are_refused():
    with pytest.raises(ConfigError, match='unknown robot "aloha".*aloha_agilex'):
        load_robot('aloha')
    with pytest.raises(ConfigError, match='unknown arm "lef" .did you mean "left"'):
        ROBOT.columns('lef')


def test_impossible_robots_are_refused():
    gripper = GripperSpec('g', 0.0, 1.0, 1.0)
    arm = ArmSpec('left', 'c', ('j',), (-1.0,), (1.0,), (1.0,), (0.0,), gripper)
    with pytest.raises(ConfigError, match='closed and open are both 1'):
        GripperSpec('g', 1.0, 1.0, 1.0)
    with pytest.raises(ConfigError, match='upper has 2 values, expected 1'):
        dataclasses.replace(arm, upper=(1.0, 2.0))
    with pytest.raises(ConfigError, match='lower 2.0 >= upper 1.0'):
        dataclasses.replace(arm, lower=(2.0,))
    with pytest.raises(ConfigError, match='joints named twice: g, j'):
        RobotSpec('r', 0.06, 0.004, (arm, arm), ())
    with pytest.raises(ConfigError, match='expected a multiple of physics_dt_s'):
        RobotSpec('r', 0.05, 0.004, (arm,), ())


def test_a_chunk_knows_its_end():
    chunk = ActionChunk(np.zeros((16, 14)), 0.06, ROBOT.joint_names, 10**9, 0)
    assert chunk.end_ns == 10**9 + 960_000_000


def view(index, **changes):
    views = list(TEST.views)
    views[index] = dataclasses.replace(views[index], **changes)
    return {'views': tuple(views)}


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'layers': 0}, 'layers is 0, expected a positive number'),
        ({'frames': 3}, 'steps is 16, expected a multiple of frames 3'),
        ({'head_dim': 7}, 'head_dim is 7, expected an even number from 6 up'),
        ({'frequency_dim': 31}, 'frequency_dim is 31, expected an even number'),
        ({'action_width': 64}, 'action_width is 64, expected at most width 48'),
        ({'latent_channels': 193}, 'latent_channels is 193, expected at most 192'),
        ({'views': ()}, 'views is empty, expected cameras that differ'),
        (view(1, camera='left_camera'), 'expected cameras that differ'),
        (view(0, height=20), 'left_camera height is 20, expected a multiple of 8 from 8 up'),
        (view(0, row=-1), 'left_camera row is -1, expected a multiple of 1 from 0 up'),
        (view(1, column=3), 'views overlap'),
        (view(2, row=4), 'canvas cells without a view is 8, expected 0'),
    ],
)
def test_impossible_models_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(TEST, **changes)


def test_impossible_sampling_is_refused():
    with pytest.raises(ConfigError, match='video_steps is -1'):
        SamplingConfig(video_steps=-1)
    with pytest.raises(ConfigError, match='sigma_end is 1.0, expected at least 0 and under 1'):
        SamplingConfig(sigma_end=1.0)


def test_models_are_found_by_name_and_their_mistakes_by_file(tmp_path):
    with pytest.raises(ConfigError, match='unknown model "tset" .did you mean "test"'):
        load_model_config('tset')
    path = tmp_path / 'x.yaml'
    path.write_text('{name: x, frame: 3}')
    with pytest.raises(ConfigError, match='x.yaml: unknown key "frame" .did you mean "frames"'):
        load_config(ModelConfig, path)
