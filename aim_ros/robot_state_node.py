"""Node `robot_state`: the robot, where its links and cameras are and will be, for RViz.

It stands in for robot_state_publisher where the robot's driver starts none.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from types import ModuleType

import numpy as np
import rclpy
from geometry_msgs.msg import Point, PoseStamped, TransformStamped
from nav_msgs.msg import Path
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import JointState
from std_msgs.msg import String

from aim_policy.kinematics import quat_xyzw
from aim_policy.robot import load_robot
from aim_ros import convert
from aim_ros.msg import ActionChunk
from aim_ros.robot_frames import WORLD, Frame, RobotFrames
from aim_ros.ros_util import LATCHED, RELIABLE, SENSOR_IN, option, parameters, run_node

POLL_S = 0.1
MISSING = 'tf2_msgs is not installed: robot_description only, without /tf and /tf_static'


@dataclass(frozen=True)
class RobotStateParameters:
    """Parameters of the node."""

    robot: str = option('aloha_agilex', 'YAML under config/robot, or a path')


class RobotStateNode(Node):
    """Publishes robot_description, frames with every joint state, a path with every chunk."""

    def __init__(self) -> None:
        super().__init__('robot_state')
        robot = load_robot(parameters(self, RobotStateParameters).robot)
        self._frames = RobotFrames(robot)
        self._description = self.create_publisher(String, 'robot_description', LATCHED)
        if self._frames.description:
            self._description.publish(String(data=self._frames.description))
        if self._frames.missing:
            names = ', '.join(self._frames.missing)
            self.get_logger().warning(f'cameras without a place in {robot.name}: {names}')
        self._paths = {
            arm.name: self.create_publisher(Path, f'planned_path/{arm.name}', LATCHED)
            for arm in robot.arms
        }
        # What the policy wants, whether it may move the arms or not.
        self.create_subscription(ActionChunk, 'action_chunk', self._on_chunk, RELIABLE)
        self._messages = tf_messages()
        if self._messages is None:
            self.get_logger().info(MISSING)
            return
        self._static = self._publisher('/tf_static', LATCHED)
        self._moving = self._publisher('/tf', RELIABLE)
        stamp_ns = self.get_clock().now().nanoseconds
        self._static.publish(self._message(self._frames.static(), stamp_ns))
        self.create_subscription(JointState, robot.joint_states_topic, self._on_joints, SENSOR_IN)

    def _publisher(self, topic: str, qos: QoSProfile) -> rclpy.publisher.Publisher:
        assert self._messages is not None
        return self.create_publisher(self._messages.msg.TFMessage, topic, qos)

    def _on_joints(self, message: JointState) -> None:
        positions = dict(zip(message.name, message.position, strict=False))
        frames = self._frames.moving(positions)
        self._moving.publish(self._message(frames, convert.to_ns(message.header.stamp)))

    def _on_chunk(self, message: ActionChunk) -> None:
        rows = np.reshape(message.positions, (message.steps, -1))
        for arm, publisher in self._paths.items():
            path = Path()
            path.header.stamp, path.header.frame_id = message.header.stamp, WORLD
            for x, y, z in self._frames.finger_path(arm, message.joint_names, rows).tolist():
                path.poses.append(PoseStamped(header=path.header))
                path.poses[-1].pose.position = Point(x=x, y=y, z=z)
            publisher.publish(path)

    def _message(self, frames: Iterable[Frame], stamp_ns: int) -> object:
        assert self._messages is not None
        transforms = [to_transform(frame, stamp_ns) for frame in frames]
        return self._messages.msg.TFMessage(transforms=transforms)

    def work(self) -> None:
        """Let the callbacks work until the node is shut down."""
        while rclpy.ok():
            time.sleep(POLL_S)


def tf_messages() -> ModuleType | None:
    """Return the package tf2_msgs, or None where it is not installed."""
    try:
        import tf2_msgs.msg
    except ModuleNotFoundError:
        return None
    return tf2_msgs


def to_transform(frame: Frame, stamp_ns: int) -> TransformStamped:
    """Frame -> TransformStamped."""
    message = TransformStamped(child_frame_id=frame.child)
    message.header.stamp, message.header.frame_id = convert.to_time(stamp_ns), frame.parent
    where, turn = message.transform.translation, message.transform.rotation
    where.x, where.y, where.z = frame.pose[:3, 3].tolist()
    turn.x, turn.y, turn.z, turn.w = quat_xyzw(frame.pose[:3, :3]).tolist()
    return message


def main() -> int:
    """Entry point."""
    return run_node(RobotStateNode)


if __name__ == '__main__':
    sys.exit(main())
