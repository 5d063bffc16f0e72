"""Throws odd messages at policy and controllers: none may crash, move too far, or fill memory.

`ros2 run aim_ros fuzz --messages 10000` sends so many per topic. They are drawn by hypothesis;
every second one is sent as it reads after some of its bytes were changed. In between, the node
sees a good set of sensors and acts on a policy that wants anything, and the controllers move.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import random
import resource
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Protocol

import numpy as np
import rclpy
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from rclpy.impl.logging_severity import LoggingSeverity
from std_msgs.msg import Bool, String

from aim_policy.baseline import HoldPolicy
from aim_policy.interface import Observation, PolicyOutput, Vector
from aim_policy.robot import RobotSpec, load_robot
from aim_ros.arm_trajectory import ArmTrajectory
from aim_ros.fuzz_controllers import Controllers
from aim_ros.fuzz_messages import images, joint_states, mutated
from aim_ros.fuzz_report import Report
from aim_ros.mismatches import Mismatches
from aim_ros.observer import JOINT_STATES, JOINT_TARGETS, Observer, ObserverConfig
from aim_ros.operator_services import OperatorServices
from aim_ros.permission import Permission
from aim_ros.policy_loop import PolicyLoop, Sent
from aim_ros.run_server import RunServer
from aim_ros.sensor_topics import SensorTopics
from aim_ros.trajectory import ChunkRejected, GateConfig, TrajectoryGate

LARGE, THINK_EVERY = 10_000, 20
ENOUGH_MB = 64.0  # growth that is no leak, but what libraries keep


class WildPolicy(HoldPolicy):
    """Wants to stay, go a little, leap, or be nowhere at all."""

    def __init__(self, robot: RobotSpec) -> None:
        super().__init__(robot)
        self._random = np.random.default_rng(0)

    def infer(self, observation: Observation, committed: Vector | None = None) -> PolicyOutput:
        """See `Policy`."""
        output = super().infer(observation)
        rows = output.chunk.positions
        scale = self._random.choice([0.0, 0.02, 0.1, 1.0, 1e300, np.nan, np.inf])
        rows += scale * self._random.standard_normal(rows.shape[1])
        return output


class Target(Protocol):
    """Whatever listens to topics."""

    robot: RobotSpec
    report: Report

    def now_ns(self) -> int:
        """Return its present."""

    def topics(self, now_ns: int) -> Iterator[tuple[str, st.SearchStrategy, Callable]]:
        """Name every topic that it listens to, what may come, and who takes it."""

    def think(self, now_ns: int) -> None:
        """Do what it does between messages, and check what comes of it."""


class PolicyParts:
    """The parts of a policy node behind its subscriptions, without waiting for the network."""

    def __init__(self, robot: RobotSpec) -> None:
        self.robot, self.report = robot, Report()
        self.node = rclpy.create_node('fuzz_target')
        self.node.get_logger().set_level(LoggingSeverity.FATAL)
        self.observer = Observer(robot, ObserverConfig())
        self.sensors = SensorTopics(self.node, self.observer, Mismatches(self.node))
        self.permission = Permission(control_enabled=True)
        server = RunServer(self.node, lambda: self.permission.refusal)
        self.operator = OperatorServices(self.node, server, self.permission, self.observer)
        gate = TrajectoryGate(robot, GateConfig())
        self.loop = PolicyLoop(robot, WildPolicy(robot), self.observer, gate, lockstep=False)
        self.loop.start('press the bell', 0, 0)

    def now_ns(self) -> int:
        """Return the node's time."""
        return self.node.get_clock().now().nanoseconds

    def topics(self, now_ns: int) -> Iterator[tuple[str, st.SearchStrategy, Callable]]:
        """Name every topic that the node listens to, what may come, and who takes it."""
        for camera in self.robot.cameras:
            take = partial(self.sensors.on_image, camera.name)
            yield f'{camera.name}/image_raw', images(now_ns), take
        joints, observer = joint_states(now_ns, self.robot), self.observer
        for topic, stream, add in (
            (self.robot.joint_states_topic, JOINT_STATES, observer.add_joints),
            (self.robot.joint_targets_topic, JOINT_TARGETS, observer.add_targets),
        ):
            yield topic, joints, partial(self.sensors.on_joints, stream, add)
        yield 'estop', st.builds(Bool, data=st.booleans()), self.operator.on_estop_topic
        texts = st.builds(String, data=st.text(max_size=200))
        yield 'instruction', texts, self.operator.on_instruction_topic

    def think(self, now_ns: int) -> None:
        """Show the node a good set, let the policy act on it, and check what comes out."""
        robot, observer = self.robot, self.observer
        for camera in robot.cameras:
            picture = np.zeros((camera.height, camera.width, 3), np.uint8)
            observer.add_image(camera.name, now_ns, picture)
        home = robot.to_joints(robot.home).tolist()
        observer.add_joints(now_ns, robot.joint_names, home)
        observer.add_targets(now_ns, robot.joint_names, home)
        with contextlib.suppress(ChunkRejected, ValueError):
            result = self.loop.poll(lambda: now_ns)
            if isinstance(result, Sent):
                self.report.let_through += 1
                self._check(result.trajectories)

    def _check(self, trajectories: tuple[ArmTrajectory, ...]) -> None:
        robot = self.robot
        lower, upper = robot.to_joints(robot.lower) - 1e-9, robot.to_joints(robot.upper) + 1e-9
        for found in trajectories:
            columns, rows = robot.columns(found.arm), found.positions
            if not ((rows >= lower[columns]) & (rows <= upper[columns])).all():
                self.report.faults.append(f'{found.arm}: a motion out of limits was let through')


def attack(target: Target, messages: int, first_seed: int = 0) -> Report:
    """Send so many messages to every topic; returns what came of it."""
    begin_ns, report = target.now_ns(), target.report
    halfway_mb = 0.0
    for half in range(2):
        for topic, strategy, take in target.topics(begin_ns):
            try:
                _send(target, strategy, take, messages // 2, first_seed + half)
            except Exception as error:  # the crash that is looked for
                report.faults.append(f'{topic}: {type(error).__name__}: {error}')
            report.sent[topic] = report.sent.get(topic, 0) + messages // 2
        halfway_mb = halfway_mb or memory_mb()
    report.growth_mb = memory_mb() - halfway_mb
    if report.growth_mb > ENOUGH_MB:
        report.faults.append(f'memory grew by {report.growth_mb:.0f} MB')
    return report


def _send(
    target: Target, strategy: st.SearchStrategy, take: Callable, count: int, first_seed: int
) -> None:
    rng, numbers = random.Random(first_seed), itertools.count()
    begin_ns = target.now_ns()

    @seed(first_seed)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def one(message: object) -> None:
        number = next(numbers)
        odd = mutated(message, rng) if number % 2 else message
        if odd is None:
            target.report.broken += 1
        else:
            take(odd)
        if number % THINK_EVERY == 0:
            target.think(begin_ns + number * target.robot.dt_ns)

    one()


def memory_mb() -> float:
    """Return what the process holds at present."""
    with open('/proc/self/statm') as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


def main(argv: list[str] | None = None) -> int:
    """Attack, and say what came of it; 1 if something must not have happened."""
    parser = argparse.ArgumentParser(prog='ros2 run aim_ros fuzz', description=__doc__)
    parser.add_argument('--messages', type=int, default=LARGE, help='per topic')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--robot', default='aloha_agilex', help='YAML under config/robot, or path')
    options = parser.parse_args(argv)
    robot, faults = load_robot(options.robot), 0
    rclpy.init()
    try:
        for target in (PolicyParts(robot), Controllers(robot)):
            begin_s = time.monotonic()
            report = attack(target, options.messages, options.seed)
            _tell(report, time.monotonic() - begin_s)
            faults += len(report.faults)
    finally:
        rclpy.try_shutdown()
    return 1 if faults else 0


def _tell(report: Report, seconds: float) -> None:
    for topic, count in report.sent.items():
        print(f'{topic}: {count} messages')
    print(f'{report.broken} were no messages any more; {report.let_through} motions passed')
    print(f'memory grew by {report.growth_mb:.1f} MB, {seconds:.0f} s', flush=True)
    for fault in report.faults:
        print(f'FAULT {fault}')


if __name__ == '__main__':
    sys.exit(main())
