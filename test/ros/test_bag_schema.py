"""Definitions in bags are whole, as rosbag2 writes them."""

import os

import pytest

pytestmark = pytest.mark.ros
if os.environ.get('AIM_ROS_REQUIRE') != '1':
    pytest.importorskip('aim_ros.msg', reason='needs ROS 2 and the built messages')

from mcap.records import Schema  # noqa: E402
from mcap_ros2.decoder import DecoderFactory  # noqa: E402
from rclpy.serialization import serialize_message  # noqa: E402
from std_msgs.msg import Header  # noqa: E402

from aim_policy.config import ConfigError  # noqa: E402
from aim_policy.robot import load_robot  # noqa: E402
from aim_ros.bag_schema import definition  # noqa: E402
from aim_ros.bag_topics import recorded_topics  # noqa: E402
from aim_ros.msg import ActionChunk  # noqa: E402


def test_a_message_is_decoded_by_its_definition_alone():
    message = ActionChunk(header=Header(frame_id='head'), joint_names=['a', 'b'], chunk_id=7)
    message.positions = [0.25, 0.5]
    name = 'aim_ros/msg/ActionChunk'
    schema = Schema(id=1, name=name, encoding='ros2msg', data=definition(name).encode())
    decoded = DecoderFactory().decoder_for('cdr', schema)(serialize_message(message))
    assert (decoded.header.frame_id, decoded.chunk_id) == ('head', 7)
    assert (decoded.joint_names, list(decoded.positions)) == (['a', 'b'], [0.25, 0.5])


def test_a_definition_names_every_type_that_it_needs_once():
    text = definition('sensor_msgs/msg/CameraInfo')
    titles = [line for line in text.splitlines() if line.startswith('MSG: ')]
    needed = ['std_msgs/Header', 'sensor_msgs/RegionOfInterest', 'builtin_interfaces/Time']
    assert titles == [f'MSG: {name}' for name in needed]


def test_every_recorded_type_has_a_definition():
    for spec in recorded_topics(load_robot('aloha_agilex')):
        if not spec.type_name.startswith('tf2_msgs/'):  # optional
            assert definition(spec.type_name)


def test_a_missing_package_is_named():
    with pytest.raises(ConfigError, match='no share/nowhere_msgs/msg/Thing.msg'):
        definition('nowhere_msgs/msg/Thing')
