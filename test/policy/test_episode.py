"""Episodes: files of three layouts in, the same data out, and nothing else."""

import dataclasses
import io
import json
import re
import resource

import h5py
import numpy as np
import pytest
from PIL import Image

from aim_policy.episode import (
    CameraTrack,
    EpisodeError,
    Event,
    encode_jpeg,
    read_episode,
    write_episode,
)

ARMS = ('left', 'right')


def flat(value, name=''):
    """All leaves of an episode by name, arrays as type, shape and bytes."""
    if isinstance(value, np.ndarray):
        return {name: (value.dtype.str, value.shape, value.tobytes())}
    if isinstance(value, dict):
        items = value.items()
    elif dataclasses.is_dataclass(value):
        items = ((f.name, getattr(value, f.name)) for f in dataclasses.fields(value) if f.compare)
    elif isinstance(value, tuple):
        items = enumerate(value)
    else:
        return {name: value}
    return {k: v for key, item in items for k, v in flat(item, f'{name}/{key}').items()}


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'episode0.hdf5'


@pytest.fixture
def written(path, episode):
    write_episode(path, episode)
    return path


@pytest.mark.parametrize('stride', [1, 8])
def test_what_is_written_is_read_bit_for_bit(path, make_episode, stride):
    episode = make_episode(stride)
    write_episode(path, episode)
    assert flat(read_episode(path)) == flat(episode)


def test_a_recording_that_begins_late_keeps_what_was_seen_at_the_reset(path, episode):
    before = np.full((24, 32, 3), 90, np.uint8)
    name, camera = next(iter(episode.cameras.items()))
    assert np.array_equal(camera.first_image(), camera.image(0))
    late = dataclasses.replace(camera, at_reset=encode_jpeg(before))
    write_episode(path, dataclasses.replace(episode, cameras={**episode.cameras, name: late}))
    found = read_episode(path).cameras[name]
    assert found.at_reset == late.at_reset
    assert np.abs(found.first_image().astype(int) - before).max() <= 2
    damaged = 'picture at the reset is 9 bytes, expected a whole JPEG'
    with pytest.raises(EpisodeError, match=damaged):
        dataclasses.replace(camera, at_reset=b'no jpeg!!').first_image()


def test_wordings_keep_their_letters(path, make_episode):
    wordings = {'seen': ('Stelle die Tasse ab – „vorsichtig“.', '把杯子放下'), 'unseen': ()}
    write_episode(path, make_episode(8, instructions=wordings))
    assert read_episode(path).instructions == wordings


def test_what_is_not_known_stays_unknown(path, make_episode):
    nothing = {'joint_position': None, 'endpose': None, 'object_pose': {}, 'events': ()}
    nothing.update(robot='', seed=-1, task='', instructions={'seen': (), 'unseen': ()})
    episode = make_episode(**nothing)
    write_episode(path, episode)
    assert flat(read_episode(path)) == flat(episode)


def test_jpeg_has_red_and_blue_swapped_for_other_readers(tmp_path):
    red = np.zeros((16, 16, 3), np.uint8) + np.array([250, 10, 10], np.uint8)
    (tmp_path / 'red.jpg').write_bytes(encode_jpeg(red))
    assert np.asarray(Image.open(tmp_path / 'red.jpg'))[8, 8].argmax() == 2


def test_picture_has_its_colours_back(episode):
    track = CameraTrack(np.eye(3)[None], np.eye(4)[None, :3], np.array([0]), (red_jpeg(),))
    assert track.size == (16, 16)
    assert np.abs(track.image(0)[8, 8].astype(int) - [250, 10, 10]).max() < 6


def red_jpeg():
    """A red picture as RoboTwin's files hold it: its encoder takes the array for BGR."""
    swapped = Image.new('RGB', (16, 16), (10, 10, 250))
    return saved(swapped)


def saved(picture):
    stream = io.BytesIO()
    picture.save(stream, 'JPEG', quality=95)
    return stream.getvalue()


def robotwin_raw(path, episode):
    """The raw layout as RoboTwin writes it."""
    path.parent.mkdir(parents=True)
    with h5py.File(path, 'w') as file:
        target = episode.joint_target
        file['joint_action/vector'] = target
        for arm, start in zip(ARMS, (0, 7), strict=True):
            file[f'joint_action/{arm}_arm'] = target[:, start : start + 6]
            file[f'joint_action/{arm}_gripper'] = target[:, start + 6]
            file[f'endpose/{arm}_endpose'] = episode.endpose[arm]
            file[f'endpose/{arm}_gripper'] = target[:, start + 6]
        for name, camera in episode.cameras.items():
            group = file.create_group(f'observation/{name}')
            group['intrinsic_cv'] = camera.intrinsic.astype(np.float32)
            group['extrinsic_cv'] = camera.extrinsic.astype(np.float32)
            group['cam2world_gl'] = placed(camera).astype(np.float32)
            longest = max(map(len, camera.jpeg))
            group['rgb'] = np.array([d.ljust(longest + 9, b'\0') for d in camera.jpeg])
    texts = path.parents[1] / 'instructions' / f'{path.stem}.json'
    texts.parent.mkdir()
    texts.write_text(json.dumps(episode.instructions))


def placed(camera):
    """Camera -> world, OpenGL axes, [T, 4, 4]."""
    square = np.tile(np.eye(4), (len(camera.extrinsic), 1, 1))
    square[:, :3] = camera.extrinsic
    return np.linalg.inv(square) @ np.diag([1.0, -1, -1, 1])


def robotwin_v1(path, episode):
    """Version 1.0: states of all frames but the last, actions of all but the first."""
    with h5py.File(path, 'w') as file:
        file['data_format_version'] = 'v1.0'
        file['instructions'] = json.dumps(episode.instructions['seen'])
        file['additional_info/frequency'] = np.int32(15)
        for arm, start in zip(ARMS, (0, 7), strict=True):
            parts = {
                f'{arm}_arm_joint_states': episode.joint_target[:, start : start + 6],
                f'{arm}_ee_joint_states': episode.joint_target[:, start + 6 : start + 7],
                f'{arm}_ee_poses': episode.endpose[arm],
            }
            for name, values in parts.items():
                file[f'state/{name}'] = values[:-1].astype(np.float32)
                file[f'action/{name}'] = values[1:].astype(np.float32)
        names = {'head_camera': 'cam_head', 'left_camera': 'cam_left_wrist'}
        for name, camera in episode.cameras.items():
            group = file.create_group(f'vision/{names[name]}')
            group['colors'] = np.array(camera.jpeg[:-1])
            group['shape'] = np.array([240, 320, 3], np.int32)
            group['intrinsic_matrix'] = camera.intrinsic[:-1].astype(np.float32)
            group['extrinsics_matrix'] = placed(camera)[:-1].astype(np.float32)


def test_raw_file_of_robotwin_is_read(tmp_path, make_episode):
    unknown = {'joint_position': None, 'object_pose': {}, 'events': (), 'seed': -1, 'robot': ''}
    episode = make_episode(setting='demo_clean', **unknown)
    path = tmp_path / 'place_cube' / 'demo_clean' / 'data' / 'episode3.hdf5'
    robotwin_raw(path, episode)
    assert flat(read_episode(path)) == flat(episode)


def test_file_of_version_1_is_read(path, episode):
    robotwin_v1(path, episode)
    found = read_episode(path)
    assert found.joint_target == pytest.approx(episode.joint_target, abs=1e-6)
    assert found.endpose['right'] == pytest.approx(episode.endpose['right'], abs=1e-6)
    assert found.instruction == episode.instruction
    assert found.dt_s == pytest.approx(0.06)
    for name, camera in episode.cameras.items():
        assert found.cameras[name].jpeg == camera.jpeg[:-1]
        assert found.cameras[name].image_steps.tolist() == list(range(29))
        assert found.cameras[name].intrinsic[:-1] == pytest.approx(camera.intrinsic[:-1])
        expected = pytest.approx(camera.extrinsic[:-1], abs=1e-6)
        assert found.cameras[name].extrinsic[:-1] == expected


def test_robotwins_tools_find_their_names_in_our_file(written, episode, tmp_path):
    robotwin_raw(tmp_path / 'data' / 'episode0.hdf5', episode)
    expected = {}
    with h5py.File(tmp_path / 'data' / 'episode0.hdf5') as file:
        file.visititems(lambda name, item: expected.update({name: item}))
        expected = {
            k: (v.shape, v.dtype.kind) for k, v in expected.items() if isinstance(v, h5py.Dataset)
        }
    with h5py.File(written) as file:
        assert {k: (file[k].shape, file[k].dtype.kind) for k in expected} == expected
        name = 'observation/left_camera/cam2world_gl'
        assert file[name][()] == pytest.approx(placed(episode.cameras['left_camera']), abs=1e-6)


@pytest.mark.parametrize('share', [0.0, 0.01, 0.5, 0.999])
def test_cut_off_file_is_refused(written, share):
    content = written.read_bytes()
    written.write_bytes(content[: int(share * len(content))])
    with pytest.raises(EpisodeError, match=rf'^{re.escape(str(written))}: cannot be read as HDF5'):
        read_episode(written)


def test_missing_file_is_named(path):
    with pytest.raises(EpisodeError, match=r'episode0\.hdf5: no such file'):
        read_episode(path)


def test_foreign_file_is_refused(path):
    with h5py.File(path, 'w') as file:
        file['weights/layer'] = np.zeros(3)
    with pytest.raises(EpisodeError, match=r'episode0\.hdf5: has weights, expected joint_action'):
        read_episode(path)


@pytest.mark.parametrize(
    'name',
    [
        'joint_action/vector',
        'observation/head_camera/rgb',
        'observation/left_camera/extrinsic_cv',
        'endpose/right_endpose',
    ],
)
def test_missing_dataset_is_named(written, name):
    with h5py.File(written, 'a') as file:
        del file[name]
    with pytest.raises(EpisodeError, match=rf'episode0\.hdf5: {name} is missing'):
        read_episode(written)


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('joint_position/vector', r'joint_position has shape \(29, 14\), expected \(30, 14\)'),
        ('endpose/left_endpose', r'endpose/left has shape \(29, 7\), expected \(30, 7\)'),
        ('object_pose/cube', r'object_pose/cube has shape \(29, 7\)'),
        ('observation/head_camera/intrinsic_cv', r'head_camera/intrinsic has shape \(29, 3, 3\)'),
        ('observation/head_camera/rgb', r'head_camera/rgb has 29 pictures, expected 30'),
    ],
)
def test_wrong_length_is_named(written, name, message):
    with h5py.File(written, 'a') as file:
        shorter = file[name][:-1]
        del file[name]
        file[name] = shorter
    with pytest.raises(EpisodeError, match=rf'episode0\.hdf5: .*{message}'):
        read_episode(written)


def test_numbers_of_another_type_are_refused(written):
    with h5py.File(written, 'a') as file:
        del file['joint_action/vector']
        file['joint_action/vector'] = 'none'
    with pytest.raises(EpisodeError, match=r'joint_action/vector is .*, expected numbers'):
        read_episode(written)


def test_values_that_are_not_finite_are_refused(episode, make_episode):
    target = episode.joint_target.copy()
    target[3, 2] = np.nan
    with pytest.raises(EpisodeError, match='joint_target has values that are not finite'):
        make_episode(joint_target=target)


@pytest.mark.parametrize('change', [b'', b'\xff\xd8 no picture'])
def test_damaged_picture_is_named_when_it_is_looked_at(written, change):
    name = 'observation/head_camera/rgb'
    with h5py.File(written, 'a') as file:
        file[name][4] = change or file[name][4][:-500]
    track = read_episode(written).cameras['head_camera']
    track.image(3)
    with pytest.raises(EpisodeError, match=rf'episode0\.hdf5: {name}: picture 4 is'):
        track.image(4)


@pytest.mark.parametrize(
    ('event', 'message'),
    [
        ((30, 'left', 'pick', 'cube'), 'at step 30, expected 0 to 29'),
        ((3, 'left', 'pick', 'cup'), r'object_pose/cup is missing, found: bell, cube, pad'),
        ((3, 'left', 'poke', 'cube'), 'kind is "poke", expected pick, place, press'),
    ],
)
def test_event_that_does_not_fit_is_refused(make_episode, event, message):
    with pytest.raises(EpisodeError, match=message):
        make_episode(events=(Event(*event, np.zeros((1, 3))),))


@pytest.mark.parametrize('steps', [[0, 8], [0, 8, 8, 9], [0, 8, 16, 30], [-1, 0, 8, 16]])
def test_picture_steps_must_fit(make_episode, steps):
    episode = make_episode(8)
    track = dataclasses.replace(episode.cameras['head_camera'], image_steps=np.array(steps))
    with pytest.raises(EpisodeError, match='head_camera.* image_steps|head_camera/image_steps'):
        make_episode(cameras={'head_camera': track})


def test_newest_picture_of_a_step(make_episode):
    track = make_episode(8).cameras['head_camera']
    assert [track.latest(step) for step in (0, 7, 8, 29)] == [0, 0, 1, 3]


def test_existing_file_is_kept_unless_asked(written, make_episode):
    before = written.read_bytes()
    other = make_episode(seed=8)
    with pytest.raises(EpisodeError, match='exists already'):
        write_episode(written, other)
    assert written.read_bytes() == before
    write_episode(written, other, overwrite=True)
    assert read_episode(written).seed == 8


def test_same_episode_gives_the_same_bytes(written, episode, tmp_path):
    write_episode(tmp_path / 'again.hdf5', episode)
    assert (tmp_path / 'again.hdf5').read_bytes() == written.read_bytes()


def test_failed_write_leaves_what_was_there(written, make_episode):
    before, limits = written.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(OSError, match='File too large'):
            write_episode(written, make_episode(seed=8), overwrite=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert written.read_bytes() == before
    assert list(written.parent.iterdir()) == [written]


def test_robot_without_two_arms_alike_is_not_written(path, make_episode):
    target = np.zeros((30, 15))
    with pytest.raises(EpisodeError, match='joint_target has 15 columns, expected an even number'):
        write_episode(path, make_episode(joint_target=target, joint_position=target))
    assert not list(path.parent.iterdir())
