"""Decides when simulated time passes: with a trajectory (lockstep) or the clock (realtime).

Runs the `SimLoop` in one thread; others hand it work through `submit`. Knows no ROS.
"""

from __future__ import annotations

import contextlib
import queue
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeVar

from aim_policy.config import ConfigError, unknown_name
from aim_policy.interface import EXECUTIONS
from sim_bridge.brake import Brake, WrongState
from sim_bridge.sim_loop import EpisodeState, SimLoop, Snapshot

T = TypeVar('T')
ENDED = 'the simulation has ended'


@dataclass(frozen=True)
class Pacing:
    """How simulated time follows wall time.

    Attributes:
        execution: 'lockstep' or 'realtime'.
        realtime_factor: simulated seconds per wall second, realtime only.
        partial_wait_s: lockstep starts when every arm has a trajectory, or this long (wall) after
            the first arm got one.
        repeat_s: while time stands still, sensors are published again this often (wall).
    """

    execution: str = 'lockstep'
    realtime_factor: float = 1.0
    partial_wait_s: float = 2.0
    repeat_s: float = 0.05

    def __post_init__(self) -> None:
        if self.execution not in EXECUTIONS:
            raise unknown_name('execution', self.execution, EXECUTIONS)
        for name in ('realtime_factor', 'partial_wait_s', 'repeat_s'):
            if not getattr(self, name) > 0:  # so that .nan is refused too
                raise ConfigError(f'{name} is {getattr(self, name)}, expected more than 0')


class Runner:
    """The simulation thread's loop.

    Attributes:
        brake: stops time; for actions handed to `submit`.
    """

    def __init__(
        self,
        loop: SimLoop,
        pacing: Pacing,
        publish: Callable[[Snapshot], None],
        warn: Callable[[str], None],
    ) -> None:
        """Call `publish` with every snapshot and `warn` with what a person should know."""
        self.brake = Brake()
        self._loop = loop
        self._pacing = pacing
        self._publish = publish
        self._warn = warn
        self._actions: queue.SimpleQueue = queue.SimpleQueue()
        self._last: Snapshot | None = None
        self._ended = False
        self._published_s = self._due_s = self._waiting_since_s = time.monotonic()

    def submit(self, action: Callable[[SimLoop], T]) -> Future[T]:
        """Let the simulation thread call `action` between two policy steps."""
        future: Future[T] = Future()
        self._actions.put((action, future))
        if self._ended:
            self._drop_actions()
        return future

    def run(self, go_on: Callable[[], bool]) -> None:
        """Run until `go_on` says no."""
        try:
            self._run(go_on)
        finally:
            self._ended = True
            self.brake.release(ENDED)
            self._drop_actions()

    def step(self, count: int) -> None:
        """Let policy steps pass while the brake is on; returns when they have.

        Raises:
            WrongState: the brake is off, or there is no episode.
        """

        def begin(loop: SimLoop) -> Future[None]:
            if loop.episode is None:
                raise WrongState('no episode was started')
            return self.brake.step(count)

        self.submit(begin).result().result()

    def _run(self, go_on: Callable[[], bool]) -> None:
        in_motion = False
        while go_on():
            episode = self._loop.episode
            self._do_actions(self._patience_s(in_motion))
            in_motion = in_motion and self._loop.episode is episode  # a reset ends all motion
            if self._time_passes(in_motion):
                self._loop.advance()
                self.publish_now()
                self.brake.passed()
                in_motion = self._loop.moving and self._loop.state == EpisodeState.RUNNING
            elif self._last and time.monotonic() - self._published_s > self._pacing.repeat_s:
                self._send(self._last)

    def publish_now(self) -> None:
        """Read all sensors and publish them."""
        self._last = self._loop.snapshot()
        self._send(self._last)

    def _send(self, snapshot: Snapshot) -> None:
        self._publish(snapshot)
        self._published_s = time.monotonic()

    def _patience_s(self, in_motion: bool) -> float:
        """Return how long to wait for actions before looking at the world again."""
        if self.brake.steps:
            return 0.0
        if self._loop.episode is None or self.brake.on:
            return min(0.05, self._pacing.repeat_s)
        if self._pacing.execution == 'realtime':
            return max(0.0, min(self._due_s - time.monotonic(), self._pacing.repeat_s))
        return 0.0 if in_motion or self._loop.complete else min(0.05, self._pacing.repeat_s)

    def _do_actions(self, patience_s: float) -> None:
        try:
            action, future = self._actions.get(timeout=patience_s) if patience_s else self._next()
            while True:
                self._do(action, future)
                action, future = self._next()
        except queue.Empty:
            return

    def _next(self) -> tuple:
        return self._actions.get_nowait()

    def _drop_actions(self) -> None:
        """Answer those who wait for a simulation that has ended."""
        with contextlib.suppress(queue.Empty):
            while True:
                _, future = self._next()
                future.set_exception(RuntimeError(ENDED))

    def _do(self, action: Callable, future: Future) -> None:
        waiting = self._loop.waiting
        try:
            future.set_result(action(self._loop))
        except Exception as error:  # belongs to whoever submitted the action
            future.set_exception(error)
        if self._loop.waiting and not waiting:
            self._waiting_since_s = time.monotonic()

    def _time_passes(self, in_motion: bool) -> bool:
        now_s = time.monotonic()
        if self._loop.episode is None:
            return False
        if self.brake.on:
            return self.brake.steps > 0
        if self._pacing.execution == 'realtime':
            return self._tick(now_s)
        if self._loop.state != EpisodeState.RUNNING:
            return False
        if in_motion or self._loop.complete:
            return True
        overdue = now_s - self._waiting_since_s > self._pacing.partial_wait_s
        if self._loop.waiting and overdue:
            self._warn(
                f'only some arms got a trajectory in {self._pacing.partial_wait_s} s; going on'
            )
            return True
        return False

    def _tick(self, now_s: float) -> bool:
        if now_s < self._due_s:
            return False
        period_s = self._loop.robot.dt_s / self._pacing.realtime_factor
        # What was missed is not caught up: a robot's time cannot run faster either.
        self._due_s = max(self._due_s + period_s, now_s)
        return True
