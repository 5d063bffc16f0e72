"""Muon (Jordan et al. 2024): momentum made orthogonal, for the matrices of hidden layers.

torch's own one always computes in bfloat16, which a CPU without instructions for it does a hundred
times slower than float32: most of a training step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn

NEWTON_SCHULZ = 3.4445, -4.7750, 2.0315
ROUNDS = 5
TINY = 1e-7


def fast_type(device: torch.device) -> torch.dtype:
    """The shorter type of float that a device multiplies matrices in at full speed."""
    if device.type == 'cpu' and 'AVX512' not in torch.backends.cpu.get_cpu_capability():
        return torch.float32
    return torch.bfloat16


class Muon(torch.optim.Optimizer):
    """Rates as of AdamW fit: updates are scaled to its size (Liu et al., arXiv 2502.16982)."""

    def __init__(
        self, parameters: Iterable[nn.Parameter], lr: float, weight_decay: float,
        momentum: float = 0.95,
    ) -> None:  # fmt: skip
        """Take matrices and their rate."""
        defaults = {'lr': lr, 'weight_decay': weight_decay, 'momentum': momentum}
        super().__init__(parameters, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:
        """Move every matrix that has a gradient."""
        assert closure is None
        for group in self.param_groups:
            for matrix in group['params']:
                if matrix.grad is not None:
                    self._move(matrix, matrix.grad, group)

    def _move(self, matrix: nn.Parameter, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[matrix]
        if 'momentum_buffer' not in state:
            state['momentum_buffer'] = torch.zeros_like(gradient)
        mean = state['momentum_buffer'].lerp_(gradient, 1 - group['momentum'])
        update = orthogonal(gradient.lerp(mean, group['momentum']), fast_type(matrix.device))
        matrix.mul_(1 - group['lr'] * group['weight_decay'])
        matrix.add_(update, alpha=-0.2 * sqrt(max(matrix.shape)) * group['lr'])


def orthogonal(matrix: Tensor, kind: torch.dtype) -> Tensor:
    """Bring all singular values near one, by five rounds of a Newton-Schulz iteration.

    Args:
        matrix: float[M, N].
        kind: to compute in.
    """
    tall = matrix.shape[0] > matrix.shape[1]
    found = (matrix.T if tall else matrix).to(kind)
    found = found / found.norm().clamp(min=TINY)
    a, b, c = NEWTON_SCHULZ
    for _ in range(ROUNDS):
        gram = found @ found.T
        found = torch.addmm(found, torch.addmm(gram, gram, gram, beta=b, alpha=c), found, beta=a)
    return found.T if tall else found
