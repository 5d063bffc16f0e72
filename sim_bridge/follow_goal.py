"""A goal of the action follow_joint_trajectory: its tolerances, and how it ended."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from aim_policy.interface import Vector
from sim_bridge.controller_config import ControllerConfig
from sim_bridge.trajectory_command import ErrorCode

NO_CHECK = -1.0


@dataclass(frozen=True)
class Tolerances:
    """How well a trajectory must be followed; 0 is not checked.

    Attributes:
        path: float64[J], position (rad, m) on the way.
        goal: float64[J], position at the end.
        goal_time_ns: how long after the last point `goal` may be met; 0: for ever.
        stopped_velocity: of every joint at the end.
    """

    path: Vector
    goal: Vector
    goal_time_ns: int
    stopped_velocity: float

    @classmethod
    def of_config(cls, config: ControllerConfig, joints: tuple[str, ...]) -> Tolerances:
        """Return those of a controller."""
        limits = config.constraints
        found = [limits.joints.get(name) for name in joints]
        return cls(
            path=np.array([limit.trajectory if limit else 0.0 for limit in found]),
            goal=np.array([limit.goal if limit else 0.0 for limit in found]),
            goal_time_ns=round(limits.goal_time * 1e9),
            stopped_velocity=(
                limits.stopped_velocity_tolerance if config.checks_velocity else 0.0
            ),
        )


@dataclass(frozen=True)
class ToleranceRequest:
    """Tolerances as a goal names them: 0 keeps the controller's, -1 takes the check away.

    Attributes:
        path, goal: joint name -> position tolerance.
        goal_time_s: the same for the time after the end.
    """

    path: Mapping[str, float] = field(default_factory=dict)
    goal: Mapping[str, float] = field(default_factory=dict)
    goal_time_s: float = 0.0

    def apply(self, defaults: Tolerances, joints: tuple[str, ...]) -> tuple[Tolerances, str]:
        """Return the tolerances of a goal, and what was wrong with the request, '' if nothing.

        As in the original, one wrong figure brings back all defaults.
        """
        for kind, wanted in (('path', self.path), ('goal', self.goal)):
            for name, value in wanted.items():
                expected = 'expected -1, 0 or more; using the defaults'
                if name not in joints:
                    return (
                        defaults,
                        f'{kind} tolerance of unknown joint {name}; using the defaults',
                    )
                if not (value >= 0 or value == NO_CHECK):
                    return defaults, f'{kind} tolerance of {name} is {value}, {expected}'
        goal_time_ns = defaults.goal_time_ns
        if self.goal_time_s:
            goal_time_ns = max(0, round(self.goal_time_s * 1e9))
        changed = replace(
            defaults,
            path=_merged(defaults.path, self.path, joints),
            goal=_merged(defaults.goal, self.goal, joints),
            goal_time_ns=goal_time_ns,
        )
        return changed, ''


def _merged(defaults: Vector, wanted: Mapping[str, float], joints: tuple[str, ...]) -> Vector:
    merged = defaults.copy()
    for name, value in wanted.items():
        if value:
            merged[joints.index(name)] = max(value, 0.0)
    return merged


class FollowGoal:
    """A goal under way. One thread ends it, others may `wait` for that.

    Attributes:
        tolerances: that it is judged by.
        code: how it ended; SUCCESSFUL until then.
        reason: why it did not succeed, '' if it did or was cancelled.
    """

    def __init__(self, tolerances: Tolerances) -> None:
        self.tolerances = tolerances
        self.code = ErrorCode.SUCCESSFUL
        self.reason = ''
        self._ended = threading.Event()

    def end(self, code: ErrorCode, reason: str = '') -> None:
        """Say how it ended; only the first word counts."""
        if not self._ended.is_set():
            self.code, self.reason = code, reason
            self._ended.set()

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self._ended.is_set()

    def wait(self, timeout_s: float) -> bool:
        """Wait for its end; return whether it came."""
        return self._ended.wait(timeout_s)
