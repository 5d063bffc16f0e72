"""The video branch's tensors under three names: ours, diffusers' Wan, LingBot-VA's.

Only names and shapes; what reads and checks files is elsewhere.
"""

from __future__ import annotations

from torch import Tensor

ATTENTION = {
    'query': 'to_q',
    'key': 'to_k',
    'value': 'to_v',
    'output': 'to_out.0',
    'norm_query': 'norm_q',
    'norm_key': 'norm_k',
}
LINEAR = {
    'embedding.patch': 'patch_embedding',
    'embedding.time.video.embed.0': 'condition_embedder.time_embedder.linear_1',
    'embedding.time.video.embed.2': 'condition_embedder.time_embedder.linear_2',
    'embedding.time.video.project': 'condition_embedder.time_proj',
    'text.0': 'condition_embedder.text_embedder.linear_1',
    'text.2': 'condition_embedder.text_embedder.linear_2',
    'heads.RGB.linear': 'proj_out',
}
LAYER_LINEAR = {'text.norm': 'norm2', 'ffn.video.0': 'ffn.net.0.proj', 'ffn.video.2': 'ffn.net.2'}

MASK_HEAD = {f'heads.VALUE.linear.{end}': f'mask_proj_out.{end}' for end in ('weight', 'bias')}
"""What AIM's published code adds to LingBot-VA; fits a model without `own_value_weights`."""


def wan_names(layers: int) -> dict[str, str]:
    """Map the tensors of x in `AimTransformer` to those of diffusers' WanTransformer3DModel."""
    names = {'heads.RGB.table': 'scale_shift_table'} | _with_bias(LINEAR)
    for i in range(layers):
        ours, theirs = f'layers.{i}', f'blocks.{i}'
        names[f'{ours}.table.video'] = f'{theirs}.scale_shift_table'
        names |= _with_bias({f'{ours}.{a}': f'{theirs}.{b}' for a, b in LAYER_LINEAR.items()})
        for kind, attention in (('attention.video', 'attn1'), ('text', 'attn2')):
            for a, b in ATTENTION.items():
                ends = ('weight',) if a.startswith('norm') else ('weight', 'bias')
                names |= {f'{ours}.{kind}.{a}.{e}': f'{theirs}.{attention}.{b}.{e}' for e in ends}
    return names


def lingbot_names(layers: int) -> dict[str, str]:
    """Map the tensors of x to those of LingBot-VA, which flattens the patch embedding."""
    return {
        ours: theirs.replace('patch_embedding.', 'patch_embedding_mlp.')
        for ours, theirs in wan_names(layers).items()
    }


def as_ours(name: str, tensor: Tensor) -> Tensor:
    """Bring a tensor into the shape that it has under our name; numbers and order stay."""
    if name == 'embedding.patch.weight':
        return tensor.flatten(1)  # float[D, C, 1, p, p] or already float[D, C p p]
    if 'table' in name and tensor.dim() == 3:
        return tensor[0]
    return tensor


def _with_bias(names: dict[str, str]) -> dict[str, str]:
    return {f'{a}.{end}': f'{b}.{end}' for a, b in names.items() for end in ('weight', 'bias')}
