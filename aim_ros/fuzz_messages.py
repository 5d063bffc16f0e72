"""Odd messages for `aim_ros.fuzz`: wrong sizes, names, numbers, stamps, texts and bytes."""

from __future__ import annotations

import array
import random

from hypothesis import strategies as st
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import Image, JointState
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from aim_policy.robot import ArmSpec, RobotSpec
from aim_ros import convert
from aim_ros.pixels import ENCODINGS

NUMBERS = st.floats(allow_nan=True, allow_infinity=True)
SIZES = st.sampled_from([0, 1, 2, 7, 240, 320, 2**31, 2**32 - 1])


def stamps(draw: st.DrawFn, message: Image | JointState | JointTrajectory, now_ns: int) -> None:
    """Give a message a stamp: now, nearly now, zero, or nonsense."""
    offset = draw(st.sampled_from([0, 0, 0, 1, -1, 10**7, -(10**9), 10**9]))
    message.header.stamp = convert.to_time(now_ns + offset)
    if draw(st.integers(0, 9)) == 0:
        message.header.stamp.sec = draw(st.sampled_from([0, -(2**31), 2**31 - 1, -1]))
        message.header.stamp.nanosec = draw(st.sampled_from([0, 2**32 - 1, 10**9]))


@st.composite
def images(draw: st.DrawFn, now_ns: int) -> Image:
    """Pictures: right ones, and those with other sizes, encodings and amounts of bytes."""
    message = Image(height=240, width=320, encoding='rgb8', step=960)
    if draw(st.booleans()):
        message.height, message.width, message.step = draw(SIZES), draw(SIZES), draw(SIZES)
        message.encoding = draw(st.sampled_from([*ENCODINGS, '32FC1', '', 'yuv422', '\x00']))
    message.data = array.array('B', bytes(draw(st.sampled_from([0, 1, 76_800, 230_400]))))
    stamps(draw, message, now_ns)
    return message


@st.composite
def joint_states(draw: st.DrawFn, now_ns: int, robot: RobotSpec) -> JointState:
    """Joints: right ones, and those with other names, numbers and lengths."""
    home = robot.to_joints(robot.home).tolist()
    message = JointState(name=list(robot.joint_names), position=home)
    kind = draw(st.integers(0, 5))
    if kind == 1:
        message.position = draw(st.lists(NUMBERS, max_size=20))
    elif kind == 2:
        message.name = draw(st.lists(st.text(max_size=8), max_size=20))
    elif kind == 3:
        message.name = list(robot.joint_names[::-1])
        message.position = [draw(NUMBERS) for _ in home]
    elif kind == 4:
        message.name[draw(st.integers(0, 13))] = robot.joint_names[0]
    stamps(draw, message, now_ns)
    return message


@st.composite
def trajectories(draw: st.DrawFn, now_ns: int, arm: ArmSpec) -> JointTrajectory:
    """Motions of an arm: right ones, and those with other names, numbers, lengths and times."""
    names = draw(st.permutations(arm.joint_names))
    message = JointTrajectory(joint_names=names[: draw(st.sampled_from([7, 7, 7, 6, 1, 0]))])
    count, time_ns = len(message.joint_names), 0
    for _ in range(draw(st.integers(0, 5))):
        point, kind = JointTrajectoryPoint(positions=[0.1] * count), draw(st.integers(0, 5))
        if kind == 1:
            point.positions = draw(st.lists(NUMBERS, max_size=9))
        elif kind == 2:
            point.velocities = [draw(NUMBERS) for _ in range(count)]
        elif kind == 3:
            point.accelerations, point.effort = [draw(NUMBERS)] * count, [draw(NUMBERS)] * 2
        time_ns += draw(st.sampled_from([60_000_000, 60_000_000, 1, 0, -1, 10**15]))
        point.time_from_start.sec, point.time_from_start.nanosec = divmod(time_ns, 10**9)
        message.points.append(point)
    if draw(st.booleans()):
        stamps(draw, message, now_ns)
    return message


def mutated(message: object, draw: random.Random) -> object | None:
    """Return what is read from a message's bytes after some were changed; None if nothing is."""
    data = bytearray(serialize_message(message))
    for _ in range(draw.randint(1, 4)):
        data[draw.randrange(4, len(data))] = draw.randrange(256)
    try:
        return deserialize_message(bytes(data), type(message))
    except Exception:  # the middleware would have dropped it
        return None
