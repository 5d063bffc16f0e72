"""Parameters of joint_trajectory_controller, from the very file that ros2_control reads.

Only what the emulation follows is accepted: a key that it would ignore is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aim_policy.config import ConfigError, from_dict, load_yaml, unknown_name
from aim_policy.robot import RobotSpec

KIND = 'joint_trajectory_controller/JointTrajectoryController'
INTERPOLATIONS = ('splines', 'none')


@dataclass(frozen=True)
class JointConstraint:
    """How far (rad, m) a joint may be from where it should be; 0 is not checked.

    Attributes:
        trajectory: while the trajectory is under way.
        goal: at its end.
    """

    trajectory: float = 0.0
    goal: float = 0.0


@dataclass(frozen=True)
class Constraints:
    """Tolerances of a controller.

    Attributes:
        stopped_velocity_tolerance: at the end, where the controller commands velocities.
        goal_time: how long (s) after the last point the goal tolerances may be met; 0: for ever.
        joints: name -> its tolerances; in the file they stand beside the others.
    """

    stopped_velocity_tolerance: float = 0.01
    goal_time: float = 0.0
    joints: dict[str, JointConstraint] = field(default_factory=dict)


@dataclass(frozen=True)
class ControllerConfig:
    """One controller, with the names of ros2_control, and its defaults unless said otherwise.

    Attributes:
        joints: in any order; () for those of the robot.
        command_interfaces, state_interfaces: of ros2_control.
        allow_partial_joints_goal: take commands for some of the joints.
        interpolate_from_desired_state: start at the last command, not at the measured state. On
            here, or each chunk of a policy would begin with a step back.
        allow_integration_in_goal_trajectories: take points without positions.
        interpolation_method: 'splines', or 'none' to jump from point to point.
        allow_nonzero_velocity_at_trajectory_end: take a last point that is moving.
        allow_trajectory_replacement: blend a new trajectory into the old one, the default from
            release 6.8 on; off, as here and in releases before, the old one is dropped at once.
        cmd_timeout: hold this long (s) after the last point; 0: never.
        action_monitor_rate: of feedback, Hz.
        constraints: tolerances.
    """

    joints: tuple[str, ...] = ()
    command_interfaces: tuple[str, ...] = ('position',)
    state_interfaces: tuple[str, ...] = ('position', 'velocity')
    allow_partial_joints_goal: bool = False
    interpolate_from_desired_state: bool = True
    allow_integration_in_goal_trajectories: bool = False
    interpolation_method: str = 'splines'
    allow_nonzero_velocity_at_trajectory_end: bool = False
    allow_trajectory_replacement: bool = False
    cmd_timeout: float = 0.0
    action_monitor_rate: float = 20.0
    constraints: Constraints = Constraints()

    def __post_init__(self) -> None:
        if self.interpolation_method not in INTERPOLATIONS:
            raise unknown_name('interpolation_method', self.interpolation_method, INTERPOLATIONS)
        if self.cmd_timeout and not self.cmd_timeout > self.constraints.goal_time:
            goal_time = self.constraints.goal_time
            raise ConfigError(
                f'cmd_timeout is {self.cmd_timeout}, expected > goal_time {goal_time}'
            )
        if not self.action_monitor_rate > 0:
            raise ConfigError(f'action_monitor_rate is {self.action_monitor_rate}, expected > 0')
        for name in self.constraints.joints:
            if self.joints and name not in self.joints:
                raise unknown_name('key or joint in constraints', name, self.joints)

    @property
    def checks_velocity(self) -> bool:
        """Whether the controller knows how fast joints should be and are."""
        return 'velocity' in self.command_interfaces and 'velocity' in self.state_interfaces


def load_controllers(path: Path | str, robot: RobotSpec) -> dict[str, ControllerConfig]:
    """Read the controllers of a robot's arms: name of the arm -> its controller.

    Raises:
        ConfigError: an arm's controller is not in the file, drives other joints, or has a
            parameter that is not emulated.
    """
    sections = load_yaml(path)
    if not isinstance(sections, Mapping):
        raise ConfigError(f'{path} holds no mapping, expected controllers by name')
    found = {}
    for arm in robot.arms:
        if arm.controller not in sections:
            raise ConfigError(f'{path}: {unknown_name("controller", arm.controller, sections)}')
        where = f'{path}: {arm.controller}'
        config = from_dict(ControllerConfig, _parameters(sections[arm.controller], where), where)
        if sorted(config.joints) != sorted(arm.joint_names):
            joints = ', '.join(config.joints) or 'missing'
            expected = f'{", ".join(arm.joint_names)} like arm {arm.name}'
            raise ConfigError(f'{where}: joints are {joints}, expected {expected}')
        found[arm.name] = config
    return found


def _parameters(section: Any, where: str) -> dict[str, Any]:
    if not isinstance(section, Mapping) or not isinstance(section.get('ros__parameters'), Mapping):
        raise ConfigError(f'{where} has no mapping ros__parameters')
    values = dict(section['ros__parameters'])
    kind = values.pop('type', KIND)
    if kind != KIND:
        raise ConfigError(f'{where}: type is {kind}, expected {KIND}')
    constraints = values.get('constraints')
    if isinstance(constraints, Mapping):
        joints = {k: v for k, v in constraints.items() if isinstance(v, Mapping)}
        plain = {k: v for k, v in constraints.items() if k not in joints}
        values['constraints'] = {**plain, 'joints': joints}
    return values
