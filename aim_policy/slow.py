"""A policy that takes its time, to see what that does to everything around it. numpy only."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from aim_policy.baseline import HoldPolicy, make_hold
from aim_policy.interface import Observation, PolicyOutput, ValueMaps, Vector
from aim_policy.robot import RobotSpec

DELAY_S = 0.3


class SlowPolicy(HoldPolicy):
    """Holds still like its parent, after a while, with value maps that peak in the middle."""

    description = f'slow (holds, takes {DELAY_S} s)'

    def infer(self, observation: Observation, committed: Vector | None = None) -> PolicyOutput:
        """See `HoldPolicy.infer`."""
        time.sleep(DELAY_S)
        output = super().infer(observation, committed)
        return replace(output, value_maps=self._maps())

    def _maps(self) -> ValueMaps:
        heat, peaks = {}, {}
        for camera in self.robot.cameras:
            row, column = camera.height // 2, camera.width // 2
            heat[camera.name] = np.zeros((1, camera.height, camera.width), np.float32)
            heat[camera.name][0, row, column] = 1.0
            peaks[camera.name] = np.array([[column, row]], float)
        return ValueMaps(heat, np.array([self.steps * self.robot.dt_s]), peaks)


def make_slow(robot: RobotSpec, checkpoint: str, device: str, preset: str = '') -> SlowPolicy:
    """Build the slow policy for `aim_policy.registry`; it takes what `make_hold` takes.

    Raises:
        ConfigError: see `make_hold`.
    """
    make_hold(robot, checkpoint, device, preset)
    return SlowPolicy(robot)
