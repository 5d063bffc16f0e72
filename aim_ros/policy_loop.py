"""Observation in, checked motion out: when to think, what to send. No ROS, no clock.

The same object runs in the policy node and in an offline evaluation.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from aim_policy.interface import ActionChunk, Observation, Policy, PolicyOutput, Vector
from aim_policy.robot import RobotSpec
from aim_ros.chunk_timing import ChunkTiming
from aim_ros.gate_config import ChunkConfig
from aim_ros.intent import hold_chunk, lack_of_intent
from aim_ros.key_frames import KeyFrames
from aim_ros.observer import NotReady, Observer
from aim_ros.trajectory import ArmTrajectory, ChunkRejected, TrajectoryGate

Clock = Callable[[], int]
"""Gives the present in the time of the observations, nanoseconds; not asked in lockstep."""


@dataclass(frozen=True)
class Thought:
    """What a policy wants, before anybody checked it.

    Attributes:
        observation: what it was computed from.
        output: what the policy said.
        inference_ms: wall time of the inference.
    """

    observation: Observation
    output: PolicyOutput
    inference_ms: float


@dataclass(frozen=True)
class Sent(Thought):
    """A chunk that passed the gate.

    Attributes:
        trajectories: one per arm, to be published together.
        held: why they stay where they are instead of following the chunk, '' if they follow it.
    """

    trajectories: tuple[ArmTrajectory, ...]
    held: str = ''


@dataclass(frozen=True)
class Waiting:
    """Why nothing is to be sent."""

    reason: str


class PolicyLoop:
    """Runs one policy for one episode after another.

    Attributes:
        observer: fed by whoever receives the sensors.
        gate: counts what was admitted and rejected.
        key_frames: what the policy is shown between two chunks.
    """

    def __init__(
        self,
        robot: RobotSpec,
        policy: Policy,
        observer: Observer,
        gate: TrajectoryGate,
        lockstep: bool,
        chunks: ChunkConfig | None = None,
    ) -> None:
        """Put a policy to work.

        Args:
            robot: what it drives.
            policy: who drives.
            observer: what it sees.
            gate: what lets its motion through.
            lockstep: time stands still while the policy thinks; else it has to be made up for.
            chunks: how one chunk follows another in realtime.
        """
        self.observer = observer
        self.gate = gate
        self._robot = robot
        self._policy = policy
        self._lockstep = lockstep
        self._chunks = chunks or ChunkConfig()
        steps = gate.config.execute_steps
        steps = min(steps, self._chunks.publish_steps or steps)
        self._timing = ChunkTiming(robot.dt_ns, gate.config.min_lead_steps, steps)
        self.key_frames = KeyFrames(policy, observer, gate)
        self._due_ns = self._end_ns = self._jumps = 0

    def start(self, instruction: str, seed: int, not_before_ns: int) -> None:
        """Begin an episode; observations from before `not_before_ns` are ignored."""
        self.observer.clear(not_before_ns)
        self.observer.set_instruction(instruction)
        self._policy.reset(instruction, seed)
        self.disarm()

    def disarm(self) -> None:
        """Forget what was commanded: the next motion starts from what the robot says."""
        self.gate.forget()
        self.key_frames.forget()
        self._due_ns = self._end_ns = 0
        self._jumps = self.observer.time_jumps

    def poll(self, clock: Clock) -> Sent | Waiting:
        """Compute and check the next chunk if it is time to.

        Raises:
            ChunkRejected: the policy gave a chunk that must not move the robot.
        """
        thought = self.think(clock)
        return thought if isinstance(thought, Waiting) else self.commit(thought, clock)

    def think(self, clock: Clock) -> Thought | Waiting:
        """Compute the next chunk if it is time to; takes as long as the policy does."""
        if self._jumps != self.observer.time_jumps:
            self.disarm()
        if not (self._lockstep or self._robot.joint_targets_topic) and self._end_ns:
            self.observer.set_target(self.gate.reference_at(clock()))
        observation = self.observer.latest(None if self._lockstep else clock())
        if isinstance(observation, NotReady):
            return Waiting(observation.reason)
        self.key_frames.catch_up(observation.stamp_ns)
        if observation.stamp_ns < self._due_ns:
            return Waiting('')
        self.key_frames.chunk_from(observation)
        committed = None if self._lockstep else self._committed(observation, clock())
        begin_s = time.monotonic()
        if committed is None:
            output = self._policy.infer(observation)
        else:
            output = self._policy.infer(observation, committed)
        return Thought(observation, output, (time.monotonic() - begin_s) * 1e3)

    def commit(self, thought: Thought, clock: Clock, rehearse: bool = False) -> Sent | Waiting:
        """Check a chunk and take it as commanded; quick.

        Args:
            thought: from `think`.
            clock: gives the present.
            rehearse: nothing will be sent, so take nothing as commanded.

        Raises:
            ChunkRejected: it must not move the robot.
        """
        if self._jumps != self.observer.time_jumps:
            return Waiting('time was set back while the policy thought')
        observation, chunk = thought.observation, thought.output.chunk
        before = self.gate.commanded, self._end_ns
        if self._end_ns:
            self.gate.check_tracking(observation.stamp_ns, observation.joint_position)
        held = lack_of_intent(thought.output.value_maps, self.gate.config.min_value_peak)
        if self._lockstep:
            steps = self.gate.config.execute_steps
            target = observation.joint_target
            chunk = hold_chunk(chunk, target) if held else chunk
            trajectories = self.gate.admit(chunk, observation.stamp_ns, target, steps)
            self._due_ns = chunk.stamp_ns + steps * round(chunk.dt_s * 1e9)
        else:
            trajectories = self._join(observation, chunk, clock(), bool(held))
        self._end_ns = self.gate.end_ns
        if rehearse:
            self.gate.commanded, self._end_ns = before
        return Sent(observation, thought.output, thought.inference_ms, trajectories, held)

    def hold(self, now_ns: int) -> tuple[ArmTrajectory, ...]:
        """Return the motion that ends what is underway within a policy step, () if nothing is."""
        timeless = self._jumps != self.observer.time_jumps
        held = () if timeless or not self._end_ns else self.gate.hold(now_ns)
        self._end_ns = 0
        return held

    def steps_ahead(self, now_ns: int) -> int:
        """How many policy steps of motion are still to come."""
        return max(0, math.ceil((self._end_ns - now_ns) / self._robot.dt_ns))

    @property
    def complaint(self) -> str:
        """Why the motion cannot flow, '' if it can."""
        return '' if self._lockstep else self._timing.complaint

    def _committed(self, observation: Observation, now_ns: int) -> Vector | None:
        """Rows that the arms will have followed when the chunk is there; None if none will."""
        stamp_ns = observation.stamp_ns
        if self._chunks.blend != 'rtc' or stamp_ns > self._end_ns:
            return None
        due_ns = self._timing.promised_ns(stamp_ns, now_ns)
        return np.stack([self.gate.reference_at(due) for due in due_ns]) if due_ns else None

    def _join(
        self, observation: Observation, chunk: ActionChunk, now_ns: int, hold: bool
    ) -> tuple[ArmTrajectory, ...]:
        """Let a chunk take over from what is underway, or begin where the robot rests."""
        gate, chunks, begin_ns = self.gate, self._chunks, chunk.stamp_ns
        self._timing.measured(now_ns - observation.stamp_ns)
        fade, resting_at = 0, None
        if observation.stamp_ns <= self._end_ns:
            reference = gate.reference_at(now_ns)
            if chunks.blend == 'crossfade' and now_ns < self._end_ns:
                fade = chunks.crossfade_steps
        else:
            begin_ns, resting_at = now_ns, observation.joint_position
            reference = observation.joint_target
        chunk = hold_chunk(chunk, reference) if hold else chunk
        try:
            steps = chunks.publish_steps or None
            trajectories = gate.admit(chunk, now_ns, reference, steps, fade, resting_at)
        except ChunkRejected:
            if self.complaint:
                self._due_ns = self._end_ns + 1
            raise
        self._timing.steps = len(chunk.positions)
        self._due_ns = self._timing.next_due_ns(begin_ns, gate.end_ns)
        return trajectories
