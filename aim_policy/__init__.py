"""AIM policy: camera images and joints in, a chunk of joint targets and value maps out.

Neither ROS nor a simulator is imported here, and importing this package loads no torch: the
network comes with `aim_policy.policy`, which only programs that run or train a model import.
"""

from aim_policy.config import ConfigError
from aim_policy.interface import ActionChunk, Observation, Policy, PolicyOutput, ValueMaps
from aim_policy.robot import RobotSpec, load_robot

__all__ = [
    'ActionChunk',
    'ConfigError',
    'Observation',
    'Policy',
    'PolicyOutput',
    'RobotSpec',
    'ValueMaps',
    'load_robot',
]
