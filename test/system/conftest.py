"""What tests of whole launches share: starting one, listening in, cleaning up."""

import contextlib
import os
import signal
import subprocess
import threading
import time

import pytest

if os.environ.get('AIM_ROS_REQUIRE') != '1':
    pytest.importorskip('aim_ros.msg', reason='needs ROS 2 and the built messages')

import rclpy
from rclpy.action import ActionClient
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node


class Listener(Node):
    """Collects messages of topics in the background."""

    def __init__(self, context):
        super().__init__('listener', context=context)
        self.received = {}
        self._changed = threading.Condition()

    def listen(self, message_type, topic, qos=10):
        self.received[topic] = []
        self.create_subscription(
            message_type, topic, lambda message: self._store(topic, message), qos
        )

    def action_client(self, action_type, name, timeout_s=20.0):
        """Make a client in the executor's thread; rclpy announces them before they are ready."""
        task = self.executor.create_task(lambda: ActionClient(self, action_type, name))
        end = time.monotonic() + timeout_s
        while not task.done() and time.monotonic() < end:
            time.sleep(0.01)
        assert task.result().wait_for_server(timeout_s)
        return task.result()

    def _store(self, topic, message):
        with self._changed:
            self.received[topic].append(message)
            self._changed.notify_all()

    def wait(self, topic, accept=lambda message: True, timeout_s=30.0, after=0):
        """Return the first message of a topic that is accepted, past ones included.

        The first `after` messages are left out.
        """
        end, seen = time.monotonic() + timeout_s, after
        with self._changed:
            while time.monotonic() < end:
                for message in self.received[topic][seen:]:
                    seen += 1
                    if accept(message):
                        return message
                self._changed.wait(0.1)
        raise AssertionError(f'{topic}: none of {seen} messages was accepted in {timeout_s} s')


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


class Launched:
    """A process in a group of its own, with its output."""

    def __init__(self, command, **environment):
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            env={**os.environ, 'PYTHONUNBUFFERED': '1', **environment},
        )
        self.output = ''
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        for line in self.process.stdout:
            self.output += line

    def wait_for(self, text, timeout_s=60.0):
        end = time.monotonic() + timeout_s
        while text not in self.output:
            assert time.monotonic() < end, f'"{text}" did not appear in:\n{self.output}'
            time.sleep(0.05)

    def wait(self, timeout_s=120.0):
        code = self.process.wait(timeout_s)
        self._thread.join(5)
        return code

    def members(self):
        """Return pid -> command line of what still runs in the group."""
        found = {}
        for pid in filter(str.isdigit, os.listdir('/proc')):
            try:
                if os.getpgid(int(pid)) == self.process.pid:
                    with open(f'/proc/{pid}/cmdline', 'rb') as file:
                        found[int(pid)] = file.read().replace(b'\0', b' ').decode()
            except (ProcessLookupError, FileNotFoundError):
                continue
        return {pid: line for pid, line in found.items() if line}

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)


@pytest.fixture
def start():
    """Start a command; whatever is left of it is killed at the end of the test."""
    started = []

    def start_one(*command, **environment):
        started.append(Launched(command, **environment))
        return started[-1]

    yield start_one
    for launched in started:
        launched.kill()


@pytest.fixture
def sim_eval(start, tmp_path):
    """Start sim_eval.launch.py with launch arguments; results go to `tmp_path`."""

    def start_eval(**arguments):
        words = [f'{name}:={value}' for name, value in arguments.items()]
        words.append(f'results_dir:={tmp_path}')
        return start('ros2', 'launch', 'aim_ros', 'sim_eval.launch.py', *words)

    return start_eval
