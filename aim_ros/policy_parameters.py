"""Settings of the policy node, beside those of the observer, the gate and the chunks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aim_policy.config import ConfigError, load_yaml
from aim_policy.interface import EXECUTIONS
from aim_policy.robot import share_dir
from aim_ros.options import check_options, option


@dataclass(frozen=True)
class PolicyParameters:
    """Parameters without a prefix."""

    policy: str = option('aim', 'who drives: aim or hold')
    checkpoint: str = option('', 'folder; empty: models/aim_tiny')
    device: str = option('cpu', 'torch device')
    robot: str = option('aloha_agilex', 'YAML under config/robot, or a path')
    execution: str = option(
        'lockstep', 'lockstep: time stands still between chunks; or realtime', choices=EXECUTIONS
    )
    preset: str = option('', 'how many steps the policy imagines and acts in; empty: its own')
    autostart: bool = option(True, 'configure and activate at start; else wait for a manager')
    enable_control: bool = option(
        True, 'send trajectories from the start; else chunks are only shown until ~/enable_control'
    )
    max_rejected_chunks: int = option(
        5, 'abort the run after this many refused chunks in a row', low=1, high=1000
    )
    stall_timeout_s: float = option(
        30.0, 'abort if no sensor moved for this long after a chunk', low=0.1, high=3600.0
    )
    watchdog_timeout_s: float = option(
        3.0,
        'realtime: hold the arms and abort if nothing is heard of the policy for this long, by a '
        'clock that no simulator stops',
        low=0.05,
        high=600.0,
    )
    status_period_s: float = option(
        0.5, 'of ~/status and ~/heartbeat; /diagnostics come half as often', low=0.05, high=10.0
    )

    def __post_init__(self) -> None:
        check_options(self)


def node_parameters(prefix: str) -> dict[str, Any]:
    """Return the policy node's parameters with a prefix, without it, from its YAML.

    An empty prefix gives those that have none.

    Raises:
        ConfigError: the file has no such node.
    """
    path = share_dir() / 'config' / 'ros' / 'params.yaml'
    try:
        values = load_yaml(path)['/**/policy']['ros__parameters']
    except (KeyError, TypeError) as error:
        raise ConfigError(f'{path}: "/**/policy: ros__parameters:" is missing') from error
    own = (name for name in values if name.startswith(prefix) and ('.' in name) == bool(prefix))
    return {name.removeprefix(prefix): values[name] for name in own}
