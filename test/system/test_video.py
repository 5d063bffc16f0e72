"""Videos have one frame per policy step, also where pictures got lost."""

import threading
import time

import av
import numpy as np
import pytest
import rclpy

from aim_ros import convert
from aim_ros.video import EVERY_FRAME, EpisodeVideo

pytestmark = pytest.mark.ros
rclpy_image = pytest.importorskip('sensor_msgs.msg').Image


@pytest.fixture
def camera(robot):
    """A node with a video on it, and a function that shows it a grey picture of a step."""
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node('video_test', context=context)
    video = EpisodeVideo(node, robot)
    spec = robot.cameras[0]
    publisher = node.create_publisher(rclpy_image, f'{spec.name}/image_raw', EVERY_FRAME)
    executor = rclpy.executors.SingleThreadedExecutor(context=context)
    executor.add_node(node)
    thread = threading.Thread(target=executor.spin, daemon=True)
    thread.start()

    def show(step):
        pixels = np.full((spec.height, spec.width, 3), 20 * step, np.uint8)
        publisher.publish(convert.to_image(pixels, step * robot.dt_ns, 'camera'))
        time.sleep(0.05)

    yield video, show
    executor.shutdown()
    thread.join()
    rclpy.shutdown(context=context)


@pytest.mark.parametrize(
    ('shown', 'end', 'expected'),
    [
        ((1, 2, 3), 3, [1, 2, 3]),
        ((1, 3), 3, [1, 1, 3]),
        ((1, 2), 4, [1, 2, 2, 2]),
        ((1, 2, 2), 2, [1, 2]),
    ],
    ids=['all', 'lost', 'end lost', 'repeated'],
)
def test_one_frame_per_step(camera, robot, tmp_path, shown, end, expected):
    video, show = camera
    path = tmp_path / 'v.mp4'
    with video.written_to(path, lambda: end * robot.dt_ns):
        for step in shown:
            show(step)
    with av.open(str(path)) as container:
        grey = [f.to_ndarray(format='rgb24').mean() for f in container.decode(video=0)]
    assert grey == pytest.approx([20 * step for step in expected], abs=3)


def test_nothing_seen_leaves_no_file(camera, tmp_path):
    video, _ = camera
    with video.written_to(tmp_path / 'v.mp4', lambda: 0):
        pass
    assert not list(tmp_path.iterdir())
