"""The observer joins streams by their stamps and says what is missing."""

import dataclasses

import numpy as np
import pytest

from aim_policy.interface import Observation
from aim_policy.robot import load_robot
from aim_ros.observer import NotReady, Observer, ObserverConfig

ROBOT = load_robot('aloha_agilex')
CAMERAS = [camera.name for camera in ROBOT.cameras]
JOINTS = ROBOT.to_joints(ROBOT.home)
MS = 1_000_000
T0 = 1_700_000_000_000 * MS


def image(value=0):
    return np.full((240, 320, 3), value, np.uint8)


def observer(robot=ROBOT, **config):
    built = Observer(robot, ObserverConfig(**config))
    built.set_instruction('open the laptop')
    return built


def feed(built, stamp_ns=T0, skip=()):
    for camera in CAMERAS:
        if camera not in skip:
            built.add_image(camera, stamp_ns, image())
    for name, add in (('joint_states', built.add_joints), ('joint_targets', built.add_targets)):
        if name not in skip:
            add(stamp_ns, ROBOT.joint_names, JOINTS)
    return built


def test_complete_set_becomes_an_observation():
    found = feed(observer()).latest(T0)
    assert isinstance(found, Observation)
    assert list(found.images) == CAMERAS
    assert np.allclose(found.joint_position, ROBOT.home)
    assert np.allclose(found.joint_target, ROBOT.home)
    assert found.instruction == 'open the laptop'
    assert found.stamp_ns == T0
    assert set(found.stamps_ns.values()) == {T0}


@pytest.mark.parametrize(
    ('stream', 'reason'),
    [
        ('left_camera', 'no image from left_camera yet'),
        ('joint_states', 'no joint_states yet'),
        ('joint_targets', 'no joint_targets yet'),
    ],
)
def test_names_the_missing_stream(stream, reason):
    assert feed(observer(), skip=[stream]).latest(T0) == NotReady(reason)


def test_waits_for_an_instruction():
    built = feed(observer())
    built.set_instruction(' ')
    assert built.latest(T0) == NotReady('no instruction yet')


@pytest.mark.parametrize(
    ('stream', 'reason'),
    [
        ('left_camera', 'left_camera is 0.8 s old, allowed 0.5'),
        ('joint_states', 'joint_states are 0.8 s old, allowed 0.5'),
    ],
)
def test_names_the_stream_that_stopped(stream, reason):
    built = feed(feed(observer()), T0 + 800 * MS, skip=[stream])
    assert built.latest(T0 + 800 * MS) == NotReady(reason)


def test_far_future_stamps_are_refused():
    assert 'in the future' in feed(observer()).latest(T0 - 800 * MS).reason


def test_age_check_can_be_switched_off():
    assert isinstance(feed(observer(max_age_s=0.0)).latest(T0 + 10**15), Observation)


def test_images_beyond_the_slop_do_not_match():
    built = feed(observer(), skip=['right_camera'])
    built.add_image('right_camera', T0 - 31 * MS, image())
    assert built.latest(T0).reason == 'right_camera is 0.031 s behind head_camera, allowed 0.03'


def test_images_within_the_slop_match():
    built = feed(observer(), skip=['right_camera'])
    built.add_image('right_camera', T0 + 30 * MS, image(7))
    found = built.latest(T0)
    assert found.images['right_camera'][0, 0, 0] == 7
    assert found.stamp_ns == T0
    assert found.stamps_ns['right_camera'] == T0 + 30 * MS


def test_newest_complete_set_is_used():
    built = feed(feed(observer()), T0 + 60 * MS)
    built.add_image('head_camera', T0 + 120 * MS, image())
    assert built.latest(T0 + 120 * MS).stamp_ns == T0 + 60 * MS


def test_images_may_arrive_out_of_order():
    built = feed(observer(), T0 + 60 * MS, skip=['head_camera'])
    built.add_image('head_camera', T0 + 90 * MS, image(9))
    built.add_image('head_camera', T0 + 60 * MS, image(6))
    built.add_image('head_camera', T0, image(0))
    assert built.latest(T0 + 60 * MS).images['head_camera'][0, 0, 0] == 9
    assert built.counters['head_camera'] == {'received': 3, 'duplicates': 0, 'dropped': 0}


def test_joints_are_the_newest_not_after_the_images():
    built = observer()
    for offset_ms in (-10, 10, 30, 31, 50):
        built.add_joints(T0 + offset_ms * MS, ROBOT.joint_names, JOINTS + offset_ms)
    found = feed(built, skip=['joint_states']).latest(T0)
    assert found.stamps_ns['joint_states'] == T0 + 30 * MS
    assert found.joint_position[0] == 30


def test_joints_after_the_images_are_not_used():
    built = feed(observer(), skip=['joint_states'])
    built.add_joints(T0 + 40 * MS, ROBOT.joint_names, JOINTS)
    assert built.latest(T0) == NotReady('joint_states are all newer than the images')


def test_joints_are_sorted_by_name_and_others_ignored():
    built = feed(observer(), skip=['joint_states'])
    names = [*ROBOT.joint_names[::-1], 'fl_joint8']
    built.add_joints(T0, names, [*np.arange(14)[::-1], np.nan])
    assert np.allclose(built.latest(T0).joint_position, ROBOT.to_action(np.arange(14.0)))


def test_missing_joint_is_named():
    with pytest.raises(ValueError, match=r'fl_joint1 missing .* found fl_joint2, .* expected fl_'):
        observer().add_joints(T0, ROBOT.joint_names[1:], JOINTS[1:])


def test_doubled_joint_is_named():
    with pytest.raises(ValueError, match='fl_joint1 missing or named twice'):
        observer().add_joints(T0, ('fl_joint1', *ROBOT.joint_names), [0.0, *JOINTS])


def test_names_and_positions_must_match_in_number():
    with pytest.raises(ValueError, match='14 names, but 13 positions'):
        observer().add_targets(T0, ROBOT.joint_names, JOINTS[1:])


def test_joint_that_is_not_finite_is_named():
    with pytest.raises(ValueError, match='joint_states: fl_joint1 is nan'):
        observer().add_joints(T0, ROBOT.joint_names, JOINTS * np.nan)


@pytest.mark.parametrize(
    'wrong', [image()[1:], image().astype(np.float32), image()[..., :1], image()[..., 0]]
)
def test_other_image_is_refused(wrong):
    with pytest.raises(ValueError, match=r'head_camera is .* expected uint8\[240, 320, 3'):
        observer().add_image('head_camera', T0, wrong)


def test_unknown_camera_is_refused():
    with pytest.raises(ValueError, match='did you mean "head_camera"'):
        observer().add_image('head_cam', T0, image())


def test_duplicates_are_counted_and_ignored():
    built = feed(observer())
    built.add_image('head_camera', T0, image(9))
    assert built.counters['head_camera'] == {'received': 2, 'duplicates': 1, 'dropped': 0}
    assert built.latest(T0).images['head_camera'][0, 0, 0] == 0


def test_image_older_than_a_full_queue_is_dropped():
    built = observer(queue_size=2)
    for offset_ms in (60, 120, 0):
        built.add_image('head_camera', T0 + offset_ms * MS, image())
    assert built.counters['head_camera'] == {'received': 3, 'duplicates': 0, 'dropped': 1}


def test_time_going_back_clears_everything():
    built = feed(observer())
    built.add_image('head_camera', T0 - 1001 * MS, image())
    assert built.time_jumps == 1
    assert built.latest(T0 - 1001 * MS) == NotReady('no image from left_camera yet')


def test_clear_ignores_older_stamps():
    built = feed(observer())
    built.clear(not_before_ns=T0 + 60 * MS)
    assert feed(built, T0 + 59 * MS).latest(T0).reason == 'no image from head_camera yet'
    assert built.counters['joint_states']['dropped'] == 1
    assert feed(built, T0 + 60 * MS).latest(T0).stamp_ns == T0 + 60 * MS


def test_target_can_be_given_by_hand():
    built = observer(dataclasses.replace(ROBOT, joint_targets_topic=''))
    feed(built, skip=['joint_targets'])
    first = built.latest(T0)  # before any command the robot is where it was left
    assert np.array_equal(first.joint_target, first.joint_position)
    built.set_target(ROBOT.home + 0.5)
    assert np.array_equal(built.latest(T0).joint_target, ROBOT.home + 0.5)


def test_topic_targets_need_a_topic():
    built = observer(dataclasses.replace(ROBOT, joint_targets_topic=''))
    with pytest.raises(ValueError, match='set_target'):
        built.add_targets(T0, ROBOT.joint_names, JOINTS)


def test_observation_does_not_share_the_buffers():
    built = feed(observer())
    built.latest(T0).joint_position[:] = 9
    assert np.allclose(built.latest(T0).joint_position, ROBOT.home)


def report(built, now_ns=T0):
    return built.report(now_ns)


def test_a_stamp_of_zero_is_refused_with_a_hint():
    with pytest.raises(ValueError, match=r'stamp is 0.*sync.time_source'):
        observer().add_image('head_camera', 0, image())


def test_the_time_that_counts_can_be_that_of_arrival():
    assert observer(time_source='receive').when(0, T0) == T0
    assert observer().when(T0, T0 + 1) == T0


def test_the_policy_can_be_shown_what_was_commanded():
    built = feed(observer(state_source='commanded'), skip=['joint_targets'])
    built.add_targets(T0, ROBOT.joint_names, JOINTS + 0.1)
    found = built.latest(T0)
    assert np.array_equal(found.joint_position, found.joint_target)


def test_a_frozen_camera_is_counted_and_then_stops_the_policy():
    """New stamps on the same bytes: a driver that repeats its last picture."""
    built = observer(max_frozen_s=0.2)
    for step in range(6):
        feed(built, T0 + step * 60 * MS, skip=CAMERAS)
        for camera in CAMERAS:
            moving = camera != 'left_camera'
            built.add_image(camera, T0 + step * 60 * MS, image(step if moving else 0))
    reason = built.latest(T0 + 300 * MS).reason
    assert reason == 'left_camera has shown the same picture for 0.3 s'
    found = report(built, T0 + 300 * MS)
    assert found['left_camera'].repeated == 5
    assert found['head_camera'].repeated == 0


def test_a_still_scene_is_no_fault_unless_asked_for():
    built = observer()
    for step in range(6):
        feed(built, T0 + step * 60 * MS)
    assert isinstance(built.latest(T0 + 300 * MS), Observation)


def test_report_has_ages_and_rates():
    built = observer()
    for step in range(6):
        feed(built, T0 + step * 50 * MS)
    found = report(built, T0 + 350 * MS)['joint_states']
    assert found.age_s == pytest.approx(0.1)
    assert found.rate_hz == pytest.approx(20)


def test_skew_is_that_of_the_latest_observation():
    built = feed(observer(), skip=['right_camera'])
    built.add_image('right_camera', T0 + 20 * MS, image())
    built.latest(T0)
    assert built.skew_s == pytest.approx(0.02)


def test_a_refused_message_is_told_while_its_stream_is_missing():
    built = feed(observer(), skip=['left_camera'])
    built.refuse('left_camera', 'encoding is "yuv422"')
    assert built.latest(T0).reason == (
        'no image from left_camera yet; refused: encoding is "yuv422"'
    )
    assert report(built)['left_camera'].refused == 1


def test_joints_of_another_robot_are_told_apart_from_a_bad_message():
    built = observer()
    with pytest.raises(ValueError, match='found shoulder'):
        built.add_joints(T0, ['shoulder'], [0.0])
    assert 'found shoulder, expected fl_joint1' in built.wrong_joints
    built.add_joints(T0, ROBOT.joint_names, JOINTS)
    assert built.wrong_joints == ''


def test_time_going_back_is_seen_even_where_older_stamps_are_ignored():
    """A simulator that is restarted during a run begins before the run did."""
    built = feed(observer())
    built.clear(not_before_ns=T0)
    feed(built, T0 - 5000 * MS)
    assert built.time_jumps == 1
    assert isinstance(built.latest(T0 - 5000 * MS), Observation)
