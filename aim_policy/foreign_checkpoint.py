"""Checkpoints of others that our video branch can start from: which kind, and its tensors."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from aim_policy.config import ConfigError
from aim_policy.wan.names import lingbot_names, wan_names
from aim_policy.wan.original import original_names
from aim_policy.weights import read_file, read_json, weight_files

DIFFUSERS, LINGBOT, AIM_TRAINING, LEROBOT, ORIGINAL = (
    'diffusers Wan', 'LingBot-VA', 'AIM training', 'lerobot lingbot_va', 'original Wan'
)  # fmt: skip

NAMES: Mapping[str, Callable[[int], dict[str, str]]] = {
    DIFFUSERS: wan_names,
    LINGBOT: lingbot_names,
    AIM_TRAINING: lingbot_names,
    LEROBOT: lingbot_names,
    ORIGINAL: lambda layers: original_names(wan_names(layers)),
}
"""Kind -> map from our names to theirs, for a number of layers."""

WAN_PARTS = ('vae', 'text_encoder', 'tokenizer')
LEROBOT_PREFIX = 'transformer.'
MASK_HEAD_FILE = 'mask_head.safetensors'
STEM = 'diffusion_pytorch_model'


@dataclass(frozen=True)
class Header:
    """What a file says of a tensor before it is read."""

    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class ForeignCheckpoint:
    """Where a foreign checkpoint keeps what. Tensor names are without their kind's prefix."""

    kind: str
    folder: Path
    files: tuple[Path, ...]
    tensors: dict[str, Header]

    @property
    def layers(self) -> int:
        """Depth of its transformer."""
        numbers = [re.match(r'blocks\.(\d+)\.', name) for name in self.tensors]
        return 1 + max((int(number[1]) for number in numbers if number), default=-1)

    def read(self) -> dict[str, Tensor]:
        """Read all tensors."""
        result: dict[str, Tensor] = {}
        for file in self.files:
            result |= {_own_name(file, name): tensor for name, tensor in read_file(file).items()}
        return result

    def sha256(self) -> str:
        """Hash of its files, to know later what weights came from."""
        digest = hashlib.sha256()
        for file in self.files:
            with file.open('rb') as stream:
                while block := stream.read(1 << 22):
                    digest.update(block)
        return digest.hexdigest()


def recognise(path: Path | str) -> ForeignCheckpoint:
    """Find out which kind a folder is; reads headers only.

    Raises:
        ConfigError: none that is known, or one with a damaged file.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise ConfigError(f'{folder} is not a folder, expected one with a checkpoint')
    if (folder / 'transformer').is_dir():
        return _with_transformer_folder(folder)
    if (folder / 'model.safetensors').is_file():
        found = read_json(folder / 'config.json').get('type')
        if found != 'lingbot_va':
            raise ConfigError(f'{folder / "config.json"}: type is {found}, expected lingbot_va')
        return _foreign(LEROBOT, folder, weight_files(folder, 'model'))
    files = weight_files(folder, STEM)
    if files:
        return _foreign(ORIGINAL, folder, files)
    raise _unknown(folder)


def _with_transformer_folder(folder: Path) -> ForeignCheckpoint:
    files = weight_files(folder / 'transformer', STEM)
    if not files:
        raise ConfigError(f'{folder / "transformer"}: no {STEM}.safetensors nor its index')
    head = folder / MASK_HEAD_FILE
    found = _foreign(AIM_TRAINING, folder, [*files, *([head] if head.is_file() else [])])
    if 'mask_proj_out.weight' in found.tensors:
        return found
    lingbot = 'patch_embedding_mlp.weight' in found.tensors
    return _foreign(LINGBOT if lingbot else DIFFUSERS, folder, files)


def _foreign(kind: str, folder: Path, files: list[Path]) -> ForeignCheckpoint:
    tensors: dict[str, Header] = {}
    for file in files:
        tensors |= {_own_name(file, name): header for name, header in headers(file).items()}
    telling = NAMES[kind](1)['embedding.patch.weight']
    if kind != AIM_TRAINING and telling not in tensors:
        raise ConfigError(f'{folder}: looks like {kind}, but tensor {telling} is missing')
    return ForeignCheckpoint(kind, folder, tuple(files), tensors)


def headers(file: Path) -> dict[str, Header]:
    """Read what a safetensors file says of its tensors.

    Raises:
        ConfigError: it is none, or cut off.
    """
    try:
        with safe_open(file, framework='pt') as tensors:
            slices = {name: tensors.get_slice(name) for name in tensors.keys()}  # noqa: SIM118
            return {
                name: Header(tuple(part.get_shape()), part.get_dtype())
                for name, part in slices.items()
            }
    except (SafetensorError, OSError) as error:
        raise ConfigError(f'{file}: not a whole safetensors file: {error}') from error


def _own_name(file: Path, name: str) -> str:
    if file.name == MASK_HEAD_FILE:
        return f'mask_proj_out.{name.rsplit(".", 1)[-1]}'
    return name.removeprefix(LEROBOT_PREFIX) if file.name == 'model.safetensors' else name


def _unknown(folder: Path) -> ConfigError:
    inside = sorted(p.name for p in folder.glob('checkpoint_step_*') if p.is_dir())
    if inside:
        return ConfigError(f'{folder} holds {len(inside)} checkpoints, expected one: {inside[-1]}')
    expected = f'transformer/, {STEM}.safetensors or model.safetensors of lingbot_va'
    found = ', '.join(sorted(p.name for p in folder.iterdir())[:5]) or 'nothing'
    return ConfigError(f'{folder}: no known checkpoint: found {found}, expected {expected}')
