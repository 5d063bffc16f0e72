"""What value maps say of a chunk: which arm will touch where and when, and whether it wants to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from aim_policy.interface import ActionChunk, PolicyOutput, ValueMaps, Vector
from aim_policy.map_view import Contact
from aim_policy.robot import CameraSpec, RobotSpec
from aim_ros.robot_frames import RobotFrames

NEAR_SHARE = 0.08
"""Fingers this close to a peak, as a share of the picture's width, count as there."""
NEAREST_M = 0.02
"""What is closer to a camera has no place in its picture."""


def lack_of_intent(maps: ValueMaps | None, least: float) -> str:
    """Say why the maps of a chunk do not entitle it to move the robot, '' if they do.

    Args:
        maps: of all cameras, None from a policy that has none.
        least: the highest value of some camera that is enough; 0 asks for nothing.
    """
    if least <= 0:
        return ''
    if maps is None:
        return f'the policy gives no value map, expected a peak of {least:g} or more'
    peak = max((float(heat.max()) for heat in maps.heat.values()), default=0.0)
    if peak >= least:  # not so for NaN
        return ''
    return f'no intent: value maps peak at {peak:.2f}, expected {least:g} or more'


def hold_chunk(chunk: ActionChunk, reference: Vector) -> ActionChunk:
    """Return a chunk of the same time that stays at float64[A]."""
    return replace(chunk, positions=np.tile(reference, (max(len(chunk.positions), 1), 1)))


class Contacts:
    """Finds, for every camera, which arm a value map is about and when it will be there."""

    def __init__(self, robot: RobotSpec) -> None:
        """Read where the robot's arms and cameras are; without a URDF nobody knows."""
        self._robot = robot
        self._frames = RobotFrames(robot)

    def of(self, output: PolicyOutput, measured: Vector) -> dict[str, Contact]:
        """Return a contact per camera.

        Args:
            output: of a policy that has value maps.
            measured: float64[A], where the joints were in the observation.
        """
        maps, chunk = output.value_maps, output.chunk
        assert maps is not None
        paths = self._paths(chunk, measured)
        names = self._robot.joint_names
        joints = dict(zip(names, self._robot.to_joints(measured).tolist(), strict=True))
        found = {}
        for camera in self._robot.cameras:
            pose = self._frames.camera_pose(camera, joints)
            seen = {} if pose is None else {
                arm: project(camera, pose, path) for arm, path in paths.items()
            }  # fmt: skip
            column, row = maps.peak_px[camera.name][0].tolist()
            value = float(maps.heat[camera.name][0].max())
            contact = Contact((column, row), value, chunk_s=len(chunk.positions) * chunk.dt_s)
            found[camera.name] = with_arm(contact, seen, NEAR_SHARE * camera.width)
        return found

    def _paths(self, chunk: ActionChunk, measured: Vector) -> dict[str, Vector]:
        """Arm -> float64[1 + K, 3], its fingers in the world, from the observation on."""
        rows = np.concatenate([measured[None], chunk.positions]).tolist()
        arms = [arm.name for arm in self._robot.arms]
        paths = {arm: self._frames.finger_path(arm, chunk.joint_names, rows) for arm in arms}
        return {arm: path for arm, path in paths.items() if len(path)}


def project(camera: CameraSpec, pose: Vector, points: Vector) -> Vector:
    """Return float64[P, 2], (column, row) of points (world), NaN where not before the camera.

    Args:
        camera: its picture.
        pose: float64[4, 4], its optical frame in the world.
        points: float64[P, 3].
    """
    seen = (points - pose[:3, 3]) @ pose[:3, :3]
    depth = np.where(seen[:, 2:] > NEAREST_M, seen[:, 2:], np.nan)
    # The middle of the first pixel, which is (0.5, 0.5) to the camera, is its (0, 0).
    pixels: Vector = (seen @ camera.intrinsic.T)[:, :2] / depth - 0.5
    return pixels


def with_arm(contact: Contact, paths_px: Mapping[str, Vector], near_px: float) -> Contact:
    """Complete a contact by the arm whose path comes closest to its peak.

    Args:
        contact: without an arm.
        paths_px: arm -> float64[1 + K, 2], from now to the end of the chunk.
        near_px: fingers that stay further away are not there yet.
    """
    closest, arm, share = math.inf, '', 0.0
    for name, path in paths_px.items():
        away = np.linalg.norm(path - contact.peak_px, axis=1)
        if np.isfinite(away).any() and np.nanmin(away) < closest:
            step = int(np.nanargmin(away))
            closest, arm, share = float(away[step]), name, step / max(len(path) - 1, 1)
    time_s = share * contact.chunk_s if closest <= near_px else math.inf
    return replace(contact, arm=arm, time_s=time_s, paths_px=paths_px)
