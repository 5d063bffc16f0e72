"""The ROS face of the trajectory controllers: their topics, and their action where it can be.

The action follow_joint_trajectory and the topic controller_state need the package control_msgs,
which is imported on use.
"""

from __future__ import annotations

import traceback
from concurrent.futures import Future
from functools import partial
from types import ModuleType
from typing import Any

import rclpy
from rclpy.action.server import ActionServer, CancelResponse, GoalResponse
from rclpy.node import Node
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from aim_policy.robot import ArmSpec, RobotSpec
from aim_ros import convert
from aim_ros.ros_util import RELIABLE, apart
from sim_bridge.controller import TrajectoryCommand, TrajectoryRefused
from sim_bridge.follow_goal import FollowGoal, ToleranceRequest
from sim_bridge.runner import Runner
from sim_bridge.sim_loop import EpisodeOver, SimLoop
from sim_bridge.spline import Knot
from sim_bridge.trajectory_command import ErrorCode

MISSING = (
    'control_msgs is not installed: trajectories by topic only, without the action '
    'follow_joint_trajectory and the topic controller_state'
)


class ControllerTopics:
    """Takes trajectories for every arm of a simulated robot.

    Attributes:
        refusals: arm -> why its last command was refused, until one is taken.
    """

    def __init__(self, node: Node, robot: RobotSpec, runner: Runner) -> None:
        self.refusals: dict[str, str] = {}
        self._stops: dict[str, str] = {}
        self._node = node
        self._runner = runner
        for arm in robot.arms:
            topic = f'{arm.controller}/joint_trajectory'
            callback = partial(self._on_trajectory, arm.name)
            node.create_subscription(JointTrajectory, topic, callback, RELIABLE)
        messages = control_messages()
        self._actions = [
            FollowAction(node, arm, runner, messages) for arm in robot.arms if messages
        ]
        if not messages:
            node.get_logger().info(MISSING)

    def publish(self, loop: SimLoop) -> None:
        """Say what the controllers want and see; called by the simulation thread."""
        for arm, reason in loop.stops.items():
            if self._stops.get(arm) != reason:
                self._node.get_logger().error(f'{arm} arm stopped: {reason}')
        self._stops = dict(loop.stops)
        for action in self._actions:
            action.publish_state(loop)

    def complaints(self) -> list[str]:
        """Say what was refused or stopped and not made good since."""
        stops = [f'{arm} arm stopped: {reason}' for arm, reason in self._stops.items()]
        return [*self.refusals.values(), *stops]

    def _on_trajectory(self, arm: str, message: JointTrajectory) -> None:
        command = to_command(message)
        future = self._runner.submit(lambda loop: loop.command(arm, command))
        future.add_done_callback(partial(self._report, arm))

    def _report(self, arm: str, future: Future) -> None:
        error, log = future.exception(), self._node.get_logger()
        if error is None:
            self.refusals.pop(arm, None)
        elif isinstance(error, EpisodeOver):
            log.debug(str(error))  # the policy has not heard of the end yet
        elif isinstance(error, TrajectoryRefused):
            self.refusals[arm] = f'{arm} arm refused a trajectory: {error}'
            log.error(self.refusals[arm])
        else:
            log.fatal(''.join(traceback.format_exception(error)))
            rclpy.try_shutdown()


class FollowAction:
    """Action follow_joint_trajectory and topic controller_state of one arm."""

    def __init__(self, node: Node, arm: ArmSpec, runner: Runner, messages: Any) -> None:
        self._node, self._arm, self._runner = node, arm, runner
        self._action = messages.action.FollowJointTrajectory
        self._state = messages.msg.JointTrajectoryControllerState
        self._states = node.create_publisher(
            self._state, f'{arm.controller}/controller_state', RELIABLE
        )
        self._server = ActionServer(
            node,
            self._action,
            f'{arm.controller}/follow_joint_trajectory',
            execute_callback=apart(node, self._execute),
            goal_callback=apart(node, self._on_goal),
            cancel_callback=lambda _: CancelResponse.ACCEPT,
        )

    def publish_state(self, loop: SimLoop) -> None:
        """Publish controller_state."""
        message = self._state(joint_names=list(self._arm.joint_names))
        message.header.stamp = convert.to_time(loop.now_ns)
        desired, actual = loop.controllers[self._arm.name].report(loop.now_ns)
        message.reference, message.feedback = to_point(desired), to_point(actual)
        message.error = difference(desired, actual)
        message.output, message.speed_scaling_factor = to_point(desired), 1.0
        self._states.publish(message)

    def _on_goal(self, goal: Any) -> GoalResponse:
        command = to_command(goal.trajectory)
        try:
            self._runner.submit(lambda loop: loop.check(self._arm.name, command)).result()
        except (TrajectoryRefused, EpisodeOver) as error:
            self._node.get_logger().error(f'{self._arm.name} arm refused a goal: {error}')
            return GoalResponse.REJECT
        return GoalResponse.ACCEPT

    def _execute(self, handle: Any) -> Any:
        arm, request = self._arm.name, to_request(handle.request)
        command = to_command(handle.request.trajectory)
        result = self._action.Result()
        try:
            goal, warning = self._runner.submit(
                lambda loop: loop.follow(arm, command, request)
            ).result()
        except (TrajectoryRefused, EpisodeOver) as error:
            handle.abort()
            result.error_code = int(getattr(error, 'code', ErrorCode.INVALID_GOAL))
            result.error_string = str(error)
            return result
        if warning:
            self._node.get_logger().error(f'{arm} arm: {warning}')
        self._watch(handle, goal)
        result.error_code, result.error_string = int(goal.code), goal.reason
        if handle.is_cancel_requested:
            handle.canceled()
        elif goal.code == ErrorCode.SUCCESSFUL:
            handle.succeed()
        else:
            handle.abort()
        return result

    def _watch(self, handle: Any, goal: FollowGoal) -> None:
        """Send feedback until a goal has ended."""
        arm = self._arm.name
        config = self._runner.submit(lambda loop: loop.controllers[arm].config).result()
        period_s = 1 / config.action_monitor_rate
        while not goal.wait(period_s):
            if handle.is_cancel_requested:
                self._runner.submit(lambda loop: loop.cancel(arm, goal)).result()
                continue
            handle.publish_feedback(self._runner.submit(self._feedback).result())

    def _feedback(self, loop: SimLoop) -> Any:
        message = self._action.Feedback(joint_names=list(self._arm.joint_names))
        message.header.stamp = convert.to_time(loop.now_ns)
        desired, actual = loop.controllers[self._arm.name].report(loop.now_ns)
        message.desired, message.actual = to_point(desired), to_point(actual)
        message.error = difference(desired, actual)
        return message


def control_messages() -> ModuleType | None:
    """Return the package control_msgs, or None where it is not installed."""
    try:
        import control_msgs.action
        import control_msgs.msg
    except ModuleNotFoundError:
        return None
    return control_msgs


def to_command(message: JointTrajectory) -> TrajectoryCommand:
    """JointTrajectory, as it arrived -> what the controller checks."""

    def rows(field: str) -> tuple[tuple[float, ...], ...]:
        return tuple(tuple(getattr(point, field)) for point in message.points)

    return TrajectoryCommand(
        joint_names=tuple(message.joint_names),
        positions=rows('positions'),
        velocities=rows('velocities'),
        accelerations=rows('accelerations'),
        efforts=rows('effort'),
        times_ns=tuple(convert.to_ns(point.time_from_start) for point in message.points),
        stamp_ns=convert.to_ns(message.header.stamp),
    )


def to_request(goal: Any) -> ToleranceRequest:
    """Tolerances of a FollowJointTrajectory goal."""
    return ToleranceRequest(
        path={limit.name: limit.position for limit in goal.path_tolerance},
        goal={limit.name: limit.position for limit in goal.goal_tolerance},
        goal_time_s=convert.to_ns(goal.goal_time_tolerance) / 1e9,
    )


def to_point(state: Knot) -> JointTrajectoryPoint:
    """State of the joints -> JointTrajectoryPoint."""
    point = JointTrajectoryPoint(positions=state.positions.tolist())
    if state.velocities is not None:
        point.velocities = state.velocities.tolist()
    return point


def difference(desired: Knot, actual: Knot) -> JointTrajectoryPoint:
    """How far the joints are from where they should be."""
    return JointTrajectoryPoint(positions=(desired.positions - actual.positions).tolist())
