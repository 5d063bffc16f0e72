"""Tiny random checkpoints in the layouts of others."""

import json
import re

import numpy as np
import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import UMT5Config, UMT5EncoderModel

from aim_policy.foreign_checkpoint import (
    AIM_TRAINING,
    DIFFUSERS,
    LEROBOT,
    LINGBOT,
    ORIGINAL,
    STEM,
)
from aim_policy.interface import Observation
from aim_policy.model.config import ModelConfig, ViewConfig
from aim_policy.robot import load_robot
from aim_policy.wan.names import lingbot_names, wan_names
from aim_policy.wan.original import original_names

ROBOT = load_robot('aloha_agilex')
WAN = ModelConfig(
    name='wan_test',
    views=(
        ViewConfig('left_camera', 32, 32, 0, 0), ViewConfig('right_camera', 32, 32, 0, 2),
        ViewConfig('head_camera', 64, 64, 2, 0),
    ),
    cell_px=16, latent_channels=48, patch=2, frames=2, steps=8, action_dim=14, width=64,
    action_width=32, heads=4, head_dim=16, layers=2, ffn=96, action_ffn=48, text_dim=32,
    text_tokens=12, frequency_dim=32,
)  # fmt: skip
VAE_SIZES = {
    'base_dim': 8, 'decoder_base_dim': 8, 'z_dim': 48, 'num_res_blocks': 1, 'is_residual': True,
    'in_channels': 12, 'out_channels': 12, 'patch_size': 2, 'scale_factor_spatial': 16,
    'latents_mean': [0.0] * 48, 'latents_std': [1.0] * 48,
}  # fmt: skip
TEXT_SIZES = {
    'vocab_size': 8,
    'd_model': 32,
    'd_kv': 8,
    'd_ff': 48,
    'num_layers': 2,
    'num_heads': 4,
}


def observation():
    images = {c.name: np.zeros((240, 320, 3), np.uint8) for c in ROBOT.cameras}
    return Observation(images, {}, ROBOT.home, ROBOT.home, 'press the bell', 10**9)


def wan_transformer():
    torch.manual_seed(0)
    model = WanTransformer3DModel(
        patch_size=(1, 2, 2), num_attention_heads=4, attention_head_dim=16, in_channels=48,
        out_channels=48, text_dim=32, freq_dim=32, ffn_dim=96, num_layers=2,
    )  # fmt: skip
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model


def write(folder, name, tensors):
    folder.mkdir(parents=True, exist_ok=True)
    save_file({k: t.clone().contiguous() for k, t in tensors.items()}, folder / name)


def write_tokenizer(file):
    words = ('<pad>', '</s>', '<unk>', 'press', 'the', 'bell')
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, '<unk>'))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    file.parent.mkdir(parents=True)
    tokenizer.save(str(file))


def write_wan_parts(folder):
    torch.manual_seed(1)
    AutoencoderKLWan(**VAE_SIZES).save_pretrained(folder / 'vae')
    UMT5EncoderModel(UMT5Config(**TEXT_SIZES)).save_pretrained(folder / 'text_encoder')
    write_tokenizer(folder / 'tokenizer' / 'tokenizer.json')


def lingbot_tensors():
    """The names of LingBot-VA, with the action layers that it has beside Wan's."""
    theirs = wan_transformer().state_dict()
    names = zip(lingbot_names(2).values(), wan_names(2).values(), strict=True)
    tensors = {new: theirs[old] for new, old in names}
    tensors['patch_embedding_mlp.weight'] = tensors['patch_embedding_mlp.weight'].flatten(1)
    action = {
        'action_embedder.weight': torch.ones(64, 30),
        'condition_embedder_action.time_proj.bias': torch.ones(384),
        'action_proj_out.weight': torch.ones(30, 64),
    }
    return tensors | action


def write_diffusers(folder):
    wan_transformer().save_pretrained(folder / 'transformer', max_shard_size='300KB')
    write_wan_parts(folder)


def write_lingbot(folder):
    write(folder / 'transformer', 'diffusion_pytorch_model.safetensors', lingbot_tensors())
    write_wan_parts(folder)


def mask_head():
    draw = torch.Generator().manual_seed(5)
    return {
        'weight': torch.randn(192, 64, generator=draw), 'bias': torch.randn(192, generator=draw)
    }  # fmt: skip


def write_aim_training(folder):
    write_lingbot(folder)
    write(
        folder, 'mask_head.safetensors', {f'mask_proj_out.{k}': t for k, t in mask_head().items()}
    )
    (folder / 'training_state.pt').write_bytes(b'never to be read')


def write_lerobot(folder):
    tensors = {f'transformer.{name}': tensor for name, tensor in lingbot_tensors().items()}
    write(folder, 'model.safetensors', tensors)
    (folder / 'config.json').write_text('{"type": "lingbot_va"}')
    write_wan_parts(folder)


def renamed(tensors, *pairs):
    """Each pair replaces a pattern in all names."""
    result = {}
    for name, tensor in tensors.items():
        for pattern, replacement in pairs:
            name = re.sub(pattern, replacement, name)
        result[name] = tensor
    return result


def original_vae(tensors):
    return renamed(
        tensors,
        (r'^quant_conv', 'conv1'), (r'^post_quant_conv', 'conv2'), ('conv_in', 'conv1'),
        ('norm_out', 'head.0'), ('conv_out', 'head.2'),
        (r'(resnets.*)\.norm1', r'\1.residual.0'), (r'(resnets.*)\.conv1', r'\1.residual.2'),
        (r'(resnets.*)\.norm2', r'\1.residual.3'), (r'(resnets.*)\.conv2', r'\1.residual.6'),
        ('conv_shortcut', 'shortcut'), (r'mid_block\.resnets\.0', 'middle.0'),
        (r'mid_block\.resnets\.1', 'middle.2'), (r'mid_block\.attentions\.0', 'middle.1'),
        (r'down_blocks\.(\d)\.resnets', r'downsamples.\1.downsamples'),
        (r'down_blocks\.(\d)\.downsampler', r'downsamples.\1.downsamples.1'),
        (r'up_blocks\.(\d)\.resnets', r'upsamples.\1.upsamples'),
        (r'up_blocks\.(\d)\.upsampler', r'upsamples.\1.upsamples.2'),
    )  # fmt: skip


def original_text(tensors):
    tensors = {k: t for k, t in tensors.items() if k != 'encoder.embed_tokens.weight'}
    return renamed(
        tensors,
        ('^shared', 'token_embedding'), (r'^encoder\.final_layer_norm', 'norm'),
        (r'^encoder\.block', 'blocks'), (r'layer\.0\.layer_norm', 'norm1'),
        (r'layer\.1\.layer_norm', 'norm2'),
        (r'layer\.0\.SelfAttention\.relative_attention_bias', 'pos_embedding.embedding'),
        (r'layer\.0\.SelfAttention', 'attn'), (r'layer\.1\.DenseReluDense\.wi_0', 'ffn.gate.0'),
        (r'layer\.1\.DenseReluDense\.wi_1', 'ffn.fc1'),
        (r'layer\.1\.DenseReluDense\.wo', 'ffn.fc2'),
    )  # fmt: skip


def write_original(folder):
    theirs = wan_transformer().state_dict()
    names = zip(original_names(wan_names(2)).values(), wan_names(2).values(), strict=True)
    tensors, shard = {new: theirs[old] for new, old in names}, f'{STEM}-00001-of-00001.safetensors'
    write(folder, shard, tensors)
    index = {'weight_map': dict.fromkeys(tensors, shard)}
    (folder / f'{STEM}.safetensors.index.json').write_text(json.dumps(index))
    torch.manual_seed(1)
    vae = AutoencoderKLWan(**VAE_SIZES).state_dict()
    text = UMT5EncoderModel(UMT5Config(**TEXT_SIZES)).state_dict()
    torch.save(original_vae(vae), folder / 'Wan2.2_VAE.pth')
    torch.save(original_text(text), folder / 'models_t5_umt5-xxl-enc-bf16.pth')
    write_tokenizer(folder / 'google' / 'umt5-xxl' / 'tokenizer.json')


WRITERS = {
    DIFFUSERS: write_diffusers,
    LINGBOT: write_lingbot,
    AIM_TRAINING: write_aim_training,
    LEROBOT: write_lerobot,
    ORIGINAL: write_original,
}
