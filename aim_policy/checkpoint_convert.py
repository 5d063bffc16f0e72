"""A checkpoint of ours out of one of others: x from their weights, m and a grown from x."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from aim_policy.checkpoint import CONFIG_FILE, CheckpointInfo, save_checkpoint
from aim_policy.checkpoint_report import LoadReport
from aim_policy.config import ConfigError
from aim_policy.foreign_checkpoint import (
    NAMES,
    ORIGINAL,
    WAN_PARTS,
    ForeignCheckpoint,
    recognise,
)
from aim_policy.model.config import ModelConfig
from aim_policy.model.transformer import AimTransformer
from aim_policy.robot import RobotSpec
from aim_policy.transforms import Normalisation
from aim_policy.wan.initialise import grow_streams
from aim_policy.wan.names import MASK_HEAD, as_ours
from aim_policy.wan.original import unpack_original
from aim_policy.weights import check_shape, without_weights


def convert(
    path: Path | str,
    out: Path | str,
    config: ModelConfig,
    robot: RobotSpec,
    wan_folder: Path | None = None,
    allow_pickle: bool = False,
    licence: str = '',
) -> LoadReport:
    """Write a checkpoint that starts from a foreign one. Its m and a are yet to be trained.

    Args:
        path: foreign checkpoint of any known kind.
        out: folder to write.
        config: sizes of the network; those of x must be the checkpoint's.
        robot: what it is to drive.
        wan_folder: has vae/, text_encoder/ and tokenizer/, if they are not beside the weights.
        allow_pickle: read the .pth files of an original Wan release, as tensors only.
        licence: of the weights.

    Raises:
        ConfigError: unknown kind, something missing, or a tensor that does not fit.
    """
    out, found = Path(out), recognise(path)
    if (out / CONFIG_FILE).exists():
        raise ConfigError(f'{out} holds a checkpoint already, expected another folder')
    _check_fit(found, config)
    wan = _wan_parts(found, out, wan_folder, allow_pickle)
    transformer, report = start_transformer(found, config)
    info = CheckpointInfo(
        model=config,
        robot=robot,
        normalisation=Normalisation.of_robot(robot, config.action_unit_rad),
        wan_folder='.' if wan == out else str(wan.resolve()),
        source=f'{found.kind}, {found.folder.resolve().name}',
        source_hash=found.sha256(),
        licence=licence,
        provenance='x from the source; m and a untrained, grown from x',
    )
    save_checkpoint(out, info, transformer)
    return report


def start_transformer(
    found: ForeignCheckpoint, config: ModelConfig, seed: int = 0
) -> tuple[AimTransformer, LoadReport]:
    """Build the network with x from a foreign checkpoint, in its type, and grow m and a.

    Raises:
        ConfigError: naming the first tensor that is missing or of another shape.
    """
    _check_fit(found, config)
    names, tensors = NAMES[found.kind](config.layers), found.read()
    loaded = {ours: as_ours(ours, tensors[theirs]) for ours, theirs in names.items()}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        with without_weights():
            transformer = AimTransformer(config)
        transformer.load_state_dict(loaded, strict=False, assign=True)
        _materialise(transformer, loaded)
    grown = grow_streams(transformer)
    if not config.own_value_weights and set(MASK_HEAD.values()) <= tensors.keys():
        names |= MASK_HEAD
        head = {ours: tensors[theirs] for ours, theirs in MASK_HEAD.items()}
        transformer.load_state_dict(head, strict=False)
    return transformer.eval(), _report(transformer, names, grown, tensors)


def _check_fit(found: ForeignCheckpoint, config: ModelConfig) -> None:
    """Compare by headers, before gigabytes are read."""
    where = str(found.folder)
    if found.layers != config.layers:
        raise ConfigError(f'{where}: layers is {found.layers}, expected {config.layers}')
    with torch.device('meta'):
        expected = AimTransformer(config).state_dict()
    names = NAMES[found.kind](config.layers)
    if not config.own_value_weights and set(MASK_HEAD.values()) <= found.tensors.keys():
        names |= MASK_HEAD
    for ours, theirs in names.items():
        if theirs not in found.tensors:
            raise ConfigError(f'{where}: tensor {theirs} is missing')
        tensor = torch.empty(found.tensors[theirs].shape, device='meta')
        check_shape(where, theirs, as_ours(ours, tensor), expected[ours])


def _wan_parts(
    found: ForeignCheckpoint, out: Path, wan_folder: Path | None, allow_pickle: bool
) -> Path:
    """The folder with the frozen VAE and text encoder; unpacks an original release into `out`."""
    for folder in (wan_folder, found.folder):
        if folder and all((folder / part).is_dir() for part in WAN_PARTS):
            return folder
    if found.kind == ORIGINAL and allow_pickle and not wan_folder:
        unpack_original(found.folder, out)
        return out
    parts = ', '.join(f'{part}/' for part in WAN_PARTS)
    way = ', or --allow-pickle to read its .pth files' if found.kind == ORIGINAL else ''
    raise ConfigError(f'{wan_folder or found.folder}: no {parts}, expected in --wan FOLDER{way}')


def _materialise(transformer: AimTransformer, loaded: Mapping[str, Tensor]) -> None:
    """Give the parts that were not loaded weights of their own, in the type of the others."""
    dtype = loaded['embedding.patch.weight'].dtype
    for module in transformer.modules():
        own = list(module.parameters(recurse=False))
        if any(parameter.is_meta for parameter in own):
            module.to_empty(device='cpu', recurse=False).to(dtype)
            module.reset_parameters()
    for name, parameter in transformer.named_parameters():
        if name not in loaded:
            parameter.data = parameter.data.to(dtype)


def _report(
    transformer: nn.Module, names: Mapping[str, str], grown: list[str], tensors: Mapping
) -> LoadReport:
    ways = dict.fromkeys(grown, 'from x')
    ways |= {name: 'zero' for name in grown if name.startswith('heads.') and '.linear.' in name}
    new = [name for name, _ in transformer.named_parameters() if name not in names]
    extra = [name for name in tensors if name not in names.values()]
    return LoadReport(
        loaded=dict(names),
        initialised={name: ways.get(name, 'at random') for name in new},
        left_out={name: _why(name) for name in sorted(extra)},
    )


def _why(name: str) -> str:
    if name.startswith('mask_proj_out'):
        return 'fits a model without own_value_weights only'
    if 'action' in name:
        return 'belongs to an action stream inside of the video layers'
    return 'has no place in this model'
