"""Labels of value maps: at the coming contacts, and nowhere else."""

import dataclasses

import numpy as np
import pytest

from aim_policy.config import ConfigError
from aim_policy.events import next_events
from aim_policy.value_map import heat, move_points, peak_px, project, value_map

PICK, PRESS, PLACE = 10, 15, 22
AHEAD = np.array([[160.0, 120.0]])


def width_px(values):
    """Standard deviation of the middle row of a single bell."""
    row = values[120].astype(float)
    at = np.arange(len(row)) + 0.5
    middle = (row * at).sum() / row.sum()
    return np.sqrt((row * (at - middle) ** 2).sum() / row.sum())


def contact_px(episode, camera, step, event):
    track = episode.cameras[camera]
    world = move_points(event.points, episode.object_pose[event.object][step])
    return project(world, track.intrinsic[step], track.extrinsic[step])[0]


@pytest.mark.parametrize('camera', ['head_camera', 'left_camera'])
@pytest.mark.parametrize('step', [11, 17, 22])
def test_peak_is_at_the_projected_contact(episode, camera, step):
    place = episode.events[2]
    found = peak_px(value_map(episode, camera, step, arms=['left']))
    expected = contact_px(episode, camera, step, place)[0]
    assert np.abs(np.add(found, 0.5) - expected).max() <= 1


def test_bell_is_twice_as_wide_at_half_the_distance():
    near, far = (heat(AHEAD, np.array([z]), 358.6, 240, 320) for z in (0.6, 1.2))
    assert width_px(near) == pytest.approx(2 * width_px(far), rel=0.01)
    assert width_px(far) == pytest.approx(358.6 * 0.018 / 1.2, rel=0.01)


@pytest.mark.parametrize(('distance', 'expected'), [(100.0, 2.0), (0.01, 0.08 * 320)])
def test_width_is_limited(distance, expected):
    found = heat(AHEAD, np.array([distance]), 358.6, 240, 320)
    assert width_px(found) == pytest.approx(expected, rel=0.01)


def test_map_is_black_after_the_last_event(episode):
    found = value_map(episode, 'head_camera', PLACE + 1)
    assert found.shape == (240, 320)
    assert not found.any()
    assert peak_px(found) is None


def test_arms_have_their_own_next_event(episode):
    left, right = (value_map(episode, 'head_camera', 0, arms=[arm]) for arm in ('left', 'right'))
    assert peak_px(left)[0] < 160 < peak_px(right)[0]
    assert np.array_equal(value_map(episode, 'head_camera', 0), np.maximum(left, right))


@pytest.mark.parametrize(
    ('step', 'expected'), [(0, [0, 1]), (PICK, [0, 1]), (PICK + 1, [2, 1]), (PRESS + 1, [2])]
)
def test_next_event_is_the_first_from_this_step_on(episode, step, expected):
    found = next_events(episode.events[::-1], step, ['left', 'right'])
    assert [episode.events.index(event) for event in found] == expected


def test_map_at_another_size_is_the_same_picture(episode):
    full = value_map(episode, 'head_camera', 0)
    double = value_map(episode, 'head_camera', 0, size=(480, 640))
    pooled = double.reshape(240, 2, 320, 2).mean(axis=(1, 3))
    assert np.abs(pooled - full).max() < 0.01


def test_points_move_with_the_object(episode):
    shifted = {name: pose.copy() for name, pose in episode.object_pose.items()}
    shifted['cube'][5] = 0.1, 0.1, 0.8, *np.sqrt([0.5, 0, 0, 0.5])
    moved = dataclasses.replace(episode, object_pose=shifted)
    before, after = (
        peak_px(value_map(e, 'head_camera', 5, arms=['left'])) for e in (episode, moved)
    )
    ends = contact_px(moved, 'head_camera', 5, episode.events[0])
    assert np.abs(np.add(after, 0.5) - ends).max(axis=1).min() <= 1
    assert np.abs(np.subtract(after, before)).max() > 50


def test_quarter_turn_carries_x_to_y():
    pose = np.array([1.0, 2, 3, *np.sqrt([0.5, 0, 0, 0.5])])
    found = move_points(np.array([[0.1, 0, 0]]), pose)
    assert found == pytest.approx(np.array([[1, 2.1, 3]]))


def test_points_behind_the_camera_are_left_out(episode):
    track = episode.cameras['head_camera']
    uv, depth = project(np.array([[0.0, -2, 2]]), track.intrinsic[0], track.extrinsic[0])
    assert depth[0] < 0
    assert not heat(uv, depth, 358.6, 240, 320).any()


@pytest.mark.parametrize(('distance', 'expected'), [(0.3, 0.5), (0.0, 1.0), (9.0, 1.0)])
def test_hidden_points_count_half(episode, distance, expected):
    depth = np.full((240, 320), distance, np.float32)
    plain = value_map(episode, 'head_camera', 0)
    assert value_map(episode, 'head_camera', 0, depth=depth) == pytest.approx(plain * expected)


def test_unknown_camera_is_named(episode):
    with pytest.raises(ConfigError, match='unknown camera "head".*head_camera'):
        value_map(episode, 'head', 0)
