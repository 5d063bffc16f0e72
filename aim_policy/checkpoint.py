"""Folders that hold a whole policy: network, tokenizer, robot and normalisation figures.

`aim_config.json` says what it is and is written last; weights are safetensors and nothing else.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from aim_policy.config import ConfigError, from_dict
from aim_policy.model.aim import AimModel
from aim_policy.model.config import ModelConfig
from aim_policy.model.transformer import AimTransformer
from aim_policy.robot import RobotSpec
from aim_policy.tokenizers.linear import LinearTokenizer, Tokenizer
from aim_policy.tokenizers.text import TextEncoder
from aim_policy.tokenizers.text_cache import CachedText
from aim_policy.transforms import Normalisation
from aim_policy.weights import (
    load_weights,
    read_json,
    read_weights,
    without_weights,
    write_json,
    write_weights,
)

FORMAT = 1
CONFIG_FILE = 'aim_config.json'


@dataclass(frozen=True)
class CheckpointInfo:
    """What a checkpoint says of itself."""

    model: ModelConfig
    robot: RobotSpec  # that it was trained for
    normalisation: Normalisation
    wan_folder: str = ''  # diffusers folder of the frozen Wan VAE and UMT5, '' for the small ones
    source: str = ''  # what the weights started from
    source_hash: str = ''  # SHA-256 of those files
    licence: str = ''
    provenance: str = ''  # data, training, date, in words
    format: int = FORMAT


class Checkpoint(NamedTuple):
    """A loaded checkpoint."""

    info: CheckpointInfo
    model: AimModel


def save_checkpoint(
    folder: Path | str,
    info: CheckpointInfo,
    transformer: AimTransformer,
    tokenizer: LinearTokenizer | None = None,
) -> None:
    """Write a checkpoint. One that was there before is no longer valid once this has begun.

    Args:
        folder: is made if it is missing.
        info: what the checkpoint says of itself.
        transformer: the network.
        tokenizer: None with the frozen one of `info.wan_folder`.
    """
    assert (tokenizer is None) == bool(info.wan_folder)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG_FILE).unlink(missing_ok=True)
    for pattern in (
        'transformer.safetensors*',
        'transformer-*.safetensors',
        'tokenizer.safetensors',
    ):
        for stale in folder.glob(pattern):
            stale.unlink()
    write_weights(folder, 'transformer', transformer.state_dict())
    if tokenizer is not None:
        write_weights(folder, 'tokenizer', tokenizer.state_dict())
    write_json(folder / CONFIG_FILE, dataclasses.asdict(info))


def load_checkpoint(folder: Path | str, robot: RobotSpec) -> Checkpoint:
    """Read a checkpoint for one robot.

    Raises:
        ConfigError: not a whole checkpoint of ours, or made for another robot; says which field
            or tensor, what was found and what is expected.
    """
    folder = Path(folder)
    info = read_info(folder)
    check_robot(info.robot, robot, str(folder / CONFIG_FILE))
    tokenizer, text_encoder = _frozen_parts(folder, info)
    with without_weights():
        model = AimModel(info.model, tokenizer, text_encoder)
    tensors = read_weights(folder, 'transformer')
    load_weights(model.transformer, tensors, str(folder / 'transformer.safetensors'))
    if tokenizer is None:
        tensors = read_weights(folder, 'tokenizer')
        load_weights(model.tokenizer, tensors, str(folder / 'tokenizer.safetensors'))
    return Checkpoint(info, model.eval())


def read_info(folder: Path) -> CheckpointInfo:
    """Read what a checkpoint says of itself.

    Raises:
        ConfigError: no checkpoint of ours, of another format, or with a mistake in its config.
    """
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise ConfigError(f'{folder}: no {CONFIG_FILE}, expected a checkpoint of aim_policy')
    data = read_json(path)
    found = data.get('format') if isinstance(data, dict) else None
    if found != FORMAT:
        raise ConfigError(f'{path}: format is {found}, expected {FORMAT}')
    return from_dict(CheckpointInfo, data, str(path))


def check_robot(found: RobotSpec, expected: RobotSpec, where: str) -> None:
    """Refuse weights for a robot that observations or actions of `expected` do not fit.

    Limits, speeds, topics and where things stand may differ: they do not change what the numbers
    mean.
    """
    for name, a, b in differences('robot', _layout(found), _layout(expected)):
        raise ConfigError(f'{where}: {name} is {a}, expected {b} like {expected.name}')


def _layout(robot: RobotSpec) -> dict[str, Any]:
    grippers = {arm.gripper.joint: (arm.gripper.closed, arm.gripper.open) for arm in robot.arms}
    return {
        'name': robot.name,
        'dt_s': robot.dt_s,
        'joint_names': robot.joint_names,
        'grippers': grippers,
        'cameras': {
            camera.name: {name: getattr(camera, name) for name in ('width', 'height', 'fovy_deg')}
            for camera in robot.cameras
        },
    }


def differences(name: str, found: Any, expected: Any) -> Iterator[tuple[str, Any, Any]]:
    """Where two trees of plain data differ: (path, found, expected)."""
    if isinstance(found, tuple) and isinstance(expected, tuple):
        if len(found) != len(expected):
            yield f'length of {name}', len(found), len(expected)
        for i, (a, b) in enumerate(zip(found, expected, strict=False)):
            yield from differences(f'{name}[{i}]', a, b)
    elif isinstance(found, dict) and isinstance(expected, dict):
        if found.keys() != expected.keys():
            yield f'list of {name}', ', '.join(found) or 'empty', ', '.join(expected) or 'empty'
        for key in (key for key in found if key in expected):
            yield from differences(f'{name}.{key}', found[key], expected[key])
    elif found != expected:
        yield name, found, expected


def _frozen_parts(
    folder: Path, info: CheckpointInfo
) -> tuple[Tokenizer | None, TextEncoder | None]:
    """Wan's VAE and text encoder if the checkpoint was made with them."""
    if not info.wan_folder:
        return None, None
    # diffusers and transformers take seconds to import, and the small model needs neither.
    from aim_policy.wan.umt5 import Umt5TextEncoder, umt5_fingerprint
    from aim_policy.wan.vae import WanVae

    wan, tokens = folder / info.wan_folder, info.model.text_tokens
    text = CachedText(
        lambda: Umt5TextEncoder.load(wan, tokens),
        umt5_fingerprint(wan), info.model.text_dim, tokens,
    )  # fmt: skip
    return WanVae.load(wan / 'vae'), text


if __name__ == '__main__':
    from aim_policy.checkpoint_cli import main

    raise SystemExit(main())
