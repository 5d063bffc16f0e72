"""One video per episode: the head camera beside the value-map overlay on it.

Both are as large as the overlay, so that what is written in it can be read. There is one frame per
policy step: a picture that got lost on its way is stood in for by the one before it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image

from aim_policy.config import ConfigError
from aim_policy.interface import Image as Pixels
from aim_policy.map_view import SCALE
from aim_policy.robot import RobotSpec
from aim_ros import convert

EVERY_FRAME = QoSProfile(depth=100)  # reliable: a video should not depend on the load
LAST_FRAME_S = 0.5
"""How long the end of a video waits for the last picture."""


class EpisodeVideo:
    """Listens to the robot's first camera and writes what it sees."""

    def __init__(self, node: Node, robot: RobotSpec) -> None:
        camera = robot.cameras[0]
        self._node = node
        self._shape = (camera.height, camera.width, 3)
        self._dt_ns = robot.dt_ns
        self._arrived = threading.Condition()
        self._container: av.container.OutputContainer | None = None
        self._stream: av.VideoStream | None = None
        self._overlay: Pixels | None = None
        self._shown: Pixels | None = None  # the frame that was written last
        self._stamp_ns = 0  # of the newest picture
        topic = f'{camera.name}/image_raw'
        node.create_subscription(Image, topic, self._on_image, EVERY_FRAME)
        topic = f'value_map/{camera.name}/overlay'
        node.create_subscription(Image, topic, self._on_overlay, EVERY_FRAME)

    @contextmanager
    def written_to(self, path: Path, end_ns: Callable[[], int]) -> Iterator[None]:
        """Write what is seen during the block to a file, one frame per policy step.

        The file appears under its name when it is whole.

        Args:
            path: of the file.
            end_ns: asked after the block for the time of the last frame.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix('.part')
        self._begin(aside)
        try:
            yield
        finally:
            if self._end(end_ns()):
                aside.replace(path)
            else:
                aside.unlink(missing_ok=True)

    def _begin(self, path: Path) -> None:
        with self._arrived:
            self._overlay = self._shown = None
            self._container = av.open(str(path), 'w', format='mp4')
            rate, fast = Fraction(1_000_000_000, self._dt_ns), {'preset': 'veryfast'}
            self._stream = self._container.add_stream('libx264', rate=rate, options=fast)
            height, width = self._shape[:2]
            self._stream.height, self._stream.width = SCALE * height, 2 * SCALE * width
            self._stream.pix_fmt = 'yuv420p'

    def _end(self, end_ns: int) -> bool:
        """Close the file; returns whether there is anything in it."""
        with self._arrived:
            self._arrived.wait_for(lambda: self._stamp_ns >= end_ns, LAST_FRAME_S)
            seen = self._shown is not None
            if seen:
                self._fill_up_to(end_ns + self._dt_ns)
                self._container.mux(self._stream.encode())
            self._container.close()
            self._container = None
            return seen

    def _on_overlay(self, message: Image) -> None:
        with self._arrived:
            self._overlay = self._pixels(message, SCALE)

    def _on_image(self, message: Image) -> None:
        stamp_ns = convert.to_ns(message.header.stamp)
        with self._arrived:
            repeated = stamp_ns == self._stamp_ns  # while time stands still, the same comes again
            image = None if repeated or self._container is None else self._pixels(message)
            if image is not None:
                self._fill_up_to(stamp_ns)
                self._write(image)
            self._stamp_ns = stamp_ns
            self._arrived.notify_all()

    def _pixels(self, message: Image, scale: int = 1) -> Pixels | None:
        try:
            pixels = convert.from_image(message)
        except ConfigError as error:
            self._node.get_logger().warning(f'video: {error}', throttle_duration_sec=5.0)
            return None
        height, width, channels = self._shape
        return pixels if pixels.shape == (scale * height, scale * width, channels) else None

    def _fill_up_to(self, stamp_ns: int) -> None:
        """Show the last frame again for each step that was not seen before this one."""
        missed = round((stamp_ns - self._stamp_ns) / self._dt_ns) - 1
        for _ in range(missed if self._shown is not None else 0):
            self._encode(self._shown)

    def _write(self, image: Pixels) -> None:
        large = image.repeat(SCALE, axis=0).repeat(SCALE, axis=1)
        overlay = large if self._overlay is None else self._overlay
        self._shown = np.concatenate([large, overlay], axis=1)
        self._encode(self._shown)

    def _encode(self, pixels: Pixels) -> None:
        self._container.mux(
            self._stream.encode(av.VideoFrame.from_ndarray(pixels, format='rgb24'))
        )
