"""What a policy node says of itself: `~/status`, `~/heartbeat` and `/diagnostics`."""

from __future__ import annotations

from collections.abc import Iterator

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from std_msgs.msg import Header

from aim_ros import health
from aim_ros.mismatches import Mismatches
from aim_ros.msg import PolicyStatus
from aim_ros.observer import Observer
from aim_ros.permission import Permission
from aim_ros.policy_loop import PolicyLoop
from aim_ros.ros_util import HEARTBEAT, RELIABLE, STATES
from aim_ros.run_worker import RunWorker


class HealthTopics:
    """Publishes at a steady pace, whatever the clock of a simulator does."""

    def __init__(
        self,
        node: Node,
        observer: Observer,
        mismatches: Mismatches,
        permission: Permission,
        period_s: float,
    ) -> None:
        self._node, self._observer, self._mismatches = node, observer, mismatches
        self._permission = permission
        self._worker: RunWorker | None = None
        self._loop: PolicyLoop | None = None
        self._policy, self._lockstep, self._ticks = '', False, 0
        self._status = node.create_publisher(PolicyStatus, '~/status', STATES)
        self._heartbeat = node.create_publisher(Header, '~/heartbeat', HEARTBEAT)
        self._diagnostics = node.create_publisher(DiagnosticArray, '/diagnostics', RELIABLE)
        node.create_timer(period_s, self._tick, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def watch(self, worker: RunWorker, loop: PolicyLoop, policy: str, lockstep: bool) -> None:
        """Tell of a worker from now on."""
        self._worker, self._loop = worker, loop
        self._policy, self._lockstep = policy, lockstep

    def tell(self) -> None:
        """Publish the state now."""
        worker, message = self._worker, PolicyStatus(state=PolicyStatus.INACTIVE)
        message.header.stamp = self._node.get_clock().now().to_msg()
        message.control_enabled = self._permission.control_enabled
        message.estopped = bool(self._permission.estop_reason)
        message.policy = self._policy
        self._tell_of_streams(message)
        if worker and self._loop:
            message.state, message.reason = worker.state, worker.reason
            message.queue = self._loop.steps_ahead(self._now_ns())
            self._tell_of_run(message, worker)
        self._status.publish(message)

    def _now_ns(self) -> int:
        return self._node.get_clock().now().nanoseconds

    def _tell_of_run(self, message: PolicyStatus, worker: RunWorker) -> None:
        if worker.run:
            message.chunks = worker.run.chunks
            message.rejected_chunks = worker.run.rejected_chunks
            message.inference_ms = worker.run.inference_ms
        message.inference_p50_ms = worker.latencies.percentile_ms(50)
        message.inference_p95_ms = worker.latencies.percentile_ms(95)
        message.observation_age_ms = worker.age_ms

    def _tell_of_streams(self, message: PolicyStatus) -> None:
        message.skew_ms = self._observer.skew_s * 1e3
        message.time_jumps = self._observer.time_jumps
        for name, report in self._observer.report(self._now_ns()).items():
            message.streams.append(name)
            message.rate_hz.append(report.rate_hz)
            message.age_ms.append(report.age_s * 1e3)
            message.received.append(report.received)
            message.dropped.append(report.dropped + report.duplicates)
            message.refused.append(report.refused)
            message.repeated.append(report.repeated)

    def _tick(self) -> None:
        self.tell()
        worker = self._worker
        if worker is None or not worker.stalled:
            stamp = self._node.get_clock().now().to_msg()
            self._heartbeat.publish(Header(stamp=stamp, frame_id=self._node.get_name()))
        self._ticks += 1
        if self._ticks % 2 == 0:
            self.diagnose()

    def diagnose(self) -> None:
        """Publish the diagnostics now."""
        array = DiagnosticArray()
        array.header.stamp = self._node.get_clock().now().to_msg()
        name = self._node.get_fully_qualified_name().lstrip('/')
        array.status = [_message(name, component) for component in self._components()]
        self._diagnostics.publish(array)

    def _components(self) -> Iterator[health.Component]:
        worker, loop = self._worker, self._loop
        running = worker is not None and worker.running
        now_ns = None if self._lockstep else self._now_ns()
        yield health.of_streams(self._observer, now_ns, running, self._mismatches.policies)
        yield health.of_control(self._permission)
        if worker and loop:
            yield health.of_inference(worker.latencies, loop.complaint, loop.key_frames.lost)
            yield health.of_gate(loop.gate, worker.refused)
            dog = worker.watchdog
            yield health.of_watchdog(dog.trips, dog.silence_s, worker.stalled)


def _message(node: str, component: health.Component) -> DiagnosticStatus:
    return DiagnosticStatus(
        name=f'{node}: {component.name}',
        hardware_id=node,
        level=bytes([component.level]),
        message=component.message,
        values=[KeyValue(key=key, value=value) for key, value in component.values.items()],
    )
