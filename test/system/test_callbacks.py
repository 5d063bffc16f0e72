"""One thread calls back; what waits does so beside it."""

import threading
import time
from pathlib import Path

import pytest
from nodes import done
from std_msgs.msg import Empty
from std_srvs.srv import Trigger

from aim_ros.installation import transport
from aim_ros.ros_util import serve_apart

pytestmark = pytest.mark.ros


def test_a_callback_that_waits_stops_no_other(listener):
    heard = threading.Event()

    def answer(_, response):
        response.success = heard.wait(10)
        return response

    serve_apart(listener, Trigger, '~/slow', answer)
    listener.create_subscription(Empty, '~/topic', lambda _: heard.set(), 1)
    client = listener.create_client(Trigger, '~/slow')
    publisher = listener.create_publisher(Empty, '~/topic', 1)
    assert client.wait_for_service(10)
    answered = client.call_async(Trigger.Request())
    time.sleep(0.2)
    assert not answered.done()
    publisher.publish(Empty())
    assert done(answered, 5.0).success


def test_pictures_get_room_unless_the_user_has_chosen(monkeypatch):
    monkeypatch.delenv('FASTDDS_DEFAULT_PROFILES_FILE', raising=False)
    (path,) = transport().values()
    assert 'segment_size' in Path(path).read_text()
    monkeypatch.setenv('FASTDDS_DEFAULT_PROFILES_FILE', '/mine.xml')
    assert transport() == {}
