"""When to think in realtime, so that one chunk is there before the other ends. No clock."""

from __future__ import annotations

import math
from collections import deque

# The next delay is taken to be the longest of this many.
_DELAYS = 3


class ChunkTiming:
    """Learns how long it takes from an observation to motion.

    Attributes:
        steps: rows of the latest chunk; 0 before there is one.
    """

    def __init__(self, dt_ns: int, lead_steps: int, execute_steps: int) -> None:
        """Plan for chunks.

        Args:
            dt_ns: between rows.
            lead_steps: rows that are due sooner than this are too late.
            execute_steps: rows to execute before the next chunk takes over.
        """
        self.steps = 0
        self._dt_ns = dt_ns
        self._lead_ns = lead_steps * dt_ns
        self._execute_steps = execute_steps
        self._delays_ns: deque[int] = deque(maxlen=_DELAYS)

    def measured(self, delay_ns: int) -> None:
        """Take note of a delay from observation to motion."""
        self._delays_ns.append(delay_ns)

    @property
    def delay_ns(self) -> int:
        """What to expect."""
        return max(self._delays_ns, default=0)

    @property
    def complaint(self) -> str:
        """Why the motion cannot flow, '' if it can."""
        if not self.steps or self.delay_ns + self._lead_ns < self.steps * self._dt_ns:
            return ''
        chunk_ms, delay_ms = self.steps * self._dt_ns / 1e6, self.delay_ns / 1e6
        return (
            f'from observation to motion it takes {delay_ms:.0f} ms, too long for a chunk of '
            f'{chunk_ms:.0f} ms: the arms rest between chunks'
        )

    def next_due_ns(self, begin_ns: int, end_ns: int) -> int:
        """Return when to look again.

        Args:
            begin_ns: of the chunk that was just sent.
            end_ns: of its motion.
        """
        if self.complaint:
            return end_ns + 1
        early = math.ceil(self.delay_ns / self._dt_ns)
        return begin_ns + max(1, self._execute_steps - early) * self._dt_ns

    def promised_ns(self, stamp_ns: int, now_ns: int) -> list[int]:
        """Return when the rows are due that pass before a chunk of this observation is there."""
        ready_ns = max(now_ns, stamp_ns + self.delay_ns) + self._lead_ns
        count = min(math.ceil((ready_ns - stamp_ns) / self._dt_ns), self.steps - 1)
        return [stamp_ns + k * self._dt_ns for k in range(1, count + 1)]
