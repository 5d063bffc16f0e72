"""Node `soak`: lets the policy drive for a while and measures how evenly things happen."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass

import numpy as np
import rclpy
from rclpy.action import ActionClient
from rclpy.node import Node
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Header

from aim_policy.robot import load_robot
from aim_ros.action import RunPolicy
from aim_ros.answers import start_run
from aim_ros.msg import ActionChunk
from aim_ros.ros_util import HEARTBEAT, RELIABLE, SENSOR_IN, option, parameters, run_node
from aim_ros.soak import evenness, lost

START_S, WARM_UP_S = 60.0, 3.0


@dataclass(frozen=True)
class SoakParameters:
    """Parameters of the node."""

    seconds: float = option(60.0, 'how long to measure')
    robot: str = option('aloha_agilex', 'YAML under config/robot, or a path')


class SoakNode(Node):
    """Prints its figures as one line of JSON and ends."""

    def __init__(self) -> None:
        super().__init__('soak')
        self._config = parameters(self, SoakParameters)
        self._robot = load_robot(self._config.robot)
        self._arrivals: dict[str, list[float]] = {'heartbeat': [], 'joints': [], 'chunks': []}
        self._run = ActionClient(self, RunPolicy, 'policy/run')
        self._listen(Header, 'policy/heartbeat', 'heartbeat', HEARTBEAT)
        self._listen(JointState, self._robot.joint_states_topic, 'joints', SENSOR_IN)
        self._listen(ActionChunk, 'action_chunk', 'chunks', RELIABLE)
        # Somebody who looks on, so that pictures are drawn.
        topic = f'value_map/{self._robot.cameras[0].name}/overlay'
        self.create_subscription(Image, topic, lambda _: None, SENSOR_IN)

    def _listen(self, kind: type, topic: str, name: str, qos: object) -> None:
        note = self._arrivals[name].append
        self.create_subscription(kind, topic, lambda _: note(time.monotonic()), qos)

    def work(self) -> None:
        """Measure."""
        run = start_run(self, self._run, START_S)
        time.sleep(WARM_UP_S)
        begin_s = time.monotonic()
        while rclpy.ok() and time.monotonic() - begin_s < self._config.seconds:
            time.sleep(0.1)
        run.cancel_goal_async()
        print(json.dumps(self._figures(begin_s)), flush=True)

    def _figures(self, begin_s: float) -> dict[str, float]:
        times = {
            name: np.array([t for t in list(values) if t > begin_s])
            for name, values in self._arrivals.items()
        }
        figures = {'chunks': float(len(times['chunks']))}
        figures.update(evenness('tick', times['heartbeat'], self._robot.dt_s))
        figures.update(evenness('joints', times['joints'], self._robot.dt_s))
        figures['lost_heartbeats'] = lost(times['heartbeat'], self._robot.dt_s)
        return figures


def main() -> int:
    """Entry point."""
    return run_node(SoakNode)


if __name__ == '__main__':
    sys.exit(main())
