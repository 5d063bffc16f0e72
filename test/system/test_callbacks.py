"""One thread calls back; what waits does so beside it."""

import threading
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.ros
rclpy = pytest.importorskip('rclpy')

from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from std_msgs.msg import Empty  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402

from aim_ros.installation import transport  # noqa: E402
from aim_ros.ros_util import serve_apart  # noqa: E402


def test_a_callback_that_waits_stops_no_other():
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node('waits', context=context)
    heard = threading.Event()

    def answer(_, response):
        response.success = heard.wait(10)
        return response

    serve_apart(node, Trigger, '~/slow', answer)
    node.create_subscription(Empty, '~/topic', lambda _: heard.set(), 1)
    client, publisher = (
        node.create_client(Trigger, '~/slow'),
        node.create_publisher(Empty, '~/topic', 1),
    )
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    thread = threading.Thread(target=executor.spin, daemon=True)
    thread.start()
    assert client.wait_for_service(10)
    answered = client.call_async(Trigger.Request())
    time.sleep(0.2)
    assert not answered.done()
    publisher.publish(Empty())
    end = time.monotonic() + 5
    while not answered.done() and time.monotonic() < end:
        time.sleep(0.01)
    executor.shutdown()
    thread.join()
    rclpy.shutdown(context=context)
    assert answered.done()
    assert answered.result().success


def test_pictures_get_room_unless_the_user_has_chosen(monkeypatch):
    monkeypatch.delenv('FASTDDS_DEFAULT_PROFILES_FILE', raising=False)
    (path,) = transport().values()
    assert 'segment_size' in Path(path).read_text()
    monkeypatch.setenv('FASTDDS_DEFAULT_PROFILES_FILE', '/mine.xml')
    assert transport() == {}
