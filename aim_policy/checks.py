"""Refuses observations that do not fit the robot, in one line each; numpy only."""

from __future__ import annotations

import numpy as np

from aim_policy.interface import Image, Observation, Vector
from aim_policy.robot import CameraSpec, RobotSpec


def check_observation(observation: Observation, robot: RobotSpec) -> None:
    """Check all that a policy reads of an observation.

    Raises:
        ValueError: what is missing or wrong, with what was found and expected.
    """
    check_instruction(observation.instruction)
    check_joints('joint_position', observation.joint_position, robot)
    check_joints('joint_target', observation.joint_target, robot)
    for camera in robot.cameras:
        if camera.name not in observation.images:
            found = ', '.join(sorted(observation.images)) or 'none'
            raise ValueError(f'image of {camera.name} is missing, found: {found}')
        _check_image(camera, observation.images[camera.name])


def check_instruction(instruction: str) -> None:
    """Check that there is something to do."""
    if not any(letter.isalnum() for letter in instruction):
        raise ValueError(f'instruction is "{instruction}", expected at least one word')


def check_joints(name: str, values: Vector, robot: RobotSpec) -> None:
    """Check that an action vector has the robot's length and is finite."""
    expected = (len(robot.joint_names),)
    if np.shape(values) != expected:
        raise ValueError(f'{name} has shape {np.shape(values)}, expected {expected}')
    bad = [j for j, v in zip(robot.joint_names, values, strict=True) if not np.isfinite(v)]
    if bad:
        raise ValueError(f'{name} is not finite at {", ".join(bad)}, expected numbers')


def _check_image(camera: CameraSpec, image: Image) -> None:
    expected = (camera.height, camera.width, 3)
    if image.shape != expected:
        raise ValueError(f'image of {camera.name} has shape {image.shape}, expected {expected}')
    if image.dtype != np.uint8:
        raise ValueError(f'image of {camera.name} has type {image.dtype}, expected uint8')
