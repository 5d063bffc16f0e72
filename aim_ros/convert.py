"""ROS messages <-> numpy, one function per direction and message.

8-bit pictures are never copied on the way in: a memory view of the message is enough
(30 times faster than the generic converters).
"""

from __future__ import annotations

import array
from collections.abc import Sequence

import numpy as np
from builtin_interfaces.msg import Duration, Time
from geometry_msgs.msg import Point, PointStamped
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, Image, JointState, PointCloud2, PointField
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from aim_policy.interface import ActionChunk as Chunk
from aim_policy.interface import Image as Pixels
from aim_policy.interface import Vector
from aim_policy.robot import CameraSpec
from aim_ros.msg import ActionChunk
from aim_ros.pixels import from_float_image as from_float_image
from aim_ros.pixels import from_image as from_image
from aim_ros.trajectory import ArmTrajectory

NS = 1_000_000_000


def to_ns(stamp: Time | Duration) -> int:
    """Time or Duration -> nanoseconds."""
    return stamp.sec * NS + stamp.nanosec


def to_time(ns: int) -> Time:
    """Nanoseconds -> Time."""
    return Time(sec=ns // NS, nanosec=ns % NS)


def to_duration(ns: int) -> Duration:
    """Nanoseconds -> Duration."""
    return Duration(sec=ns // NS, nanosec=ns % NS)


def to_image(pixels: Pixels, stamp_ns: int, frame_id: str) -> Image:
    """uint8[H, W, 3] RGB -> Image rgb8."""
    return _image(np.ascontiguousarray(pixels), 'rgb8', stamp_ns, frame_id)


def to_float_image(values: NDArray[np.float32], stamp_ns: int, frame_id: str) -> Image:
    """float32[H, W] -> Image 32FC1."""
    return _image(np.ascontiguousarray(values, dtype=np.float32), '32FC1', stamp_ns, frame_id)


def _image(pixels: NDArray, encoding: str, stamp_ns: int, frame_id: str) -> Image:
    message = Image(height=pixels.shape[0], width=pixels.shape[1], encoding=encoding)
    message.header.stamp, message.header.frame_id = to_time(stamp_ns), frame_id
    message.step = pixels.strides[0]
    data = array.array('B')
    data.frombytes(memoryview(pixels).cast('B'))
    message.data = data
    return message


def to_camera_info(camera: CameraSpec, stamp_ns: int, scale: int = 1) -> CameraInfo:
    """Pinhole camera without distortion -> CameraInfo of a picture `scale` times as large."""
    height, width = scale * camera.height, scale * camera.width
    message = CameraInfo(height=height, width=width, distortion_model='plumb_bob')
    message.header.stamp, message.header.frame_id = to_time(stamp_ns), camera.frame_id
    message.d = [0.0] * 5
    intrinsic = np.diag([scale, scale, 1.0]) @ camera.intrinsic
    message.k = intrinsic.ravel().tolist()
    message.r = np.eye(3).ravel().tolist()
    message.p = np.column_stack([intrinsic, np.zeros(3)]).ravel().tolist()
    return message


def to_cloud(points: NDArray, stamp_ns: int, frame_id: str) -> PointCloud2:
    """Structured array [P] of 32-bit fields -> PointCloud2, unordered."""
    dtype = points.dtype
    message = PointCloud2(height=1, width=len(points), point_step=dtype.itemsize, is_dense=True)
    message.header.stamp, message.header.frame_id = to_time(stamp_ns), frame_id
    message.row_step = points.nbytes
    for name, (kind, offset, *_) in dtype.fields.items():
        # RViz reads colours as floats of the same bits.
        field_type = PointField.FLOAT32 if kind.kind == 'f' or name == 'rgb' else PointField.UINT32
        message.fields.append(PointField(name=name, offset=offset, datatype=field_type, count=1))
    data = array.array('B')
    data.frombytes(points.tobytes())
    message.data = data
    return message


def to_point(xyz: Sequence[float], stamp_ns: int, frame_id: str) -> PointStamped:
    """Three numbers -> PointStamped."""
    x, y, z = map(float, xyz)
    message = PointStamped(point=Point(x=x, y=y, z=z))
    message.header.stamp, message.header.frame_id = to_time(stamp_ns), frame_id
    return message


def to_joint_state(
    names: Sequence[str], positions: Vector, stamp_ns: int, velocities: Vector | None = None
) -> JointState:
    """Joint positions (rad, m), with velocities if known -> JointState."""
    message = JointState(name=list(names), position=positions.tolist())
    message.header.stamp = to_time(stamp_ns)
    if velocities is not None:
        message.velocity = velocities.tolist()
    return message


def to_trajectory(trajectory: ArmTrajectory) -> JointTrajectory:
    """Checked motion -> JointTrajectory that starts on arrival (stamp 0)."""
    message = JointTrajectory(joint_names=list(trajectory.joint_names))
    for row, time_ns in enumerate(trajectory.times_ns.tolist()):
        point = JointTrajectoryPoint(positions=trajectory.positions[row].tolist())
        if trajectory.velocities is not None:
            point.velocities = trajectory.velocities[row].tolist()
        point.time_from_start = to_duration(time_ns)
        message.points.append(point)
    return message


def to_chunk(chunk: Chunk, instruction: str) -> ActionChunk:
    """What the policy said, before the gate -> ActionChunk."""
    message = ActionChunk(chunk_id=chunk.chunk_id, instruction=instruction, dt_s=chunk.dt_s)
    message.header.stamp = to_time(chunk.stamp_ns)
    message.joint_names, message.steps = list(chunk.joint_names), len(chunk.positions)
    message.positions = chunk.positions.ravel().tolist()
    return message
