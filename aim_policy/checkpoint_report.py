"""What is in a checkpoint, and what became of it on loading, as text for people."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from aim_policy.checkpoint import CONFIG_FILE, CheckpointInfo, read_info
from aim_policy.foreign_checkpoint import (
    WAN_PARTS,
    ForeignCheckpoint,
    Header,
    headers,
    recognise,
)
from aim_policy.weights import weight_files


@dataclass(frozen=True)
class LoadReport:
    """What became of the tensors of a foreign checkpoint."""

    loaded: Mapping[str, str]  # our name -> theirs
    initialised: Mapping[str, str]  # our name -> how
    left_out: Mapping[str, str]  # their name -> why

    def lines(self) -> list[str]:
        """One line per kind of tensor; layers are counted, not listed."""
        parts = {
            'loaded': [f'{ours} <- {theirs}' for ours, theirs in self.loaded.items()],
            'initialised': [f'{ours}: {how}' for ours, how in self.initialised.items()],
            'left out': [f'{theirs}: {why}' for theirs, why in self.left_out.items()],
        }
        result = []
        for title, entries in parts.items():
            result.append(f'{title}: {len(entries)} tensors')
            result += [f'  {line}' for line in _counted(entries)]
        return result


def inspect(path: Path | str) -> list[str]:
    """Describe a checkpoint of any kind; reads headers only.

    Raises:
        ConfigError: no checkpoint, or a damaged one.
    """
    folder = Path(path)
    if (folder / CONFIG_FILE).is_file():
        return _own(folder, read_info(folder))
    return _foreign(recognise(folder))


def _own(folder: Path, info: CheckpointInfo) -> list[str]:
    tensors: dict[str, Header] = {}
    for stem in ('transformer', 'tokenizer'):
        for file in weight_files(folder, stem):
            tensors |= {f'{stem}.{name}': header for name, header in headers(file).items()}
    model = info.model
    tokenizer = f'Wan, from {info.wan_folder}' if info.wan_folder else 'linear'
    return [
        f'kind: aim_policy, format {info.format}',
        f'model: {model.name}, {model.layers} layers, width {model.width} and '
        f'{model.action_width}, {model.frames} frames and {model.steps} steps a chunk',
        f'robot: {info.robot.name}, {len(info.robot.joint_names)} joints, {info.robot.dt_s} s',
        f'tokenizer and text: {tokenizer}',
        *_sizes(tensors),
        f'source: {info.source or "none"}',
        f'source hash: {info.source_hash or "none"}',
        f'licence: {info.licence or "not stated"}',
        f'provenance: {info.provenance or "not stated"}',
    ]


def _foreign(found: ForeignCheckpoint) -> list[str]:
    parts = [part for part in WAN_PARTS if (found.folder / part).is_dir()]
    return [
        f'kind: {found.kind}, {found.layers} layers',
        f'beside it: {", ".join(parts) or "neither VAE nor text encoder of diffusers"}',
        *_sizes(found.tensors),
        *_counted(f'{name} {list(header.shape)}' for name, header in found.tensors.items()),
    ]


def _sizes(tensors: Mapping[str, Header]) -> list[str]:
    numbers = sum(math.prod(header.shape) for header in tensors.values())
    types = Counter(header.dtype for header in tensors.values())
    shown = ', '.join(f'{dtype} ({count})' for dtype, count in sorted(types.items()))
    return [f'tensors: {len(tensors)}, {numbers:,} numbers', f'types: {shown}']


def _counted(lines: Iterable[str]) -> list[str]:
    """Lines that differ only in the number of a layer become one."""
    alike = Counter(re.sub(r'\b(layers|blocks)\.\d+\b', r'\1.*', line) for line in lines)
    return [line if count == 1 else f'{line} ({count} times)' for line, count in alike.items()]
