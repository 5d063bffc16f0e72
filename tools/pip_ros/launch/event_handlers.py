"""Reactions to events: functions that return what to do about an event."""

from collections.abc import Callable
from typing import Any

from .events import Event, ProcessExited, ProcessStarted
from .launch_service import LaunchContext

EventHandler = Callable[[Event, LaunchContext], Any]


def _handler(kind: type[Event], target: Any, entities: Any) -> EventHandler:
    def handle(event: Event, context: LaunchContext) -> Any:
        if type(event) is not kind or target not in (None, event.action):
            return None
        return entities(event, context) if callable(entities) else entities

    return handle


def OnProcessExit(*, target_action: Any = None, on_exit: Any) -> EventHandler:
    """React to the end of one process, or of any, with actions or a function of the event."""
    return _handler(ProcessExited, target_action, on_exit)


def OnProcessStart(*, target_action: Any = None, on_start: Any) -> EventHandler:
    """React to the start of one process, or of any, with actions or a function of the event."""
    return _handler(ProcessStarted, target_action, on_start)
