"""How weights move: Muon for the matrices of the layers, AdamW for the rest, and the schedule."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from aim_policy.config import ConfigError, unknown_name
from aim_policy.muon import Muon

KINDS = ('muon', 'adamw')


@dataclass(frozen=True)
class OptimiserConfig:
    """Rates and their schedule: a linear warm-up, then constant, then a linear decay."""

    kind: str = 'adamw'  # or muon: AdamW for the matrices of the layers replaced by Muon
    rate: float = 1e-4
    muon_rate: float = 2e-3
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 0.1
    warm_up: int = 500  # steps
    decay_from: float = 1.0  # share of the run after which the rate falls
    final_rate: float = 0.03  # share of the rate that is left at the end
    clip: float = 1.0  # longest gradient
    ema: float = 0.999

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise unknown_name('optimiser', self.kind, KINDS)
        for name in ('rate', 'muon_rate', 'clip'):
            if not getattr(self, name) > 0:
                raise ConfigError(f'{name} is {getattr(self, name)}, expected more than 0')
        for name in ('decay_from', 'final_rate', 'ema'):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f'{name} is {getattr(self, name)}, expected 0 to 1')

    def share_at(self, step: int, steps: int) -> float:
        """Share of the full rate for a step of a run of `steps`."""
        warm = min(1.0, (step + 1) / max(self.warm_up, 1))
        begin = self.decay_from * steps
        if step < begin:
            return warm
        left = (steps - step) / max(steps - begin, 1)
        return warm * (self.final_rate + (1 - self.final_rate) * left)


class Optimiser:
    """Steps all parameters of a module, and keeps their moving average.

    Attributes:
        average: parameter name -> its moving average.
    """

    def __init__(self, module: nn.Module, config: OptimiserConfig) -> None:
        self.config = config
        self.parameters = dict(module.named_parameters())
        self.average = {n: p.detach().clone() for n, p in self.parameters.items()}
        self.parts = dict(self._parts())

    def _parts(self) -> Iterable[tuple[str, torch.optim.Optimizer]]:
        config, muon = self.config, {}
        if config.kind == 'muon':
            muon = {n: p for n, p in self.parameters.items() if '.layers.' in n and is_matrix(n)}
            yield 'muon', Muon(muon.values(), config.muon_rate, config.weight_decay)
        others = [p for n, p in self.parameters.items() if n not in muon]
        yield (
            'adamw',
            torch.optim.AdamW(
                others, lr=config.rate, betas=config.betas, weight_decay=config.weight_decay
            ),
        )

    def step(self, number: int, steps: int) -> Tensor:
        """Clip, step, average and clear the gradients; returns the gradient's length."""
        length = nn.utils.clip_grad_norm_(self.parameters.values(), self.config.clip)
        rates = {'muon': self.config.muon_rate, 'adamw': self.config.rate}
        for name, part in self.parts.items():
            for group in part.param_groups:
                group['lr'] = rates[name] * self.config.share_at(number, steps)
            part.step()
            part.zero_grad(set_to_none=True)
        decay = min(self.config.ema, (1 + number) / (10 + number))
        pairs = list(self.average.values()), [p.detach() for p in self.parameters.values()]
        torch._foreach_lerp_(*pairs, 1 - decay)
        return length

    def state(self) -> dict[str, Tensor]:
        """All that a continued run needs besides the weights, by name."""
        names = {parameter: name for name, parameter in self.parameters.items()}
        result = {f'average/{name}': tensor for name, tensor in self.average.items()}
        for part in self.parts.values():
            for parameter, entries in part.state.items():
                for key, value in entries.items():
                    result[f'{key}/{names[parameter]}'] = value
        return result

    def load(self, state: dict[str, Tensor]) -> None:
        """Take over what `state` gave."""
        owner = {
            id(p): part for part in self.parts.values() for g in part.param_groups
            for p in g['params']
        }  # fmt: skip
        for path, tensor in state.items():
            key, name = path.split('/', 1)
            parameter = self.parameters[name]
            if key == 'average':
                self.average[name].copy_(tensor)
            else:
                owner[id(parameter)].state[parameter][key] = tensor


def is_matrix(name: str) -> bool:
    """Whether a parameter of a layer is a matrix between hidden vectors."""
    return name.endswith('.weight') and '.norm' not in name
