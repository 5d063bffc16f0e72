import dataclasses

import numpy as np
import pytest
import torch

from aim_policy.config import ConfigError
from aim_policy.interface import Observation
from aim_policy.model.canvas import Canvas
from aim_policy.model.config import load_model_config
from aim_policy.robot import load_robot
from aim_policy.transforms import Normalisation, Transforms, limit_motion

ROBOT = load_robot('aloha_agilex')
CONFIG = load_model_config('test')
SIZE = (320, 240)


@pytest.fixture
def transforms():
    return Transforms(ROBOT, CONFIG, Normalisation.of_robot(ROBOT, CONFIG.action_unit_rad))


def test_pixel_to_cell_to_pixel_stays_in_the_cell():
    canvas = Canvas(CONFIG)
    for view in CONFIG.views:
        cell_u, cell_v = 8 * 320 / view.width, 8 * 240 / view.height
        for u, v in [(0, 0), (319.99, 239.99), (160, 120), (37.5, 201.25)]:
            camera, centre_u, centre_v = canvas.pixel_at(
                *canvas.cell_at(view.camera, u, v, SIZE), SIZE
            )
            assert camera == view.camera
            assert abs(centre_u - u) <= cell_u / 2
            assert abs(centre_v - v) <= cell_v / 2


def test_cell_to_pixel_to_cell_is_exact():
    canvas = Canvas(CONFIG)
    for row in range(CONFIG.rows):
        for column in range(CONFIG.columns):
            camera, u, v = canvas.pixel_at(row, column, SIZE)
            assert canvas.cell_at(camera, u, v, SIZE) == (row, column)


def test_wrists_stand_above_the_head():
    canvas = Canvas(CONFIG)
    assert canvas.cell_at('left_camera', 0, 0, SIZE) == (0, 0)
    assert canvas.cell_at('right_camera', 0, 0, SIZE) == (0, 4)
    assert canvas.cell_at('head_camera', 319, 239, SIZE) == (8, 7)


def test_points_and_cells_outside_are_refused():
    canvas = Canvas(CONFIG)
    with pytest.raises(ValueError, match='head_camera: point .* outside of its 320x240 px'):
        canvas.cell_at('head_camera', 320, 0, SIZE)
    with pytest.raises(ValueError, match=r'canvas cell \(9, 0\) is outside of 9x8'):
        canvas.pixel_at(9, 0, SIZE)
    with pytest.raises(ConfigError, match='did you mean "head_camera"'):
        canvas.cell_at('head_cam', 0, 0, SIZE)


def test_canvas_splits_into_what_it_was_made_of():
    canvas = Canvas(CONFIG)
    views = {v.camera: torch.randn(2, 5, v.height // 8, v.width // 8) for v in CONFIG.views}
    whole = canvas.compose(views)
    assert whole.shape == (2, 5, 9, 8)
    assert all(torch.equal(part, views[name]) for name, part in canvas.split(whole).items())


def test_a_lit_pixel_lands_in_the_cell_that_geometry_names(transforms):
    image = np.zeros((240, 320, 3), np.uint8)
    image[100, 210] = 255
    images = {camera.name: image for camera in ROBOT.cameras}
    for view in CONFIG.views:
        small = transforms.images(images)[view.camera][0, 0].mean(0)  # [h, w]
        row, column = divmod(small.argmax().item(), view.width)
        expected = Canvas(CONFIG).cell_at(view.camera, 210.5, 100.5, SIZE)
        assert (view.row + row // 8, view.column + column // 8) == expected


def test_images_are_averaged_by_area_and_scaled(transforms):
    image = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    image.flags.writeable = False
    head = transforms.images({camera.name: image for camera in ROBOT.cameras})['head_camera']
    assert head.shape == (1, 1, 3, 48, 64)
    block = image[5:10, 315:320].reshape(-1, 3).mean(0)
    np.testing.assert_allclose(head[0, 0, :, 1, 63], block / 127.5 - 1, atol=1e-5)


def test_joint_limits_are_one_unit_away(transforms):
    joints = transforms.proprioception(ROBOT.lower, ROBOT.upper)
    torch.testing.assert_close(joints, torch.tensor([[-1.0] * 14 + [1.0] * 14]))


def test_actions_are_relative_to_the_commanded_joints_and_grippers_absolute(transforms):
    target = ROBOT.home.copy()
    target[6] = 0.25
    positions = np.tile(target, (16, 1))
    positions[:, 0] += 0.05
    positions[:, 6] = 1.0
    actions = transforms.actions(positions, target)
    assert actions.shape == (1, 16, 14)
    assert actions[0, 0, 0].item() == pytest.approx(1.0)
    assert actions[0, 0, 6].item() == pytest.approx(1.0)
    assert actions[0, :, 1:6].abs().max() == 0
    np.testing.assert_allclose(transforms.positions(actions, target), positions, atol=1e-6)


def test_motion_is_limited_in_place_and_speed():
    target = np.clip(ROBOT.home + 0.1, ROBOT.lower, ROBOT.upper)
    wild = np.random.default_rng(0).normal(0, 10, (16, 14))
    motion = limit_motion(wild, target, ROBOT)
    assert (motion >= ROBOT.lower).all()
    assert (motion <= ROBOT.upper).all()
    speed = np.abs(np.diff(motion, axis=0, prepend=target[None])) / ROBOT.dt_s
    assert (speed < ROBOT.max_velocity).all()


def test_motion_within_the_limits_is_left_alone():
    motion = ROBOT.home + 0.01 * np.arange(1, 5)[:, None] * np.r_[np.ones(6), 0, np.ones(6), 0]
    np.testing.assert_array_equal(limit_motion(motion, ROBOT.home, ROBOT), motion)


def test_chunk_carries_the_observation_it_came_from(transforms):
    observation = Observation({}, {}, ROBOT.home, ROBOT.home, 'press', stamp_ns=123)
    chunk = transforms.chunk(torch.zeros(1, 16, 14), observation, chunk_id=4)
    assert (chunk.stamp_ns, chunk.chunk_id, chunk.dt_s) == (123, 4, ROBOT.dt_s)
    assert chunk.joint_names == ROBOT.joint_names
    assert chunk.positions.dtype == np.float64
    arms = [i for i, name in enumerate(ROBOT.joint_names) if not name.endswith('7')]
    np.testing.assert_array_equal(chunk.positions[:, arms], np.tile(ROBOT.home[arms], (16, 1)))


def test_maps_are_aligned_to_the_camera_image(transforms):
    heat = {v.camera: torch.zeros(1, 2, v.height, v.width) for v in CONFIG.views}
    heat['head_camera'][0, 0, 10, 20] = 1.0
    heat['head_camera'][0, 1, 40, 5] = 2.0
    maps = transforms.value_maps(heat)
    assert maps.heat['head_camera'].shape == (2, 240, 320)
    assert maps.heat['head_camera'].dtype == np.float32
    assert maps.heat['head_camera'].max() == 1.0
    for frame, (column, row) in enumerate([(20, 10), (5, 40)]):
        peak = maps.peak_px['head_camera'][frame]
        np.testing.assert_allclose(peak, [5 * column + 2, 5 * row + 2], atol=1)
    np.testing.assert_allclose(maps.times_s, [8 * 0.06, 16 * 0.06])


def test_future_images_are_pictures_of_camera_size(transforms):
    frames = {v.camera: torch.full((1, 2, 3, v.height, v.width), 3.0) for v in CONFIG.views}
    pictures = transforms.future_images(frames)
    assert pictures['left_camera'].shape == (2, 240, 320, 3)
    assert pictures['left_camera'].dtype == np.uint8
    assert pictures['left_camera'].min() == 255


def test_another_robot_is_refused():
    one_arm = dataclasses.replace(ROBOT, arms=ROBOT.arms[:1])
    figures = Normalisation.of_robot(one_arm, 0.05)
    with pytest.raises(ConfigError, match='action_dim is 14, expected 7 like the joints of aloha'):
        Transforms(one_arm, CONFIG, figures)
    blind = dataclasses.replace(ROBOT, cameras=ROBOT.cameras[:1])
    with pytest.raises(ConfigError, match='has no left_camera, only head_camera'):
        Transforms(blind, CONFIG, Normalisation.of_robot(blind, 0.05))
    with pytest.raises(ConfigError, match='joint_offset has 7 values, expected 14'):
        Transforms(ROBOT, CONFIG, figures)
