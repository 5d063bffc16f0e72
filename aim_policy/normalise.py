"""Normalisation figures out of recorded motion: what a network unit is in radians."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aim_policy.encoded_episode import EncodedEpisode
from aim_policy.interface import Vector
from aim_policy.robot import RobotSpec
from aim_policy.transforms import Normalisation, gripper_columns

LOW, HIGH = 0.01, 0.99


def normalisation_of(
    episodes: Sequence[EncodedEpisode], robot: RobotSpec, steps: int, least_rad: float
) -> Normalisation:
    """Figures that put the middle 98 % of all joints and chunks into [-1, 1].

    Args:
        episodes: to learn from.
        robot: whose joints.
        steps: K, of a chunk.
        least_rad: least motion that counts as 1: a joint that hardly moves must not be blown up.
    """
    joints = np.concatenate([e.target.numpy() for e in episodes])
    moves = np.concatenate([_moves(e.target.numpy(), steps) for e in episodes])
    gripper = gripper_columns(robot)
    joint_offset, joint_scale = _middle(joints, np.full(len(gripper), least_rad))
    action_offset, action_scale = _middle(moves, np.full(len(gripper), least_rad))
    middle, half = (robot.lower + robot.upper) / 2, (robot.upper - robot.lower) / 2
    return Normalisation(
        joint_offset=tuple(np.where(gripper, middle, joint_offset).tolist()),
        joint_scale=tuple(np.where(gripper, half, joint_scale).tolist()),
        action_offset=tuple(np.where(gripper, middle, action_offset).tolist()),
        action_scale=tuple(np.where(gripper, half, action_scale).tolist()),
    )


def _moves(target: Vector, steps: int) -> Vector:
    """Commands relative to those at the start of a chunk, over all chunks: float64[n, A]."""
    starts = np.arange(0, len(target), 4)
    rows = np.minimum(starts[:, None] + np.arange(1, steps + 1), len(target) - 1)
    return (target[rows] - target[starts][:, None]).reshape(-1, target.shape[1])


def _middle(values: Vector, least: Vector) -> tuple[Vector, Vector]:
    low, high = np.quantile(values, [LOW, HIGH], axis=0)
    return (low + high) / 2, np.maximum((high - low) / 2, least)
