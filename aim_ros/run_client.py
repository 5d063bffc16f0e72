"""Lets a policy node drive, for programs that watch it."""

from __future__ import annotations

import threading
import time

from rclpy.action import ActionClient
from rclpy.action.client import ClientGoalHandle

from aim_policy.config import ConfigError
from aim_ros.action import RunPolicy

RETRY_S = 0.2


def start_run(client: ActionClient, timeout_s: float) -> ClientGoalHandle:
    """Begin a run, as soon as the node is active; callbacks run in other threads.

    Raises:
        ConfigError: it did not become active in time.
    """
    end_s = time.monotonic() + timeout_s
    while time.monotonic() < end_s:
        if not client.wait_for_server(RETRY_S):
            continue
        answered = threading.Event()
        future = client.send_goal_async(RunPolicy.Goal(instruction='stay where you are'))
        future.add_done_callback(lambda _, answered=answered: answered.set())
        if answered.wait(timeout_s) and future.result().accepted:
            return future.result()
        time.sleep(RETRY_S)
    raise ConfigError(f'no policy node took a run in {timeout_s:.0f} s')
