"""The original Wan 2.2 release: names of its tensors, and its two pickled files.

Pickle can run code: the files are read by torch's loader for tensors only, and only on request.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor

from aim_policy.config import ConfigError
from aim_policy.weights import write_json, write_weights

VAE_FILE, TEXT_FILE = 'Wan2.2_VAE.pth', 'models_t5_umt5-xxl-enc-bf16.pth'
TOKENIZER_FILE = Path('google') / 'umt5-xxl' / 'tokenizer.json'

TRANSFORMER = {  # diffusers -> original, first match wins
    r'^condition_embedder\.time_embedder\.linear_1': 'time_embedding.0',
    r'^condition_embedder\.time_embedder\.linear_2': 'time_embedding.2',
    r'^condition_embedder\.time_proj': 'time_projection.1',
    r'^condition_embedder\.text_embedder\.linear_1': 'text_embedding.0',
    r'^condition_embedder\.text_embedder\.linear_2': 'text_embedding.2',
    r'^proj_out': 'head.head',
    r'^scale_shift_table': 'head.modulation',
    r'scale_shift_table$': 'modulation',
    r'attn1\.norm_': 'self_attn.norm_',
    r'attn2\.norm_': 'cross_attn.norm_',
    r'attn1\.to_(.)\w*(\.0)?': r'self_attn.\1',
    r'attn2\.to_(.)\w*(\.0)?': r'cross_attn.\1',
    r'norm2': 'norm3',
    r'ffn\.net\.0\.proj': 'ffn.0',
    r'ffn\.net\.2': 'ffn.2',
}
VAE = {  # original -> diffusers, every match counts
    r'^conv1\.': 'quant_conv.',
    r'^conv2\.': 'post_quant_conv.',
    r'coder\.conv1\.': 'coder.conv_in.',
    r'head\.0\.': 'norm_out.',
    r'head\.2\.': 'conv_out.',
    r'middle\.0\.': 'mid_block.resnets.0.',
    r'middle\.1\.': 'mid_block.attentions.0.',
    r'middle\.2\.': 'mid_block.resnets.1.',
    r'downsamples\.(\d+)\.downsamples\.': r'down_blocks.\1.resnets.',
    r'upsamples\.(\d+)\.upsamples\.': r'up_blocks.\1.resnets.',
    r'down_blocks\.(\d+)\.resnets\.\d+\.(resample|time)': r'down_blocks.\1.downsampler.\2',
    r'up_blocks\.(\d+)\.resnets\.\d+\.(resample|time)': r'up_blocks.\1.upsampler.\2',
    r'residual\.0\.': 'norm1.',
    r'residual\.2\.': 'conv1.',
    r'residual\.3\.': 'norm2.',
    r'residual\.6\.': 'conv2.',
    r'shortcut\.': 'conv_shortcut.',
}
TEXT = {  # original -> transformers, every match counts
    r'^token_embedding': 'shared',
    r'^norm\.': 'encoder.final_layer_norm.',
    r'^blocks\.(\d+)\.': r'encoder.block.\1.',
    r'\.norm1\.': '.layer.0.layer_norm.',
    r'\.norm2\.': '.layer.1.layer_norm.',
    r'\.attn\.': '.layer.0.SelfAttention.',
    r'\.pos_embedding\.embedding\.': '.layer.0.SelfAttention.relative_attention_bias.',
    r'\.ffn\.gate\.0\.': '.layer.1.DenseReluDense.wi_0.',
    r'\.ffn\.fc1\.': '.layer.1.DenseReluDense.wi_1.',
    r'\.ffn\.fc2\.': '.layer.1.DenseReluDense.wo.',
}
# What the pickled VAE does not hold: mean and spread of its 48 latent channels.
LATENTS_MEAN = (
    -0.2289, -0.0052, -0.1323, -0.2339, -0.2799, 0.0174, 0.1838, 0.1557, -0.1382, 0.0542, 0.2813,
    0.0891, 0.157, -0.0098, 0.0375, -0.1825, -0.2246, -0.1207, -0.0698, 0.5109, 0.2665, -0.2108,
    -0.2158, 0.2502, -0.2055, -0.0322, 0.1109, 0.1567, -0.0729, 0.0899, -0.2799, -0.123, -0.0313,
    -0.1649, 0.0117, 0.0723, -0.2839, -0.2083, -0.052, 0.3748, 0.0152, 0.1957, 0.1433, -0.2944,
    0.3573, -0.0548, -0.1681, -0.0667,
)  # fmt: skip
LATENTS_STD = (
    0.4765, 1.0364, 0.4514, 1.1677, 0.5313, 0.499, 0.4818, 0.5013, 0.8158, 1.0344, 0.5894, 1.0901,
    0.6885, 0.6165, 0.8454, 0.4978, 0.5759, 0.3523, 0.7135, 0.6804, 0.5833, 1.4146, 0.8986, 0.5659,
    0.7069, 0.5338, 0.4889, 0.4917, 0.4069, 0.4999, 0.6866, 0.4093, 0.5709, 0.6065, 0.6415, 0.4944,
    0.5726, 1.2042, 0.5458, 1.6887, 0.3971, 1.06, 0.3943, 0.5537, 0.5444, 0.4089, 0.7468, 0.7744,
)  # fmt: skip


def original_names(diffusers: Mapping[str, str]) -> dict[str, str]:
    """Map our names to the original ones, given ours -> diffusers'."""
    return {ours: _first_match(theirs) for ours, theirs in diffusers.items()}


def unpack_original(source: Path, target: Path) -> None:
    """Write the VAE, text encoder and tokenizer of an original release as diffusers folders.

    Args:
        source: the release.
        target: folder that gets `vae`, `text_encoder` and `tokenizer`.

    Raises:
        ConfigError: a file is missing, or holds more than tensors.
    """
    if not (source / TOKENIZER_FILE).is_file():
        raise ConfigError(f'{source / TOKENIZER_FILE} is missing, expected a tokenizer')
    vae = _renamed(_read_pickle(source / VAE_FILE), VAE)
    text = _renamed(_read_pickle(source / TEXT_FILE), TEXT)
    try:
        parts = {
            'vae': (_vae_config(vae), vae, 'diffusion_pytorch_model'),
            'text_encoder': (_text_config(text), text, 'model'),
        }
    except KeyError as error:
        raise ConfigError(f'{source}: tensor {error} is missing in a .pth file') from error
    for name, (config, tensors, stem) in parts.items():
        (target / name).mkdir(parents=True, exist_ok=True)
        write_weights(target / name, stem, tensors)
        write_json(target / name / 'config.json', config)
    (target / 'tokenizer').mkdir(exist_ok=True)
    shutil.copyfile(source / TOKENIZER_FILE, target / 'tokenizer' / 'tokenizer.json')


def _first_match(name: str) -> str:
    for pattern, replacement in TRANSFORMER.items():
        renamed, count = re.subn(pattern, replacement, name)
        if count:
            return renamed
    return name


def _renamed(tensors: Mapping[str, Tensor], table: Mapping[str, str]) -> dict[str, Tensor]:
    result = {}
    for name, tensor in tensors.items():
        for pattern, replacement in table.items():
            name = re.sub(pattern, replacement, name)
        result[name] = tensor
    return result


def _read_pickle(path: Path) -> dict[str, Tensor]:
    try:
        data = torch.load(path, map_location='cpu', weights_only=True)
    except (OSError, RuntimeError, UnpicklingError) as error:
        reason = ' '.join(str(error).split())[:200]
        raise ConfigError(f'{path}: cannot be read as tensors: {reason}') from error
    if not isinstance(data, dict) or not all(isinstance(t, Tensor) for t in data.values()):
        raise ConfigError(f'{path}: holds {type(data).__name__}, expected names and tensors only')
    return data


def _vae_config(tensors: Mapping[str, Tensor]) -> dict:
    """Sizes of Wan 2.2's VAE as far as they show in its tensors, the rest as published."""
    blocks = [name for name in tensors if re.fullmatch(r'encoder\.down_blocks\.0.*norm1.*', name)]
    channels = tensors['post_quant_conv.weight'].shape[0]
    return {
        '_class_name': 'AutoencoderKLWan',
        'base_dim': tensors['encoder.conv_in.weight'].shape[0],
        'decoder_base_dim': tensors['decoder.norm_out.gamma'].shape[0],
        'z_dim': channels,
        'num_res_blocks': len(blocks),
        'is_residual': True,
        'in_channels': 12,
        'out_channels': 12,
        'patch_size': 2,
        'scale_factor_spatial': 16,
        'scale_factor_temporal': 4,
        'latents_mean': LATENTS_MEAN[:channels],
        'latents_std': LATENTS_STD[:channels],
    }


def _text_config(tensors: Mapping[str, Tensor]) -> dict:
    """Sizes of UMT5 as they show in its tensors."""
    attention = 'encoder.block.0.layer.0.SelfAttention'
    vocabulary, width = tensors['shared.weight'].shape
    heads = tensors[f'{attention}.relative_attention_bias.weight'].shape[1]
    blocks = [name for name in tensors if name.endswith('SelfAttention.q.weight')]
    return {
        'model_type': 'umt5',
        'vocab_size': vocabulary,
        'd_model': width,
        'd_kv': tensors[f'{attention}.q.weight'].shape[0] // heads,
        'd_ff': tensors['encoder.block.0.layer.1.DenseReluDense.wo.weight'].shape[1],
        'num_layers': len(blocks),
        'num_heads': heads,
    }
