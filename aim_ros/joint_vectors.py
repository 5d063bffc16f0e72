"""Joints by name -> action vectors in the order of the robot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from aim_policy.interface import Vector
from aim_policy.robot import RobotSpec


class WrongJoints(ValueError):
    """The joints of a message are not those of the robot: a mistake in a configuration."""


def action_vector(
    robot: RobotSpec, source: str, names: Sequence[str], positions: Sequence[float]
) -> Vector:
    """Return float64[A] from positions in joint units, in any order; others are ignored.

    Args:
        robot: whose joints.
        source: where they come from, for errors.
        names: one per position.
        positions: rad, fingers in their joint's unit.

    Raises:
        WrongJoints: one is missing or named twice.
        ValueError: numbers do not match, or are not finite.
    """
    if len(names) != len(positions):
        raise ValueError(f'{source}: {len(names)} names, but {len(positions)} positions')
    expected, count = robot.joint_names, Counter(names)
    wrong = [joint for joint in expected if count[joint] != 1]
    if wrong:
        found = f'found {", ".join(names)}, expected {", ".join(expected)}'
        raise WrongJoints(f'{source}: {", ".join(wrong)} missing or named twice; {found}')
    values = dict(zip(names, positions, strict=True))
    for joint in expected:
        if not np.isfinite(values[joint]):
            raise ValueError(f'{source}: {joint} is {values[joint]}, expected a finite number')
    return robot.to_action(np.array([values[joint] for joint in expected], float))
