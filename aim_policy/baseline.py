"""A policy that needs no network: stay where you are. numpy only."""

from __future__ import annotations

import time

import numpy as np

from aim_policy.checks import check_instruction, check_joints
from aim_policy.config import ConfigError
from aim_policy.interface import ActionChunk, Observation, PolicyOutput, Vector
from aim_policy.robot import RobotSpec


class HoldPolicy:
    """Repeats the commanded joints for a number of steps."""

    description = 'hold (repeats the commanded joints)'
    key_frame_steps = 0

    def __init__(self, robot: RobotSpec, steps: int = 16) -> None:
        if steps < 1:
            raise ConfigError(f'steps is {steps}, expected a positive number')
        self.robot = robot
        self.steps = steps
        self._chunk_id = 0

    def reset(self, instruction: str, seed: int) -> None:
        """Start an episode; there is no randomness."""
        check_instruction(instruction)
        self._chunk_id = 0

    def observe(self, observation: Observation, executed: Vector) -> None:
        """Nothing between two chunks matters here."""

    def infer(self, observation: Observation, committed: Vector | None = None) -> PolicyOutput:
        """Hold `observation.joint_target`, whatever is committed.

        Raises:
            ValueError: it does not fit the robot.
        """
        start = time.perf_counter()
        check_joints('joint_target', observation.joint_target, self.robot)
        chunk = ActionChunk(
            positions=np.tile(observation.joint_target, (self.steps, 1)),
            dt_s=self.robot.dt_s,
            joint_names=self.robot.joint_names,
            stamp_ns=observation.stamp_ns,
            chunk_id=self._chunk_id,
        )
        self._chunk_id += 1
        return PolicyOutput(chunk, timings_ms={'act': 1e3 * (time.perf_counter() - start)})


def make_hold(robot: RobotSpec, checkpoint: str, device: str, preset: str = '') -> HoldPolicy:
    """Build the hold policy for `aim_policy.registry`; it computes on no device.

    Raises:
        ConfigError: a checkpoint or a preset is asked for.
    """
    del device
    if checkpoint:
        raise ConfigError(f'checkpoint is "{checkpoint}", expected none: hold has no weights')
    if preset:
        raise ConfigError(f'preset is "{preset}", expected none: hold imagines nothing')
    return HoldPolicy(robot)
