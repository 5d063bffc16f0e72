"""`python -m sim_bridge.bench`: policy steps per second, bare and over ROS topics, in one run."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from aim_policy.robot import RobotSpec, load_robot
from sim_bridge.backend import BACKENDS, make_backend
from sim_bridge.controller import TrajectoryCommand
from sim_bridge.sim_loop import SimLoop

TASK, SEED, CHUNK = 'click_bell', 100_000, 8
LEAST_SHARE = 0.7


def main(argv: list[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--backend', choices=sorted(BACKENDS), default='builtin')
    parser.add_argument('--robot', default='aloha_agilex')
    parser.add_argument('--steps', type=int, default=200, help='policy steps of the bare loop')
    arguments = parser.parse_args(argv)
    robot = load_robot(arguments.robot)
    loop = SimLoop(make_backend(arguments.backend, robot))
    physics = rate(loop, arguments.steps, loop.advance)

    def step_and_look() -> None:
        loop.advance()
        loop.snapshot()

    bare = rate(loop, arguments.steps, step_and_look)
    ros = rate_over_ros(arguments.backend)
    speed = physics * robot.dt_s
    print(f'{arguments.backend}, {len(robot.cameras)} cameras, lockstep, policy steps per second:')
    print(f'  physics and controllers only  {physics:8.1f}  ({speed:.0f} x real time)')
    print(f'  with pictures, bare loop      {bare:8.1f}  ({1e3 / bare:.1f} ms per step)')
    word = 'within' if ros >= LEAST_SHARE * bare else 'BEYOND'
    share = f'{ros / bare:.0%} of the bare loop, {word} the limit of {LEAST_SHARE:.0%}'
    print(f'  the same over ROS topics      {ros:8.1f}  ({share})')
    return 0


def rate(loop: SimLoop, steps: int, step: Callable[[], object]) -> float:
    """Return steps per second while both arms hold still, chunk by chunk."""
    loop.reset(TASK, SEED, 'easy')
    loop.snapshot()
    begin_s = time.perf_counter()
    for number in range(steps):
        if number % CHUNK == 0:
            hold(loop, loop.robot)
        step()
    return steps / (time.perf_counter() - begin_s)


def hold(loop: SimLoop, robot: RobotSpec) -> None:
    """Send every arm a chunk that keeps it at home."""
    joints = np.tile(robot.to_joints(robot.home), (CHUNK, 1))
    times = np.arange(1, CHUNK + 1) * robot.dt_ns
    for arm in robot.arms:
        rows = joints[:, robot.columns(arm.name)]
        loop.command(arm.name, TrajectoryCommand.from_arrays(arm.joint_names, rows, times))


def rate_over_ros(backend: str) -> float:
    """Return steps per second of an evaluation that holds still."""
    with tempfile.TemporaryDirectory() as folder:
        command = ['ros2', 'launch', 'aim_ros', 'sim_eval.launch.py', 'policy:=hold']
        command += [
            f'task:={TASK}',
            f'backend:={backend}',
            'episodes:=1',
            f'results_dir:={folder}',
        ]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        (path,) = Path(folder).glob('*/results.json')
        episode = json.loads(path.read_text())['episodes'][0]
    return episode['steps'] / episode['wall_s']


if __name__ == '__main__':
    sys.exit(main())
