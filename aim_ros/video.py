"""One video per episode: the head camera beside the value-map overlay on it."""

from __future__ import annotations

import threading
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import Image

from aim_policy.interface import Image as Pixels
from aim_policy.robot import RobotSpec
from aim_ros import convert
from aim_ros.ros_util import SENSOR_IN


class EpisodeVideo:
    """Listens to the robot's first camera and writes what it sees between start and finish."""

    def __init__(self, node: Node, robot: RobotSpec) -> None:
        camera = robot.cameras[0].name
        self._rate = Fraction(1_000_000_000, robot.dt_ns)
        self._lock = threading.Lock()
        self._container: av.container.OutputContainer | None = None
        self._stream: av.VideoStream | None = None
        self._overlay: Pixels | None = None
        self._stamp_ns = 0
        node.create_subscription(Image, f'{camera}/image_raw', self._on_image, SENSOR_IN)
        topic = f'value_map/{camera}/overlay'
        node.create_subscription(Image, topic, self._on_overlay, SENSOR_IN)

    def start(self, path: Path) -> None:
        """Begin a video; frames are timed as simulated time, one per policy step."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._lock:
            self._overlay = None
            self._container = av.open(str(path), 'w')
            self._stream = None

    def finish(self) -> None:
        """End the video."""
        with self._lock:
            if self._container is None:
                return
            if self._stream is not None:
                self._container.mux(self._stream.encode())
            self._container.close()
            self._container = None

    def _on_overlay(self, message: Image) -> None:
        with self._lock:
            self._overlay = convert.from_image(message)

    def _on_image(self, message: Image) -> None:
        stamp_ns = convert.to_ns(message.header.stamp)
        with self._lock:
            if self._container is None or stamp_ns == self._stamp_ns:
                return  # while time stands still, the same picture comes again
            self._stamp_ns = stamp_ns
            self._write(convert.from_image(message))

    def _write(self, image: Pixels) -> None:
        overlay = image if self._overlay is None else self._overlay
        frame = np.concatenate([image, overlay], axis=1)
        assert self._container is not None
        if self._stream is None:
            self._stream = self._container.add_stream('libx264', rate=self._rate)
            self._stream.height, self._stream.width = frame.shape[:2]
            self._stream.pix_fmt = 'yuv420p'
        self._container.mux(self._stream.encode(av.VideoFrame.from_ndarray(frame, format='rgb24')))
