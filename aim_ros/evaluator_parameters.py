"""Settings of the evaluator."""

from __future__ import annotations

from dataclasses import dataclass

from aim_policy.config import ConfigError
from aim_ros.options import option
from sim_bridge.backend import check_setting, wording_of


@dataclass(frozen=True)
class EvaluatorParameters:
    """Parameters of the node."""

    task: str = option('click_bell', 'task name, or all')
    setting: str = option('easy', 'difficulty of the scenes')
    episodes: int = option(3, 'episodes per task')
    seed: int = option(0, 'episodes use scene seeds from 100000 x (1 + seed) upwards')
    instruction: str = option('auto', 'wording: seen, unseen, or auto (unseen if hard)')
    policy: str = option('aim', 'name of the policy, for the results')
    policy_node: str = option('policy', 'node whose ~/run action is evaluated')
    recorder: str = option('', 'node that must hear the robot before the first episode')
    robot: str = option('aloha_agilex', 'YAML under config/robot, or a path')
    record: bool = option(False, 'write a video per episode')
    results_dir: str = option('results', 'a new folder is made in it')
    start_timeout_s: float = option(120.0, 'wall time for the other nodes to appear')
    episode_timeout_s: float = option(600.0, 'wall time after which an episode counts as failed')

    def __post_init__(self) -> None:
        check_setting(self.setting)
        wording_of(self.setting, self.instruction)
        if self.seed < 0:
            raise ConfigError(f'seed is {self.seed}, expected 0 or more')
        if self.episodes < 1:
            raise ConfigError(f'episodes is {self.episodes}, expected at least 1')
