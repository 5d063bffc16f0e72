"""Where every link and camera of a robot is: frames for TF, without ROS.

Frames are one tree below `world`: the URDF's links, and for every camera its optical frame.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

import numpy as np

from aim_policy.interface import Vector
from aim_policy.kinematics import OPTICAL, Joint, Kinematics
from aim_policy.robot import CameraSpec, RobotSpec, share_dir

WORLD = 'world'


@dataclass(frozen=True)
class Frame:
    """A child frame in its parent, float64[4, 4]."""

    parent: str
    child: str
    pose: Vector


class RobotFrames:
    """The frames of one robot.

    Attributes:
        description: its URDF, '' if it has none.
        missing: cameras that have no place, so no frame either.
    """

    def __init__(self, robot: RobotSpec) -> None:
        """Read the robot's URDF.

        Raises:
            ConfigError: it cannot be read.
        """
        self._robot = robot
        self._base = robot.base.matrix if robot.base else np.eye(4)
        self.description, self._kinematics = '', None
        if robot.urdf:
            path = share_dir() / robot.urdf
            self._kinematics = Kinematics(path)
            self.description = path.read_text(encoding='utf-8')
        links = self._kinematics.links if self._kinematics else ()
        self.missing = tuple(
            camera.name
            for camera in robot.cameras
            if camera.placement is None and camera.name not in links
        )

    def static(self) -> list[Frame]:
        """Return the frames that never move."""
        frames = [frame for frame in map(self._camera, self._robot.cameras) if frame]
        if self._kinematics:
            frames.append(Frame(WORLD, self._kinematics.root, self._base))
            frames += [
                self._frame(joint, {}) for joint in self._kinematics.joints if not joint.movable
            ]
        return frames

    def moving(self, joints: Mapping[str, float]) -> list[Frame]:
        """Return the frames that joint positions (name -> rad, m) tell.

        Links whose joint is not among them are left out; a finger that mirrors another is where
        that one is.
        """
        if not self._kinematics:
            return []
        known = dict(joints)
        for arm in self._robot.arms:
            if arm.gripper.joint in known:
                known.setdefault(arm.gripper.mirror, known[arm.gripper.joint])
        return [
            self._frame(joint, known)
            for joint in self._kinematics.joints
            if joint.movable and joint.source in known
        ]

    def finger_path(
        self, arm: str, names: Sequence[str], rows: Sequence[Sequence[float]]
    ) -> Vector:
        """Return where (float64[K, 3], world) a motion brings the finger tips of an arm.

        Args:
            arm: name of the arm.
            names: of joints, in the order of the columns.
            rows: positions (rad) per point; openings of grippers do not matter.

        Raises:
            ConfigError: a joint on the way to the fingers is missing.
        """
        if not self._kinematics:
            return np.zeros((0, 3))
        finger = self._robot.arm(arm).gripper.joint
        link = next(joint.child for joint in self._kinematics.joints if joint.name == finger)
        # Between the fingers, however far they are open.
        points = [dict(zip(names, row, strict=False)) | {finger: 0.0} for row in rows]
        poses = [self._base @ self._kinematics.pose(link, point) for point in points]
        tip = finger_tip(self.description, link)
        return np.array([(pose @ tip)[:3] for pose in poses]).reshape(-1, 3)

    def camera_pose(self, camera: CameraSpec, joints: Mapping[str, float]) -> Vector | None:
        """Return a camera's optical frame in the world, float64[4, 4]; None if nobody knows.

        Args:
            camera: which.
            joints: name -> position (rad, m), of those that carry it.
        """
        if camera.placement:
            return camera.placement.matrix @ OPTICAL
        if camera.name in self.missing or self._kinematics is None:
            return None
        return self._base @ self._kinematics.pose(camera.name, joints) @ OPTICAL

    def _frame(self, joint: Joint, joints: Mapping[str, float]) -> Frame:
        assert self._kinematics is not None
        return Frame(joint.parent, joint.child, self._kinematics.transform(joint, joints))

    def _camera(self, camera: CameraSpec) -> Frame | None:
        if camera.name in self.missing:
            return None
        if camera.placement is None:
            return Frame(camera.name, camera.frame_id, OPTICAL)
        return Frame(WORLD, camera.frame_id, camera.placement.matrix @ OPTICAL)


def finger_tip(urdf: str, link: str) -> Vector:
    """Return the far end of a closed finger in its link, (x, y, z, 1) in float64[4].

    It is that of the link's collision box, or the link's origin where there is no box.
    """
    tip = np.array([0, 0, 0, 1.0])
    body = ElementTree.fromstring(urdf).find(f"link[@name='{link}']/collision")
    box = None if body is None else body.find('geometry/box')
    if body is not None and box is not None:
        origin = body.find('origin')
        middle = np.array(
            ('0 0 0' if origin is None else origin.get('xyz', '0 0 0')).split(), float
        )
        size = np.array(box.get('size', '').split(), float)
        axis = int(np.abs(middle).argmax())
        tip[axis] = middle[axis] + np.copysign(size[axis] / 2, middle[axis])
    return tip
