"""Policies by name, imported on use: naming one loads no torch."""

from __future__ import annotations

from importlib import import_module

from aim_policy.config import unknown_name
from aim_policy.interface import Policy
from aim_policy.robot import RobotSpec

FACTORIES = {
    'aim': 'aim_policy.policy:make_aim',
    'hold': 'aim_policy.baseline:make_hold',
    'slow': 'aim_policy.slow:make_slow',
}

POLICIES = tuple(FACTORIES)
"""Names that `make_policy` knows."""


def make_policy(
    name: str, robot: RobotSpec, checkpoint: str = '', device: str = 'cpu', preset: str = ''
) -> Policy:
    """Build a policy.

    Args:
        name: one of `POLICIES`.
        robot: what it is to drive.
        checkpoint: folder of weights, '' for the policy's default.
        device: torch device, for policies that compute on one.
        preset: how many steps to imagine and act in, '' for the policy's default.

    Raises:
        ConfigError: no such policy, or one that cannot be built for this robot.
    """
    if name not in FACTORIES:
        raise unknown_name('policy', name, FACTORIES)
    module, factory = FACTORIES[name].split(':')
    return getattr(import_module(module), factory)(robot, checkpoint, device, preset)
