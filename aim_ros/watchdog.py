"""Notices that nothing happens any more, by a clock that neither simulators nor NTP touch."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Watchdog:
    """Calls for help from a thread of its own when its owner falls silent.

    Attributes:
        trips: how often that happened.
    """

    def __init__(self, timeout_s: float, on_silence: Callable[[float], None]) -> None:
        """Call `on_silence` with the seconds of silence, once until the next sign of life."""
        self.trips = 0
        self._timeout_s = timeout_s
        self._on_silence = on_silence
        self._armed = False
        self._last_s = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True, name='watchdog')
        self._thread.start()

    @property
    def silence_s(self) -> float:
        """For how long nothing was heard; 0 while it is off."""
        return time.monotonic() - self._last_s if self._armed else 0.0

    def beat(self) -> None:
        """Give a sign of life, and switch it on."""
        self._last_s, self._armed = time.monotonic(), True

    def rest(self) -> None:
        """Switch it off: silence is expected."""
        self._armed = False

    def close(self) -> None:
        """End its thread."""
        self._ended.set()
        self._thread.join(1.0)

    def _watch(self) -> None:
        while not self._ended.wait(self._timeout_s / 10):
            silence_s = self.silence_s
            if silence_s > self._timeout_s:
                self._armed = False
                self.trips += 1
                self._on_silence(silence_s)
