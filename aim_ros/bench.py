"""`python -m aim_ros.bench`: how much of a policy step goes into ROS, between two processes."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from aim_policy.config import ConfigError
from aim_ros.processes import answer, running

LIMIT_MS = 10.0


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog='python -m aim_ros.bench', description=__doc__)
    parser.add_argument('--steps', type=int, default=200, help='observations to send')
    parser.add_argument('--robot', default='aloha_agilex')
    options = parser.parse_args(argv)
    try:
        figures = measure(options.robot, options.steps)
    except ConfigError as error:
        print(f'aim_ros.bench: {error}', file=sys.stderr)
        return 2
    total, sending = figures['total_ms'], figures['sending_ms']
    word = 'within' if total <= LIMIT_MS else 'BEYOND'
    print(
        f'{figures["cameras"]} cameras, observation to trajectories, ms per policy step (median):'
    )
    print(f'  convert and publish           {sending:8.2f}')
    print(f'  receive, match, gate, answer  {total - sending:8.2f}')
    print(f'  ROS in all                    {total:8.2f}  ({word} the limit of {LIMIT_MS:.0f} ms)')
    print(f'  computed by both processes    {figures["cpu_ms"]:8.2f}  (whatever else runs here)')
    print(f'  observations sent again       {figures["lost"]:8.0f}')
    return 0


def measure(robot: str, steps: int) -> dict[str, float]:
    """Return what `bench_node` measured against a policy that holds still and takes no time."""
    policy = running(
        'policy_node', policy='hold', robot=robot, safety__execute_steps=1, sync__max_frozen_s=0.0
    )
    with policy as process:
        return json.loads(answer('bench_node', robot=robot, steps=steps, policy_pid=process.pid))


if __name__ == '__main__':
    sys.exit(main())
