"""Runs actions: one event after the other until nothing is left to do."""

import asyncio
import contextlib
import signal
import traceback
from collections.abc import Coroutine, Iterable
from typing import Any

from .events import Event, Shutdown

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)


def write_line(line: str) -> None:
    """Print one line; a reader that went away must not stop the launch."""
    with contextlib.suppress(BrokenPipeError, ValueError):
        print(line, flush=True)


def log(level: str, name: str, text: str) -> None:
    """Print what the launch, or the part of it called `name`, has to say."""
    write_line(f'[{level}] [{name}]: {text}')


class LaunchContext:
    """The state of a launch."""

    def __init__(self) -> None:
        self.launch_configurations: dict[str, str] = {}
        self.event_handlers: list[Any] = []  # the newest first
        self.event: Any = None  # the one that is being handled
        self.queue: asyncio.Queue = asyncio.Queue()  # events, actions and ended activities
        self.activities: set[asyncio.Task] = set()  # the launch is idle when there is none
        self.shutdown_begun = asyncio.Event()
        self.interrupted_by_terminal = False

    @property
    def is_shutdown(self) -> bool:
        """Whether the launch is ending."""
        return self.shutdown_begun.is_set()

    def start_activity(self, coroutine: Coroutine) -> None:
        """Run a coroutine as an activity."""
        task = asyncio.create_task(coroutine)
        self.activities.add(task)
        task.add_done_callback(self.activities.discard)
        task.add_done_callback(self.queue.put_nowait)


class Action:
    """A function of the context that is executed if a condition holds, or a subclass's own."""

    def __init__(self, condition: Any, execute: Any = None, inner: Iterable[Any] = ()) -> None:
        self.condition, self.inner = condition, list(inner)
        self.execute = execute or self.execute

    def execute(self, context: LaunchContext) -> Any:
        """Do the work; return an action, several, or None."""

    def find(self, kind: type) -> list[Any]:
        """Return all actions of a class in this one."""
        inside = [found for action in self.inner for found in action.find(kind)]
        return [self, *inside] if isinstance(self, kind) else inside


class LaunchDescription(Action):
    """What is to be launched, in order."""

    def __init__(self, initial_entities: Iterable[Action] = ()) -> None:
        super().__init__(None, lambda context: self.inner, initial_entities)


def visit(actions: Any, context: LaunchContext) -> None:
    """Execute an action or several, and depth first whatever they return."""
    for action in actions if isinstance(actions, Iterable) else [actions]:
        if isinstance(action, Action):
            holds = action.condition is None or action.condition(context)
            visit(action.execute(context) if holds else None, context)
        elif action is not None:
            raise RuntimeError(f'expected a launch description entity, found {action!r}')


class LaunchService:
    """The event loop of a launch."""

    def __init__(self, *, noninteractive: bool = False, debug: bool = False) -> None:
        self.context = LaunchContext()
        self._noninteractive, self._debug = noninteractive, debug
        self._return_code = 0

    def include_launch_description(self, launch_description: Action) -> None:
        """Visit a launch description when the service runs."""
        self.context.queue.put_nowait(launch_description)

    def run(self) -> int:
        """Run until everything has ended; return 1 after an error or SIGTERM, else 0."""
        return asyncio.run(self.run_async())

    async def run_async(self) -> int:
        """Run inside an event loop of the main thread, like `run`."""
        loop, context = asyncio.get_running_loop(), self.context
        for number in SIGNALS:
            loop.add_signal_handler(number, self._on_signal, number)
        while context.activities or not context.queue.empty() or not context.is_shutdown:
            if not context.activities and context.queue.empty():
                self.shutdown('idle')
            try:
                self._process(await context.queue.get(), context)
            except Exception as error:
                self._fail(error)
        for number in SIGNALS:
            loop.remove_signal_handler(number)
        return self._return_code

    def shutdown(self, reason: str = 'LaunchService.shutdown() called') -> None:
        """End a running launch."""
        if not self.context.is_shutdown:
            self.context.shutdown_begun.set()
            self.context.queue.put_nowait(Shutdown(reason=reason))

    def _process(self, item: Any, context: LaunchContext) -> None:
        context.event = item
        if isinstance(item, Shutdown):
            context.shutdown_begun.set()
        if isinstance(item, asyncio.Task):
            item.result()  # raises the error that ended it
        elif isinstance(item, Event):
            for handler in list(context.event_handlers):
                visit(handler(item, context), context)
        else:
            visit(item, context)

    def _fail(self, error: Exception) -> None:
        self._return_code = 1
        if self._debug:
            log('DEBUG', 'launch', ''.join(traceback.format_exception(error)).rstrip())
        reason = f'Caught exception in launch (see debug for traceback): {error}'
        log('ERROR', 'launch', reason)
        self.shutdown(reason)

    def _on_signal(self, number: signal.Signals) -> None:
        if number == signal.SIGINT:
            again = ' again, ignoring...' if self.context.is_shutdown else ''
            log('WARNING', 'launch', f'user interrupted with ctrl-c (SIGINT){again}')
            self.context.interrupted_by_terminal |= not (again or self._noninteractive)
        else:
            log('ERROR', 'launch', f'received {number.name}, stopping all processes')
            self._return_code = 1
        self.shutdown(number.name)
