"""Collects one observation per policy step of a bag and makes an Episode of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from aim_policy.camera_poses import RobotPoses
from aim_policy.camera_track import CameraTrack, encode_jpeg
from aim_policy.config import ConfigError
from aim_policy.episode import Episode
from aim_policy.gripper_events import WORLD, gripper_events
from aim_policy.interface import Observation, Vector
from aim_policy.kinematics import quat_xyzw
from aim_policy.robot import CameraSpec, RobotSpec
from aim_policy.robotwin_layout import ARMS
from aim_ros.bag_contents import Segment


class EpisodeBuilder:
    """Takes observations in order, then makes the episode."""

    def __init__(self, robot: RobotSpec, poses: RobotPoses) -> None:
        """Ask `poses` where hands and cameras are whenever an observation comes."""
        self._robot = robot
        self._poses = poses
        self._observations: list[tuple[Vector, Vector]] = []
        self._hands: dict[str, list[Vector]] = {arm.name: [] for arm in robot.arms}
        self._cameras = {camera.name: _Camera(camera) for camera in robot.cameras}

    def set_calibration(self, camera: str, info: Any) -> None:
        """Take a CameraInfo; it holds until the next one.

        Raises:
            ConfigError: it is for pictures of another size, or they are distorted.
        """
        self._cameras[camera].set_calibration(info)

    def add(self, observation: Observation) -> None:
        """Take the next policy step."""
        step = len(self._observations)
        self._observations.append((observation.joint_target, observation.joint_position))
        positions = self._robot.to_joints(observation.joint_position).tolist()
        joints = dict(zip(self._robot.joint_names, positions, strict=True))
        for arm, track in self._hands.items():
            track.append(self._poses.hand(arm, joints))
        for camera in self._cameras.values():
            camera.add(step, observation, self._poses.camera(camera.spec, joints))

    def finish(self, segment: Segment, fingertip: Vector) -> Episode:
        """Return the episode, with events of its grippers."""
        target, position = (np.array(rows) for rows in zip(*self._observations, strict=True))
        hands = {arm: np.array(track) for arm, track in self._hands.items()}
        rest = np.tile([0, 0, 0, 1.0, 0, 0, 0], (len(target), 1))
        endpose = {arm: np.array([_seven(pose) for pose in track]) for arm, track in hands.items()}
        return Episode(
            task=segment.task,
            setting=segment.setting,
            seed=segment.seed,
            robot=self._robot.name,
            instructions={'seen': (segment.instruction,), 'unseen': ()},
            dt_s=self._robot.dt_s,
            joint_target=target,
            joint_position=position,
            endpose=endpose if set(endpose) == set(ARMS) else None,
            cameras={name: camera.track() for name, camera in self._cameras.items()},
            object_pose={WORLD: rest},
            events=gripper_events(self._robot, target, hands, fingertip),
        )


class _Camera:
    """What one camera saw, and from where."""

    def __init__(self, spec: CameraSpec) -> None:
        self.spec = spec
        self._matrix = spec.intrinsic
        self._intrinsic: list[Vector] = []
        self._extrinsic: list[Vector] = []
        self._jpeg: list[bytes] = []
        self._steps: list[int] = []
        self._stamp_ns = -1

    def set_calibration(self, info: Any) -> None:
        spec = self.spec
        if (info.width, info.height) != (spec.width, spec.height):
            found, expected = f'{info.width} x {info.height}', f'{spec.width} x {spec.height}'
            raise ConfigError(f'camera_info of {spec.name} is for {found}, expected {expected}')
        if any(info.d):
            found = f'distortion {[round(float(value), 4) for value in info.d]}'
            raise ConfigError(f'{spec.name} has {found}, expected rectified pictures')
        matrix = np.array(info.k, float).reshape(3, 3)
        if matrix[0, 0] > 0:  # 0 says that the camera is not calibrated
            self._matrix = matrix

    def add(self, step: int, observation: Observation, pose: Vector) -> None:
        self._intrinsic.append(self._matrix)
        self._extrinsic.append(np.linalg.inv(pose)[:3])
        stamp_ns = observation.stamps_ns[self.spec.name]
        if stamp_ns != self._stamp_ns:  # a slow camera has fewer pictures than there are steps
            self._stamp_ns = stamp_ns
            self._steps.append(step)
            self._jpeg.append(encode_jpeg(observation.images[self.spec.name]))

    def track(self) -> CameraTrack:
        return CameraTrack(
            intrinsic=np.array(self._intrinsic),
            extrinsic=np.array(self._extrinsic),
            image_steps=np.array(self._steps),
            jpeg=tuple(self._jpeg),
        )


def _seven(pose: Vector) -> Vector:
    """float64[4, 4] -> float64[7], xyz + wxyz."""
    x, y, z, w = quat_xyzw(pose[:3, :3])
    return np.array([*pose[:3, 3], w, x, y, z])
