"""Videos have one frame per policy step, also where pictures got lost."""

import time

import av
import numpy as np
import pytest
from sensor_msgs.msg import Image

from aim_ros import convert
from aim_ros.video import EVERY_FRAME, EpisodeVideo

pytestmark = pytest.mark.ros


@pytest.fixture
def camera(listener, robot):
    """A video, and a function that shows it a grey picture of a step."""
    video = EpisodeVideo(listener, robot)
    spec = robot.cameras[0]
    publisher = listener.create_publisher(Image, f'{spec.name}/image_raw', EVERY_FRAME)

    def show(step):
        pixels = np.full((spec.height, spec.width, 3), 20 * step, np.uint8)
        publisher.publish(convert.to_image(pixels, step * robot.dt_ns, 'camera'))
        time.sleep(0.05)

    return video, show


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
