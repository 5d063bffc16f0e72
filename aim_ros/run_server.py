"""Action `~/run`: one run at a time; the node's own thread does the work, not a callback."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import rclpy
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node

from aim_ros import convert
from aim_ros.action import RunPolicy

FEEDBACK_PERIOD_S = 0.5
POLL_S = 0.02


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
        """Say how it ended; `reason` is a constant of RunPolicy.Result."""
        self.reason, self.message = reason, message
        self.done.set()


class RunServer:
    """Takes goals; refuses a second one while a run is active."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._lock = threading.Lock()
        self._active: Run | None = None
        self._arrived = threading.Event()
        self._server = ActionServer(
            node,
            RunPolicy,
            '~/run',
            execute_callback=self._execute,
            goal_callback=self._on_goal,
            cancel_callback=lambda _: CancelResponse.ACCEPT,
            callback_group=ReentrantCallbackGroup(),
        )

    def wait(self, timeout_s: float) -> Run | None:
        """Wait for the next run to work on."""
        if not self._arrived.wait(timeout_s):
            return None
        self._arrived.clear()
        return self._active

    def _on_goal(self, goal: RunPolicy.Goal) -> GoalResponse:
        with self._lock:
            if self._active is not None:
                self._node.get_logger().warning('goal refused: a run is active, cancel it first')
                return GoalResponse.REJECT
            if not goal.instruction.strip():
                self._node.get_logger().warning('goal refused: the instruction is empty')
                return GoalResponse.REJECT
            self._active = Run(goal)
        return GoalResponse.ACCEPT

    def _execute(self, handle: ServerGoalHandle) -> RunPolicy.Result:
        run = self._active
        assert run is not None
        self._arrived.set()
        feedback_due_s = 0.0
        while not run.done.wait(POLL_S) and rclpy.ok():
            if handle.is_cancel_requested:
                run.stop.set()
            if time.monotonic() > feedback_due_s:
                feedback_due_s = time.monotonic() + FEEDBACK_PERIOD_S
                handle.publish_feedback(run.feedback())
        with self._lock:
            self._active = None
        if rclpy.ok():
            self._conclude(handle, run)
        return RunPolicy.Result(
            reason=run.reason,
            message=run.message,
            chunks=run.chunks,
            rejected_chunks=run.rejected_chunks,
        )

    def _conclude(self, handle: ServerGoalHandle, run: Run) -> None:
        if run.reason == RunPolicy.Result.CANCELLED:
            handle.canceled() if handle.is_cancel_requested else handle.abort()
        elif run.reason == RunPolicy.Result.ABORTED:
            handle.abort()
        else:
            handle.succeed()
