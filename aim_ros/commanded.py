"""What was commanded, and for when: a straight line from row to row, then rest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aim_policy.interface import Vector
from aim_ros.arm_trajectory import Times

# Rows of the past that are remembered, for chunks and key frames that begin there.
_PAST_ROWS = 32


@dataclass(frozen=True)
class Commanded:
    """Motion that was let through.

    Attributes:
        times_ns: int64[K], when each row is reached; empty before anything was commanded.
        rows: float64[K, A].
    """

    times_ns: Times
    rows: Vector

    @classmethod
    def nothing(cls, joints: int) -> Commanded:
        """Return what a robot of so many joints was told before its first command."""
        return cls(np.zeros(0, np.int64), np.zeros((0, joints)))

    @classmethod
    def rest(cls, reference: Vector) -> Commanded:
        """Return what a robot was told that stands at `reference`, float64[A]."""
        return cls(np.zeros(1, np.int64), np.array(reference, float)[None])

    @property
    def end_ns(self) -> int:
        """When the motion ends; 0 before there is any."""
        return int(self.times_ns[-1]) if len(self.times_ns) else 0

    def moves_at(self, now_ns: int) -> bool:
        """Whether motion is under way; not before its first row, where time was set back."""
        return len(self.times_ns) > 0 and int(self.times_ns[0]) <= now_ns < self.end_ns

    def at(self, now_ns: int) -> Vector:
        """Return the action vector, float64[A], of a time."""
        if not len(self.rows):
            raise RuntimeError('nothing was commanded yet, expected rearm() first')
        after = int(np.searchsorted(self.times_ns, now_ns, side='right'))
        before, after = max(after - 1, 0), min(after, len(self.rows) - 1)
        start: Vector = self.rows[before].copy()
        if before == after:
            return start
        start_ns, end_ns = int(self.times_ns[before]), int(self.times_ns[after])
        start += (self.rows[after] - start) * ((now_ns - start_ns) / (end_ns - start_ns))
        return start

    def then(self, now_ns: int, reference: Vector, times_ns: Times, rows: Vector) -> Commanded:
        """Return this up to now, a little of it, and what follows from `reference` on.

        Args:
            now_ns: when what follows begins.
            reference: float64[A], commanded then.
            times_ns: int64[K], after now.
            rows: float64[K, A].
        """
        past = np.flatnonzero(self.times_ns < now_ns)[-_PAST_ROWS:]
        times = np.concatenate([self.times_ns[past], [now_ns], now_ns + times_ns])
        return Commanded(times, np.concatenate([self.rows[past], reference[None], rows]))
