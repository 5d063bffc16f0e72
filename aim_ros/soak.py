"""`python -m aim_ros.soak --minutes 30`: does a slow policy disturb the nodes, do they leak?

Runs bridge (fake, realtime) and policy node with a policy that takes 300 ms, and watches them
from a third process. Ends with 1 if a limit was missed.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np

from aim_policy.config import ConfigError
from aim_policy.robot import load_robot
from aim_ros.processes import answer, resident_bytes, running

SAMPLE_S = 0.5
GROWTH_LIMIT, TICK_LIMIT_MS = 0.05, 10.0
SETTLED = 0.3
"""Share of the run after which memory should not grow."""


class Memory:
    """Samples what processes hold, in a thread."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = pids
        self.samples: dict[str, list[int]] = {name: [] for name in pids}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True, name='memory')

    @contextmanager
    def sampled(self) -> Iterator[None]:
        """Sample during the block."""
        self._thread.start()
        try:
            yield
        finally:
            self._ended.set()
            self._thread.join()

    def _sample(self) -> None:
        while not self._ended.wait(SAMPLE_S):
            for name, pid in self._pids.items():
                self.samples[name].append(resident_bytes(pid))


def growth(samples: Sequence[int]) -> float:
    """Return by which share memory grew from when it had settled to the end."""
    count = max(len(samples) // 10, 1)
    settled = int(len(samples) * SETTLED)
    begin, end = np.median(samples[settled : settled + count]), np.median(samples[-count:])
    return float(end / begin - 1) if begin else float('inf')


def lost(times_s: np.ndarray, period_s: float) -> float:
    """Return how many of a periodic message did not arrive; a late one is none of them."""
    if len(times_s) < 2:
        return np.inf
    expected = round((times_s[-1] - times_s[0]) / period_s) + 1
    return float(max(0, expected - len(times_s)))


def evenness(name: str, times_s: np.ndarray, period_s: float) -> dict[str, float]:
    """Return how far intervals are from their period: median, 99 % and most."""
    if len(times_s) < 2:
        return {f'{name}_p50_ms': np.inf, f'{name}_p99_ms': np.inf, f'{name}_max_ms': np.inf}
    off_ms = np.abs(np.diff(times_s) - period_s) * 1e3
    p50, p99 = np.percentile(off_ms, [50, 99])
    return {
        f'{name}_p50_ms': float(p50),
        f'{name}_p99_ms': float(p99),
        f'{name}_max_ms': float(off_ms.max()),
    }


def faults(figures: Mapping[str, float], grown: Mapping[str, float]) -> list[str]:
    """Say which limits were missed."""
    found = [
        f'memory of {name} changed by {share:.1%}, at most {GROWTH_LIMIT:.0%} allowed'
        for name, share in grown.items()
        if not abs(share) <= GROWTH_LIMIT
    ]
    if figures['lost_heartbeats']:
        found.append(f'{figures["lost_heartbeats"]:.0f} heartbeats were lost, none allowed')
    if not figures['tick_p99_ms'] <= TICK_LIMIT_MS:
        late = f'{figures["tick_p99_ms"]:.1f} ms, at most {TICK_LIMIT_MS:.0f} ms allowed'
        found.append(f'99 % of the control ticks are off by up to {late}')
    if not figures['chunks']:
        found.append('the policy sent no chunk')
    return found


def soak(robot_name: str, minutes: float) -> tuple[dict[str, float], dict[str, float]]:
    """Return what the watching node measured, and how each process grew."""
    robot = load_robot(robot_name)
    common = {'robot': robot_name}
    bridge = running(
        'bridge_node',
        backend='fake',
        execution='realtime',
        task='click_bell',
        judge=False,
        **common,
    )
    policy = running(
        'policy_node',
        policy='slow',
        execution='realtime',
        status_period_s=robot.dt_s,
        use_sim_time=True,
        safety__velocities='finite_difference',
        sync__max_frozen_s=0.0,  # the fake world looks the same while nothing moves
        **common,
    )
    with bridge as simulator, policy as driver:
        memory = Memory({'sim_bridge': simulator.pid, 'policy': driver.pid})
        with memory.sampled():
            figures = json.loads(answer('soak_node', seconds=minutes * 60, **common))
    return figures, {name: growth(values) for name, values in memory.samples.items()}


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog='python -m aim_ros.soak', description=__doc__)
    parser.add_argument('--minutes', type=float, default=30.0)
    parser.add_argument('--robot', default='aloha_agilex')
    options = parser.parse_args(argv)
    try:
        figures, grown = soak(options.robot, options.minutes)
    except ConfigError as error:
        print(f'aim_ros.soak: {error}', file=sys.stderr)
        return 2
    print(f'{options.minutes:g} minutes, fake world in realtime, policy of 300 ms:')
    for name, value in figures.items():
        print(f'  {name:<22}{value:10.2f}')
    for name, share in grown.items():
        print(f'  {f"memory of {name}":<22}{share:+10.2%}')
    found = faults(figures, grown)
    print('\n'.join(found) if found else 'all within limits')
    return 1 if found else 0


if __name__ == '__main__':
    sys.exit(main())
