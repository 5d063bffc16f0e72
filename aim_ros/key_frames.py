"""Shows a policy that keeps a history what happened between two of its chunks."""

from __future__ import annotations

import numpy as np

from aim_policy.interface import Observation, Policy, Vector
from aim_ros.observer import Observer
from aim_ros.trajectory import TrajectoryGate


class KeyFrames:
    """Finds key frames among what the observer keeps, and what was commanded between them.

    The first key frame of a history is the observation that its first chunk was computed from. One
    that got lost ends the history: the policy forgets, and the next chunk begins another.
    """

    def __init__(self, policy: Policy, observer: Observer, gate: TrajectoryGate) -> None:
        self._policy, self._observer, self._gate = policy, observer, gate
        self._dt_ns = observer.robot.dt_ns
        self._every_ns = policy.key_frame_steps * self._dt_ns
        self._last_ns = 0

    @property
    def due_ns(self) -> int | None:
        """Stamp of the next key frame; None if nobody waits for one."""
        return self._last_ns + self._every_ns if self._every_ns and self._last_ns else None

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
        while self.due_ns is not None and self.due_ns - slack_ns <= newest_ns:
            due_ns = self.due_ns
            frame = self._observer.until(due_ns + slack_ns)
            if frame is None or frame.stamp_ns < due_ns - slack_ns:
                self.forget()
                return
            self._policy.observe(frame, self._commanded(frame))
            self._last_ns = frame.stamp_ns

    def _commanded(self, frame: Observation) -> Vector:
        """Targets of the steps since the key frame before, float64[n, A]."""
        steps = np.arange(1, self._policy.key_frame_steps + 1)
        if not self._gate.end_ns:  # a rehearsal: the arms stay
            return np.tile(frame.joint_target, (len(steps), 1))
        times_ns = self._last_ns + steps * self._dt_ns
        return np.stack([self._gate.reference_at(time_ns) for time_ns in times_ns.tolist()])
