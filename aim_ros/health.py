"""How the policy is doing, in numbers and words for `/diagnostics`. Knows no ROS message."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

from aim_ros.observer import NotReady, Observer
from aim_ros.permission import Permission
from aim_ros.streams import StreamReport
from aim_ros.trajectory import TrajectoryGate

_LATENCIES = 100
# Two clocks that are synchronised differ by less.
_AHEAD_S = 0.05


class Level(IntEnum):
    """Values of diagnostic_msgs/DiagnosticStatus.level."""

    OK = 0
    WARN = 1
    ERROR = 2


@dataclass(frozen=True)
class Component:
    """One line of the diagnostics."""

    name: str
    level: Level
    message: str
    values: Mapping[str, str] = field(default_factory=dict)


class Latencies:
    """The last inference times."""

    def __init__(self) -> None:
        self.count = 0
        self._values_ms: deque[float] = deque(maxlen=_LATENCIES)

    def add(self, value_ms: float) -> None:
        """Take note of one."""
        self.count += 1
        self._values_ms.append(value_ms)

    @property
    def last_ms(self) -> float:
        """The newest; 0 before there is one."""
        return self._values_ms[-1] if self._values_ms else 0.0

    def percentile_ms(self, percent: float) -> float:
        """What so many percent do not exceed; 0 before there is one."""
        return float(np.percentile(self._values_ms, percent)) if self._values_ms else 0.0


def of_streams(
    observer: Observer, now_ns: int | None, running: bool, incompatible: Mapping[str, str]
) -> Component:
    """Judge the sensors: what is missing is an error in a run, and a warning before it."""
    values = {'skew [ms]': f'{observer.skew_s * 1e3:.1f}', 'time jumps': str(observer.time_jumps)}
    ahead = ''
    for name, report in observer.report(now_ns).items():
        values.update({f'{name}: {key}': text for key, text in _figures(report).items()})
        if report.age_s < -_AHEAD_S:
            ahead = f'{name} is {-report.age_s:.2f} s in the future: do the clocks agree?'
    for topic, policy in incompatible.items():
        values[f'{topic}: incompatible QoS'] = policy
    found = observer.latest(now_ns)
    reason = found.reason if isinstance(found, NotReady) else ''
    if reason and (running or reason != 'no instruction yet'):
        return Component('streams', Level.ERROR if running else Level.WARN, reason, values)
    if incompatible:
        topics = ', '.join(incompatible)
        return Component('streams', Level.WARN, f'incompatible QoS on {topics}', values)
    return Component('streams', Level.WARN if ahead else Level.OK, ahead or 'all fresh', values)


def _figures(report: StreamReport) -> dict[str, str]:
    age = 'unknown' if math.isnan(report.age_s) else f'{report.age_s * 1e3:.0f}'
    return {
        'age [ms]': age,
        'rate [Hz]': f'{report.rate_hz:.1f}',
        'received': str(report.received),
        'duplicates': str(report.duplicates),
        'dropped': str(report.dropped),
        'refused': str(report.refused),
        'repeated pictures': str(report.repeated),
        'same picture for [s]': f'{report.frozen_s:.1f}',
        'last fault': report.fault,
    }


def of_inference(latencies: Latencies, complaint: str, lost_histories: int) -> Component:
    """Judge the policy's speed."""
    values = {
        'chunks': str(latencies.count),
        'last [ms]': f'{latencies.last_ms:.1f}',
        'p50 [ms]': f'{latencies.percentile_ms(50):.1f}',
        'p95 [ms]': f'{latencies.percentile_ms(95):.1f}',
        'histories that lost a key frame': str(lost_histories),
    }
    level = Level.WARN if complaint else Level.OK
    return Component('inference', level, complaint or 'fast enough', values)


def of_gate(gate: TrajectoryGate, refused_in_a_row: int) -> Component:
    """Judge what the policy wants."""
    values = {
        'admitted': str(gate.admitted),
        'rejected': str(gate.rejected),
        'clamped': str(gate.clamped),
        'approached slowly': str(gate.ramped),
        'last rejection': gate.reason,
    }
    if refused_in_a_row:
        return Component('gate', Level.ERROR, f'no motion: {gate.reason}', values)
    return Component('gate', Level.OK, 'chunks are safe', values)


def of_watchdog(trips: int, silence_s: float, stalled: bool) -> Component:
    """Judge whether the policy is alive."""
    values = {'trips': str(trips), 'silence [s]': f'{silence_s:.2f}'}
    if stalled:
        return Component('watchdog', Level.ERROR, 'the policy fell silent in the last run', values)
    return Component('watchdog', Level.OK, 'the policy is alive', values)


def of_control(permission: Permission) -> Component:
    """Say whether the arms may move."""
    values = {
        'active': str(permission.active),
        'control enabled': str(permission.control_enabled),
        'emergency stop': permission.estop_reason,
    }
    if permission.estop_reason:
        return Component('control', Level.ERROR, permission.refusal, values)
    if not permission.may_move:
        return Component('control', Level.WARN, permission.refusal or 'control is off', values)
    return Component('control', Level.OK, 'the arms may move', values)
