"""What tests of whole nodes share: listening in, starting processes, waiting for answers."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

from ament_index_python.packages import get_package_prefix
from rclpy.action import ActionClient
from rclpy.node import Node, NodeNameNonExistentError

from aim_ros.answers import meet

BIN = Path(get_package_prefix('aim_ros')) / 'lib' / 'aim_ros'


def words(**parameters):
    """Return parameters as a node takes them."""
    return ['--ros-args', *(w for k, v in parameters.items() for w in ('-p', f'{k}:={v}'))]


def done(future, timeout_s=20.0):
    """Return the result of a future that another thread completes."""
    event = threading.Event()
    future.add_done_callback(lambda _: event.set())
    assert event.wait(timeout_s), 'no answer'
    return future.result()


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

    def call(self, kind, name, **fields):
        """Return the answer of a service of a node, which has to know us first."""
        client = self.create_client(kind, name)
        assert client.wait_for_service(30)
        assert meet(self, name.rpartition('/')[0] or 'sim_bridge', 30.0)
        return client.call(kind.Request(**fields), 30.0)

    def action_client(self, action_type, name, node, timeout_s=20.0):
        """Make a client that its server has discovered, too.

        It is made in the executor's thread: rclpy announces clients before they are ready.
        """
        task = self.executor.create_task(lambda: ActionClient(self, action_type, name))
        end = time.monotonic() + timeout_s
        while not task.done() and time.monotonic() < end:
            time.sleep(0.01)
        assert task.done()
        assert task.result().wait_for_server(timeout_s)
        assert meet(self, node, timeout_s)
        return task.result()

    def topics_of(self, node, expected, timeout_s=20.0):
        """Topics that a node listens to, when what is expected is there and nothing more comes.

        The graph of nodes may come later than their messages and services do, and bit by bit.
        """
        found, before, end = set(), None, time.monotonic() + timeout_s
        while not (expected <= found and found == before) and time.monotonic() < end:
            time.sleep(0.5)
            before = found
            with contextlib.suppress(NodeNameNonExistentError):
                found = {
                    name for name, _ in self.get_subscriber_names_and_types_by_node(node, '/')
                }
        return found

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

    def end(self):
        """End it as a person would; what then still runs is killed."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        self.kill()

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)
