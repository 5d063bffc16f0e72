"""What happens during a launch."""

from dataclasses import dataclass
from typing import Any


class Event:
    """Something that event handlers can react to."""


@dataclass(eq=False, kw_only=True)
class Shutdown(Event):
    """The launch is coming to its end."""

    reason: str = 'reason not given'


@dataclass(eq=False, kw_only=True)
class ProcessStarted(Event):
    """The process of `action` runs."""

    action: Any
    process_name: str
    pid: int


@dataclass(eq=False, kw_only=True)
class ProcessExited(ProcessStarted):
    """It ended; a negative return code is the signal that ended it."""

    returncode: int
