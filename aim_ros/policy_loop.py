"""Observation in, checked motion out: when to think, what to send. No ROS, no clock.

The same object runs in the policy node and in an offline evaluation.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from aim_policy.interface import ActionChunk, Observation, Policy, PolicyOutput
from aim_policy.robot import RobotSpec
from aim_ros.observer import NotReady, Observer
from aim_ros.trajectory import ArmTrajectory, TrajectoryGate


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
        if not (self._lockstep or self._robot.joint_targets_topic) and self._chunk_end_ns:
            self.observer.set_target(self.gate.reference_at(clock()))
        observation = self.observer.latest(None if self._lockstep else clock())
        if isinstance(observation, NotReady):
            return Waiting(observation.reason)
        if observation.stamp_ns < self._due_ns:
            return Waiting('')
        begin_s, begin_ns = time.monotonic(), 0 if self._lockstep else clock()
        output = self._policy.infer(observation)
        inference_ms = (time.monotonic() - begin_s) * 1e3
        delay_ns = 0 if self._lockstep else clock() - begin_ns
        trajectories = self._admit(observation, output, clock)
        self._plan_next(output, delay_ns)
        return Sent(observation, output, trajectories, inference_ms)

    def hold(self, now_ns: int) -> tuple[ArmTrajectory, ...]:
        """Return the motion that ends what is underway within a policy step, () if nothing is."""
        if now_ns >= self._chunk_end_ns:
            return ()
        self._chunk_end_ns = 0
        dt_ns = self._robot.dt_ns
        chunk = ActionChunk(
            positions=self.gate.reference_at(now_ns + dt_ns)[None],
            dt_s=self._robot.dt_s,
            joint_names=self._robot.joint_names,
            stamp_ns=now_ns,
            chunk_id=0,
        )
        return self.gate.admit(chunk, now_ns, self.gate.reference_at(now_ns))

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

    def _plan_next(self, output: PolicyOutput, delay_ns: int) -> None:
        """Think again so that the next chunk is ready when the executed part of this one ends."""
        chunk, steps = output.chunk, self.gate.config.execute_steps
        dt_ns = round(chunk.dt_s * 1e9)
        steps = max(1, steps - math.ceil(delay_ns / dt_ns))
        self._due_ns = chunk.stamp_ns + steps * dt_ns
        self._chunk_end_ns = chunk.end_ns
