"""The robot in a SAPIEN scene: loads the URDF, drives its joints, solves its kinematics."""

from __future__ import annotations

import numpy as np
import sapien

from aim_policy.interface import Vector
from aim_policy.kinematics import quat_xyzw
from aim_policy.robot import ArmSpec, RobotSpec, share_dir
from sim_bridge.backend import SimState

STIFFNESS, DAMPING = 1000.0, 200.0
TCP_OFFSET_M = 0.12  # from the last link along its x axis to the point between the finger tips
ELBOW_BENT = np.array([0.0, 1.6, 1.2, -0.4, 0.0, 0.0])  # where inverse kinematics starts from home


class RobotModel:
    """One articulation that holds every arm of the robot.

    Attributes:
        fingers: arm name -> its two finger links.
    """

    def __init__(self, scene: sapien.Scene, robot: RobotSpec) -> None:
        loader = scene.create_urdf_loader()
        loader.fix_root_link = True
        self.spec = robot
        self.articulation = loader.load(str(share_dir() / robot.urdf))
        self._base = base_pose(robot)
        self.articulation.set_root_pose(self._base)
        self.joints = {joint.name: joint for joint in self.articulation.get_active_joints()}
        self._order = {name: i for i, name in enumerate(self.joints)}
        for joint in self.joints.values():
            joint.set_drive_properties(STIFFNESS, DAMPING)
        self._drives = [self._drive(name) for name in robot.joint_names]
        self.fingers = {arm.name: self._finger_links(arm) for arm in robot.arms}
        self._pinocchio = self.articulation.create_pinocchio_model()

    def _drive(self, name: str) -> tuple:
        mirrors = {arm.gripper.joint: arm.gripper.mirror for arm in self.spec.arms}
        names = [name, mirrors[name]] if mirrors.get(name) else [name]
        return tuple(self.joints[n] for n in names)

    def _finger_links(self, arm: ArmSpec) -> tuple:
        return tuple(self.joints[n].child_link for n in (arm.gripper.joint, arm.gripper.mirror))

    def link(self, name: str) -> sapien.physx.PhysxArticulationLinkComponent:
        """Return a link by its URDF name."""
        return self.articulation.find_link_by_name(name)

    def set_positions(self, positions: Vector) -> None:
        """Put the joints (float64[A], rad, m) and their drives somewhere at once, at rest."""
        qpos = self.articulation.get_qpos()
        for drive, value in zip(self._drives, positions, strict=True):
            for joint in drive:
                low, high = joint.get_limits()[0]
                qpos[self._order[joint.name]] = np.clip(value, low, high)
        self.articulation.set_qpos(qpos)
        self.articulation.set_qvel(np.zeros_like(qpos))
        self.set_targets(positions, np.zeros_like(positions))

    def set_targets(self, positions: Vector, velocities: Vector) -> None:
        """Drive towards float64[A] (rad, m) moving at float64[A]; weight is compensated."""
        pairs = zip(self._drives, positions.tolist(), velocities.tolist(), strict=True)
        for drive, position, velocity in pairs:
            for joint in drive:
                joint.set_drive_target(position)
                joint.set_drive_velocity_target(velocity)
        self.articulation.set_qf(self.articulation.compute_passive_force(True, True))

    def state(self) -> SimState:
        """Read every actuated joint."""
        return SimState(
            joint_names=tuple(self.joints),
            position=self.articulation.get_qpos().astype(np.float64),
            velocity=self.articulation.get_qvel().astype(np.float64),
        )

    def tcp(self, arm: str) -> sapien.Pose:
        """Return where the point between the finger tips is now, in the world."""
        link = self.joints[self.spec.arm(arm).joints[-1]].child_link
        return link.entity_pose * sapien.Pose([TCP_OFFSET_M, 0, 0])

    def forward(self, arm: str, joints: Vector) -> sapien.Pose:
        """Return the TCP pose in the world for float64[6] joint positions."""
        qpos, columns, link = self._chain(arm)
        qpos[columns] = joints
        self._pinocchio.compute_forward_kinematics(qpos)
        return self._base * self._pinocchio.get_link_pose(link) * sapien.Pose([TCP_OFFSET_M, 0, 0])

    def inverse(self, arm: str, tcp: sapien.Pose, start: Vector) -> Vector | None:
        """Find float64[6] joint positions within limits that put the TCP at a world pose.

        Args:
            arm: arm name.
            tcp: wanted pose, x axis along the fingers, y axis the closing direction.
            start: float64[6], where the search begins; the nearest solution is wanted.

        Returns:
            The joints, or None if the pose cannot be reached.
        """
        spec = self.spec.arm(arm)
        goal = self._base.inv() * tcp * sapien.Pose([-TCP_OFFSET_M, 0, 0])
        for guess in (start, ELBOW_BENT):
            solution = self._solve(arm, goal, guess)
            if solution is None:
                continue
            wrapped = (solution + np.pi) % (2 * np.pi) - np.pi
            wrapped = np.where(wrapped < np.array(spec.lower), wrapped + 2 * np.pi, wrapped)
            if np.all(wrapped >= spec.lower) and np.all(wrapped <= spec.upper):
                return wrapped
        return None

    def _solve(self, arm: str, goal: sapien.Pose, guess: Vector) -> Vector | None:
        qpos, columns, link = self._chain(arm)
        qpos[columns] = guess
        mask = np.zeros(len(qpos), dtype=np.int32)
        mask[columns] = 1
        solution, found, _ = self._pinocchio.compute_inverse_kinematics(
            link, goal, initial_qpos=qpos, active_qmask=mask, eps=1e-4, max_iterations=300
        )
        return np.asarray(solution)[columns] if found else None

    def _chain(self, arm: str) -> tuple[Vector, list[int], int]:
        names = self.spec.arm(arm).joints
        columns = [self._order[name] for name in names]
        return np.zeros(len(self._order)), columns, self.joints[names[-1]].child_link.index


def base_pose(robot: RobotSpec) -> sapien.Pose:
    """Return where the root link stands in the world."""
    if robot.base is None:
        return sapien.Pose()
    x, y, z, w = quat_xyzw(robot.base.matrix[:3, :3])
    return sapien.Pose(robot.base.position, [w, x, y, z])
