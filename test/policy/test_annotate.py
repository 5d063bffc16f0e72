"""A bag of a real robot becomes an episode: steps, events of grippers, value maps, cameras."""

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest

from aim_policy import annotate
from aim_policy.camera_poses import RobotPoses, rotation_xyzw
from aim_policy.episode import read_episode
from aim_policy.gripper_events import FINGERTIP, gripper_events
from aim_policy.robot import load_robot
from aim_policy.value_map import peak_px, project, value_map

sys.path.insert(0, str(Path(__file__).parents[1]))
from bags import BEGIN_NS, MS, TestBag, camera_info, image, joints, text, transform  # noqa: E402

ROBOT = load_robot('aloha_agilex')
STEPS, CLOSED, OPENED = 30, 10, 22
LOOKS_DOWN = np.array([1.0, 0, 0, 0])  # optical frame: x right, y towards the robot, z down


def actions():
    """The left arm bends over the table, its gripper closes at one step and opens at another."""
    rows = np.tile(ROBOT.home, (STEPS, 1))
    rows[:, :4] = np.linspace([-0.5, 1.6, 1.2, -0.4], [-0.8, 2.2, 1.4, -0.7], STEPS)
    rows[CLOSED:OPENED, 6] = 0.0
    return rows


def write_bag(folder, skip=(), lost=(), calibration=None):
    """Write all sensors once per policy step."""
    bag = TestBag(folder)
    if calibration:
        bag.write('right_camera/camera_info', calibration, BEGIN_NS)
    bag.write('instruction', text('put the cup away'), BEGIN_NS)
    for step, action in enumerate(actions()):
        if step not in lost:
            bag.write_step(ROBOT, BEGIN_NS + step * ROBOT.dt_ns, action, step, skip)
    return bag


def run(folder, out, *options):
    return annotate.main(
        [str(folder), '--out', str(out), '--robot', 'aloha_agilex', *map(str, options)]
    )


def joints_at(step):
    return dict(zip(ROBOT.joint_names, ROBOT.to_joints(actions()[step]).tolist(), strict=True))


def fingertip(step, arm='left'):
    hand = RobotPoses(ROBOT).hand(arm, joints_at(step))
    return (hand @ [*FINGERTIP, 1])[:3]


def test_gripper_events_become_value_maps(tmp_path):
    write_bag(tmp_path / 'run').writer.close()
    assert run(tmp_path / 'run', tmp_path / 'out') == 0
    episode = read_episode(tmp_path / 'out' / 'run_0.hdf5')
    assert len(episode) == STEPS
    np.testing.assert_allclose(episode.joint_target, actions(), atol=1e-9)
    np.testing.assert_allclose(episode.joint_position, actions(), atol=1e-9)
    assert episode.instruction == 'put the cup away'
    assert [(e.step, e.arm, e.kind) for e in episode.events] == [
        (CLOSED, 'left', 'pick'),
        (OPENED, 'left', 'place'),
    ]
    for event in episode.events:
        np.testing.assert_allclose(event.points, [fingertip(event.step)], atol=1e-9)
    track = episode.cameras['head_camera']
    for step, event in ((0, CLOSED), (CLOSED + 1, OPENED)):
        where = project(fingertip(event)[None], track.intrinsic[step], track.extrinsic[step])[0][0]
        peak = np.array(peak_px(value_map(episode, 'head_camera', step)))
        assert np.abs(peak + 0.5 - where).max() <= 1
        assert (where > 0).all()
        assert (where < [320, 240]).all()
    assert value_map(episode, 'head_camera', OPENED + 1).max() == 0
    assert track.image(7).max() == 7


def test_a_gripper_opens_as_far_as_it_needs_to():
    """Found with an expert that opens half before it grasps and a little to let go."""
    opening = [1, 0.8, 0.6, 0.6, 0.3, 0, 0, 0.1, 0.2, 0.3, 0.5, 0.5, 0.2, 0, 0, 0.9]
    target = np.tile(ROBOT.home, (len(opening), 1))
    target[:, 13] = opening
    hands = {arm.name: np.tile(np.eye(4), (len(opening), 1, 1)) for arm in ROBOT.arms}
    events = gripper_events(ROBOT, target, hands, np.zeros(3))
    found = [(event.step, event.kind) for event in events]
    assert found == [(4, 'pick'), (8, 'place'), (12, 'pick'), (15, 'place')]
    assert {event.arm for event in events} == {'right'}


def test_a_gripper_that_was_closed_from_the_start_places_nothing(tmp_path):
    bag = TestBag(tmp_path / 'run')
    bag.write('instruction', text('open the gripper'), BEGIN_NS)
    for step in range(6):
        action = ROBOT.home.copy()
        action[6] = float(step > 2)
        bag.write_step(ROBOT, BEGIN_NS + step * ROBOT.dt_ns, action)
    bag.writer.close()
    assert run(tmp_path / 'run', tmp_path / 'out') == 0
    assert read_episode(tmp_path / 'out' / 'run_0.hdf5').events == ()


def test_a_published_camera_frame_wins_over_the_yaml(tmp_path):
    bag = write_bag(tmp_path / 'run')
    message = transform('world', 'head_camera_optical_frame', [0.1, -0.2, 1.5], LOOKS_DOWN)
    bag.write('/tf_static', message, BEGIN_NS)
    on_hand = transform('fl_link6', 'left_camera_optical_frame', [0, 0, 0.1], [0, 0, 0, 1])
    bag.write('/tf_static', on_hand, BEGIN_NS)
    bag.writer.close()
    assert run(tmp_path / 'run', tmp_path / 'out') == 0
    cameras = read_episode(tmp_path / 'out' / 'run_0.hdf5').cameras
    expected = np.column_stack([np.diag([1, -1, -1]), [-0.1, -0.2, 1.5]])
    np.testing.assert_allclose(cameras['head_camera'].extrinsic[3], expected, atol=1e-6)
    hand = RobotPoses(ROBOT).hand('left', joints_at(9))
    hand[:3, 3] += 0.1 * hand[:3, 2]
    expected = np.linalg.inv(hand)[:3]
    np.testing.assert_allclose(cameras['left_camera'].extrinsic[9], expected, atol=1e-6)


def test_calibration_of_the_bag_is_used_and_distortion_refused(tmp_path, capsys):
    matrix = np.array([300.0, 0, 150, 0, 301, 110, 0, 0, 1])
    for name, distortion in (('flat', 0.0), ('bent', 0.1)):
        info = camera_info(matrix, [distortion, 0, 0, 0, 0], BEGIN_NS)
        write_bag(tmp_path / name, calibration=info).writer.close()
    assert run(tmp_path / 'flat', tmp_path / 'out') == 0
    cameras = read_episode(tmp_path / 'out' / 'flat_0.hdf5').cameras
    np.testing.assert_allclose(cameras['right_camera'].intrinsic[5].ravel(), matrix)
    assert run(tmp_path / 'bent', tmp_path / 'out') == 2
    assert 'right_camera has distortion' in capsys.readouterr().err


def test_streams_of_different_rates_are_resampled(tmp_path):
    """Pictures at 10 Hz, joints at 200 Hz: steps of 60 ms, some without a picture of their own."""
    bag = TestBag(tmp_path / 'run')
    bag.write('instruction', text('wave'), BEGIN_NS)
    for time_ms in range(0, 1001, 5):
        stamp_ns = BEGIN_NS + time_ms * MS
        if time_ms % 100 == 0:
            for camera in ROBOT.cameras:
                pixels = np.full((240, 320, 3), time_ms // 10, np.uint8)
                picture = image(pixels, stamp_ns, camera.frame_id)
                bag.write(f'{camera.name}/image_raw', picture, stamp_ns + 20 * MS)
        action = ROBOT.home.copy()
        action[0] = time_ms / 1000
        for topic in ('joint_states', 'joint_targets'):
            message = joints(ROBOT.joint_names, ROBOT.to_joints(action), stamp_ns)
            bag.write(topic, message, stamp_ns)
    bag.writer.close()
    assert run(tmp_path / 'run', tmp_path / 'out') == 0
    episode = read_episode(tmp_path / 'out' / 'run_0.hdf5')
    track = episode.cameras['head_camera']
    assert len(episode) == 17
    assert len(track.jpeg) == 10  # the last one comes after the last step
    shown = np.array([track.image(track.latest(step)).max() for step in range(17)]) / 100
    late_s = episode.joint_position[:, 0] - shown
    assert (np.abs(late_s) <= 0.031).all()


def test_a_lost_message_is_bridged_and_a_gap_refused(tmp_path, capsys):
    write_bag(tmp_path / 'hole', lost=[5]).writer.close()
    assert run(tmp_path / 'hole', tmp_path / 'out') == 0
    assert len(read_episode(tmp_path / 'out' / 'hole_0.hdf5')) == STEPS
    write_bag(tmp_path / 'gap', lost=range(5, 15)).writer.close()
    assert run(tmp_path / 'gap', tmp_path / 'out') == 2
    assert 'no complete observation' in capsys.readouterr().err
    assert not (tmp_path / 'out' / 'gap_0.hdf5').exists()


def test_without_commands_what_was_measured_counts(tmp_path, capsys):
    write_bag(tmp_path / 'run', skip=['joint_targets']).writer.close()
    assert run(tmp_path / 'run', tmp_path / 'out') == 0
    assert 'measured joints count as commanded' in capsys.readouterr().out
    episode = read_episode(tmp_path / 'out' / 'run_0.hdf5')
    np.testing.assert_allclose(episode.joint_target, actions(), atol=1e-9)


def test_what_is_missing_is_told_in_one_line(tmp_path, capsys):
    bag = TestBag(tmp_path / 'run')
    bag.write_step(ROBOT, BEGIN_NS, ROBOT.home)
    bag.writer.close()
    assert run(tmp_path / 'run', tmp_path / 'out') == 2
    assert 'has no instruction, expected --instruction' in capsys.readouterr().err
    assert run(tmp_path / 'run', tmp_path / 'out', '--instruction', 'wait') == 0
    assert annotate.main([str(tmp_path / 'run'), '--out', str(tmp_path)]) == 2
    assert 'does not say which robot' in capsys.readouterr().err
    blind = dataclasses.replace(ROBOT, urdf='')
    with pytest.raises(ValueError, match='has no urdf'):
        RobotPoses(blind)


def test_rotation_of_a_quaternion():
    half = np.sqrt(0.5)
    np.testing.assert_allclose(
        rotation_xyzw(np.array([0, 0, half, half])) @ [1, 0, 0], [0, 1, 0], atol=1e-9
    )
    np.testing.assert_allclose(rotation_xyzw(np.array([0, 0, 0, 2.0])), np.eye(3))
