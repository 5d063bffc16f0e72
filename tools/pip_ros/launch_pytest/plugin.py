"""Runs the tests marked with `launch` beside the launch of their fixture."""

import asyncio
import functools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from launch import LaunchContext, LaunchDescription, LaunchService

from .actions import ReadyToTest


class RunningLaunch:
    """A launch service in an event loop that runs only while somebody waits in it."""

    def __init__(self, description: LaunchDescription) -> None:
        if not description.find(ReadyToTest):
            description.inner.append(ReadyToTest())
        (ready,) = description.find(ReadyToTest)
        self.loop = asyncio.new_event_loop()
        self.service = LaunchService()
        self.service.include_launch_description(description)
        self.task = self.loop.create_task(self.service.run_async())
        reached = self.loop.create_task(ready.reached.wait())
        either = asyncio.wait([reached, self.task], return_when=asyncio.FIRST_COMPLETED)
        self.loop.run_until_complete(either)
        if not reached.done():
            raise RuntimeError('the launch ended before ReadyToTest')

    def finish(self) -> None:
        """End the launch."""
        if not self.task.done():
            self.service.shutdown()
            assert self.loop.run_until_complete(self.task) == 0, 'the launch ended with an error'


def fixture(decorated: Callable[..., Any] | None = None, **kwargs: Any) -> Any:
    """Make a pytest fixture of a function that returns what is to be launched."""
    if decorated is None:
        return functools.partial(fixture, **kwargs)

    @functools.wraps(decorated)
    def run(**values: Any) -> Iterator[LaunchDescription]:
        description = decorated(**values)
        made.running = RunningLaunch(description)
        yield description
        made.running.finish()
        made.running.loop.close()

    made = pytest.fixture(**kwargs)(run)
    return made


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known."""
    config.addinivalue_line('markers', 'launch(fixture, shutdown=False): run beside a launch')


def _mark(item: Any) -> dict[str, Any]:
    return getattr(item.get_closest_marker('launch'), 'kwargs', {})


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: Any) -> None:
    """Call a marked test in another thread while the launch goes on in this one."""
    mark, function = _mark(pyfuncitem), pyfuncitem.function

    def call(**values: Any) -> None:
        running = mark['fixture'].running
        if mark.get('shutdown'):
            running.finish()
        test = functools.partial(function, **values)
        running.loop.run_until_complete(running.loop.run_in_executor(None, test))

    pyfuncitem.obj = call if mark else pyfuncitem.obj


@pytest.fixture(autouse=True)
def _launch_of_the_test(request: pytest.FixtureRequest) -> Any:
    mark = _mark(request.node)
    if mark:
        request.getfixturevalue(mark['fixture'].__name__)
    return mark.get('fixture')


@pytest.fixture
def launch_context(_launch_of_the_test: Any) -> LaunchContext:
    """Return the context of the launch of this test."""
    return _launch_of_the_test.running.service.context
