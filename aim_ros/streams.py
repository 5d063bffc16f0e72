"""The newest items of one sensor, in the order of their stamps, and what it is known for."""

from __future__ import annotations

import zlib
from bisect import bisect_left, bisect_right
from collections import deque
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from aim_policy.interface import Image

T = TypeVar('T')

# A stamp that is this much older than its stream's newest is no late message: time was set back.
TIME_JUMP_NS = 1_000_000_000
# The bytes of every such pixel tell one picture from the next.
_PIXEL_STRIDE = 4
_RATE_WINDOW = 30


@dataclass(frozen=True)
class StreamReport:
    """How a stream is doing.

    Attributes:
        age_s: of its newest item; NaN if there is none.
        rate_hz: over the last items, by their stamps.
        received, duplicates, dropped, refused, repeated: counters of `Stream`.
        frozen_s: for how long its pictures have been the same.
        fault: why its last message was refused, '' if it was not.
    """

    age_s: float
    rate_hz: float
    received: int
    duplicates: int
    dropped: int
    refused: int
    repeated: int
    frozen_s: float
    fault: str


class Stream(Generic[T]):
    """A sorted buffer that counts.

    Attributes:
        stamps, items: what is kept, oldest first.
        counters: items that were received, duplicates (same stamp) and dropped (too late).
        refused: messages that could not be used at all.
        repeated: pictures that were, to the bit, the one before.
        fault: why the last message was refused, '' if it was not.
        newest_ns: newest stamp that was ever seen, None before any.
    """

    def __init__(self, size: int) -> None:
        """Keep so many items."""
        self.size = size
        self.stamps: list[int] = []
        self.items: list[T] = []
        self.counters = {'received': 0, 'duplicates': 0, 'dropped': 0}
        self.refused = self.repeated = 0
        self.fault = ''
        self.newest_ns: int | None = None
        self._recent: deque[int] = deque(maxlen=_RATE_WINDOW)
        self._digest: int | None = None
        self._same_since_ns = 0

    def clear(self) -> None:
        """Forget the items, not the counters."""
        self.stamps.clear()
        self.items.clear()

    def forget_time(self) -> None:
        """Forget all stamps too: time begins anew."""
        self.clear()
        self._recent.clear()
        self.newest_ns, self._digest = None, None

    def goes_back(self, stamp_ns: int) -> bool:
        """Whether a stamp can only come from a clock that was set back."""
        return self.newest_ns is not None and stamp_ns < self.newest_ns - TIME_JUMP_NS

    def insert(self, stamp_ns: int, item: T) -> None:
        """Take an item in."""
        index = bisect_left(self.stamps, stamp_ns)
        if stamp_ns in self.stamps[index : index + 1]:
            self.counters['duplicates'] += 1
        elif index == 0 and len(self.stamps) == self.size:
            self.counters['dropped'] += 1
        else:
            self.stamps.insert(index, stamp_ns)
            self.items.insert(index, item)
            del self.stamps[: -self.size], self.items[: -self.size]

    def note(self, stamp_ns: int) -> bool:
        """Take note of a stamp; whether it is newer than all before."""
        newer = self.newest_ns is None or stamp_ns > self.newest_ns
        if newer:
            self.newest_ns = stamp_ns
            self._recent.append(stamp_ns)
        return newer

    def compare(self, stamp_ns: int, image: Image) -> None:
        """See whether a new picture shows anything new."""
        pixels = image[::_PIXEL_STRIDE, ::_PIXEL_STRIDE]
        digest = zlib.crc32(pixels.tobytes())
        if digest == self._digest:
            self.repeated += 1
        else:
            self._digest, self._same_since_ns = digest, stamp_ns

    @property
    def frozen_s(self) -> float:
        """For how long the pictures have been the same; 0 for other streams."""
        if self._digest is None or self.newest_ns is None:
            return 0.0
        return (self.newest_ns - self._same_since_ns) / 1e9

    def newest_until(self, stamp_ns: int) -> tuple[int, T] | None:
        """Return the newest item that is not later, after its stamp."""
        index = bisect_right(self.stamps, stamp_ns)
        return (self.stamps[index - 1], self.items[index - 1]) if index else None

    def report(self, now_ns: int | None) -> StreamReport:
        """Say how it is doing; without a present its age is not known."""
        known = now_ns is not None and bool(self.stamps)
        span_ns = self._recent[-1] - self._recent[0] if self._recent else 0
        counters: dict[str, Any] = self.counters
        return StreamReport(
            age_s=((now_ns or 0) - self.stamps[-1]) / 1e9 if known else float('nan'),
            rate_hz=(len(self._recent) - 1) / (span_ns / 1e9) if span_ns else 0.0,
            refused=self.refused,
            repeated=self.repeated,
            frozen_s=self.frozen_s,
            fault=self.fault,
            **counters,
        )
