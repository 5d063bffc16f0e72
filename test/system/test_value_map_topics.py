"""Value maps on topics, drawn for those who listen."""

import time

import numpy as np
import pytest
from geometry_msgs.msg import PointStamped
from nodes import BIN
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from aim_policy.interface import ActionChunk, Observation, PolicyOutput, ValueMaps
from aim_ros import convert
from aim_ros.policy_loop import Sent
from aim_ros.value_map_topics import ValueMapTopics

pytestmark = pytest.mark.ros
CLOUD = BIN / 'cloud_node'
STAMP_NS = 5_000_000_000


class Imagining:
    show_future = False


def make_sent(robot, future=0):
    """A chunk at home whose maps peak at (200, 100) in every camera."""
    heat = np.zeros((2, 240, 320), np.float32)
    heat[0, 80:120, 180:220], heat[0, 100, 200] = 0.5, 0.75
    names = [camera.name for camera in robot.cameras]
    peaks = dict.fromkeys(names, np.tile([200.0, 100.0], (2, 1)))
    images = dict.fromkeys(names, np.full((240, 320, 3), 80, np.uint8))
    chunk = ActionChunk(np.tile(robot.home, (4, 1)), robot.dt_s, robot.joint_names, STAMP_NS, 0)
    maps = ValueMaps(dict.fromkeys(names, heat), np.ones(2), peaks)
    frames = {name: np.zeros((future, 240, 320, 3), np.uint8) for name in names}
    observation = Observation(images, {}, robot.home, robot.home, 'press', STAMP_NS)
    return Sent(observation, PolicyOutput(chunk, maps, frames), 1.0, ())


@pytest.fixture
def topics(listener, robot):
    """The topics on the listener's own node, with a policy that can imagine."""
    topics = ValueMapTopics(listener, robot, Imagining())
    yield topics
    topics.stop()


def test_maps_pictures_and_peaks_are_published_with_their_cameras(topics, listener, robot):
    base = 'value_map/head_camera'
    kinds = {
        f'{base}/image': Image,
        f'{base}/camera_info': CameraInfo,
        f'{base}/overlay': Image,
        f'{base}/overlay/camera_info': CameraInfo,
        'value_peak/head_camera': PointStamped,
    }
    for topic, kind in kinds.items():
        listener.listen(kind, topic)
    time.sleep(0.5)
    topics.publish(make_sent(robot))
    heat, info, view, view_info, peak = (listener.wait(topic) for topic in kinds)
    values = convert.from_float_image(heat)
    assert values.shape == (240, 320)
    assert values[100, 200] == 0.75
    assert (view.width, view.height) == (view_info.width, view_info.height) == (640, 480)
    np.testing.assert_allclose(view_info.k[:6], np.multiply(info.k[:6], 2))
    assert (peak.point.x, peak.point.y, peak.point.z) == (200, 100, 0.75)
    for message in (heat, info, view, view_info, peak):
        assert convert.to_ns(message.header.stamp) == STAMP_NS
        assert message.header.frame_id == 'head_camera_optical_frame'


def test_frames_are_imagined_only_for_those_who_look(topics, listener, robot):
    topics.publish(make_sent(robot))
    assert not topics._policy.show_future
    listener.listen(Image, 'future/left_camera')
    time.sleep(0.5)
    topics.publish(make_sent(robot, future=2))
    assert topics._policy.show_future
    listener.wait('future/left_camera', lambda m: convert.to_ns(m.header.stamp) > STAMP_NS)
    end_ns = STAMP_NS + 4 * robot.dt_ns
    listener.wait('future/left_camera', lambda m: convert.to_ns(m.header.stamp) == end_ns)


def test_depth_gives_a_cloud_in_the_colours_of_the_map(start, topics, listener, robot):
    start(str(CLOUD))
    listener.listen(PointCloud2, 'value_map/head_camera/points', qos_profile_sensor_data)
    frame = robot.cameras[0].frame_id
    depth = np.full((240, 320), np.nan, np.float32)
    depth[100, 200], depth[10, 10] = 0.8, 1.5
    sensors = {'depth': convert.to_float_image(depth, STAMP_NS, frame)}
    grey = np.full((240, 320, 3), 80, np.uint8)
    sensors['image_raw'] = convert.to_image(grey, STAMP_NS, frame)
    publishers = {n: listener.create_publisher(Image, f'head_camera/{n}', 10) for n in sensors}
    end = time.monotonic() + 20
    while not listener.received['value_map/head_camera/points'] and time.monotonic() < end:
        for name, message in sensors.items():
            publishers[name].publish(message)
        topics.publish(make_sent(robot))
        time.sleep(0.2)
    cloud = listener.wait('value_map/head_camera/points', timeout_s=1)
    assert (cloud.width, cloud.header.frame_id) == (2, frame)
    points = np.frombuffer(cloud.data, np.float32).reshape(2, 5)
    np.testing.assert_allclose(points[:, 2], [1.5, 0.8])
    np.testing.assert_allclose(points[:, 4], [0.0, 0.75])
    assert [field.name for field in cloud.fields] == ['x', 'y', 'z', 'rgb', 'value']
