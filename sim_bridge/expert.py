"""Scripted experts' vocabulary: approach, reach, line, grip, carry; on IK and toppra.

Each motion is planned from where the joints were last told to be, timed by toppra and cut into
policy steps. What comes out is a list of action vectors, one per policy step, that any controller
can replay.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import sapien
import toppra
from toppra.algorithm import TOPPRA
from toppra.constraint import JointAccelerationConstraint, JointVelocityConstraint

from aim_policy.interface import Vector
from sim_bridge.backend import ExpertFailed
from sim_bridge.objects import Thing
from sim_bridge.world import World

TIP_AHEAD_M = 0.0175  # finger tips lie this far ahead of the TCP
TILTS_DEG = (90.0, 78.0, 67.0, 56.0, 45.0, 33.0, 20.0)
YAWS = (0.0, 0.2, -0.2, 0.4, -0.4, 0.7, -0.7, 1.0, -1.0)
SPEED_RAD_S, ACCELERATION_RAD_S2 = 2.5, 12.0
LINE_POINTS = 5
GRIP_STEPS = 8

logging.getLogger('toppra').setLevel(logging.ERROR)


@dataclass(frozen=True)
class Approach:
    """A place for the TCP and the place straight before it."""

    before: sapien.Pose
    at: sapien.Pose


@dataclass(frozen=True)
class Carry:
    """A wish: the named point of a thing at a world position, float64[3]."""

    thing: Thing
    point: str
    target: Vector


class Expert:
    """Moves the arms of a world and remembers the action vectors.

    Attributes:
        actions: list of float64[A], one per policy step.
    """

    def __init__(self, world: World, play: Callable[[Vector], None]) -> None:
        """Drive `world` through `play`, which executes one action vector for one policy step."""
        self.world = world
        self.robot = world.robot
        self.actions: list[Vector] = []
        self._play = play

    # -- where to ----------------------------------------------------------------------------

    def approach(
        self,
        arm: str,
        point: Vector,
        distance_m: float,
        tip: bool = False,
        closing: Sequence[float] | None = None,
        then: Sequence[Carry] = (),
    ) -> Approach:
        """Find a reachable way to come to a point, steepest first.

        Args:
            arm: arm name.
            point: float64[3], world.
            distance_m: how far before it to start.
            tip: bring the finger tips there instead of the TCP.
            closing: direction in which the fingers shall close; None leaves it radial to the base.
            then: where what is grasped must be carried to afterwards.

        Raises:
            ExpertFailed: no direction is reachable.
        """
        for rotation in self._directions(arm, point, closing):
            forward = rotation[:, 0]
            at = np.asarray(point) - (TIP_AHEAD_M if tip else 0.0) * forward
            poses = [_pose(rotation, at - back * forward) for back in (distance_m, 0.0)]
            if self._reachable(arm, poses) and all(
                self._carried(arm, poses[1], carry) is not None for carry in then
            ):
                return Approach(*poses)
        raise ExpertFailed(f'{arm} arm reaches no approach to {np.round(point, 3).tolist()}')

    def carry(self, arm: str, carry: Carry) -> sapien.Pose:
        """Return the TCP pose that brings a held thing's point to a place, kept upright.

        Raises:
            ExpertFailed: not reachable at any turn about the vertical.
        """
        goal = self._carried(arm, self.world.model.tcp(arm), carry)
        if goal is None:
            raise ExpertFailed(f'{arm} arm cannot carry to {np.round(carry.target, 3).tolist()}')
        return goal

    def _carried(self, arm: str, tcp: sapien.Pose, carry: Carry) -> sapien.Pose | None:
        now = carry.thing.point(carry.point)
        held = tcp.inv() * now
        for yaw in YAWS:
            turn = sapien.Pose(q=[np.cos(yaw / 2), 0, 0, np.sin(yaw / 2)])
            goal = sapien.Pose(carry.target, (turn * now).q) * held.inv()
            if self._reachable(arm, [goal]):
                return goal
        return None

    def _directions(
        self, arm: str, point: Vector, closing: Sequence[float] | None
    ) -> Iterator[np.ndarray]:
        first = self.robot.arm(arm).joints[0]
        base = self.world.model.joints[first].child_link.entity_pose.p
        radial = np.arctan2(point[1] - base[1], point[0] - base[0])
        offsets: Sequence[float] = YAWS
        if closing is not None:
            straight = np.arctan2(-closing[0], closing[1])
            turns = (straight, straight + np.pi)
            offsets = (min((_wrap(turn - radial) for turn in turns), key=abs),)
        for tilt in np.deg2rad(TILTS_DEG):
            for offset in offsets:
                yield gripper_rotation(radial + offset, tilt)

    def _reachable(self, arm: str, poses: Sequence[sapien.Pose]) -> bool:
        joints: Vector | None = self._joints(arm)
        for pose in poses:
            joints = self.world.model.inverse(arm, pose, joints) if joints is not None else None
        return joints is not None

    # -- motions -----------------------------------------------------------------------------

    def reach(self, arm: str, pose: sapien.Pose, speed: float = SPEED_RAD_S) -> None:
        """Move the TCP to a pose by the shortest way of the joints."""
        self._follow(arm, [pose], speed)

    def line(self, arm: str, pose: sapien.Pose, speed: float = SPEED_RAD_S) -> None:
        """Move the TCP to a pose along a straight line."""
        start = self.world.model.forward(arm, self._joints(arm))
        parts = np.linspace(0, 1, LINE_POINTS)[1:]
        self._follow(arm, [_between(start, pose, part) for part in parts], speed)

    def raise_by(self, arm: str, height_m: float) -> None:
        """Move the TCP straight up."""
        now = self.world.model.forward(arm, self._joints(arm))
        self.line(arm, sapien.Pose(now.p + [0, 0, height_m], now.q))

    def gripper(self, arm: str, opening: float, steps: int = GRIP_STEPS) -> None:
        """Open (1) or close (0) a gripper within `steps` policy steps."""
        columns = self.robot.columns(arm)
        rows = np.tile(self.world.command[columns], (steps, 1))
        rows[:, -1] = np.linspace(rows[0, -1], opening, steps + 1)[1:]
        self.play({arm: rows})

    def play(self, rows: dict[str, Vector]) -> None:
        """Execute arm name -> float64[T, joints + 1] side by side; the shorter one waits."""
        for step in range(max(len(part) for part in rows.values())):
            action = self.world.command.copy()
            for arm, part in rows.items():
                action[self.robot.columns(arm)] = part[min(step, len(part) - 1)]
            self.actions.append(action)
            self._play(action)

    def _joints(self, arm: str) -> Vector:
        return self.world.command[self.robot.columns(arm)][:-1]

    def _follow(self, arm: str, poses: Sequence[sapien.Pose], speed: float) -> None:
        start = self._joints(arm)
        way = [start]
        for pose in poses:
            joints = self.world.model.inverse(arm, pose, way[-1])
            if joints is None:
                raise ExpertFailed(f'{arm} arm cannot reach {np.round(pose.p, 3).tolist()}')
            way.append(joints)
        joints = time_path(np.array(way), speed, self.robot.dt_s)
        grip = self.world.command[self.robot.columns(arm)][-1]
        self.play({arm: np.column_stack([joints, np.full(len(joints), grip)])})


def time_path(way: Vector, speed: float, dt_s: float) -> Vector:
    """Time a joint path, at rest at both ends, as fast as limits allow.

    Args:
        way: float64[P, J], waypoints.
        speed: rad/s, limit of every joint.
        dt_s: step of the result.

    Returns:
        float64[T, J], ending exactly at the last waypoint; the start is left out.
    """
    if np.abs(np.diff(way, axis=0)).max() < 1e-6:
        return way[-1:]
    joints = way.shape[1]
    limits = [
        JointVelocityConstraint(np.tile([-speed, speed], (joints, 1))),
        JointAccelerationConstraint(np.tile([-1.0, 1.0], (joints, 1)) * ACCELERATION_RAD_S2),
    ]
    length = np.r_[0, np.cumsum(np.linalg.norm(np.diff(way, axis=0), axis=1) + 1e-6)]
    path = toppra.SplineInterpolator(length / length[-1], way)
    trajectory = TOPPRA(limits, path, parametrizer='ParametrizeConstAccel').compute_trajectory()
    if trajectory is None:
        raise ExpertFailed('toppra found no timing for a path')
    steps = max(1, int(np.ceil(trajectory.duration / dt_s)))
    rows = trajectory(np.linspace(0, trajectory.duration, steps + 1)[1:])
    rows[-1] = way[-1]
    return rows


def gripper_rotation(yaw: float, tilt: float) -> np.ndarray:
    """Return the rotation of a gripper that points along `yaw`, `tilt` rad below the horizontal.

    Columns: x along the fingers, y the (horizontal) closing direction, z the camera's up.
    """
    forward = np.array([np.cos(tilt) * np.cos(yaw), np.cos(tilt) * np.sin(yaw), -np.sin(tilt)])
    side = np.array([-np.sin(yaw), np.cos(yaw), 0.0])
    return np.stack([forward, side, np.cross(forward, side)], axis=1)


def _pose(rotation: np.ndarray, position: Vector) -> sapien.Pose:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation, position
    return sapien.Pose(matrix)


def _between(start: sapien.Pose, end: sapien.Pose, part: float) -> sapien.Pose:
    q = end.q if np.dot(start.q, end.q) >= 0 else -end.q
    q = (1 - part) * start.q + part * q
    return sapien.Pose((1 - part) * start.p + part * end.p, q / np.linalg.norm(q))


def _wrap(angle: float) -> float:
    return float((angle + np.pi) % (2 * np.pi) - np.pi)
