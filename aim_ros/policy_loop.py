"""Observation in, checked motion out: when to think, what to send. No ROS, no clock.

The same object runs in the policy node and in an offline evaluation.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from aim_policy.interface import Observation, Policy, PolicyOutput
from aim_policy.robot import RobotSpec
from aim_ros.observer import NotReady, Observer
from aim_ros.trajectory import ArmTrajectory, ChunkRejected, TrajectoryGate


@dataclass(frozen=True)
class Sent:
    """A chunk that passed the gate.

    Attributes:
        observation: what it was computed from.
        output: what the policy said.
        trajectories: one per arm, to be published together.
        inference_ms: wall time of the inference.
    """

    observation: Observation
    output: PolicyOutput
    trajectories: tuple[ArmTrajectory, ...]
    inference_ms: float


@dataclass(frozen=True)
class Waiting:
    """Why nothing is to be sent."""

    reason: str


class PolicyLoop:
    """Runs one policy for one episode after another.

    Attributes:
        observer: fed by whoever receives the sensors.
        gate: counts what was admitted and rejected.
    """

    def __init__(
        self,
        robot: RobotSpec,
        policy: Policy,
        observer: Observer,
        gate: TrajectoryGate,
        lockstep: bool,
    ) -> None:
        """In lockstep time stands still while the policy thinks; else it has to be made up for."""
        self.observer = observer
        self.gate = gate
        self._robot = robot
        self._policy = policy
        self._lockstep = lockstep
        self._due_ns = 0
        self._chunk_end_ns = 0

    def start(self, instruction: str, seed: int, not_before_ns: int) -> None:
        """Begin an episode; observations from before `not_before_ns` are ignored."""
        self.observer.clear(not_before_ns)
        self.observer.set_instruction(instruction)
        self._policy.reset(instruction, seed)
        self._due_ns = self._chunk_end_ns = 0

    def poll(self, clock: Callable[[], int]) -> Sent | Waiting:
        """Compute and check the next chunk if it is time to.

        Args:
            clock: gives the present in the time of the observations; not asked in lockstep.

        Raises:
            ChunkRejected: the policy gave a chunk that must not move the robot.
        """
        observation = self.observer.latest(None if self._lockstep else clock())
        if isinstance(observation, NotReady):
            return Waiting(observation.reason)
        if observation.stamp_ns < self._due_ns:
            return Waiting('')
        begin_s = time.monotonic()
        output = self._policy.infer(observation)
        latency_s = time.monotonic() - begin_s
        trajectories = self._admit(observation, output, clock)
        self._plan_next(output, latency_s)
        return Sent(observation, output, trajectories, latency_s * 1e3)

    def _admit(
        self, observation: Observation, output: PolicyOutput, clock: Callable[[], int]
    ) -> tuple[ArmTrajectory, ...]:
        if self._lockstep:
            steps = self.gate.config.execute_steps
            now_ns, reference = observation.stamp_ns, observation.joint_target
        else:
            steps, now_ns = None, clock()
            underway = observation.stamp_ns <= self._chunk_end_ns
            reference = self.gate.reference_at(now_ns) if underway else observation.joint_target
        return self.gate.admit(output.chunk, now_ns, reference, steps)

    def _plan_next(self, output: PolicyOutput, latency_s: float) -> None:
        """Think again so that the next chunk is ready when the executed part of this one ends."""
        chunk, steps = output.chunk, self.gate.config.execute_steps
        if not self._lockstep:
            steps = max(1, steps - math.ceil(latency_s / chunk.dt_s))
        self._due_ns = chunk.stamp_ns + steps * round(chunk.dt_s * 1e9)
        self._chunk_end_ns = chunk.end_ns


__all__ = ['ChunkRejected', 'PolicyLoop', 'Sent', 'Waiting']
