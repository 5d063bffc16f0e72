"""Waits for answers of other nodes, for programs whose callbacks run in another thread."""

from __future__ import annotations

import threading
import time

from rcl_interfaces.srv import ListParameters
from rclpy.action import ActionClient
from rclpy.action.client import ClientGoalHandle
from rclpy.node import Node
from rclpy.task import Future

from aim_policy.config import ConfigError
from aim_ros.action import RunPolicy

RETRY_S, ASK_AGAIN_S = 0.1, 1.0


def is_done(node: Node, future: Future, timeout_s: float) -> bool:
    """Wait for an answer to a node; False if there was none in time.

    Raises:
        KeyboardInterrupt: ROS was shut down, nobody will answer.
    """
    done = threading.Event()
    future.add_done_callback(lambda _: done.set())
    end_s = time.monotonic() + timeout_s
    while not done.wait(0.1):
        if not node.context.ok():
            raise KeyboardInterrupt
        if time.monotonic() > end_s:
            return False
    return True


def meet(node: Node, other: str, timeout_s: float) -> bool:
    """Wait until another node has discovered this one; False if it has not in time.

    Before, its answers are lost. Clients that were made before this one are then known, too.

    Raises:
        KeyboardInterrupt: ROS was shut down.
    """
    client = node.create_client(ListParameters, f'{other}/list_parameters')
    end_s = time.monotonic() + timeout_s
    while time.monotonic() < end_s:
        asked = client.service_is_ready()
        if asked and is_done(node, client.call_async(ListParameters.Request()), ASK_AGAIN_S):
            return True
        if not node.context.ok():
            raise KeyboardInterrupt
        time.sleep(RETRY_S)
    return False


def start_run(node: Node, client: ActionClient, timeout_s: float) -> ClientGoalHandle:
    """Begin a run of the node `policy`, as soon as that is active.

    Raises:
        ConfigError: it did not become active in time.
    """
    end_s = time.monotonic() + timeout_s
    while meet(node, 'policy', timeout_s) and time.monotonic() < end_s:
        if not client.wait_for_server(RETRY_S):
            continue
        future = client.send_goal_async(RunPolicy.Goal(instruction='stay where you are'))
        if is_done(node, future, timeout_s) and future.result().accepted:
            return future.result()
        time.sleep(RETRY_S)
    raise ConfigError(f'no policy node took a run in {timeout_s:.0f} s')
