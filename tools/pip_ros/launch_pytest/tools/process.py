"""Waiting, in the thread of a test, for what a launched process does."""

import threading
import time
from typing import Any

from launch import LaunchContext
from launch.event_handlers import OnProcessExit, OnProcessStart

POLL_S = 0.02


def wait_for_output_sync(
    context: LaunchContext, process: Any, validate_output: Any, timeout: Any = None
) -> bool:
    """Wait until validate_output(all of stdout) is true; return whether it became so."""
    deadline = float('inf') if timeout is None else time.monotonic() + timeout
    while not (valid := validate_output(process.get_stdout())) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    return bool(valid)


def assert_output_sync(
    context: LaunchContext, process: Any, validate_output: Any, timeout: Any = None
) -> None:
    """Wait until validate_output(all of stdout) asserts nothing; else let it assert."""

    def holds(text: str) -> bool:
        try:
            validate_output(text)
        except AssertionError:
            return False
        return True

    if not wait_for_output_sync(context, process, holds, timeout):
        validate_output(process.get_stdout())


def _wait(context: LaunchContext, make_handler: Any, timeout: Any) -> bool:
    happened = threading.Event()
    handler = make_handler(lambda *_: happened.set())
    context.event_handlers.insert(0, handler)
    try:
        return happened.wait(timeout)
    finally:
        context.event_handlers.remove(handler)


def wait_for_start_sync(context: LaunchContext, process: Any, timeout: Any = None) -> bool:
    """Wait for the start of the process; one that was before is not seen."""
    return _wait(context, lambda f: OnProcessStart(target_action=process, on_start=f), timeout)


def wait_for_exit_sync(context: LaunchContext, process: Any, timeout: Any = None) -> bool:
    """Wait for the end of the process; one that was before is not seen."""
    return _wait(context, lambda f: OnProcessExit(target_action=process, on_exit=f), timeout)
