"""Objects with a hinge: a part that stands fast and one that turns on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import sapien
from sapien import physx

from sim_bridge.objects import Part, Thing, embody

FRICTION_NM, DAMPING_NM_S = 0.02, 0.05  # stays where it is pushed, gives way to a finger


@dataclass(frozen=True)
class Hinge:
    """An axis in the frame of what stands fast.

    Attributes:
        at: where the axis is; it turns about this pose's x axis.
        limits: least and greatest angle (rad); it starts at the least.
    """

    at: sapien.Pose
    limits: tuple[float, float]


@dataclass(frozen=True)
class Hinged:
    """What turns, as a thing, and how far it has turned."""

    thing: Thing
    joint: physx.PhysxArticulationJoint

    @property
    def angle(self) -> float:
        """The angle of the hinge, rad."""
        return float(self.joint.child_link.articulation.get_qpos()[0])

    def position_at(self, name: str, angle: float) -> np.ndarray:
        """Return where a named point of the thing would be at an angle, float64[3], world."""
        turn = sapien.Pose(q=[np.cos(angle / 2), np.sin(angle / 2), 0, 0])
        fixed = self.joint.parent_link.entity_pose
        frame = fixed * self.joint.pose_in_parent * turn * self.joint.pose_in_child.inv()
        return np.asarray((frame * self.thing.points[name]).p, dtype=np.float64)


def build_hinged(
    scene: sapien.Scene,
    name: str,
    fixed: tuple[Part, ...],
    moving: tuple[Part, ...],
    hinge: Hinge,
    pose: sapien.Pose,
    points: dict[str, sapien.Pose],
) -> Hinged:
    """Put an object with a hinge into the scene.

    Args:
        scene: where to.
        name: name of the part that turns.
        fixed: what stands fast.
        moving: what turns, in a frame at the hinge that is not turned against `fixed` at 0 rad.
        hinge: the axis.
        pose: where `fixed` stands.
        points: places on what turns, see `Thing`.
    """
    root = physx.PhysxArticulationLinkComponent()
    link = physx.PhysxArticulationLinkComponent(root)
    base, turning = embody(f'{name}_base', fixed, root), embody(name, moving, link)
    joint = link.joint
    joint.type = 'revolute'
    joint.pose_in_parent = hinge.at
    joint.pose_in_child = sapien.Pose(q=hinge.at.q)
    joint.limit = np.array(hinge.limits, dtype=np.float32)
    joint.set_drive_property(0.0, DAMPING_NM_S)
    joint.friction = FRICTION_NM
    root.joint.type = 'fixed'
    base.pose = pose
    scene.add_entity(base)
    scene.add_entity(turning)
    root.articulation.set_qpos(np.array(hinge.limits[:1]))
    return Hinged(Thing(turning, points), joint)
