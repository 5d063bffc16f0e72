"""Node `cloud`: what the head camera sees, in space, coloured by where the policy will act."""

from __future__ import annotations

import sys
import threading
from collections import deque
from dataclasses import dataclass
from functools import partial

import rclpy
from rclpy.node import Node
from sensor_msgs.msg import Image, PointCloud2

from aim_policy.robot import load_robot
from aim_ros import convert
from aim_ros.cloud import coloured_cloud
from aim_ros.ros_util import RELIABLE, SENSOR_IN, option, parameters, run_node

KEPT = 64
POLL_S = 0.1


@dataclass(frozen=True)
class CloudParameters:
    """Parameters of the node."""

    robot: str = option('aloha_agilex', 'YAML under config/robot, or a path')
    slop_s: float = option(0.03, 'how far apart pictures, depth and value map may be')


class CloudNode(Node):
    """Publishes a cloud with every value map whose camera has a depth picture too."""

    def __init__(self) -> None:
        super().__init__('cloud')
        config = parameters(self, CloudParameters)
        self._camera = load_robot(config.robot).cameras[0]
        self._slop_ns = round(config.slop_s * 1e9)
        name = self._camera.name
        self._points = self.create_publisher(PointCloud2, f'value_map/{name}/points', RELIABLE)
        self._kept: dict[str, deque[Image]] = {}
        for topic in (f'{name}/depth', f'{name}/image_raw'):
            self._kept[topic] = deque(maxlen=KEPT)
            self.create_subscription(Image, topic, partial(self._keep, topic), SENSOR_IN)
        self._map: Image | None = None
        self._changed = threading.Condition()
        self.create_subscription(Image, f'value_map/{name}/image', self._on_map, RELIABLE)

    def _keep(self, topic: str, message: Image) -> None:
        self._kept[topic].append(message)

    def _on_map(self, message: Image) -> None:
        with self._changed:
            self._map = message
            self._changed.notify()

    def work(self) -> None:
        """Publish until the node is shut down."""
        while rclpy.ok():
            with self._changed:
                self._changed.wait(POLL_S)
                heat, self._map = self._map, None
            if heat and self._points.get_subscription_count():
                self._publish(heat)

    def _publish(self, heat: Image) -> None:
        stamp_ns = convert.to_ns(heat.header.stamp)
        depth, image = (self._nearest(kept, stamp_ns) for kept in self._kept.values())
        if depth is None or image is None:
            return
        try:
            cloud = coloured_cloud(
                convert.from_float_image(depth),
                convert.from_image(image),
                convert.from_float_image(heat),
                self._camera.intrinsic,
            )
        except ValueError as error:
            self.get_logger().error(str(error), throttle_duration_sec=5.0)
            return
        self._points.publish(convert.to_cloud(cloud, stamp_ns, self._camera.frame_id))

    def _nearest(self, kept: deque[Image], stamp_ns: int) -> Image | None:
        """Return what was taken closest to a time, None if nothing was close enough."""
        away = partial(_away_ns, stamp_ns)
        found = min(list(kept), key=away, default=None)
        return found if found is not None and away(found) <= self._slop_ns else None


def _away_ns(stamp_ns: int, message: Image) -> int:
    return abs(convert.to_ns(message.header.stamp) - stamp_ns)


def main() -> int:
    """Entry point."""
    return run_node(CloudNode)


if __name__ == '__main__':
    sys.exit(main())
