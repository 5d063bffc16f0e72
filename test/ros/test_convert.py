"""Messages there and back."""

import array
import importlib
import os

import numpy as np
import pytest

from aim_policy.config import ConfigError

pytestmark = pytest.mark.ros
if os.environ.get('AIM_ROS_REQUIRE') != '1':
    pytest.importorskip('aim_ros.msg', reason='needs ROS 2 and the built messages')
convert = importlib.import_module('aim_ros.convert')
PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)


def test_image_there_and_back():
    message = convert.to_image(PIXELS, 1_500_000_000, 'head_camera_optical_frame')
    assert (message.height, message.width, message.step) == (6, 8, 24)
    assert convert.to_ns(message.header.stamp) == 1_500_000_000
    np.testing.assert_array_equal(convert.from_image(message), PIXELS)


@pytest.mark.parametrize(
    ('encoding', 'raw'),
    [
        ('bgr8', PIXELS[..., ::-1]),
        ('rgba8', np.dstack([PIXELS, np.full((6, 8), 9, np.uint8)])),
        ('bgra8', np.dstack([PIXELS[..., ::-1], np.full((6, 8), 9, np.uint8)])),
    ],
)
def test_other_orders_of_channels_become_rgb(encoding, raw):
    message = convert.to_image(PIXELS, 1, 'x')
    message.encoding, message.step = encoding, 8 * raw.shape[2]
    message.data = array.array('B', np.ascontiguousarray(raw).tobytes())
    np.testing.assert_array_equal(convert.from_image(message), PIXELS)


def test_grey_becomes_three_equal_channels():
    message = convert.to_image(PIXELS, 1, 'x')
    message.encoding, message.step = 'mono8', 8
    message.data = array.array('B', PIXELS[..., 0].tobytes())
    np.testing.assert_array_equal(convert.from_image(message), PIXELS[..., [0, 0, 0]])


def test_padding_at_the_end_of_rows_is_left_out():
    padded = np.pad(PIXELS.reshape(6, 24), ((0, 0), (0, 8)))
    message = convert.to_image(PIXELS, 1, 'x')
    message.step, message.data = 32, array.array('B', padded.tobytes())
    np.testing.assert_array_equal(convert.from_image(message), PIXELS)


def test_unreadable_images_are_refused_with_what_was_found():
    message = convert.to_image(PIXELS, 1, 'x')
    message.encoding = 'bayer_rggb8'
    with pytest.raises(ConfigError, match='"bayer_rggb8", expected one of rgb8'):
        convert.from_image(message)
    message.encoding, message.data = 'rgb8', array.array('B', b'short')
    with pytest.raises(ConfigError, match='5 bytes, too few for 8 x 6 rgb8'):
        convert.from_image(message)


def test_camera_info_says_what_the_camera_is(robot):
    camera = robot.cameras[0]
    message = convert.to_camera_info(camera, 7)
    assert message.header.frame_id == 'head_camera_optical_frame'
    assert message.k[0] == pytest.approx(358.6, abs=0.1)
    assert (message.k[2], message.k[5]) == (160.0, 120.0)
    assert len(message.d) == 5
    np.testing.assert_array_equal(np.reshape(message.p, (3, 4))[:, :3], camera.intrinsic)


def test_a_trajectory_keeps_every_bit_on_its_way(robot):
    from aim_ros.trajectory import ArmTrajectory
    from sim_bridge.controller_topics import to_command

    rng = np.random.default_rng(1)
    sent = ArmTrajectory(
        arm='left',
        controller='left_arm_controller',
        joint_names=robot.arm('left').joint_names,
        positions=rng.normal(size=(4, 7)),
        velocities=rng.normal(size=(4, 7)),
        times_ns=np.arange(1, 5) * robot.dt_ns,
    )
    received = to_command(convert.to_trajectory(sent))
    assert received.joint_names == sent.joint_names
    assert received.stamp_ns == 0
    np.testing.assert_array_equal(received.positions, sent.positions)
    np.testing.assert_array_equal(received.velocities, sent.velocities)
    np.testing.assert_array_equal(received.times_ns, sent.times_ns)
