"""What a node tells the controllers of a robot, and shows of what the policy wants."""

from __future__ import annotations

from rclpy.lifecycle import LifecycleNode
from trajectory_msgs.msg import JointTrajectory

from aim_policy.robot import RobotSpec
from aim_ros import convert
from aim_ros.arm_trajectory import ArmTrajectory
from aim_ros.mismatches import Mismatches
from aim_ros.msg import ActionChunk
from aim_ros.policy_loop import Sent
from aim_ros.ros_util import OVERRIDES, RELIABLE


class CommandTopics:
    """Publishers that are silent unless the node is active."""

    def __init__(self, node: LifecycleNode, robot: RobotSpec, mismatches: Mismatches) -> None:
        topics = {arm.name: f'{arm.controller}/joint_trajectory' for arm in robot.arms}
        self._commands = {
            arm: node.create_lifecycle_publisher(
                JointTrajectory,
                topic,
                RELIABLE,
                event_callbacks=mismatches.of_publisher(topic),
                qos_overriding_options=OVERRIDES,
            )
            for arm, topic in topics.items()
        }
        self._chunks = node.create_lifecycle_publisher(
            ActionChunk, 'action_chunk', RELIABLE, qos_overriding_options=OVERRIDES
        )

    def send(self, trajectories: tuple[ArmTrajectory, ...]) -> None:
        """Tell the controllers of both arms, one right after the other."""
        messages = [(t.arm, convert.to_trajectory(t)) for t in trajectories]
        for arm, message in messages:  # every arm is ready before the first is told
            self._commands[arm].publish(message)

    def missing_controller(self) -> str:
        """Name an arm that no controller listens for, '' if there is none."""
        silent = (a for a, p in self._commands.items() if not p.get_subscription_count())
        return next(silent, '')

    def show(self, sent: Sent) -> None:
        """Say what the policy wanted."""
        message = convert.to_chunk(sent.output.chunk, sent.observation.instruction)
        message.inference_ms = sent.inference_ms
        self._chunks.publish(message)
