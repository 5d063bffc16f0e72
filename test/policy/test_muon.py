"""How matrices of layers are moved."""

import pytest
import torch
from torch import nn

from aim_policy.muon import Muon, fast_type, orthogonal


@pytest.mark.parametrize('shape', [(8, 32), (32, 8), (16, 16)])
def test_singular_values_come_near_one(shape):
    torch.manual_seed(0)
    found = torch.linalg.svdvals(orthogonal(torch.randn(shape), torch.float32))
    assert found.min() > 0.5
    assert found.max() < 1.3


def test_directions_stay():
    torch.manual_seed(0)
    left, spread, right = torch.linalg.svd(torch.randn(6, 9), full_matrices=False)
    found = left.T @ orthogonal(left @ torch.diag(spread) @ right, torch.float32) @ right.T
    assert (found - torch.diag(found.diagonal())).abs().max() < 1e-4
    assert found.diagonal().min() > 0


def test_it_moves_as_the_one_of_torch_does():
    """That one computes in bfloat16."""
    torch.manual_seed(0)
    start, gradients = torch.randn(12, 20), torch.randn(3, 12, 20)
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    moves = (
        Muon([ours], lr=0.02, weight_decay=0.1),
        torch.optim.Muon([theirs], lr=0.02, weight_decay=0.1, adjust_lr_fn='match_rms_adamw'),
    )
    for gradient in gradients:
        for parameter, optimiser in zip((ours, theirs), moves, strict=True):
            parameter.grad = gradient.clone()
            optimiser.step()
    moved, apart = (ours - start).abs().mean(), (ours - theirs).abs().mean()
    assert moved > 0.005
    assert apart < 0.02 * moved


def test_a_cpu_without_instructions_for_it_does_not_compute_in_bfloat16(monkeypatch):
    for capability, kind in (('AVX2', torch.float32), ('AVX512', torch.bfloat16)):
        monkeypatch.setattr(torch.backends.cpu, 'get_cpu_capability', lambda name=capability: name)
        assert fast_type(torch.device('cpu')) == kind
    assert fast_type(torch.device('cuda')) == torch.bfloat16
