import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(code):
    return subprocess.run(
        [sys.executable, '-c', code],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    ).stdout.strip()


def test_importing_the_package_loads_neither_torch_nor_ros_nor_a_simulator():
    code = 'import aim_policy, aim_policy.registry, aim_policy.baseline, sys; '
    code += 'print({"torch", "rclpy", "sapien"} & set(sys.modules) or "none")'
    assert run(code) == 'none'


def test_everything_imports_where_ros_and_simulator_are_missing():
    code = """
import importlib, pkgutil, sys
sys.modules.update(rclpy=None, sapien=None, sensor_msgs=None, trajectory_msgs=None)
import aim_policy
for module in pkgutil.walk_packages(aim_policy.__path__, 'aim_policy.'):
    importlib.import_module(module.name)
print('aim_policy.policy' in sys.modules)
"""
    assert run(code) == 'True'


def test_importing_a_policy_leaves_threads_and_randomness_alone():
    code = """
import torch
before = torch.get_num_threads(), torch.initial_seed()
import aim_policy.policy
print((torch.get_num_threads(), torch.initial_seed()) == before)
"""
    assert run(code) == 'True'
