"""Which topics a bag of this robot has, and where they go in an Observer. Needs no ROS."""

from __future__ import annotations

from dataclasses import dataclass

from aim_policy.robot import RobotSpec
from aim_ros.bag_reader import BagMessage
from aim_ros.observer import Observer
from aim_ros.pixels import from_image

CHUNKS, INSTRUCTION, EPISODE_STATUS = 'action_chunk', 'instruction', 'episode_status'
TF, TF_STATIC = '/tf', '/tf_static'
_IMAGE, _INFO = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CameraInfo'
_JOINTS, _TF = 'sensor_msgs/msg/JointState', 'tf2_msgs/msg/TFMessage'


@dataclass(frozen=True)
class TopicSpec:
    """A topic: its name, relative unless it begins with a slash, and its type."""

    name: str
    type_name: str
    latched: bool = False


def image_topic(camera: str) -> str:
    """Name of a camera's pictures."""
    return f'{camera}/image_raw'


def info_topic(camera: str) -> str:
    """Name of a camera's calibration."""
    return f'{camera}/camera_info'


def sensor_topics(robot: RobotSpec) -> tuple[TopicSpec, ...]:
    """Return what the robot says of itself; the header is the first field of all of them."""
    names = (robot.joint_states_topic, robot.joint_targets_topic)
    return (
        *(TopicSpec(image_topic(camera.name), _IMAGE) for camera in robot.cameras),
        *(TopicSpec(info_topic(camera.name), _INFO) for camera in robot.cameras),
        *(TopicSpec(name, _JOINTS) for name in names if name),
    )


def motion_topics(robot: RobotSpec) -> tuple[TopicSpec, ...]:
    """Return what somebody publishes wherever this robot is moved: sensors and commands."""
    return (*sensor_topics(robot), *_commands(robot))


def _commands(robot: RobotSpec) -> tuple[TopicSpec, ...]:
    kind = 'trajectory_msgs/msg/JointTrajectory'
    return tuple(TopicSpec(f'{arm.controller}/joint_trajectory', kind) for arm in robot.arms)


def recorded_topics(robot: RobotSpec, policy_node: str = 'policy') -> tuple[TopicSpec, ...]:
    """Return everything that is worth keeping of a run."""
    path = 'nav_msgs/msg/Path'
    return (
        *motion_topics(robot),
        TopicSpec(INSTRUCTION, 'std_msgs/msg/String', latched=True),
        TopicSpec(EPISODE_STATUS, 'aim_ros/msg/EpisodeStatus', latched=True),
        TopicSpec('robot_description', 'std_msgs/msg/String', latched=True),
        *(TopicSpec(f'planned_path/{arm.name}', path, latched=True) for arm in robot.arms),
        *(topic for camera in robot.cameras for topic in _maps(camera.name)),
        TopicSpec(CHUNKS, 'aim_ros/msg/ActionChunk'),
        TopicSpec(f'{policy_node}/status', 'aim_ros/msg/PolicyStatus', latched=True),
        TopicSpec(f'{policy_node}/heartbeat', 'std_msgs/msg/Header'),
        TopicSpec('estop', 'std_msgs/msg/Bool', latched=True),
        TopicSpec('/diagnostics', 'diagnostic_msgs/msg/DiagnosticArray'),
        TopicSpec('/rosout', 'rcl_interfaces/msg/Log', latched=True),
        TopicSpec('/clock', 'rosgraph_msgs/msg/Clock'),
        TopicSpec(TF, _TF),
        TopicSpec(TF_STATIC, _TF, latched=True),
    )


def _maps(camera: str) -> tuple[TopicSpec, ...]:
    base = f'value_map/{camera}'
    return (
        *(TopicSpec(f'{base}/{part}', _IMAGE) for part in ('image', 'overlay')),
        *(TopicSpec(info_topic(name), _INFO) for name in (base, f'{base}/overlay')),
        TopicSpec(f'value_peak/{camera}', 'geometry_msgs/msg/PointStamped'),
    )


def full_name(namespace: str, name: str) -> str:
    """Resolve a topic name as ROS does."""
    if name.startswith('/'):
        return name
    return '/' + '/'.join(part for part in (namespace.strip('/'), name) if part)


class SensorFeed:
    """Hands sensor messages of a bag to an Observer, as the policy node does with live ones."""

    def __init__(self, robot: RobotSpec, observer: Observer, namespace: str = '') -> None:
        """Take the topics of `namespace`."""
        self._observer = observer
        self._cameras = {
            full_name(namespace, image_topic(camera.name)): camera.name for camera in robot.cameras
        }
        pairs = (
            (robot.joint_states_topic, observer.add_joints),
            (robot.joint_targets_topic, observer.add_targets),
        )
        self._joints = {full_name(namespace, topic): add for topic, add in pairs if topic}
        self.topics = frozenset((*self._cameras, *self._joints))

    def add(self, message: BagMessage) -> None:
        """Take one message; other topics are ignored.

        Raises:
            ValueError: what the Observer refuses; names the topic.
        """
        if message.topic not in self.topics:
            return
        content = message.decode()
        try:
            if message.topic in self._cameras:
                image = from_image(content)
                self._observer.add_image(self._cameras[message.topic], message.stamp_ns, image)
            else:
                add = self._joints[message.topic]
                add(message.stamp_ns, content.name, content.position)
        except ValueError as error:
            raise ValueError(f'{message.topic}: {error}') from error
