"""Node `driver_names`: joins the drivers of two equal arms into the one robot that a policy sees.

It renames and forwards. What moves the arms, and checks the commands, are the drivers.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from functools import partial

import rclpy
from rclpy.node import Node
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from aim_policy.robot import ArmSpec, load_robot
from aim_ros import convert
from aim_ros.driver_names import DriverNames
from aim_ros.ros_util import RELIABLE, SENSOR_IN, option, parameters, run_node

POLL_S = 0.1
REPEAT_S = 5.0


@dataclass(frozen=True)
class DriverParameters:
    """Parameters of the node."""

    robot: str = option('cobot_magic', 'YAML under config/robot, or a path')


class DriverNode(Node):
    """Joint states of the arms -> joint_states; trajectories of the policy -> drivers."""

    def __init__(self) -> None:
        super().__init__('driver_names')
        robot = load_robot(parameters(self, DriverParameters).robot)
        self._names = DriverNames(robot)
        self._joints = self.create_publisher(JointState, robot.joint_states_topic, RELIABLE)
        self._commands = {}
        for arm in robot.arms:
            driver = self._names.driver(arm)
            self.create_subscription(
                JointState, driver.joint_states, partial(self._on_joints, arm), SENSOR_IN
            )
            if not driver.joint_trajectory:
                continue  # the node set_points moves this arm
            self._commands[arm.name] = self.create_publisher(
                JointTrajectory, driver.joint_trajectory, RELIABLE
            )
            topic = f'{arm.controller}/joint_trajectory'
            self.create_subscription(
                JointTrajectory, topic, partial(self._on_trajectory, arm), RELIABLE
            )

    def _on_joints(self, arm: ArmSpec, message: JointState) -> None:
        stamp_ns = convert.to_ns(message.header.stamp)
        try:
            reading = self._names.add(arm, stamp_ns, message.name, message.position)
        except ValueError as error:
            self.get_logger().error(str(error), throttle_duration_sec=REPEAT_S)
            return
        if reading:
            self._joints.publish(
                convert.to_joint_state(reading.names, reading.positions, reading.stamp_ns)
            )

    def _on_trajectory(self, arm: ArmSpec, message: JointTrajectory) -> None:
        try:
            message.joint_names = self._names.to_driver(arm, message.joint_names)
        except ValueError as error:
            self.get_logger().error(f'trajectory dropped: {error}')
            return
        self._commands[arm.name].publish(message)

    def work(self) -> None:
        """Let the callbacks work until the node is shut down."""
        while rclpy.ok():
            time.sleep(POLL_S)


def main() -> int:
    """Entry point."""
    return run_node(DriverNode)


if __name__ == '__main__':
    sys.exit(main())
