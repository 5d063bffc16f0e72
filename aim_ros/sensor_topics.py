"""What a node hears of a robot's sensors, given to an Observer; and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from rclpy.clock import JumpThreshold, TimeJump
from rclpy.duration import Duration
from rclpy.node import Node
from sensor_msgs.msg import Image, JointState

from aim_ros import convert
from aim_ros.mismatches import Mismatches
from aim_ros.observer import JOINT_STATES, JOINT_TARGETS, Observer
from aim_ros.ros_util import OVERRIDES, SENSOR_IN

# Unlike stamps, which may come late, a clock that is this much behind was set back.
CLOCK_JUMP_NS = 100_000_000


class SensorTopics:
    """Subscriptions of cameras and joints; the Observer is told when the clock is set back too."""

    def __init__(self, node: Node, observer: Observer, mismatches: Mismatches) -> None:
        self._node, self._observer, self._mismatches = node, observer, mismatches
        robot = observer.robot
        for camera in robot.cameras:
            self._listen(Image, f'{camera.name}/image_raw', partial(self.on_image, camera.name))
        states = partial(self.on_joints, JOINT_STATES, observer.add_joints)
        self._listen(JointState, robot.joint_states_topic, states)
        if robot.joint_targets_topic:
            targets = partial(self.on_joints, JOINT_TARGETS, observer.add_targets)
            self._listen(JointState, robot.joint_targets_topic, targets)
        backward = JumpThreshold(
            min_forward=None,
            min_backward=Duration(nanoseconds=-CLOCK_JUMP_NS),
            on_clock_change=False,
        )
        self._jumps = node.get_clock().create_jump_callback(
            backward, post_callback=self._on_time_jump
        )

    def _on_time_jump(self, _: TimeJump) -> None:
        self._node.get_logger().warning('time was set back: a fresh set of sensors is needed')
        self._observer.time_jumped()

    def on_image(self, camera: str, message: Image) -> None:
        """Take a picture, or count it as refused."""
        try:
            self._observer.add_image(camera, self._when(message), convert.from_image(message))
        except ValueError as error:
            self._refuse(camera, str(error))

    def on_joints(self, stream: str, add: Callable, message: JointState) -> None:
        """Take joints, or count them as refused."""
        try:
            add(self._when(message), message.name, message.position)
        except ValueError as error:
            self._refuse(stream, str(error))

    def _when(self, message: Image | JointState) -> int:
        now_ns = self._node.get_clock().now().nanoseconds
        return self._observer.when(convert.to_ns(message.header.stamp), now_ns)

    def _refuse(self, stream: str, reason: str) -> None:
        self._observer.refuse(stream, reason)
        self._node.get_logger().error(f'{stream}: {reason}', throttle_duration_sec=1.0)

    def _listen(self, kind: type, topic: str, callback: Callable) -> None:
        self._node.create_subscription(
            kind,
            topic,
            callback,
            SENSOR_IN,
            event_callbacks=self._mismatches.of_subscription(topic),
            qos_overriding_options=OVERRIDES,
        )
