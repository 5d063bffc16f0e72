"""The depth picture of the robot's first camera, as a D435 driver would publish it."""

from __future__ import annotations

from rclpy.node import Node
from sensor_msgs.msg import Image

from aim_policy.config import ConfigError
from aim_policy.robot import RobotSpec
from aim_ros import convert
from aim_ros.ros_util import RELIABLE
from sim_bridge.backend import SimBackend


class DepthTopic:
    """Publishes `<camera>/depth`, 32FC1 in metres, NaN where there is nothing."""

    def __init__(self, node: Node, robot: RobotSpec, backend: SimBackend) -> None:
        """Make the topic.

        Raises:
            ConfigError: this backend measures no depth.
        """
        if not hasattr(backend, 'depth'):
            name = type(backend).__name__
            raise ConfigError(f'depth is true, expected false: {name} has no depth pictures')
        self._camera, self._measure = robot.cameras[0], backend.depth
        self._topic = node.create_publisher(Image, f'{self._camera.name}/depth', RELIABLE)

    def publish(self, stamp_ns: int) -> None:
        """Publish what belongs to the picture taken last."""
        if self._topic.get_subscription_count():
            depth = self._measure(self._camera.name)
            self._topic.publish(convert.to_float_image(depth, stamp_ns, self._camera.frame_id))
