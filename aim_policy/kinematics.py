"""Where the links of a robot are: forward kinematics from its URDF, with numpy alone.

Knows no simulator, no ROS and no mesh. Poses are float64[4, 4], metres, in the frame of the root
link.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from aim_policy.config import ConfigError, unknown_name
from aim_policy.interface import Vector

MOVABLE = ('revolute', 'continuous', 'prismatic')
OPTICAL = np.array([[0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1.0]])
"""A camera's optical frame (z forward, x right, y down) in its body (x forward, y left, z up)."""


@dataclass(frozen=True)
class Joint:
    """One joint of a URDF.

    Attributes:
        name, parent, child: of the joint and of the links that it joins.
        kind: the URDF's type.
        origin: float64[4, 4], of the child in the parent at position 0.
        axis: float64[3], in the child.
        source: the joint whose position it takes: its own name, unless it mimics another.
        scale, offset: what makes that position its own.
    """

    name: str
    kind: str
    parent: str
    child: str
    origin: Vector
    axis: Vector
    source: str
    scale: float = 1.0
    offset: float = 0.0

    @property
    def movable(self) -> bool:
        """Whether its position can change."""
        return self.kind in MOVABLE

    def transform(self, position: float) -> Vector:
        """Return float64[4, 4], the child in the parent, for a position (rad, m) of `source`."""
        if not self.movable:
            return self.origin
        value = self.scale * position + self.offset
        motion = np.eye(4)
        if self.kind == 'prismatic':
            motion[:3, 3] = value * self.axis
        else:
            motion[:3, :3] = rotation_about(self.axis, value)
        return self.origin @ motion


class Kinematics:
    """The tree of links that a URDF describes.

    Attributes:
        root: the link that has no parent.
        links: names of all links, parents before children.
        joints: all joints in the same order.
    """

    def __init__(self, urdf: Path | str) -> None:
        """Read a URDF.

        Raises:
            ConfigError: it cannot be read, or its joints make no tree.
        """
        self._path = str(urdf)
        try:
            robot = ElementTree.parse(urdf).getroot()
        except OSError as error:
            raise ConfigError(f'{urdf}: cannot be read: {error.strerror}') from error
        except ElementTree.ParseError as error:
            raise ConfigError(f'{urdf}: not valid XML: {error}') from error
        names = [link.get('name', '') for link in robot.iterfind('link')]
        found = [self._joint(element) for element in robot.iterfind('joint')]
        self._above = {joint.child: joint for joint in found}
        roots = [name for name in names if name not in self._above]
        if len(roots) != 1:
            raise ConfigError(f'{urdf}: links without a parent: {roots}, expected one')
        self.root = roots[0]
        self.joints = tuple(self._below(self.root, found))
        self.links = (self.root, *(joint.child for joint in self.joints))
        lost = sorted(set(names).symmetric_difference(self.links))
        if lost:
            raise ConfigError(f'{urdf}: not in the tree below {self.root}: {", ".join(lost)}')

    def _joint(self, element: ElementTree.Element) -> Joint:
        name, kind = element.get('name', ''), element.get('type', '')
        if kind not in (*MOVABLE, 'fixed'):
            expected = ', '.join((*MOVABLE, 'fixed'))
            raise ConfigError(f'{self._path}: joint {name} is {kind}, expected {expected}')
        origin = np.eye(4)
        origin[:3, :3] = rotation_rpy(self._numbers(element, 'origin', 'rpy', '0 0 0'))
        origin[:3, 3] = self._numbers(element, 'origin', 'xyz', '0 0 0')
        axis = self._numbers(element, 'axis', 'xyz', '1 0 0')
        mimic = element.find('mimic')
        return Joint(
            name=name,
            kind=kind,
            parent=self._attribute(element, 'parent', 'link'),
            child=self._attribute(element, 'child', 'link'),
            origin=origin,
            axis=axis / np.linalg.norm(axis),
            source=name if mimic is None else mimic.get('joint', ''),
            scale=1.0 if mimic is None else float(mimic.get('multiplier', 1)),
            offset=0.0 if mimic is None else float(mimic.get('offset', 0)),
        )

    def _attribute(
        self, joint: ElementTree.Element, tag: str, key: str, default: str | None = None
    ) -> str:
        found = joint.find(tag)
        value = default if found is None else found.get(key, default)
        if value is None:
            raise ConfigError(f'{self._path}: joint {joint.get("name")} has no {tag} {key}')
        return value

    def _numbers(self, joint: ElementTree.Element, tag: str, key: str, default: str) -> Vector:
        text = self._attribute(joint, tag, key, default)
        try:
            x, y, z = map(float, text.split())
        except ValueError as error:
            where = f'joint {joint.get("name")}: {tag} {key}'
            message = f'{self._path}: {where} is "{text}", expected 3 numbers'
            raise ConfigError(message) from error
        return np.array([x, y, z])

    def _below(self, link: str, joints: list[Joint]) -> list[Joint]:
        ordered = []
        for joint in joints:
            if joint.parent == link:
                ordered += [joint, *self._below(joint.child, joints)]
        return ordered

    def pose(self, link: str, joints: Mapping[str, float]) -> Vector:
        """Return float64[4, 4], a link in the root link.

        Args:
            link: name of the link.
            joints: name -> position (rad, m); those between root and link are needed.

        Raises:
            ConfigError: an unknown link, or a joint that is needed and not given.
        """
        if link not in self.links:
            raise unknown_name('link', link, self.links)
        pose = np.eye(4)
        while link != self.root:
            joint = self._above[link]
            pose = self.transform(joint, joints) @ pose
            link = joint.parent
        return pose

    def transform(self, joint: Joint, joints: Mapping[str, float]) -> Vector:
        """Return float64[4, 4], a joint's child in its parent, see `pose`."""
        if joint.movable and joint.source not in joints:
            known = ', '.join(joints) or 'none'
            raise ConfigError(f'no position of joint {joint.source}, found {known}')
        return joint.transform(joints[joint.source] if joint.movable else 0.0)


def rotation_rpy(rpy: Vector) -> Vector:
    """Return float64[3, 3] of roll, pitch and yaw about the fixed axes x, y, z."""
    x, y, z = np.eye(3)
    roll, pitch, yaw = rpy
    return rotation_about(z, yaw) @ rotation_about(y, pitch) @ rotation_about(x, roll)


def rotation_about(axis: Vector, angle_rad: float) -> Vector:
    """Return float64[3, 3] of a turn about a unit axis, float64[3]."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle_rad) * cross + (1 - np.cos(angle_rad)) * cross @ cross


def quat_xyzw(rotation: Vector) -> Vector:
    """Return the unit quaternion, float64[4], of float64[3, 3]."""
    # The largest eigenvector of this symmetric matrix is the quaternion, without special cases.
    r = rotation
    upper = np.array(
        [
            [r[0, 0] - r[1, 1] - r[2, 2], 0, 0, 0],
            [r[0, 1] + r[1, 0], r[1, 1] - r[0, 0] - r[2, 2], 0, 0],
            [r[0, 2] + r[2, 0], r[1, 2] + r[2, 1], r[2, 2] - r[0, 0] - r[1, 1], 0],
            [r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1], np.trace(r)],
        ]
    )
    vector = np.linalg.eigh(upper)[1][:, -1]  # eigh reads the lower triangle
    return vector if vector[3] >= 0 else -vector
