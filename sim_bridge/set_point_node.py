"""Node `set_points`: follows trajectories for arms whose drivers take set points instead.

It is the controller of the simulator in front of a real driver, and needs no simulator.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from functools import partial

import numpy as np
import rclpy
from rclpy.node import Node
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from aim_policy.config import ConfigError
from aim_policy.robot import ArmSpec, load_robot
from aim_ros import convert
from aim_ros.ros_util import RELIABLE, SENSOR_IN, option, parameters, run_node
from sim_bridge.controller_config import load_controllers
from sim_bridge.controller_topics import to_command
from sim_bridge.set_points import SetPoints
from sim_bridge.trajectory_command import TrajectoryRefused


@dataclass(frozen=True)
class SetPointParameters:
    """Parameters of the node."""

    robot: str = option('cobot_magic', 'YAML under config/robot, or a path')
    controllers: str = option('', 'YAML of ros2_control to follow; empty: the defaults')
    rate_hz: float = option(100.0, 'of the set points')
    max_age_s: float = option(0.2, 'of joint states; nothing is sent when they are older')

    def __post_init__(self) -> None:
        for name in ('rate_hz', 'max_age_s'):
            if not getattr(self, name) > 0:  # so that .nan is refused too
                raise ConfigError(f'{name} is {getattr(self, name)}, expected more than 0')


class SetPointNode(Node):
    """Trajectories of the policy -> set points of every arm whose driver wants them."""

    def __init__(self) -> None:
        super().__init__('set_points')
        config = parameters(self, SetPointParameters)
        self._period_s = 1 / config.rate_hz
        robot = load_robot(config.robot)
        configs = load_controllers(config.controllers, robot) if config.controllers else {}
        self._arms: dict[str, SetPoints] = {}
        self._outputs = {}
        for arm in robot.arms:
            if not arm.driver or not arm.driver.set_points:
                continue
            points = SetPoints(arm.joint_names, configs.get(arm.name), config.max_age_s)
            self._arms[arm.name] = points
            output = self.create_publisher(JointState, arm.driver.set_points, RELIABLE)
            self._outputs[arm.name] = (output, list(arm.driver.joints))
            topic = f'{arm.controller}/joint_trajectory'
            callback = partial(self._on_trajectory, arm.name)
            self.create_subscription(JointTrajectory, topic, callback, RELIABLE)
            callback = partial(self._on_joints, arm)
            self.create_subscription(JointState, arm.driver.joint_states, callback, SENSOR_IN)
        if not self._arms:
            raise ConfigError(f'robot {robot.name}: no arm has driver.set_points')

    def _now_ns(self) -> int:
        return self.get_clock().now().nanoseconds

    def _on_joints(self, arm: ArmSpec, message: JointState) -> None:
        assert arm.driver is not None
        found = dict(zip(message.name, message.position, strict=False))
        if not set(arm.driver.joints) <= set(found):
            return  # the node driver_names says what is missing
        positions = np.array([found[name] for name in arm.driver.joints])
        stopped = self._arms[arm.name].observe(self._now_ns(), positions)
        if stopped:
            self.get_logger().error(f'{arm.name} arm stopped: {stopped}')

    def _on_trajectory(self, arm: str, message: JointTrajectory) -> None:
        try:
            self._arms[arm].accept(to_command(message), self._now_ns())
        except TrajectoryRefused as error:
            self.get_logger().error(f'{arm} arm refused a trajectory: {error}')

    def work(self) -> None:
        """Send set points until the node is shut down."""
        while rclpy.ok():
            time.sleep(self._period_s)
            now_ns = self._now_ns()
            for arm, points in self._arms.items():
                positions = points.next(now_ns)
                if positions is not None:
                    output, names = self._outputs[arm]
                    output.publish(convert.to_joint_state(names, positions, now_ns))


def main() -> int:
    """Entry point."""
    return run_node(SetPointNode)


if __name__ == '__main__':
    sys.exit(main())
