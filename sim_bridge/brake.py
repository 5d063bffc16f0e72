"""Stops simulated time when a person wants it to, and lets it pass step by step."""

from __future__ import annotations

from concurrent.futures import Future


class WrongState(Exception):
    """What was asked for does not go with how the simulation stands."""


class Brake:
    """Used by the simulation thread alone.

    Attributes:
        on: whether time stands still, apart from steps that were asked for.
        steps: how many of those are still to come.
    """

    def __init__(self) -> None:
        self.on = False
        self.steps = 0
        self._done: Future[None] | None = None

    def pull(self) -> None:
        """Let time stand still from now on."""
        self.on = True

    def release(self, reason: str = 'the simulation goes on') -> None:
        """Let time pass again; who waits for steps is told why they do not end."""
        self.on, self.steps = False, 0
        if self._done:
            self._done.set_exception(WrongState(reason))
            self._done = None

    def step(self, count: int) -> Future[None]:
        """Let some policy steps pass; the result is there when they have.

        Raises:
            WrongState: the brake is off, or steps are being made already.
        """
        if not self.on:
            raise WrongState('the simulation is not paused')
        if self._done:
            raise WrongState(f'{self.steps} steps are still to be made')
        self.steps, self._done = max(count, 1), Future()
        return self._done

    def passed(self) -> None:
        """Count a step that has been made."""
        self.steps = max(self.steps - 1, 0)
        if self._done and not self.steps:
            self._done.set_result(None)
            self._done = None
