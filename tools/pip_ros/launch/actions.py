"""The actions of a launch description."""

import asyncio
import contextlib
import itertools
import os
import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from signal import SIGINT, SIGKILL, SIGTERM, Signals
from types import SimpleNamespace
from typing import Any

from . import events
from .event_handlers import EventHandler, OnProcessExit
from .launch_service import Action, LaunchContext, log, write_line
from .substitutions import LaunchConfiguration, perform_text

STDOUT, STDERR = 1, 2
STEPS = (SIGINT, SIGTERM), (SIGTERM, SIGKILL)  # what was sent, what follows
DRAIN_S = 0.5  # output may follow the end of a process; a grandchild may keep the pipe for ever
_process_numbers = itertools.count(1)


class DeclareLaunchArgument(Action):
    """An argument that a launch file takes."""

    def __init__(
        self, name: str, *, default_value: Any = None, description: str = '', choices: Any = None
    ) -> None:
        super().__init__(None)
        self.name, self.default_value, self.choices = name, default_value, choices
        hint = f'. Valid choices are: {choices}' if choices else ''
        self.description = (description.removesuffix('.') or 'no description given') + hint

    def execute(self, context: LaunchContext) -> None:
        values = context.launch_configurations
        if self.name not in values and self.default_value is None:
            raise RuntimeError(f"launch argument '{self.name}' is required: {self.description}")
        if self.name not in values:
            values[self.name] = perform_text(context, self.default_value)
        if self.choices and values[self.name] not in self.choices:
            found = f"launch argument '{self.name}' is '{values[self.name]}'"
            raise RuntimeError(f'{found}, expected one of {self.choices}')


def OpaqueFunction(*, function: Callable[[LaunchContext], Any], condition: Any = None) -> Action:
    """Call a function with the context; what it returns is visited."""
    return Action(condition, function)


def SetEnvironmentVariable(name: Any, value: Any, *, condition: Any = None) -> Action:
    """Set an environment variable for the processes that follow."""

    def execute(context: LaunchContext) -> None:
        os.environ[perform_text(context, name)] = perform_text(context, value)

    return Action(condition, execute)


def IncludeLaunchDescription(
    launch_description_source: Any, *, launch_arguments: Any = (), condition: Any = None
) -> Action:
    """Visit another launch file with the given arguments."""

    def execute(context: LaunchContext) -> Action:
        texts = ([perform_text(context, side) for side in pair] for pair in launch_arguments)
        context.launch_configurations.update(texts)
        return launch_description_source.get_launch_description(context)

    return Action(condition, execute)


def LogInfo(*, msg: Any, condition: Any = None) -> Action:
    """Print a message."""
    return Action(condition, lambda c: log('INFO', 'launch.user', perform_text(c, msg)))


def RegisterEventHandler(event_handler: EventHandler, *, condition: Any = None) -> Action:
    """Add an event handler."""
    return Action(condition, lambda context: context.event_handlers.insert(0, event_handler))


def EmitEvent(*, event: events.Event, condition: Any = None) -> Action:
    """Make an event happen."""
    return Action(condition, lambda context: context.queue.put_nowait(event))


def Shutdown(*, reason: str = 'reason not given', condition: Any = None) -> Action:
    """End the launch."""

    def execute(context: LaunchContext) -> None:
        if isinstance(context.event, events.ProcessExited):
            name = context.event.process_name
            log('INFO', 'launch', f'process[{name}] was required: shutting down launched system')
        context.queue.put_nowait(events.Shutdown(reason=reason))

    return Action(condition, execute)


def TimerAction(*, period: Any, actions: list[Action], condition: Any = None) -> Action:
    """Visit actions after a time, unless the launch ends before."""

    async def wait(context: LaunchContext) -> None:
        is_number = isinstance(period, (int, float))
        period_s = float(period if is_number else perform_text(context, period))
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(context.shutdown_begun.wait(), period_s)
        if not context.is_shutdown:
            context.queue.put_nowait(actions)

    return Action(condition, lambda context: context.start_activity(wait(context)), actions)


@dataclass(eq=False, kw_only=True)
class ExecuteProcess(Action):
    """Starts a process and stops it when the launch ends."""

    condition: Any = None
    cmd: Iterable[Any] = ()
    name: Any = None
    additional_env: Any = None
    sigterm_timeout: Any = LaunchConfiguration('sigterm_timeout', default='5')
    sigkill_timeout: Any = LaunchConfiguration('sigkill_timeout', default='5')
    output: Any = 'log'
    cached_output: bool = False
    on_exit: Any = None

    def __post_init__(self) -> None:
        super().__init__(self.condition)
        self._transport: asyncio.SubprocessTransport | None = None
        self._stdout = b''
        self.temporary_files: list[str] = []  # removed when the process has ended
        self._unfinished_lines = {STDOUT: b'', STDERR: b''}

    @property
    def return_code(self) -> int | None:
        """The return code of the process, or None while it has none."""
        return None if self._transport is None else self._transport.get_returncode()

    def get_stdout(self) -> str:
        """Return what the process wrote so far; needs cached_output."""
        if not self.cached_output:
            raise RuntimeError('the output of the process is not kept: pass cached_output=True')
        return self._stdout.decode(errors='replace')

    def build_command(self, context: LaunchContext) -> list[str]:
        """Return the words of the command line."""
        return [perform_text(context, word) for word in self.cmd]

    def execute(self, context: LaunchContext) -> None:
        if context.is_shutdown:
            return
        timeouts = (self.sigterm_timeout, self.sigkill_timeout)
        self._waits_s = [float(perform_text(context, timeout)) for timeout in timeouts]
        self._shown = {STDERR} if perform_text(context, self.output) == 'log' else {STDOUT, STDERR}
        added = (self.additional_env or {}).items()
        env = dict(os.environ) | {k: perform_text(context, value) for k, value in added}
        command = self.build_command(context)
        label = os.path.basename(command[0]) if self.name is None else self.name
        self._name = f'{perform_text(context, label)}-{next(_process_numbers)}'
        self._details = {'action': self, 'process_name': self._name}
        if self.on_exit is not None:
            handler = OnProcessExit(target_action=self, on_exit=self.on_exit)
            context.event_handlers.insert(0, handler)
        context.start_activity(self._run(context, command, env))

    def _on_start(self, context: LaunchContext, transport: asyncio.SubprocessTransport) -> None:
        self._transport = transport
        self._details['pid'] = transport.get_pid()
        log('INFO', self._name, f'process started with pid [{transport.get_pid()}]')
        context.queue.put_nowait(events.ProcessStarted(**self._details))

    def _on_data(self, fd: int, data: bytes) -> None:
        if self.cached_output and fd == STDOUT:
            self._stdout += data
        *lines, self._unfinished_lines[fd] = (self._unfinished_lines[fd] + data).split(b'\n')
        for line in lines if fd in self._shown else []:
            write_line(f'[{self._name}] {line.decode(errors="replace")}')

    async def _run(self, context: LaunchContext, command: list[str], env: dict) -> None:
        loop, exited, closed = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
        protocol = SimpleNamespace(
            connection_made=partial(self._on_start, context),  # comes before any output
            pipe_data_received=self._on_data,
            pipe_connection_lost=lambda fd, error: None,
            process_exited=exited.set,
            connection_lost=lambda error: closed.set(),
        )
        try:
            await loop.subprocess_exec(lambda: protocol, *command, env=env)
            stopping = asyncio.create_task(self._stop_in_steps(context))
            await exited.wait()
            stopping.cancel()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(closed.wait(), DRAIN_S)
            self._report_end(context, command)
        except OSError as error:
            log('ERROR', self._name, f'cannot start {shlex.join(command)}: {error}')
        finally:
            if self._transport is not None:
                self._transport.close()  # kills a process that still runs
            for path in self.temporary_files:
                os.unlink(path)

    def _report_end(self, context: LaunchContext, command: list[str]) -> None:
        for fd, line in self._unfinished_lines.items():
            self._on_data(fd, b'\n' if line else b'')
        pid, words = self._details['pid'], ' '.join(filter(str.strip, command))
        if self.return_code == 0:
            log('INFO', self._name, f'process has finished cleanly [pid {pid}]')
        else:
            what = f"pid {pid}, exit code {self.return_code}, cmd '{words}'"
            log('ERROR', self._name, f'process has died [{what}].')
        ended = events.ProcessExited(**self._details, returncode=self.return_code)
        context.queue.put_nowait(ended)

    async def _stop_in_steps(self, context: LaunchContext) -> None:
        await context.shutdown_begun.wait()
        # A Ctrl-C in a terminal has reached the process already: it is in the same group.
        if not context.interrupted_by_terminal:
            self._send(SIGINT)
        for wait_s, sent, harder in zip(self._waits_s, *STEPS, strict=True):
            await asyncio.sleep(wait_s)
            what = f"failed to terminate '{wait_s:g}' seconds after receiving '{sent.name}'"
            what += f", escalating to '{harder.name}'"
            log('ERROR', self._name, f'process[{self._name}] {what}')
            self._send(harder)

    def _send(self, number: Signals) -> None:
        log('INFO', self._name, f"sending signal '{number.name}' to process[{self._name}]")
        with contextlib.suppress(ProcessLookupError):  # it may have ended just now
            self._transport.send_signal(number)
