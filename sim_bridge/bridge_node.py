"""Node `sim_bridge`: a simulated robot behind the topics and services of a real one."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial

import rclpy
from rclpy.node import Node
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_msgs.msg import String

from aim_policy.robot import load_robot
from aim_ros import convert
from aim_ros.msg import EpisodeStatus
from aim_ros.ros_util import LATCHED, RELIABLE, option, parameters, run_node
from aim_ros.srv import ResetEpisode
from sim_bridge.backend import Episode, make_backend
from sim_bridge.control_services import ControlServices
from sim_bridge.controller_config import load_controllers
from sim_bridge.controller_topics import ControllerTopics
from sim_bridge.depth_topic import DepthTopic
from sim_bridge.runner import Pacing, Runner
from sim_bridge.sim_loop import SimLoop, Snapshot


@dataclass(frozen=True)
class BridgeParameters:
    """Parameters of the node, beside those of `Pacing`."""

    backend: str = option('builtin', 'simulator: builtin (SAPIEN) or fake (numpy)')
    robot: str = option('aloha_agilex', 'YAML under config/robot, or a path')
    controllers: str = option('', 'YAML of ros2_control to follow; empty: the defaults')
    task: str = option('', 'episode to begin with; empty: wait for ~/reset_episode')
    judge: bool = option(True, 'end episodes; off, they go on for ever')
    depth: bool = option(False, 'publish the depth picture of the head camera')


class BridgeNode(Node):
    """Publishes what the robot senses, takes joint trajectories, starts episodes."""

    def __init__(self) -> None:
        super().__init__('sim_bridge')
        self._config = parameters(self, BridgeParameters)
        self._pacing = parameters(self, Pacing)
        self._robot = load_robot(self._config.robot)
        file = self._config.controllers
        self._loop = SimLoop(
            make_backend(self._config.backend, self._robot),
            load_controllers(file, self._robot) if file else None,
            self._config.judge,
        )
        self._runner = Runner(self._loop, self._pacing, self._publish, self._warn)
        self._make_publishers()
        self._controllers = ControllerTopics(self, self._robot, self._runner)
        ControlServices(self, self._runner, self._reset)

    def _make_publishers(self) -> None:
        self._time = self.create_publisher(Clock, '/clock', RELIABLE)
        self._images, self._infos = {}, {}
        for camera in self._robot.cameras:
            make = partial(self.create_publisher, qos_profile=RELIABLE)
            self._images[camera.name] = make(Image, f'{camera.name}/image_raw')
            self._infos[camera.name] = make(CameraInfo, f'{camera.name}/camera_info')
        backend, wanted = self._loop.backend, self._config.depth
        self._depth = DepthTopic(self, self._robot, backend) if wanted else None
        self._joints = self.create_publisher(JointState, self._robot.joint_states_topic, RELIABLE)
        topic = self._robot.joint_targets_topic
        self._targets = self.create_publisher(JointState, topic, RELIABLE) if topic else None
        self._instruction = self.create_publisher(String, 'instruction', LATCHED)
        self._status = self.create_publisher(EpisodeStatus, 'episode_status', LATCHED)

    def _warn(self, text: str) -> None:
        self.get_logger().warning(text)

    def work(self) -> None:
        """Simulate until the node is shut down."""
        name, execution = self._config.backend, self._pacing.execution
        begins = (
            f'task {self._config.task}' if self._config.task else 'waiting for ~/reset_episode'
        )
        self.get_logger().info(f'backend {name}, {execution}; {begins}')
        try:
            if self._config.task:
                request = ResetEpisode.Request(task=self._config.task, setting='easy')
                self._reset(request, self._loop)
            self._runner.run(rclpy.ok)
        finally:
            self._loop.backend.close()

    def _reset(self, request: ResetEpisode.Request, loop: SimLoop) -> tuple[Episode, int]:
        episode = loop.reset(
            request.task, request.seed, request.setting, request.wording or 'auto'
        )
        self._controllers.refusals.clear()
        self._instruction.publish(String(data=episode.instruction))
        self._runner.publish_now()
        return episode, loop.now_ns

    def _publish(self, snapshot: Snapshot) -> None:
        stamp_ns = snapshot.stamp_ns
        self._time.publish(Clock(clock=convert.to_time(stamp_ns)))
        for camera in self._robot.cameras:
            picture = snapshot.images[camera.name]
            self._images[camera.name].publish(convert.to_image(picture, stamp_ns, camera.frame_id))
            self._infos[camera.name].publish(convert.to_camera_info(camera, stamp_ns))
        if self._depth:
            self._depth.publish(stamp_ns)
        state = snapshot.state
        self._joints.publish(
            convert.to_joint_state(state.joint_names, state.position, stamp_ns, state.velocity)
        )
        names = self._robot.joint_names
        if self._targets:
            self._targets.publish(convert.to_joint_state(names, snapshot.target, stamp_ns))
        self._controllers.publish(self._loop)
        self._status.publish(self._episode_status(stamp_ns))

    def _episode_status(self, stamp_ns: int) -> EpisodeStatus:
        loop, message = self._loop, EpisodeStatus()
        message.header.stamp = convert.to_time(stamp_ns)
        message.state, message.step = int(loop.state), loop.step_count
        message.detail = '; '.join(filter(None, [loop.reason, *self._controllers.complaints()]))
        message.backend, message.execution = self._config.backend, self._pacing.execution
        if loop.episode:
            for field in ('task', 'setting', 'seed', 'instruction', 'step_limit'):
                setattr(message, field, getattr(loop.episode, field))
        return message


def main() -> int:
    """Entry point."""
    return run_node(BridgeNode)


if __name__ == '__main__':
    sys.exit(main())
