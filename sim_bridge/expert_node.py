"""Node `expert`: does the episode at hand with the scripted expert, over the topics of a policy.

It reads from the episode status which scene the bridge shows, does it in a copy of its own, and
sends the motion of that to the trajectory controllers. It is the only node that knows more than a
robot would.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

import rclpy
from rclpy.node import Node
from trajectory_msgs.msg import JointTrajectory

from aim_policy.interface import ActionChunk
from aim_policy.robot import load_robot
from aim_ros import convert
from aim_ros.action import RunPolicy
from aim_ros.msg import EpisodeStatus
from aim_ros.ros_util import LATCHED, RELIABLE, option, parameters, run_node
from aim_ros.run_server import Run, RunServer
from aim_ros.trajectory import ChunkRejected, GateConfig, TrajectoryGate
from sim_bridge.backend import ExpertFailed, make_backend

WAIT_S = 0.2


@dataclass(frozen=True)
class ExpertParameters:
    """Parameters of the node, beside those of the gate (safety.)."""

    backend: str = option('builtin', 'simulator that the bridge runs')
    robot: str = option('aloha_agilex', 'YAML under config/robot, or a path')


class ExpertNode(Node):
    """Plans the whole episode when a goal arrives and sends it as one trajectory per arm."""

    def __init__(self) -> None:
        super().__init__('expert')
        config = parameters(self, ExpertParameters)
        self._robot = load_robot(config.robot)
        self._backend = make_backend(config.backend, self._robot)
        self._gate = TrajectoryGate(self._robot, parameters(self, GateConfig, 'safety.'))
        self._episode: EpisodeStatus | None = None
        self.create_subscription(EpisodeStatus, 'episode_status', self._on_episode, LATCHED)
        self._commands = {
            arm.name: self.create_publisher(
                JointTrajectory, f'{arm.controller}/joint_trajectory', RELIABLE
            )
            for arm in self._robot.arms
        }
        self._server = RunServer(self)

    def _on_episode(self, message: EpisodeStatus) -> None:
        self._episode = message

    def work(self) -> None:
        """Serve runs until the node is shut down."""
        try:
            while rclpy.ok():
                run = self._server.wait(WAIT_S)
                if run:
                    self._serve(run)
        finally:
            self._backend.close()

    def _serve(self, run: Run) -> None:
        episode = self._await_episode(run)
        if episode is None:
            return run.finish(RunPolicy.Result.CANCELLED)
        try:
            self._send(self._plan(episode))
        except (ExpertFailed, ChunkRejected) as error:
            self.get_logger().warning(f'{episode.task} seed {episode.seed}: {error}')
            return run.finish(RunPolicy.Result.ABORTED, str(error))
        run.chunks = 1
        while rclpy.ok() and not run.stop.wait(WAIT_S):
            pass  # the controllers execute; whoever judges the episode ends the run
        return run.finish(RunPolicy.Result.CANCELLED)

    def _await_episode(self, run: Run) -> EpisodeStatus | None:
        """Wait for the status of the episode that the goal is about."""
        while rclpy.ok() and not run.stop.wait(0.01):
            episode = self._episode
            if episode and convert.to_ns(episode.header.stamp) >= run.not_before_ns:
                return episode
        return None

    def _plan(self, episode: EpisodeStatus) -> ActionChunk:
        self._backend.reset(episode.task, episode.seed, episode.setting)
        return ActionChunk(
            positions=self._backend.demonstrate(),
            dt_s=self._robot.dt_s,
            joint_names=self._robot.joint_names,
            stamp_ns=convert.to_ns(episode.header.stamp),
            chunk_id=0,
        )

    def _send(self, chunk: ActionChunk) -> None:
        # The plan is not bound to the time of the observation: it starts on arrival.
        trajectories = self._gate.admit(chunk, chunk.stamp_ns, self._robot.home)
        for publisher in self._commands.values():
            while rclpy.ok() and not publisher.get_subscription_count():
                time.sleep(WAIT_S / 10)  # what is sent before a controller listens is lost
        for trajectory in trajectories:
            self._commands[trajectory.arm].publish(convert.to_trajectory(trajectory))


def main() -> int:
    """Entry point."""
    return run_node(ExpertNode)


if __name__ == '__main__':
    sys.exit(main())
