"""Node `policy`: camera and joint topics in, joint trajectories and value maps out."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import rclpy
from rclpy.node import Node
from sensor_msgs.msg import Image, JointState
from trajectory_msgs.msg import JointTrajectory

from aim_policy.config import ConfigError, unknown_name
from aim_policy.interface import EXECUTIONS
from aim_policy.overlay import overlay
from aim_policy.registry import make_policy
from aim_policy.robot import load_robot
from aim_ros import convert
from aim_ros.action import RunPolicy
from aim_ros.msg import ActionChunk, PolicyStatus
from aim_ros.observer import Observer, ObserverConfig
from aim_ros.policy_loop import PolicyLoop, Sent
from aim_ros.ros_util import LATCHED, RELIABLE, SENSOR_IN, option, parameters, run_node
from aim_ros.run_server import Run, RunServer
from aim_ros.srv import SetInstruction
from aim_ros.trajectory import ArmTrajectory, ChunkRejected, GateConfig, TrajectoryGate

IDLE_WAIT_S, DATA_WAIT_S = 0.2, 0.005


@dataclass(frozen=True)
class PolicyParameters:
    """Parameters of the node, beside those of the observer (sync.) and of the gate (safety.)."""

    policy: str = option('aim', 'policy: aim or hold')
    checkpoint: str = option(
        '', 'folder; empty: models/aim_tiny if it is there, else random weights'
    )
    device: str = option('cpu', 'torch device')
    robot: str = option('aloha_agilex', 'YAML under config/robot, or a path')
    execution: str = option('lockstep', 'lockstep: time stands still between chunks; or realtime')
    preset: str = option('', 'how many steps the policy imagines and acts in; empty: its own')
    max_rejected_chunks: int = option(5, 'abort the run after this many refused chunks in a row')
    stall_timeout_s: float = option(30.0, 'abort if no sensor moved for this long after a chunk')

    def __post_init__(self) -> None:
        if self.execution not in EXECUTIONS:
            raise unknown_name('execution', self.execution, EXECUTIONS)
        for name in ('max_rejected_chunks', 'stall_timeout_s'):
            if not getattr(self, name) > 0:
                raise ConfigError(f'{name} is {getattr(self, name)}, expected more than 0')


class PolicyNode(Node):
    """Silent until a goal of `~/run` arrives; inference happens in `work`, never in a callback."""

    def __init__(self) -> None:
        super().__init__('policy')
        self._config = parameters(self, PolicyParameters)
        self._robot = load_robot(self._config.robot)
        config = self._config
        policy = make_policy(
            config.policy, self._robot, config.checkpoint, config.device, config.preset
        )
        self._loop = PolicyLoop(
            self._robot,
            policy,
            Observer(self._robot, parameters(self, ObserverConfig, 'sync.')),
            TrajectoryGate(self._robot, parameters(self, GateConfig, 'safety.')),
            lockstep=self._config.execution == 'lockstep',
        )
        self._description = getattr(policy, 'description', self._config.policy)
        self._subscribe()
        self._make_publishers()
        self._server = RunServer(self)
        self.create_service(SetInstruction, '~/set_instruction', self._on_instruction)
        self._refused, self._moved_s, self._age_ms = 0, 0.0, 0.0

    def _subscribe(self) -> None:
        for camera in self._robot.cameras:
            callback = partial(self._on_image, camera.name)
            self.create_subscription(Image, f'{camera.name}/image_raw', callback, SENSOR_IN)
        observer, robot = self._loop.observer, self._robot
        for topic, add in (
            (robot.joint_states_topic, observer.add_joints),
            (robot.joint_targets_topic, observer.add_targets),
        ):
            if topic:
                self.create_subscription(
                    JointState, topic, partial(self._on_joints, add), SENSOR_IN
                )

    def _make_publishers(self) -> None:
        self._commands = {
            arm.name: self.create_publisher(
                JointTrajectory, f'{arm.controller}/joint_trajectory', RELIABLE
            )
            for arm in self._robot.arms
        }
        self._heat, self._overlays = {}, {}
        for camera in self._robot.cameras:
            base = f'value_map/{camera.name}'
            self._heat[camera.name] = self.create_publisher(Image, f'{base}/image', RELIABLE)
            self._overlays[camera.name] = self.create_publisher(Image, f'{base}/overlay', RELIABLE)
        self._chunks = self.create_publisher(ActionChunk, 'action_chunk', RELIABLE)
        self._status = self.create_publisher(PolicyStatus, '~/status', LATCHED)

    def _on_image(self, camera: str, message: Image) -> None:
        stamp_ns = convert.to_ns(message.header.stamp)
        try:
            self._loop.observer.add_image(camera, stamp_ns, convert.from_image(message))
        except ValueError as error:
            self.get_logger().error(f'{camera}: {error}', throttle_duration_sec=1.0)

    def _on_joints(self, add: Callable, message: JointState) -> None:
        try:
            add(convert.to_ns(message.header.stamp), message.name, message.position)
        except ValueError as error:
            self.get_logger().error(str(error), throttle_duration_sec=1.0)

    def _on_instruction(
        self, request: SetInstruction.Request, response: SetInstruction.Response
    ) -> SetInstruction.Response:
        response.success = bool(request.instruction.strip())
        if response.success:
            self._loop.observer.set_instruction(request.instruction)
        else:
            response.message = 'instruction is empty, expected at least one word'
        return response

    def work(self) -> None:
        """Serve runs until the node is shut down."""
        self.get_logger().info(f'{self._description}, {self._config.execution}; waiting for ~/run')
        self._publish_status(None, PolicyStatus.IDLE)
        while rclpy.ok():
            run = self._server.wait(IDLE_WAIT_S)
            if run:
                self._serve(run)
                self._publish_status(run, PolicyStatus.IDLE)

    def _serve(self, run: Run) -> None:
        self._loop.start(run.goal.instruction, run.goal.seed, run.not_before_ns)
        limit_ns, begin_ns = convert.to_ns(run.goal.max_duration), self._now_ns()
        self._refused, self._moved_s = 0, time.monotonic()
        while rclpy.ok() and not run.stop.wait(DATA_WAIT_S):
            fault = self._wait_for_controllers(run) or self._step(run)
            if fault:
                self._publish_status(run, PolicyStatus.ERROR, fault)
                self.get_logger().error(f'run aborted: {fault}')
                self._hold(run)
                return run.finish(RunPolicy.Result.ABORTED, fault)
            if limit_ns and self._now_ns() - begin_ns > limit_ns:
                self._hold(run)
                return run.finish(RunPolicy.Result.TIMEOUT)
        self._hold(run)
        return run.finish(RunPolicy.Result.CANCELLED)

    def _wait_for_controllers(self, run: Run) -> str:
        """Wait until every controller listens: what is sent before is lost. '' when they do."""
        for arm, publisher in self._commands.items():
            while rclpy.ok() and not run.stop.is_set() and not publisher.get_subscription_count():
                self._tell_waiting(run, f'no controller of the {arm} arm listens yet')
                time.sleep(DATA_WAIT_S)
        return ''

    def _step(self, run: Run) -> str:
        """Think and send if it is time to; returns why the run cannot go on, '' if it can."""
        try:
            result = self._loop.poll(self._now_ns)
        except (ChunkRejected, ValueError) as error:  # ValueError: what the policy cannot use
            run.rejected_chunks += 1
            self._refused += 1
            self.get_logger().error(f'no motion: {error}')
            return str(error) if self._refused >= self._config.max_rejected_chunks else ''
        if run.stop.is_set():
            return ''
        if isinstance(result, Sent):
            self._refused, self._moved_s = 0, time.monotonic()
            self._publish(run, result)
        elif result.reason:
            self._tell_waiting(run, result.reason)
        elif time.monotonic() - self._moved_s > self._config.stall_timeout_s:
            return f'no sensor moved for {self._config.stall_timeout_s} s after chunk {run.chunks}'
        return ''

    def _tell_waiting(self, run: Run, reason: str) -> None:
        if reason != run.state:
            run.state = reason
            self._publish_status(run, PolicyStatus.WAITING, reason)

    def _hold(self, run: Run) -> None:
        """Do not let the arms finish a chunk that nobody wants any more."""
        if self._config.execution == 'realtime' and rclpy.ok():
            self._command(self._loop.hold(self._now_ns()))
            self._publish_status(run, PolicyStatus.HOLDING)

    def _command(self, trajectories: tuple[ArmTrajectory, ...]) -> None:
        for trajectory in trajectories:  # every arm is ready before the first is told
            self._commands[trajectory.arm].publish(convert.to_trajectory(trajectory))

    def _now_ns(self) -> int:
        return self.get_clock().now().nanoseconds

    def _publish(self, run: Run, sent: Sent) -> None:
        self._command(sent.trajectories)
        run.chunks += 1
        run.inference_ms, run.state = sent.inference_ms, 'running'
        self._age_ms = max(0.0, (self._now_ns() - sent.observation.stamp_ns) / 1e6)
        message = convert.to_chunk(sent.output.chunk, sent.observation.instruction)
        message.inference_ms = sent.inference_ms
        self._chunks.publish(message)
        self._publish_status(run, PolicyStatus.RUNNING)
        self._publish_value_maps(sent)

    def _publish_value_maps(self, sent: Sent) -> None:
        maps = sent.output.value_maps
        if maps is None:
            return
        stamp_ns = sent.observation.stamp_ns
        for camera in self._robot.cameras:
            heat, peak = maps.heat[camera.name][0], maps.peak_px[camera.name][0]
            frame = camera.frame_id
            self._heat[camera.name].publish(convert.to_float_image(heat, stamp_ns, frame))
            picture = overlay(sent.observation.images[camera.name], heat, peak)
            self._overlays[camera.name].publish(convert.to_image(picture, stamp_ns, frame))

    def _publish_status(self, run: Run | None, state: int, reason: str = '') -> None:
        message = PolicyStatus(state=state, policy=self._description, reason=reason)
        message.header.stamp = convert.to_time(self._now_ns())
        if run:
            message.chunks, message.rejected_chunks = run.chunks, run.rejected_chunks
            message.inference_ms, message.observation_age_ms = run.inference_ms, self._age_ms
        self._status.publish(message)


def main() -> int:
    """Entry point."""
    return run_node(PolicyNode)


if __name__ == '__main__':
    sys.exit(main())
