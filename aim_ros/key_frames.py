"""Shows a policy that keeps a history what happened between two of its chunks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from aim_policy.config import ConfigError
from aim_policy.interface import Observation, Policy, Vector
from aim_ros.observer import Observer
from aim_ros.trajectory import TrajectoryGate


class KeyFrames:
    """Finds key frames among what the observer keeps, and what was commanded between them.

    The first key frame of a history is the observation that its first chunk was computed from. One
    that got lost ends the history: the policy forgets, and the next chunk begins another.
    """

    def __init__(self, policy: Policy, observer: Observer, gate: TrajectoryGate) -> None:
        """Show nothing until a chunk was computed.

        Raises:
            ConfigError: the observer keeps fewer pictures than a chunk has steps.
        """
        self.lost = 0
        self._policy, self._observer, self._gate = policy, observer, gate
        self._dt_ns = observer.robot.dt_ns
        self._every_ns = policy.key_frame_steps * self._dt_ns
        self._last_ns = 0
        size, steps = observer.config.queue_size, gate.config.execute_steps
        if self._every_ns and size < steps:
            raise ConfigError(
                f'sync.queue_size is {size}, expected at least safety.execute_steps ({steps}): '
                'this policy looks back at what it did'
            )

    def is_due(self, now_ns: int) -> bool:
        """Whether a key frame falls on this time."""
        elapsed_ns = now_ns - self._last_ns
        return bool(self._every_ns and self._last_ns and elapsed_ns % self._every_ns == 0)

    def forget(self) -> None:
        """Begin anew with the next chunk."""
        self._last_ns = 0

    def chunk_from(self, observation: Observation) -> None:
        """Take note that a chunk is computed from an observation."""
        self._last_ns = self._last_ns or observation.stamp_ns

    def catch_up(self, newest_ns: int) -> None:
        """Show the key frames up to the stamp of the newest observation.

        Raises:
            ValueError: the policy cannot use one.
        """
        slack_ns = self._dt_ns // 2  # cameras tick by their own clocks
        while self._every_ns and self._last_ns and self._last_ns + self._every_ns <= newest_ns:
            due_ns = self._last_ns + self._every_ns
            frame = self._observer.until(due_ns + slack_ns)
            if frame is None or frame.stamp_ns < due_ns - slack_ns:
                self.lost += 1
                self.forget()
                return
            self._policy.observe(self._as_commanded(frame), self._commanded(frame))
            self._last_ns = due_ns

    def _as_commanded(self, frame: Observation) -> Observation:
        """A robot without a topic for it does not say what it was told back then."""
        if self._observer.robot.joint_targets_topic or not self._gate.end_ns:
            return frame
        return replace(frame, joint_target=self._gate.reference_at(frame.stamp_ns))

    def _commanded(self, frame: Observation) -> Vector:
        """Targets of the steps since the key frame before, float64[n, A]."""
        steps = np.arange(1, self._policy.key_frame_steps + 1)
        if not self._gate.end_ns:  # nothing was sent: the arms count as resting
            return np.tile(frame.joint_target, (len(steps), 1))
        times_ns = self._last_ns + steps * self._dt_ns
        return np.stack([self._gate.reference_at(time_ns) for time_ns in times_ns.tolist()])
