"""What the bridge asks of a simulator, and the table of those that exist.

A backend is a bare plant: it knows no ROS, no clock and no trajectory. Each physics step it is
told where the joint drives should be; it says what the joints, the cameras and the task's judge
say.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from aim_policy.config import ConfigError, unknown_name
from aim_policy.interface import Image, Vector
from aim_policy.robot import RobotSpec

BACKENDS = {
    'builtin': 'sim_bridge.builtin:BuiltinBackend',
    'fake': 'sim_bridge.fake:FakeBackend',
}
SWITCHES = ('background', 'clutter', 'light', 'table_height')
SETTINGS = {'easy': (), 'hard': SWITCHES, **{switch: (switch,) for switch in SWITCHES}}
"""Name -> what of RoboTwin's randomisation is switched on."""


class ExpertFailed(Exception):
    """The expert cannot do this scene; says what could not be reached."""


FIRST_EVALUATION_SEED = 100_000
"""RoboTwin's rule: scenes with seeds below are for training, the others for evaluation."""
WORDINGS = ('auto', 'seen', 'unseen')
"""Instructions as in training, new ones, or whichever fits the setting."""


@dataclass(frozen=True)
class Episode:
    """A scene that is ready to start.

    Attributes:
        task, setting, seed: what names the scene.
        instruction: what to do, in plain language.
        step_limit: policy steps until it counts as failed.
    """

    task: str
    setting: str
    seed: int
    instruction: str
    step_limit: int


@dataclass(frozen=True)
class SimState:
    """What sensors of the robot would say.

    Attributes:
        joint_names: all actuated joints, both fingers of a gripper included; N of them.
        position: float64[N], rad or m.
        velocity: float64[N], rad/s or m/s.
    """

    joint_names: tuple[str, ...]
    position: Vector
    velocity: Vector


class SimBackend(Protocol):
    """A simulated robot at work on a task. `test/sim/backend_contract.py` says it in tests."""

    robot: RobotSpec

    def reset(self, task: str, seed: int, setting: str, wording: str = 'auto') -> Episode:
        """Build the scene that `task`, `seed` and `setting` name; the same names, the same scene.

        Args:
            task: a name in `sim_bridge.tasks.TASKS`.
            seed: from 0 for training, from 100 000 for evaluation.
            setting: a name in `SETTINGS`.
            wording: which instructions, see `WORDINGS`.

        Raises:
            ConfigError: unknown task, setting or wording.
        """

    def step(self, positions: Vector, velocities: Vector) -> None:
        """Advance one physics step per row.

        Args:
            positions: float64[S, A], joint positions (rad, m) for the drives, robot order.
            velocities: float64[S, A], rad/s, m/s.

        Raises:
            ValueError: wrong shape or a value that is not finite; nothing has moved then.
        """

    def render(self) -> dict[str, Image]:
        """Take a picture with every camera of the robot: name -> uint8[H, W, 3] RGB."""

    def state(self) -> SimState:
        """Read the joints."""

    def success(self) -> bool:
        """Tell whether the task has been done at some physics step since the reset."""

    def demonstrate(self) -> Vector:
        """Let a scripted expert, which may look behind the scene, do the episode just reset.

        Returns:
            float64[T, A], the action vectors it gave, one per policy step.

        Raises:
            ExpertFailed: it cannot do this scene.
        """

    def close(self) -> None:
        """Free the scene; the backend cannot be used after it."""


def make_backend(name: str, robot: RobotSpec) -> SimBackend:
    """Make a backend by its name in `BACKENDS`.

    Raises:
        ConfigError: no such backend, or its simulator cannot work here (says what is missing).
    """
    if name not in BACKENDS:
        raise unknown_name('backend', name, BACKENDS)
    module, cls = BACKENDS[name].split(':')
    return getattr(importlib.import_module(module), cls)(robot)


def check_seed(seed: int) -> None:
    """Refuse a seed that names no scene."""
    if seed < 0:
        raise ConfigError(f'seed is {seed}, expected 0 or more')


def check_setting(setting: str) -> None:
    """Refuse a setting that does not exist."""
    if setting not in SETTINGS:
        raise unknown_name('setting', setting, SETTINGS)


def ramp(robot: RobotSpec, start: Vector, end: Vector) -> tuple[Vector, Vector]:
    """Move between two action vectors in one policy step, as a trajectory controller would.

    Returns:
        positions and velocities for `SimBackend.step`, float64[substeps, A] each.
    """
    first, last = robot.to_joints(start), robot.to_joints(end)
    part = np.arange(1, robot.substeps + 1)[:, None] / robot.substeps
    velocity = (last - first) / robot.dt_s
    return first + (last - first) * part, np.tile(velocity, (robot.substeps, 1))


def wording_of(setting: str, wording: str) -> str:
    """Return 'seen' or 'unseen'; 'auto' is unseen where scenes are hard, as in RoboTwin.

    Raises:
        ConfigError: unknown wording.
    """
    if wording not in WORDINGS:
        raise unknown_name('wording', wording, WORDINGS)
    if wording == 'auto':
        return 'unseen' if setting == 'hard' else 'seen'
    return wording


def check_targets(positions: Vector, velocities: Vector, joints: int) -> None:
    """Refuse drive targets that a plant must not see."""
    for what, rows in (('positions', positions), ('velocities', velocities)):
        if rows.ndim != 2 or rows.shape[1] != joints or rows.shape != positions.shape:
            raise ValueError(
                f'{what} have shape {rows.shape}, expected (steps, {joints}) for both'
            )
        if not np.isfinite(rows).all():
            raise ValueError(f'{what} hold a value that is not finite')
