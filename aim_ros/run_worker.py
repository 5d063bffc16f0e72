"""Works on runs: thinks, sends what passed the gate, and holds the arms when it must.

Thinking takes its time in the thread of `work`; `stop` may be called from any other.
"""

from __future__ import annotations

import threading
import time
import traceback
from typing import Protocol

from aim_ros import convert
from aim_ros.action import RunPolicy
from aim_ros.arm_trajectory import ArmTrajectory
from aim_ros.health import Latencies
from aim_ros.msg import PolicyStatus
from aim_ros.permission import Permission
from aim_ros.policy_loop import PolicyLoop, Sent, Thought, Waiting
from aim_ros.policy_parameters import PolicyParameters
from aim_ros.run_server import Run, RunServer
from aim_ros.trajectory import ChunkRejected
from aim_ros.watchdog import Watchdog

IDLE_WAIT_S, DATA_WAIT_S = 0.2, 0.005


class Outlet(Protocol):
    """What a worker needs of its node."""

    def now_ns(self) -> int:
        """Return the present in the time of the sensors."""

    def send(self, trajectories: tuple[ArmTrajectory, ...]) -> None:
        """Tell the controllers."""

    def missing_controller(self) -> str:
        """Name an arm that no controller listens for, '' if there is none."""

    def show(self, sent: Sent) -> None:
        """Show a chunk to whoever looks on."""

    def tell(self) -> None:
        """Publish the worker's state."""

    def log_error(self, text: str) -> None:
        """Tell a person."""


class RunWorker:
    """Serves one run after another.

    Attributes:
        state: constant of PolicyStatus.
        reason: why it is in this state.
        run: the latest one.
        refused: chunks that were refused in a row.
        stalled: whether the policy fell silent in the latest run.
        latencies: of the policy.
        watchdog: notices when it falls silent.
    """

    def __init__(
        self,
        config: PolicyParameters,
        loop: PolicyLoop,
        server: RunServer,
        permission: Permission,
        outlet: Outlet,
    ) -> None:
        self.state, self.reason = PolicyStatus.INACTIVE, ''
        self.run: Run | None = None
        self.refused, self.age_ms, self.stalled = 0, 0.0, False
        self.latencies = Latencies()
        self.watchdog = Watchdog(config.watchdog_timeout_s, self._on_silence)
        self._config, self._loop, self._server = config, loop, server
        self._permission, self._outlet = permission, outlet
        self._realtime = config.execution == 'realtime'
        self._motion = threading.RLock()  # whoever comes first decides what comes after
        self._ended = threading.Event()
        self._sent_s = 0.0
        self._thread = threading.Thread(target=self._work, daemon=True, name='policy')
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether a run is under way."""
        return self._server.active is not None

    def close(self, timeout_s: float) -> None:
        """End its thread, which may be thinking."""
        self._ended.set()
        self.watchdog.close()
        self._thread.join(timeout_s)

    def stop(self, reason: int, message: str) -> None:
        """End the run that is under way, if any, and hold the arms; does not wait for thinking."""
        with self._motion:
            run = self._server.active
            if run:
                run.finish(reason, message)
            self.hold()
            if run:
                self.enter(PolicyStatus.HOLDING, message)

    def hold(self) -> None:
        """Do not let the arms finish a chunk that nobody wants any more."""
        with self._motion:
            held = self._loop.hold(self._outlet.now_ns())
            if held:
                self._outlet.send(held)

    def rest(self, reason: str = '') -> None:
        """Go to where no run is under way."""
        active = self._permission.active
        self.enter(PolicyStatus.IDLE if active else PolicyStatus.INACTIVE, reason)

    def tell(self) -> None:
        """Publish the state again, because something beside it has changed."""
        self._outlet.tell()

    def enter(self, state: int, reason: str = '') -> None:
        """Change the state and tell."""
        self.state, self.reason = state, reason
        self._outlet.tell()

    def _work(self) -> None:
        while not self._ended.is_set():
            run = self._server.wait(IDLE_WAIT_S)
            if run and not run.done.is_set():
                self.run = run
                self._serve(run)

    def _serve(self, run: Run) -> None:
        try:
            reason, message = self._drive(run)
        except Exception as error:  # whatever breaks in a policy: the arms must be held
            self._outlet.log_error(traceback.format_exc())
            reason, message = RunPolicy.Result.ABORTED, f'{type(error).__name__}: {error}'
        finally:
            self.watchdog.rest()
        with self._motion:  # a stop comes before this or after it, not in between
            self._conclude(run, reason, message)

    def _conclude(self, run: Run, reason: int, message: str) -> None:
        if run.done.is_set():  # somebody stopped it, and holds the arms
            self.rest(run.message)
            return
        if reason == RunPolicy.Result.ABORTED:
            self.enter(PolicyStatus.ERROR, message)
            self._outlet.log_error(f'run aborted: {message}')
        if self._realtime:
            self.hold()
            self.enter(PolicyStatus.HOLDING)
        run.finish(reason, message)
        self.rest(message)

    def _drive(self, run: Run) -> tuple[int, str]:
        """Return the reason of the end, a constant of RunPolicy.Result, and a message."""
        self.refused, self.stalled = 0, False
        try:
            self._loop.start(run.goal.instruction, run.goal.seed, run.not_before_ns)
        except ValueError as error:  # an instruction that the policy cannot read
            return RunPolicy.Result.ABORTED, str(error)
        limit_ns, begin_ns = convert.to_ns(run.goal.max_duration), self._outlet.now_ns()
        self._sent_s = time.monotonic()
        while not run.stop.wait(DATA_WAIT_S):
            if self._realtime:
                self.watchdog.beat()
            fault = self._step(run)
            if fault:
                return RunPolicy.Result.ABORTED, fault
            if limit_ns and self._outlet.now_ns() - begin_ns > limit_ns:
                return RunPolicy.Result.TIMEOUT, ''
        return RunPolicy.Result.CANCELLED, ''

    def _step(self, run: Run) -> str:
        """Think and send if it is time to; returns why the run cannot go on, '' if it can."""
        if self._loop.observer.wrong_joints:
            return self._loop.observer.wrong_joints
        arm = self._outlet.missing_controller() if self._permission.may_move else ''
        if arm:  # what is sent before a controller listens is lost
            self._wait(run, f'no controller of the {arm} arm listens yet')
            return ''
        try:
            thought = self._loop.think(self._outlet.now_ns)
            result = self._send(run, thought) if isinstance(thought, Thought) else thought
        except (ChunkRejected, ValueError) as error:  # ValueError: what the policy cannot use
            run.rejected_chunks += 1
            self.refused += 1
            self._outlet.log_error(f'no motion: {error}')
            return str(error) if self.refused >= self._config.max_rejected_chunks else ''
        if isinstance(result, Sent):
            self._note(run, result)
        elif result is not None and result.reason:
            self._wait(run, result.reason)
        else:
            return self._stall(run)
        return ''

    def _stall(self, run: Run) -> str:
        """Say that time does not go on, '' if it may yet; in a rehearsal in lockstep it cannot."""
        limit_s = self._config.stall_timeout_s
        expected = self._realtime or self._permission.may_move
        if not expected or time.monotonic() - self._sent_s <= limit_s:
            return ''
        return f'no sensor moved for {limit_s} s after chunk {run.chunks}'

    def _send(self, run: Run, thought: Thought) -> Sent | Waiting | None:
        """Check and send a chunk unless somebody stopped the run while it was computed."""
        with self._motion:
            if run.stop.is_set():
                return None
            rehearse = not self._permission.may_move
            result = self._loop.commit(thought, self._outlet.now_ns, rehearse)
            if isinstance(result, Sent) and not rehearse:
                self._outlet.send(result.trajectories)
        return result

    def _note(self, run: Run, sent: Sent) -> None:
        self.refused, self._sent_s = 0, time.monotonic()
        self.latencies.add(sent.inference_ms)
        run.chunks += 1
        run.inference_ms, run.state = sent.inference_ms, 'running'
        self.age_ms = max(0.0, (self._outlet.now_ns() - sent.observation.stamp_ns) / 1e6)
        self._outlet.show(sent)
        self.enter(PolicyStatus.RUNNING, sent.held or self._loop.complaint)

    def _wait(self, run: Run, reason: str) -> None:
        if reason != run.state:
            run.state = reason
            self.enter(PolicyStatus.WAITING, reason)

    def _on_silence(self, silence_s: float) -> None:
        self.stalled = True
        message = f'nothing heard of the policy for {silence_s:.1f} s: the arms are held'
        self._outlet.log_error(message)
        self.stop(RunPolicy.Result.ABORTED, message)
        self.enter(PolicyStatus.ERROR, message)
