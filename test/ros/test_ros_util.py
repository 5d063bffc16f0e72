"""How a node ends: at rest, and with the right exit code."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.ros

PROGRAM = """
import sys, time
import rclpy
from rclpy.node import Node
from aim_ros.ros_util import run_node

class Restless(Node):
    def __init__(self):
        super().__init__('restless')
        self.create_timer(0.05, self.on_time)

    def on_time(self):
        {on_time}

    def work(self):
        while rclpy.ok():
            time.sleep(0.05)

    def stop(self):
        print('stopped with topics:', rclpy.ok(), flush=True)

sys.exit(run_node(Restless, interrupted=130, stops=True))
"""


@pytest.mark.parametrize(
    ('on_time', 'code'),
    [
        ("raise RuntimeError('a callback breaks')", 1),
        ('import os, signal; os.kill(os.getpid(), signal.SIGTERM)', 130),
    ],
)
def test_a_node_comes_to_rest_before_its_topics_are_taken_away(tmp_path, on_time, code):
    program = tmp_path / 'restless.py'
    program.write_text(PROGRAM.format(on_time=on_time))
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == ['stopped with topics: True']
    assert done.returncode == code, done.stderr
