"""One video per episode: the head camera beside the value-map overlay on it.

Both are as large as the overlay, so that what is written in it can be read.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
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


class EpisodeVideo:
    """Listens to the robot's first camera and writes what it sees."""

    def __init__(self, node: Node, robot: RobotSpec) -> None:
        camera = robot.cameras[0]
        self._node = node
        self._shape = (camera.height, camera.width, 3)
        self._rate = Fraction(1_000_000_000, robot.dt_ns)
        self._lock = threading.Lock()
        self._container: av.container.OutputContainer | None = None
        self._stream: av.VideoStream | None = None
        self._overlay: Pixels | None = None
        self._stamp_ns = 0
        topic = f'{camera.name}/image_raw'
        node.create_subscription(Image, topic, self._on_image, EVERY_FRAME)
        topic = f'value_map/{camera.name}/overlay'
        node.create_subscription(Image, topic, self._on_overlay, EVERY_FRAME)

    @contextmanager
    def written_to(self, path: Path) -> Iterator[None]:
        """Write what is seen during the block to a file, one frame per policy step.

        The file appears under its name when it is whole.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix('.part')
        self._begin(aside)
        try:
            yield
        finally:
            if self._end():
                aside.replace(path)
            else:
                aside.unlink(missing_ok=True)

    def _begin(self, path: Path) -> None:
        with self._lock:
            self._overlay = None
            self._container = av.open(str(path), 'w', format='mp4')
            fast = {'preset': 'veryfast'}
            self._stream = self._container.add_stream('libx264', rate=self._rate, options=fast)
            height, width = self._shape[:2]
            self._stream.height, self._stream.width = SCALE * height, 2 * SCALE * width
            self._stream.pix_fmt = 'yuv420p'
            self._frames = 0

    def _end(self) -> int:
        """Close the file; returns how many frames it has."""
        with self._lock:
            assert self._container is not None
            if self._frames:
                self._container.mux(self._stream.encode())
            self._container.close()
            self._container = None
            return self._frames

    def _on_overlay(self, message: Image) -> None:
        with self._lock:
            self._overlay = self._pixels(message, SCALE)

    def _on_image(self, message: Image) -> None:
        stamp_ns = convert.to_ns(message.header.stamp)
        with self._lock:
            repeated = stamp_ns == self._stamp_ns  # while time stands still, the same comes again
            self._stamp_ns = stamp_ns
            image = None if repeated or self._container is None else self._pixels(message)
            if image is not None:
                self._write(image)

    def _pixels(self, message: Image, scale: int = 1) -> Pixels | None:
        try:
            pixels = convert.from_image(message)
        except ConfigError as error:
            self._node.get_logger().warning(f'video: {error}', throttle_duration_sec=5.0)
            return None
        height, width, channels = self._shape
        return pixels if pixels.shape == (scale * height, scale * width, channels) else None

    def _write(self, image: Pixels) -> None:
        large = image.repeat(SCALE, axis=0).repeat(SCALE, axis=1)
        overlay = large if self._overlay is None else self._overlay
        frame = av.VideoFrame.from_ndarray(
            np.concatenate([large, overlay], axis=1), format='rgb24'
        )
        self._container.mux(self._stream.encode(frame))
        self._frames += 1
