"""Tensors in safetensors files, single or sharded, and into modules: all of them, or an error."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from aim_policy.atomic import written_aside
from aim_policy.config import ConfigError

SHARD_BYTES = 5 * 10**9
"""Size from which a file is written in parts."""


def weight_files(folder: Path, stem: str) -> list[Path]:
    """Return the files that hold the tensors called `stem`, empty if there are none.

    Raises:
        ConfigError: an index is not one, or names a file that is not beside it.
    """
    index = folder / f'{stem}.safetensors.index.json'
    if not index.is_file():
        single = folder / f'{stem}.safetensors'
        return [single] if single.is_file() else []
    names = sorted(set(_weight_map(index).values()))
    for name in names:
        if Path(name).name != name or not (folder / name).is_file():
            raise ConfigError(f'{index}: names "{name}", expected a file beside it')
    return [folder / name for name in names]


def read_weights(folder: Path, stem: str) -> dict[str, Tensor]:
    """Read `stem`.safetensors, or the shards that its index names.

    Raises:
        ConfigError: no such file, or one that is cut off or lacks what its index promises.
    """
    files = weight_files(folder, stem)
    if not files:
        raise ConfigError(f'{folder}: no {stem}.safetensors nor {stem}.safetensors.index.json')
    tensors: dict[str, Tensor] = {}
    for file in files:
        tensors |= read_file(file)
    index = folder / f'{stem}.safetensors.index.json'
    if index.is_file():
        for name, file_name in _weight_map(index).items():
            if name not in tensors:
                raise ConfigError(f'{index}: tensor {name} is missing in {file_name}')
    return tensors


def read_file(path: Path) -> dict[str, Tensor]:
    """Read one safetensors file.

    Raises:
        ConfigError: it is none, or cut off.
    """
    try:
        # Copies: the last digit of a matrix product depends on where in memory a matrix starts.
        return {name: tensor.clone() for name, tensor in load_file(path).items()}
    except (SafetensorError, OSError) as error:
        raise ConfigError(f'{path}: not a whole safetensors file: {error}') from error


def write_weights(folder: Path, stem: str, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors as `stem`.safetensors, or as shards with an index if they are large."""
    shards = _shards(tensors)
    if len(shards) == 1:
        _write_file(folder / f'{stem}.safetensors', shards[0])
        return
    weight_map = {}
    for number, shard in enumerate(shards, start=1):
        name = f'{stem}-{number:05d}-of-{len(shards):05d}.safetensors'
        _write_file(folder / name, shard)
        weight_map |= dict.fromkeys(shard, name)
    total = sum(_bytes(tensor) for tensor in tensors.values())
    write_json(
        folder / f'{stem}.safetensors.index.json',
        {'metadata': {'total_size': total}, 'weight_map': weight_map},
    )


def load_weights(module: nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Give a module its tensors, with their types; none may be missing or left over.

    Raises:
        ConfigError: naming the first tensor that does not fit.
    """
    expected = module.state_dict()
    for name in sorted(expected.keys() | tensors.keys()):
        if name not in tensors:
            raise ConfigError(f'{where}: tensor {name} is missing')
        if name not in expected:
            raise ConfigError(f'{where}: tensor {name} is not part of the model')
        check_shape(where, name, tensors[name], expected[name])
    module.load_state_dict(dict(tensors), assign=True)


def check_shape(where: str, name: str, found: Tensor, expected: Tensor) -> None:
    """Refuse a tensor of another shape."""
    if found.shape != expected.shape:
        shapes = f'{list(found.shape)}, expected {list(expected.shape)}'
        raise ConfigError(f'{where}: tensor {name} has shape {shapes}')


@contextmanager
def without_weights() -> Iterator[None]:
    """Inside, layers are built with weights that take neither memory nor time.

    What a module computes for itself, such as tables of positions, stays real.
    """
    with _WeightsOnMeta():
        yield


class _WeightsOnMeta(TorchFunctionMode):
    def __torch_function__(
        self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        # torch.empty is what torch's layers allocate their weights with.
        options = {**(kwargs or {}), **({'device': 'meta'} if function is torch.empty else {})}
        return function(*args, **options)


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        ConfigError: it cannot be read, or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding='utf-8'), parse_constant=_refuse_constant)
    except OSError as error:
        raise ConfigError(f'{path}: cannot be read: {error.strerror}') from error
    except ValueError as error:
        raise ConfigError(f'{path}: not valid JSON: {error}') from error


def write_json(path: Path, data: Any) -> None:
    """Write a JSON file, whole or not at all."""
    with written_aside(path) as aside:
        aside.write_text(json.dumps(data, indent=2) + '\n', encoding='utf-8')


def _refuse_constant(name: str) -> None:
    raise ValueError(f'{name} is no number')


def _weight_map(index: Path) -> dict[str, str]:
    data = read_json(index)
    weight_map = data.get('weight_map') if isinstance(data, dict) else None
    if not isinstance(weight_map, dict) or not weight_map:
        raise ConfigError(f'{index}: weight_map is {weight_map}, expected tensors and their files')
    return weight_map


def _write_file(path: Path, tensors: Mapping[str, Tensor]) -> None:
    own = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with written_aside(path) as aside:
        save_file(own, aside, metadata={'format': 'pt'})


def _shards(tensors: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
    shards: list[dict[str, Tensor]] = [{}]
    size = 0
    for name, tensor in tensors.items():
        if shards[-1] and size + _bytes(tensor) > SHARD_BYTES:
            shards.append({})
            size = 0
        shards[-1][name] = tensor
        size += _bytes(tensor)
    return shards


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
