"""Node `replay`: plays the sensors of a bag, with their stamps and clock, to a policy node."""

from __future__ import annotations

import importlib
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import rclpy
from rclpy.action import ActionClient
from rclpy.node import Node
from rclpy.task import Future
from rosgraph_msgs.msg import Clock
from trajectory_msgs.msg import JointTrajectory

from aim_policy.config import ConfigError, unknown_name
from aim_policy.interface import EXECUTIONS
from aim_ros import convert
from aim_ros.action import RunPolicy
from aim_ros.answers import is_done, meet
from aim_ros.bag_contents import Segment, contents, origin_of
from aim_ros.bag_reader import BagMessage, BagReader, in_order
from aim_ros.bag_topics import CHUNKS, full_name, sensor_topics
from aim_ros.msg import ActionChunk
from aim_ros.ros_util import RELIABLE, option, parameters, run_node

REPEAT_S = 0.05


@dataclass(frozen=True)
class ReplayParameters:
    """Parameters of the node."""

    bag: str = option('', 'folder of the bag, or one .mcap file')
    robot: str = option('', 'YAML under config/robot, or a path; empty: as the bag says')
    bag_namespace: str = option('', 'of the topics in the bag; empty: as the bag says')
    instruction: str = option('', 'what to do; empty: as the bag says')
    execution: str = option('lockstep', 'lockstep: wait for the policy; realtime: do not')
    rate: float = option(1.0, 'realtime: how many times as fast as it was recorded')
    policy_node: str = option('policy', 'node whose ~/run action is fed')
    answer_timeout_s: float = option(60.0, 'wall time that the policy may take to answer')

    def __post_init__(self) -> None:
        if self.execution not in EXECUTIONS:
            raise unknown_name('execution', self.execution, EXECUTIONS)
        for name in ('rate', 'answer_timeout_s'):
            if not getattr(self, name) > 0:
                raise ConfigError(f'{name} is {getattr(self, name)}, expected more than 0')


class ReplayNode(Node):
    """Takes the place of robot and controllers, for one episode of the bag after another."""

    def __init__(self) -> None:
        super().__init__('replay')
        self._config = config = parameters(self, ReplayParameters)
        if not config.bag:
            raise ConfigError('bag is empty, expected the folder of a bag')
        self._reader = BagReader(config.bag)
        robot, namespace = origin_of(self._reader, config.robot, config.bag_namespace)
        self._contents = contents(self._reader, robot, namespace)
        self._lockstep = config.execution == 'lockstep'
        if self._lockstep and not self._contents.chunk_stamps:
            missing = f'no {full_name(namespace, CHUNKS)} to wait for'
            raise ConfigError(f'{config.bag}: {missing}; expected execution:=realtime')
        self._awaited: deque[int] = deque()
        self._answered_ns, self._clock_ns = -1, 0
        self._changed = threading.Condition()
        self._clock = self.create_publisher(Clock, '/clock', RELIABLE)
        self._sensors = {}
        for spec in sensor_topics(robot):
            package, _, name = spec.type_name.split('/')
            message_type = getattr(importlib.import_module(f'{package}.msg'), name)
            publisher = self.create_publisher(message_type, spec.name, RELIABLE)
            self._sensors[full_name(namespace, spec.name)] = publisher
        self.create_subscription(ActionChunk, CHUNKS, self._on_chunk, RELIABLE)
        for arm in robot.arms:  # the policy waits for controllers that listen
            topic = f'{arm.controller}/joint_trajectory'
            self.create_subscription(JointTrajectory, topic, lambda _: None, RELIABLE)
        self._run = ActionClient(self, RunPolicy, f'{config.policy_node}/run')

    def _on_chunk(self, message: ActionChunk) -> None:
        with self._changed:
            self._answered_ns = max(self._answered_ns, convert.to_ns(message.header.stamp))
            self._changed.notify_all()

    def work(self) -> int:
        """Play every episode; returns the exit code."""
        config = self._config
        timeout_s = config.answer_timeout_s
        known = meet(self, config.policy_node, timeout_s)
        if not (known and self._run.wait_for_server(timeout_s)):
            limit = f'{config.answer_timeout_s:.0f} s'
            raise ConfigError(f'{config.policy_node} did not appear in {limit}')
        segments = self._contents.segments
        for number, segment in enumerate(segments, 1):
            instruction = config.instruction or segment.instruction
            if not instruction:
                raise ConfigError(f'{config.bag} has no instruction, expected instruction:=...')
            print(f'[{number}/{len(segments)}] {instruction}', flush=True)
            self._play(segment, instruction)
        if self._reader.cut:
            print(f'only up to the cut: {self._reader.cut}', flush=True)
        return 0

    def _play(self, segment: Segment, instruction: str) -> None:
        goal = RunPolicy.Goal(instruction=instruction, seed=max(0, segment.seed))
        goal.not_before = convert.to_time(segment.begin_ns)
        handle = self._wait_for(self._run.send_goal_async(goal))
        if not handle.accepted:
            raise ConfigError(f'{self._config.policy_node} refused to run')
        result = handle.get_result_async()
        stamps = self._contents.chunk_stamps if self._lockstep else ()
        self._awaited = deque(stamp_ns for stamp_ns in stamps if stamp_ns in segment)
        self._play_sensors(segment)
        if not result.done():
            self._wait_for(handle.cancel_goal_async())
        end = self._wait_for(result).result
        text = f'policy: {end.chunks} chunks, {end.rejected_chunks} refused {end.message}'
        print(text.rstrip(), flush=True)

    def _play_sensors(self, segment: Segment) -> None:
        newest, began = {}, None
        for message in in_order(self._sensor_messages(segment), self._order):
            while self._awaited and message.stamp_ns > self._awaited[0]:
                self._await_chunk(self._awaited.popleft(), newest)
            if not self._lockstep:
                began = began or (time.monotonic(), message.log_ns)
                self._sleep_until(began, message)
            self._send(message, newest)
        while self._awaited:
            self._await_chunk(self._awaited.popleft(), newest)

    def _sensor_messages(self, segment: Segment) -> Iterator[BagMessage]:
        for message in self._reader:
            if message.topic in self._sensors and message.stamp_ns in segment:
                yield message

    def _order(self, message: BagMessage) -> int:
        """In lockstep what was sensed together comes together, else what came together."""
        return message.stamp_ns if self._lockstep else message.log_ns

    def _sleep_until(self, began: tuple[float, int], message: BagMessage) -> None:
        due_s = began[0] + (message.log_ns - began[1]) / 1e9 / self._config.rate
        while rclpy.ok() and (left_s := due_s - time.monotonic()) > 0:
            time.sleep(min(left_s, 0.1))
        self._check_alive()

    def _send(self, message: BagMessage, newest: dict[str, bytes]) -> None:
        self._check_alive()
        if message.stamp_ns > self._clock_ns:
            self._clock_ns = message.stamp_ns
            self._clock.publish(Clock(clock=convert.to_time(self._clock_ns)))
        newest[message.topic] = message.data
        self._sensors[message.topic].publish(message.data)

    def _await_chunk(self, stamp_ns: int, newest: dict[str, bytes]) -> None:
        """Wait until the policy has answered what the recorded one answered.

        Meanwhile sensors are sent again, as the simulator does: the policy may have missed some.
        """
        end_s = time.monotonic() + self._config.answer_timeout_s
        while True:
            with self._changed:
                if self._changed.wait_for(lambda: self._answered_ns >= stamp_ns, REPEAT_S):
                    return
            self._check_alive()
            if time.monotonic() > end_s:
                where = f'the observation of {stamp_ns / 1e9:.3f} s'
                limit = f'{self._config.answer_timeout_s:.0f} s, as the recorded one did'
                raise ConfigError(f'{self._config.policy_node} did not answer {where} in {limit}')
            for topic, data in newest.items():
                self._sensors[topic].publish(data)

    def _wait_for(self, future: Future) -> Any:
        if not is_done(self, future, self._config.answer_timeout_s):
            raise ConfigError(f'{self._config.policy_node} did not answer in time')
        return future.result()

    @staticmethod
    def _check_alive() -> None:
        if not rclpy.ok():
            raise KeyboardInterrupt


def main() -> int:
    """Entry point."""
    return run_node(ReplayNode, interrupted=130)


if __name__ == '__main__':
    sys.exit(main())
