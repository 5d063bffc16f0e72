"""What decides the result of a Stage I run, as data."""

from __future__ import annotations

from dataclasses import dataclass, field

from aim_policy.augment import AugmentConfig
from aim_policy.config import ConfigError, unknown_name
from aim_policy.losses import LossConfig
from aim_policy.optimiser import OptimiserConfig
from aim_policy.stage1 import NoiseConfig

PRECISIONS = ('float32', 'bfloat16')


@dataclass(frozen=True)
class Stage1Config:
    """A run; `config/train/*.yaml` hold worked ones."""

    model: str = 'aim_tiny'  # YAML under config/model, or a path
    model_changes: tuple[str, ...] = ()  # key=value, entries of the model's YAML to replace
    robot: str = 'aloha_agilex'
    tasks: tuple[str, ...] = ()  # to learn; empty for all that the data hold
    steps: int = 10_000
    batch: int = 64  # clips per step, over all processes
    action_only_steps: int = 0  # at the start, in which a learns from what is observed alone
    seed: int = 0
    shares: dict[str, float] = field(default_factory=dict)  # of tasks and settings; else 1
    near_event: float = 2.0  # how much more often moments around a contact are drawn
    precision: str = 'float32'  # of the passes; bfloat16 only where the device is fast in it
    validate_every: int = 1000
    validate_clips: int = 256
    save_every: int = 500
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    losses: LossConfig = field(default_factory=LossConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)

    def __post_init__(self) -> None:
        for name in ('steps', 'batch', 'validate_every', 'validate_clips', 'save_every'):
            if getattr(self, name) < 1:
                raise ConfigError(f'{name} is {getattr(self, name)}, expected 1 or more')
        for name, share in self.shares.items():
            if not share > 0:
                raise ConfigError(f'shares.{name} is {share}, expected a positive number')
        if self.precision not in PRECISIONS:
            raise unknown_name('precision', self.precision, PRECISIONS)
