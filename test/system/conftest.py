"""What tests of whole launches share: starting one, listening in, cleaning up."""

import contextlib
import os
import threading

import pytest

if os.environ.get('AIM_ROS_REQUIRE') != '1':
    pytest.importorskip('aim_ros.msg', reason='needs ROS 2 and the built messages')

import rclpy
from nodes import BIN, Launched, Listener, words
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor

from aim_ros.installation import transport
from aim_ros.msg import PolicyStatus
from aim_ros.ros_util import STATES


@pytest.fixture
def listener():
    """A node with a context of its own that spins in a thread."""
    context = rclpy.Context()
    rclpy.init(context=context)
    node = Listener(context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)

    def spin():
        with contextlib.suppress(ExternalShutdownException):
            executor.spin()

    thread = threading.Thread(target=spin, daemon=True)
    thread.start()
    yield node
    rclpy.shutdown(context=context)
    thread.join(5)
    node.destroy_node()


@pytest.fixture
def start():
    """Start a command; whatever is left of it is ended with the test."""
    started = []

    def start_one(*command, **environment):
        started.append(Launched(command, **environment))
        return started[-1]

    yield start_one
    for launched in started:
        launched.end()


@pytest.fixture
def evaluation(start, listener, tmp_path):
    """Evaluate a policy on its first episode, not before the listener hears the policy."""

    def evaluate(backend, checkpoint):
        listener.listen(PolicyStatus, '/policy/status', STATES)
        bridge = words(backend=backend)
        policy = words(checkpoint=checkpoint)
        evaluator = words(episodes=1, seed=1, results_dir=tmp_path)
        nodes = [start(str(BIN / 'bridge_node'), *bridge, **transport())]
        nodes.append(start(str(BIN / 'policy_node'), *policy, **transport()))
        listener.wait('/policy/status', lambda m: m.state == PolicyStatus.IDLE, timeout_s=90)
        return [*nodes, start(str(BIN / 'evaluator_node'), *evaluator, **transport())]

    return evaluate


@pytest.fixture
def sim_eval(start, tmp_path):
    """Start sim_eval.launch.py with launch arguments; results go to `tmp_path`."""

    def start_eval(**arguments):
        words = [f'{name}:={value}' for name, value in arguments.items()]
        words.append(f'results_dir:={tmp_path}')
        return start('ros2', 'launch', 'aim_ros', 'sim_eval.launch.py', *words)

    return start_eval
