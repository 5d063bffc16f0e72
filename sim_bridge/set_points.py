"""A trajectory controller in front of a driver that only takes where joints should be next.

Without ROS and without a clock. Silent until the first trajectory, and again whenever the arm does
not say where it is.
"""

from __future__ import annotations

import numpy as np

from aim_policy.interface import Vector
from sim_bridge.controller import JointTrajectoryController
from sim_bridge.controller_config import ControllerConfig
from sim_bridge.trajectory_command import ErrorCode, TrajectoryCommand, TrajectoryRefused


class SetPoints:
    """Set points of one arm."""

    def __init__(
        self, joints: tuple[str, ...], config: ControllerConfig | None, max_age_s: float
    ) -> None:
        """Follow trajectories for `joints` while their measured positions are this young."""
        self.joints = joints
        self._config = config
        self._max_age_ns = round(max_age_s * 1e9)
        self._measured: tuple[int, Vector] | None = None
        self._controller: JointTrajectoryController | None = None

    def observe(self, now_ns: int, positions: Vector, velocities: Vector | None = None) -> str:
        """Take what was measured, float64[J] each; return why the arm was stopped, '' if not."""
        self._measured = now_ns, positions
        if not self._controller:
            return ''
        speeds = np.zeros_like(positions) if velocities is None else velocities
        return self._controller.observe(now_ns, positions, speeds)

    def accept(self, command: TrajectoryCommand, now_ns: int) -> None:
        """Follow a trajectory from where the arm is.

        Raises:
            TrajectoryRefused: says why; nothing has changed.
        """
        if self._measured is None or self._silent(now_ns):
            reason = 'the arm does not say where it is, expected joint states'
            raise TrajectoryRefused(ErrorCode.INVALID_GOAL, reason)
        controller = self._controller or JointTrajectoryController(
            self.joints, self._measured[1], self._config
        )
        controller.accept(command, now_ns)
        self._controller = controller

    def next(self, now_ns: int) -> Vector | None:
        """Return where the joints should be, float64[J]; None to send nothing."""
        if self._controller and self._silent(now_ns):
            self._controller = None
        return self._controller.sample(now_ns)[0] if self._controller else None

    def _silent(self, now_ns: int) -> bool:
        return self._measured is None or now_ns - self._measured[0] > self._max_age_ns
