"""Node `bench`: plays a robot's sensors and takes the time until trajectories come back."""

from __future__ import annotations

import json
import sys
import threading
import time
from dataclasses import dataclass

import numpy as np
from rclpy.action import ActionClient
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image, JointState
from trajectory_msgs.msg import JointTrajectory

from aim_policy.config import ConfigError
from aim_policy.robot import load_robot
from aim_ros import convert
from aim_ros.action import RunPolicy
from aim_ros.answers import start_run
from aim_ros.processes import cpu_s
from aim_ros.ros_util import RELIABLE, option, parameters, run_node

START_S, ANSWER_S, WARM_UP = 60.0, 0.2, 10


@dataclass(frozen=True)
class BenchParameters:
    """Parameters of the node."""

    steps: int = option(200, 'observations to send')
    policy_pid: int = option(0, 'process of the policy node')
    robot: str = option('aloha_agilex', 'YAML under config/robot, or a path')


class BenchNode(Node):
    """Prints its figures as one line of JSON and ends."""

    def __init__(self) -> None:
        super().__init__('bench')
        self._config = parameters(self, BenchParameters)
        self._robot = robot = load_robot(self._config.robot)
        rng = np.random.default_rng(0)
        self._pictures = {
            camera.name: rng.integers(0, 255, (camera.height, camera.width, 3), np.uint8)
            for camera in robot.cameras
        }
        self._images, self._infos = (
            {
                c.name: self.create_publisher(kind, f'{c.name}/{end}', RELIABLE)
                for c in robot.cameras
            }
            for kind, end in ((Image, 'image_raw'), (CameraInfo, 'camera_info'))
        )
        names = (robot.joint_states_topic, robot.joint_targets_topic)
        self._joints = [
            self.create_publisher(JointState, name, RELIABLE) for name in names if name
        ]
        self._run = ActionClient(self, RunPolicy, 'policy/run')
        self._answered: set[str] = set()
        self._changed = threading.Condition()
        for arm in robot.arms:
            topic = f'{arm.controller}/joint_trajectory'
            self.create_subscription(JointTrajectory, topic, self._answer(arm.name), RELIABLE)

    def _answer(self, arm: str) -> object:
        def callback(_: JointTrajectory) -> None:
            with self._changed:
                self._answered.add(arm)
                self._changed.notify()

        return callback

    def work(self) -> None:
        """Measure."""
        run = start_run(self, self._run, START_S)
        stamp_ns, rows, tries = self._robot.dt_ns, [], 0
        while len(rows) < WARM_UP + self._config.steps:
            stamp_ns += self._robot.dt_ns
            if len(rows) == WARM_UP:
                begin_s, begin = self._cpu_s(), tries
            row = self._step(stamp_ns)
            tries += 1
            if row:
                rows.append(row)
            elif tries > START_S / ANSWER_S + len(rows):
                raise ConfigError('the policy node does not answer')
        run.cancel_goal_async()
        sending, total = np.median(rows[WARM_UP:], axis=0) * 1e3
        figures = {
            'cameras': len(self._images),
            'sending_ms': sending,
            'total_ms': total,
            'cpu_ms': (self._cpu_s() - begin_s) * 1e3 / (tries - begin),
            'lost': tries - len(rows),
        }
        print(json.dumps(figures), flush=True)

    def _cpu_s(self) -> float:
        """What both processes have computed so far."""
        return time.process_time() + cpu_s(self._config.policy_pid)

    def _step(self, stamp_ns: int) -> tuple[float, float] | None:
        """Send one observation; returns seconds until it was sent and until it was answered."""
        self._answered.clear()
        begin_s = time.perf_counter()
        self._send(stamp_ns)
        sent_s = time.perf_counter()
        arms = len(self._robot.arms)
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._answered) == arms, ANSWER_S):
                return None
        return sent_s - begin_s, time.perf_counter() - begin_s

    def _send(self, stamp_ns: int) -> None:
        for camera in self._robot.cameras:
            picture = self._pictures[camera.name]
            self._images[camera.name].publish(convert.to_image(picture, stamp_ns, camera.frame_id))
            self._infos[camera.name].publish(convert.to_camera_info(camera, stamp_ns))
        positions = self._robot.to_joints(self._robot.home)
        for publisher in self._joints:
            publisher.publish(convert.to_joint_state(self._robot.joint_names, positions, stamp_ns))


def main() -> int:
    """Entry point."""
    return run_node(BenchNode)


if __name__ == '__main__':
    sys.exit(main())
