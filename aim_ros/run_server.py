"""Runs: one at a time, begun by the action `~/run` or by a call; who works on them is not here."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import rclpy
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.node import Node

from aim_ros import convert
from aim_ros.action import RunPolicy
from aim_ros.ros_util import apart

FEEDBACK_PERIOD_S = 0.5
POLL_S, ANSWER_S = 0.02, 0.25


@dataclass
class Run:
    """A goal that was accepted. The worker updates the figures and ends it with `finish`."""

    goal: RunPolicy.Goal
    chunks: int = 0
    rejected_chunks: int = 0
    inference_ms: float = 0.0
    state: str = 'starting'

    def __post_init__(self) -> None:
        self.stop = threading.Event()
        self.done = threading.Event()
        self.reason, self.message = RunPolicy.Result.ABORTED, ''
        self._lock = threading.Lock()

    @property
    def not_before_ns(self) -> int:
        """Observations older than this belong to the past."""
        return convert.to_ns(self.goal.not_before)

    def feedback(self) -> RunPolicy.Feedback:
        """Say how far it is."""
        return RunPolicy.Feedback(
            chunks=self.chunks, inference_ms=self.inference_ms, state=self.state
        )

    def finish(self, reason: int, message: str = '') -> None:
        """Say how it ended; `reason` is a constant of RunPolicy.Result. Only the first counts."""
        with self._lock:
            if not self.done.is_set():
                self.reason, self.message = reason, message
                self.stop.set()
                self.done.set()


class RunServer:
    """Takes goals; refuses a second one while a run is active."""

    def __init__(
        self,
        node: Node,
        refusal: Callable[[], str] = lambda: '',
        on_cancel: Callable[[], None] = lambda: None,
    ) -> None:
        """Offer `~/run`.

        Args:
            node: whose action.
            refusal: says why no run may begin now, '' if one may.
            on_cancel: is called as soon as a client wants a run to end; its `stop` is set by then.
        """
        self._node = node
        self._refusal, self._on_cancel = refusal, on_cancel
        self._lock = threading.Lock()
        self._active: Run | None = None
        self._open: dict[int, Run] = {}  # goal -> its run, until its client is told the end
        self._closed_s = -ANSWER_S  # when the last one was
        self._arrived = threading.Event()
        self._server = ActionServer(
            node,
            RunPolicy,
            '~/run',
            execute_callback=apart(node, self._execute),
            goal_callback=self._on_goal,
            cancel_callback=lambda _: CancelResponse.ACCEPT,
        )

    def wait(self, timeout_s: float) -> Run | None:
        """Wait for the next run to work on."""
        if not self._arrived.wait(timeout_s):
            return None
        self._arrived.clear()
        return self.active

    @property
    def active(self) -> Run | None:
        """The run that is under way."""
        run = self._active
        return None if run is None or run.done.is_set() else run

    def begin(self, goal: RunPolicy.Goal) -> str:
        """Begin a run that no action client waits for; returns why it is refused, '' if not."""
        refusal = self._take(goal)
        if not refusal:
            self._arrived.set()
        return refusal

    def close(self, timeout_s: float) -> None:
        """Wait until clients have heard how their runs ended, before the node is taken away."""
        end_s = time.monotonic() + timeout_s
        while self._open and time.monotonic() < end_s:
            time.sleep(POLL_S)
        # The executor sends the result after `_execute` has returned.
        time.sleep(max(0.0, self._closed_s + ANSWER_S - time.monotonic()))

    def _take(self, goal: RunPolicy.Goal) -> str:
        with self._lock:
            if self.active is not None:
                return 'a run is active, cancel it first'
            if not goal.instruction.strip():
                return 'the instruction is empty'
            refusal = self._refusal()
            if not refusal:
                self._active = Run(goal)
            return refusal

    def _on_goal(self, goal: RunPolicy.Goal) -> GoalResponse:
        refusal = self._take(goal)
        if refusal:
            self._node.get_logger().warning(f'goal refused: {refusal}')
            return GoalResponse.REJECT
        assert self._active is not None
        self._open[id(goal)] = self._active
        return GoalResponse.ACCEPT

    def _execute(self, handle: ServerGoalHandle) -> RunPolicy.Result:
        run = self._open[id(handle.request)]
        self._arrived.set()
        try:
            self._follow(handle, run)
        finally:
            self._closed_s = time.monotonic()
            del self._open[id(handle.request)]
        return RunPolicy.Result(
            reason=run.reason,
            message=run.message,
            chunks=run.chunks,
            rejected_chunks=run.rejected_chunks,
        )

    def _follow(self, handle: ServerGoalHandle, run: Run) -> None:
        feedback_due_s = 0.0
        while not run.done.wait(POLL_S) and rclpy.ok():
            if handle.is_cancel_requested and not run.stop.is_set():
                run.stop.set()
                self._on_cancel()
            if time.monotonic() > feedback_due_s:
                feedback_due_s = time.monotonic() + FEEDBACK_PERIOD_S
                handle.publish_feedback(run.feedback())
        if rclpy.ok():
            self._conclude(handle, run)

    def _conclude(self, handle: ServerGoalHandle, run: Run) -> None:
        if run.reason == RunPolicy.Result.CANCELLED:
            handle.canceled() if handle.is_cancel_requested else handle.abort()
        elif run.reason == RunPolicy.Result.ABORTED:
            handle.abort()
        else:
            handle.succeed()
