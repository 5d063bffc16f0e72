"""What is known of a robot before it moves: joints, limits, grippers, cameras, rates, topics.

One YAML under `config/robot/` is read by the simulator, the nodes, the training and the
checkpoint, so that none of them can disagree on the order of joints.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from aim_policy.config import ConfigError, load_config, unknown_name
from aim_policy.hardware import ArmDriver, DriverLaunch, Placement
from aim_policy.interface import Vector


def share_dir() -> Path:
    """Return the folder that holds config/, urdf/ and models/: the checkout, or share/aim_ros.

    Raises:
        ConfigError: this package was installed without its data.
    """
    here = Path(__file__).absolute()
    candidates = [here.parents[1], *(parent / 'share' / 'aim_ros' for parent in here.parents)]
    for folder in candidates:
        if (folder / 'config' / 'robot').is_dir():
            return folder
    raise ConfigError(f'no config/robot beside {here.parents[1]} nor in a share/aim_ros above it')


@dataclass(frozen=True)
class GripperSpec:
    """A parallel gripper: opening 0 (closed) to 1 (open) <-> position of its driven finger.

    Attributes:
        joint: the finger joint that is commanded.
        mirror: the finger that follows it, '' if the robot does that by itself.
        closed: finger position (m or rad) at opening 0; may lie past the stop, to squeeze.
        open: finger position at opening 1.
        max_velocity: opening per second.
    """

    joint: str
    closed: float
    open: float
    max_velocity: float
    mirror: str = ''

    def __post_init__(self) -> None:
        if self.closed == self.open:
            raise ConfigError(f'gripper {self.joint}: closed and open are both {self.open}')


@dataclass(frozen=True)
class ArmSpec:
    """One arm with its gripper, driven by one joint trajectory controller (rad, rad/s)."""

    name: str
    controller: str
    joints: tuple[str, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    max_velocity: tuple[float, ...]
    home: tuple[float, ...]
    gripper: GripperSpec
    driver: ArmDriver | None = None

    def __post_init__(self) -> None:
        for name in ('lower', 'upper', 'max_velocity', 'home'):
            found = len(getattr(self, name))
            if found != len(self.joints):
                expected = f'{len(self.joints)} like joints'
                raise ConfigError(
                    f'arm {self.name}: {name} has {found} values, expected {expected}'
                )
        for joint, low, high in zip(self.joints, self.lower, self.upper, strict=True):
            if low >= high:
                raise ConfigError(f'arm {self.name}: {joint} has lower {low} >= upper {high}')
        if self.driver and len(self.driver.joints) != len(self.joint_names):
            found, wanted = len(self.driver.joints), len(self.joint_names)
            raise ConfigError(
                f'arm {self.name}: driver.joints has {found} names, expected {wanted}'
            )

    @property
    def joint_names(self) -> tuple[str, ...]:
        """Names in action order: the joints, then the driven finger."""
        return (*self.joints, self.gripper.joint)


@dataclass(frozen=True)
class CameraSpec:
    """A pinhole camera without distortion.

    Attributes:
        name: of the camera, and of the URDF's link that carries it unless it is placed.
        width, height: of its picture, pixels.
        fovy_deg: vertical field of view.
        placement: of its body (x forward, y left, z up) in the world.
        driver: namespace of the real camera's topics, '' if it is its name.
        driver_image: name of the picture in that namespace.
    """

    name: str
    width: int
    height: int
    fovy_deg: float
    placement: Placement | None = None
    driver: str = ''
    driver_image: str = 'image_raw'

    @property
    def frame_id(self) -> str:
        """Optical frame: z forward, x right, y down (REP-103)."""
        return f'{self.name}_optical_frame'

    @cached_property
    def intrinsic(self) -> Vector:
        """K, float64[3, 3], pixels."""
        focal = 0.5 * self.height / math.tan(0.5 * math.radians(self.fovy_deg))
        return np.array([[focal, 0, self.width / 2], [0, focal, self.height / 2], [0, 0, 1.0]])


@dataclass(frozen=True)
class RobotSpec:
    """A robot as the policy sees it. Action vectors are float64[A], see `aim_policy.interface`.

    Attributes:
        urdf: below the folder of `share_dir`; '' if only its driver knows it.
        base: of the URDF's root link in the world.
        driver: what starts the real robot.
    """

    name: str
    dt_s: float
    physics_dt_s: float
    arms: tuple[ArmSpec, ...]
    cameras: tuple[CameraSpec, ...]
    urdf: str = ''
    joint_states_topic: str = 'joint_states'
    joint_targets_topic: str = 'joint_targets'
    base: Placement | None = None
    driver: DriverLaunch | None = None

    def __post_init__(self) -> None:
        if not self.arms:
            raise ConfigError('arms is empty, expected at least one')
        if abs(self.substeps * self.physics_dt_s - self.dt_s) > 1e-9:
            raise ConfigError(
                f'dt_s is {self.dt_s}, expected a multiple of physics_dt_s {self.physics_dt_s}'
            )
        names = self.joint_names
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ConfigError(f'joints named twice: {", ".join(doubled)}')

    @property
    def substeps(self) -> int:
        """Physics steps in one policy step."""
        return round(self.dt_s / self.physics_dt_s)

    @property
    def dt_ns(self) -> int:
        """One policy step."""
        return round(self.dt_s * 1e9)

    @cached_property
    def joint_names(self) -> tuple[str, ...]:
        """A names in action order."""
        return tuple(name for arm in self.arms for name in arm.joint_names)

    @cached_property
    def lower(self) -> Vector:
        """float64[A]."""
        return np.array([v for arm in self.arms for v in (*arm.lower, 0.0)])

    @cached_property
    def upper(self) -> Vector:
        """float64[A]."""
        return np.array([v for arm in self.arms for v in (*arm.upper, 1.0)])

    @cached_property
    def max_velocity(self) -> Vector:
        """float64[A], rad/s, gripper in openings per second."""
        return np.array([v for a in self.arms for v in (*a.max_velocity, a.gripper.max_velocity)])

    @cached_property
    def home(self) -> Vector:
        """float64[A], grippers open."""
        return np.array([v for arm in self.arms for v in (*arm.home, 1.0)])

    @cached_property
    def _scale(self) -> tuple[Vector, Vector]:
        offset, scale = np.zeros(len(self.joint_names)), np.ones(len(self.joint_names))
        for arm in self.arms:
            column = self.joint_names.index(arm.gripper.joint)
            offset[column] = arm.gripper.closed
            scale[column] = arm.gripper.open - arm.gripper.closed
        return offset, scale

    def to_joints(self, action: Vector) -> Vector:
        """Action vectors [..., A] -> joint positions [..., A], fingers in their joint's unit."""
        offset, scale = self._scale
        return offset + action * scale

    def to_action(self, joints: Vector) -> Vector:
        """Joint positions [..., A] -> action vectors [..., A]."""
        offset, scale = self._scale
        return (joints - offset) / scale

    def arm(self, name: str) -> ArmSpec:
        """Return the arm called `name`."""
        for arm in self.arms:
            if arm.name == name:
                return arm
        raise unknown_name('arm', name, [arm.name for arm in self.arms])

    def columns(self, arm: str) -> slice:
        """Return the columns of an arm, gripper last, in an action vector."""
        start = self.joint_names.index(self.arm(arm).joints[0])
        return slice(start, start + len(self.arm(arm).joint_names))

    def with_smaller_pictures(self, times: int) -> RobotSpec:
        """Return the same robot with pictures so many times smaller in width and height."""
        cameras = (
            replace(c, width=c.width // times, height=c.height // times) for c in self.cameras
        )
        return replace(self, cameras=tuple(cameras))


def load_robot(name: str) -> RobotSpec:
    """Load a robot by the name of its YAML under config/robot/, or by a path.

    Raises:
        ConfigError: no such robot, or a mistake in its YAML.
    """
    if '/' in name or name.endswith('.yaml'):
        return load_config(RobotSpec, name)
    folder = share_dir() / 'config' / 'robot'
    path = folder / f'{name}.yaml'
    if not path.is_file():
        raise unknown_name('robot', name, [p.stem for p in folder.glob('*.yaml')])
    return load_config(RobotSpec, path)
