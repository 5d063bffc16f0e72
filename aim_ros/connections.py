"""What a real robot would be connected to: a dry run that starts nothing and sends nothing.

`python -m aim_ros.connections --robot cobot_magic` lists every topic, and what is missing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import astuple, dataclass

from aim_policy.config import ConfigError
from aim_policy.robot import ArmSpec, CameraSpec, RobotSpec, load_robot
from aim_ros.installation import find_launch_file, has_package
from aim_ros.robot_frames import RobotFrames

SENSOR, RELIABLE, LATCHED = 'best effort, 5', 'reliable, 10', 'latched, 1'
OPTIONAL = {
    'tf2_msgs': 'no camera or link frames',
    'rviz2': 'no picture of what goes on',
}


@dataclass(frozen=True)
class Connection:
    """One topic, as the robot's side names it.

    Attributes:
        topic, type: of ROS.
        direction: 'from robot' or 'to robot', else 'out'.
        qos: reliability and depth.
        feeds: what it is for.
    """

    topic: str
    type: str
    direction: str
    qos: str
    feeds: str


def camera_topic(camera: CameraSpec) -> str:
    """Return where the real camera's picture comes from."""
    return f'{camera.driver or camera.name}/{camera.driver_image}'


def remappings(robot: RobotSpec) -> list[tuple[str, str]]:
    """Return (ours, theirs) for the camera topics that drivers call otherwise."""
    pairs = []
    for camera in robot.cameras:
        picture = camera_topic(camera)
        info = f'{picture.rpartition("/")[0]}/camera_info'
        pairs += [(f'{camera.name}/image_raw', picture), (f'{camera.name}/camera_info', info)]
    return [(ours, theirs) for ours, theirs in pairs if ours != theirs]


def connections(robot: RobotSpec) -> Iterator[Connection]:
    """List what nodes and robot would exchange."""
    for camera in robot.cameras:
        feeds = f'policy: picture {camera.name}, {camera.width} x {camera.height}'
        yield Connection(camera_topic(camera), 'sensor_msgs/Image', 'from robot', SENSOR, feeds)
    for arm in robot.arms:
        yield from _arm(arm)
    if not any(arm.driver for arm in robot.arms):
        topic = robot.joint_states_topic
        yield Connection(topic, 'sensor_msgs/JointState', 'from robot', SENSOR, 'policy: joints')
    if robot.joint_targets_topic:
        topic, feeds = robot.joint_targets_topic, 'policy: last command'
        yield Connection(topic, 'sensor_msgs/JointState', 'from robot', SENSOR, feeds)
    for camera in robot.cameras:
        topic = f'value_map/{camera.name}/overlay'
        yield Connection(topic, 'sensor_msgs/Image', 'out', RELIABLE, 'RViz: where it will act')
    yield Connection('robot_description', 'std_msgs/String', 'out', LATCHED, 'RViz: the robot')


def _arm(arm: ArmSpec) -> Iterator[Connection]:
    command = f'{arm.controller}/joint_trajectory'
    kind = 'trajectory_msgs/JointTrajectory'
    if arm.driver:
        states, feeds = arm.driver.joint_states, f'policy: joints of the {arm.name} arm'
        yield Connection(states, 'sensor_msgs/JointState', 'from robot', SENSOR, feeds)
        command = arm.driver.joint_trajectory
        if arm.driver.set_points:
            command, kind = arm.driver.set_points, 'sensor_msgs/JointState'
    names = ', '.join(arm.driver.joints if arm.driver else arm.joint_names)
    yield Connection(command, kind, 'to robot', RELIABLE, f'{arm.name} arm: {names}')


def missing(robot: RobotSpec) -> list[str]:
    """Say what a real run could not do without."""
    driver = robot.driver
    if driver is None:
        return [f'robot {robot.name} names no driver launch: start its driver yourself']
    if driver.package and not has_package(driver.package):
        return [f'driver package {driver.package} is not installed']
    if not find_launch_file(driver.package, driver.file):
        return [f'driver launch {driver.file} is not in {driver.package or "this folder"}']
    return []


def notes(robot: RobotSpec) -> list[str]:
    """Say what a run would have to go without."""
    found = []
    if not robot.urdf:
        found.append('no URDF: robot_description is left to the driver')
    places = RobotFrames(robot).missing
    if places:
        found.append(f'no placement: {", ".join(places)} will have no frame')
    if not robot.joint_targets_topic:
        found.append('no joint targets: the policy goes by its own last command')
    for package, loss in OPTIONAL.items():
        if not has_package(package):
            found.append(f'{package} is not installed: {loss}')
    return found


def report(robot: RobotSpec) -> str:
    """Return the dry run as text."""
    rows = [('topic', 'type', 'direction', 'QoS', 'feeds'), *map(astuple, connections(robot))]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [f'dry run of {robot.name}: nothing is started, nothing is sent', '']
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        lines.append('  '.join(cells).rstrip())
    start = robot.driver
    if start:
        arguments = ' '.join(f'{name}:={value}' for name, value in start.arguments.items())
        lines += ['', f'driver: ros2 launch {start.package} {start.file} {arguments}'.rstrip()]
    lines += ['', 'control: off until the operator turns it on']
    lines += [f'missing: {text}' for text in missing(robot)]
    lines += [f'note: {text}' for text in notes(robot)]
    return '\n'.join(lines)


def main(argv: list[str] | None = None) -> int:
    """Print what would be connected; 1 if something is missing, 2 after a mistake."""
    parser = argparse.ArgumentParser(prog='python -m aim_ros.connections', description=__doc__)
    parser.add_argument(
        '--robot', default='aloha_agilex', help='YAML under config/robot, or a path'
    )
    try:
        robot = load_robot(parser.parse_args(argv).robot)
        print(report(robot))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    return 1 if missing(robot) else 0


if __name__ == '__main__':
    sys.exit(main())
