"""Geometry and timing of arm motions: orientations, poses in between, timed joint paths."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import sapien
import toppra
from toppra.algorithm import TOPPRA
from toppra.constraint import JointAccelerationConstraint, JointVelocityConstraint

from aim_policy.interface import Vector
from sim_bridge.backend import ExpertFailed

ACCELERATION_RAD_S2 = 12.0
STILL_RAD = 1e-6
FUNNEL_SLOPE = 0.25  # how much wider a funnel is at a place farther before its goal
FUNNEL_TURN_RAD = 0.3  # most turn between a pose in a funnel and the goal

logging.getLogger('toppra').setLevel(logging.ERROR)


def gripper_rotation(yaw: float, tilt: float) -> Vector:
    """Return the rotation, float64[3, 3], of a gripper that points along `yaw`, `tilt` rad down.

    Columns: x along the fingers, y the (horizontal) closing direction, z the camera's up.
    """
    forward = np.array([np.cos(tilt) * np.cos(yaw), np.cos(tilt) * np.sin(yaw), -np.sin(tilt)])
    side = np.array([-np.sin(yaw), np.cos(yaw), 0.0])
    return np.stack([forward, side, np.cross(forward, side)], axis=1)


def to_pose(rotation: Vector, position: Vector) -> sapien.Pose:
    """float64[3, 3] and float64[3] -> pose."""
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation, position
    return sapien.Pose(matrix)


def turned(yaw: float) -> sapien.Pose:
    """Return a turn about the vertical by an angle (rad)."""
    return sapien.Pose(q=[np.cos(yaw / 2), 0, 0, np.sin(yaw / 2)])


def between(start: sapien.Pose, end: sapien.Pose, part: float) -> sapien.Pose:
    """Return the pose a part of the way from start (0) to end (1)."""
    q = end.q if np.dot(start.q, end.q) >= 0 else -end.q
    q = (1 - part) * start.q + part * q
    return sapien.Pose((1 - part) * start.p + part * end.p, q / np.linalg.norm(q))


def in_funnel(pose: sapien.Pose, before: sapien.Pose, at: sapien.Pose, width_m: float) -> bool:
    """Tell whether a pose lies in the funnel between a place and the one straight before it.

    Args:
        pose: in question.
        before: where the funnel begins; not in it.
        at: where it ends.
        width_m: radius of the funnel at its end; it widens by `FUNNEL_SLOPE`.
    """
    length = float(np.linalg.norm(before.p - at.p))
    backward = (before.p - at.p) / length
    away = pose.p - at.p
    back = float(away @ backward)
    beside = float(np.linalg.norm(away - back * backward))
    turn = 2 * np.arccos(min(1.0, abs(float(np.dot(pose.q, at.q)))))
    far = back < 0 or back > 0.95 * length
    return not far and turn < FUNNEL_TURN_RAD and beside < width_m + FUNNEL_SLOPE * back


def wrapped(angle: float) -> float:
    """Return an angle in [-pi, pi)."""
    return float((angle + np.pi) % (2 * np.pi) - np.pi)


def duration_s(way: Vector, speed: float) -> float:
    """Return how long a joint path takes at least, see `time_path`."""
    trajectory = _timed(way, speed)
    return 0.0 if trajectory is None else trajectory.duration


def time_path(way: Vector, speed: float, steps: int) -> Vector:
    """Spread a joint path over policy steps, at rest at both ends.

    Args:
        way: float64[P, J], waypoints.
        speed: rad/s, limit of every joint.
        steps: length of the result; more than needed stretches the motion.

    Returns:
        float64[steps, J], ending exactly at the last waypoint; the start is left out.
    """
    trajectory = _timed(way, speed)
    if trajectory is None:
        return np.tile(way[-1], (steps, 1))
    rows: Vector = trajectory(np.linspace(0, trajectory.duration, steps + 1)[1:])
    rows[-1] = way[-1]
    return rows


def _timed(way: Vector, speed: float) -> toppra.interpolator.AbstractGeometricPath | None:
    if np.abs(np.diff(way, axis=0)).max() < STILL_RAD:
        return None
    joints = way.shape[1]
    limits = [
        JointVelocityConstraint(np.tile([-speed, speed], (joints, 1))),
        JointAccelerationConstraint(np.tile([-1.0, 1.0], (joints, 1)) * ACCELERATION_RAD_S2),
    ]
    length = np.r_[0, np.cumsum(np.linalg.norm(np.diff(way, axis=0), axis=1) + STILL_RAD)]
    path = toppra.SplineInterpolator(length / length[-1], way)
    trajectory = TOPPRA(limits, path, parametrizer='ParametrizeConstAccel').compute_trajectory()
    if trajectory is None:
        raise ExpertFailed('toppra found no timing for a path')
    return trajectory


def headings(radial: float, closings: Sequence[Vector] | None, offsets: Sequence[float]) -> list:
    """Return yaws for a gripper to come from, the one nearest to `radial` first.

    Args:
        radial: yaw from the arm's base to the goal.
        closings: horizontal directions in which the fingers may close; None allows any.
        offsets: yaws to try around `radial` if any direction will do.
    """
    if closings is None:
        return [radial + offset for offset in offsets]
    yaws = [np.arctan2(-c[0], c[1]) + turn for c in closings for turn in (0.0, np.pi)]
    return [radial + off for off in sorted((wrapped(y - radial) for y in yaws), key=abs)[:4]]
