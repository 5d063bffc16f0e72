"""Where the cameras of a robot are, from its joints, its YAML and the frames that it publishes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from aim_policy.config import ConfigError
from aim_policy.interface import Vector
from aim_policy.kinematics import OPTICAL, Kinematics, rotation_about
from aim_policy.robot import CameraSpec, RobotSpec, share_dir

WORLD = 'world'


class RobotPoses:
    """Poses of links and cameras in the world: that of the robot's YAML.

    Frames that were published (tf) win over the YAML and the URDF: they come from a calibration.
    """

    def __init__(self, robot: RobotSpec) -> None:
        """Read the robot's URDF.

        Raises:
            ConfigError: it has none.
        """
        if not robot.urdf:
            raise ConfigError(f'robot {robot.name} has no urdf, expected one for its kinematics')
        self._kinematics = Kinematics(share_dir() / robot.urdf)
        self._base = robot.base.matrix if robot.base else np.eye(4)
        self._child_of = {joint.name: joint.child for joint in self._kinematics.joints}
        self._parents: dict[str, tuple[str, Vector]] = {}
        self._robot = robot

    def add_transforms(self, message: Any) -> None:
        """Take a tf2_msgs/TFMessage; the newest transform of a frame counts."""
        for stamped in message.transforms:
            move, turn = stamped.transform.translation, stamped.transform.rotation
            matrix = np.eye(4)
            matrix[:3, :3] = rotation_xyzw(np.array([turn.x, turn.y, turn.z, turn.w]))
            matrix[:3, 3] = (move.x, move.y, move.z)
            parent = stamped.header.frame_id.lstrip('/')
            self._parents[stamped.child_frame_id.lstrip('/')] = parent, matrix

    def hand(self, arm: str, joints: Mapping[str, float]) -> Vector:
        """Return float64[4, 4], the last link of an arm in the world.

        Args:
            arm: name of the arm.
            joints: joint name -> position (rad, m).
        """
        return self._link(self._child_of[self._robot.arm(arm).joints[-1]], joints)

    def camera(self, camera: CameraSpec, joints: Mapping[str, float]) -> Vector:
        """Return float64[4, 4], a camera's optical frame in the world.

        Raises:
            ConfigError: neither tf nor the robot's YAML nor its URDF say where it is.
        """
        published = self._published(camera.frame_id, joints)
        if published is not None:
            return published
        if camera.placement:
            return camera.placement.matrix @ OPTICAL
        if camera.name in self._kinematics.links:
            return self._link(camera.name, joints) @ OPTICAL
        known = f'tf of {camera.frame_id}, placement in the robot YAML, link in the URDF'
        raise ConfigError(f'camera {camera.name} has no pose, expected one of: {known}')

    def _link(self, link: str, joints: Mapping[str, float]) -> Vector:
        return self._base @ self._kinematics.pose(link, joints)

    def _published(self, frame: str, joints: Mapping[str, float]) -> Vector | None:
        """Follow the published frames up to one that is known: a link, or the world."""
        pose, seen = np.eye(4), {frame}
        while frame in self._parents:
            frame, step = self._parents[frame]
            pose = step @ pose
            if frame == WORLD:
                return pose
            if frame in self._kinematics.links:
                return self._link(frame, joints) @ pose
            if frame in seen:
                break
            seen.add(frame)
        return None


def rotation_xyzw(quaternion: Vector) -> Vector:
    """Return float64[3, 3] of a quaternion, float64[4], of any length but 0."""
    axis, w = quaternion[:3], quaternion[3]
    length = np.linalg.norm(axis)
    if length == 0:
        return np.eye(3)
    return rotation_about(axis / length, 2 * np.arctan2(length, w))
