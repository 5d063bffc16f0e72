"""One checkpoint out of several that were trained from the same weights on.

Their mean is often better than each of them: Wortsman et al., Model soups, ICML 2022. On a few
cores it also is the cheapest way to train in parallel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch

from aim_policy.checkpoint import CheckpointInfo, differences, load_checkpoint, save_checkpoint
from aim_policy.config import ConfigError
from aim_policy.robot import RobotSpec
from aim_policy.tokenizers.linear import LinearTokenizer

FREE = 'provenance', 'licence', 'source', 'source_hash'
"""What checkpoints may say differently."""


def average(folders: Sequence[Path], out: Path, robot: RobotSpec) -> list[str]:
    """Write the mean of checkpoints; returns what there is to tell.

    Args:
        folders: two or more, of the same model, tokenizer and normalisation.
        out: folder to write.
        robot: that they were trained for.

    Raises:
        ConfigError: a checkpoint cannot be read, or differs in more than its weights.
    """
    if len(folders) < 2:
        raise ConfigError(f'{len(folders)} checkpoint to average, expected two or more')
    (first, model), *others = [load_checkpoint(folder, robot) for folder in folders]
    states = [model.transformer.state_dict()]
    for folder, (info, other) in zip(folders[1:], others, strict=True):
        _check_same(first, info, f'{folder}')
        _check_same_code(model.tokenizer, other.tokenizer, f'{folder}')
        states.append(other.transformer.state_dict())
    mean = {
        name: torch.stack([state[name].double() for state in states]).mean(0).to(tensor.dtype)
        for name, tensor in states[0].items()
    }
    model.transformer.load_state_dict(mean)
    tokenizer = model.tokenizer if isinstance(model.tokenizer, LinearTokenizer) else None
    words = f'mean of {len(folders)} checkpoints, the first: {first.provenance}'
    save_checkpoint(out, replace(first, provenance=words), model.transformer, tokenizer)
    return [f'mean of {len(folders)} checkpoints, {len(mean)} tensors each, written to {out}']


def _check_same(expected: CheckpointInfo, found: CheckpointInfo, where: str) -> None:
    alike = replace(found, **{name: getattr(expected, name) for name in FREE})
    for name, a, b in differences('checkpoint', asdict(alike), asdict(expected)):
        raise ConfigError(f'{where}: {name} is {a}, expected {b}')


def _check_same_code(expected: torch.nn.Module, found: torch.nn.Module, where: str) -> None:
    tensors = found.state_dict()
    for name, tensor in expected.state_dict().items():
        if not torch.equal(tensor, tensors[name]):
            raise ConfigError(f'{where}: tokenizer tensor {name} differs, expected the same code')
