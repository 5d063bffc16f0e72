"""x against the model that its weights come from."""

import dataclasses

import pytest
import torch
from diffusers import WanTransformer3DModel

from aim_policy.model.attention import EXECUTIONS
from aim_policy.model.config import ModelConfig, ViewConfig, load_model_config
from aim_policy.model.transformer import AimTransformer, Sample
from aim_policy.wan.initialise import grow_streams
from aim_policy.wan.names import as_ours, lingbot_names, wan_names

CONFIG = ModelConfig(
    name='wan', views=(ViewConfig('head_camera', 96, 128, 0, 0),), cell_px=16, latent_channels=48,
    patch=2, frames=3, steps=12, action_dim=5, width=64, action_width=24, heads=4, head_dim=16,
    layers=2, ffn=96, action_ffn=40, text_dim=32, text_tokens=7, frequency_dim=32,
)  # fmt: skip


def wan():
    """A random one, every tensor of it: zero biases and unit norms would hide mistakes."""
    torch.manual_seed(0)
    model = WanTransformer3DModel(
        patch_size=(1, 2, 2), num_attention_heads=4, attention_head_dim=16, in_channels=48,
        out_channels=48, text_dim=32, freq_dim=32, ffn_dim=96, num_layers=2,
    )  # fmt: skip
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model.eval()


def ours(tensors, names, config=CONFIG):
    """An AIM transformer with the tensors of x, and m and a grown from them."""
    transformer = AimTransformer(config).eval()
    loaded = {name: as_ours(name, tensors[theirs]) for name, theirs in names.items()}
    missing, unexpected = transformer.load_state_dict(loaded, strict=False)
    assert unexpected == []
    assert not set(missing) & set(names)
    grow_streams(transformer)
    return transformer


def x_alone(transformer, noisy, sigma, text):
    segment = transformer.embedding.rgb(noisy, sigma, noisy[:, :, :1], now=-1)
    (hidden,), _ = transformer.run([segment], transformer.read_text(text))
    return transformer.velocity(segment, hidden)


def inputs(dtype=torch.float32, batch=2):
    draw = torch.Generator().manual_seed(1)
    noisy = torch.randn(batch, 48, 3, 6, 8, generator=draw).to(dtype)
    text = torch.randn(batch, 7, 32, generator=draw).to(dtype)
    return noisy, text


def cast(network, dtype, keep=()):
    """Lower the precision of all parameters but some; of no buffer, as in loading from a file."""
    for name, parameter in network.named_parameters():
        if not any(part in name for part in keep):
            parameter.data = parameter.data.to(dtype)
    return network


@pytest.mark.parametrize(
    ('dtype', 'kept'),
    [
        (torch.float32, False),
        (torch.bfloat16, False),
        (torch.bfloat16, True),  # what diffusers keeps in float32 beside bfloat16
    ],
    ids=str,
)
@pytest.mark.parametrize('per_token', [False, True])
def test_x_equals_wan_exactly(dtype, kept, per_token):
    noisy, text = inputs(dtype)
    keep_theirs = ('time_embedder', 'scale_shift_table', 'norm2') if kept else ()
    keep_ours = ('time.video.embed', 'table', 'text.norm.') if kept else ()
    theirs = wan()
    transformer = cast(ours(theirs.state_dict(), wan_names(2)), dtype, keep_ours)
    theirs = cast(theirs, dtype, keep_theirs)
    sigma = torch.tensor([[0.25], [0.75]])
    if per_token:
        sigma = torch.linspace(0, 1, 2 * 36).view(2, 36)
    time = 1000.0 * sigma
    with torch.no_grad():
        expected = theirs(noisy, time if per_token else time[:, 0], text).sample
        assert torch.equal(x_alone(transformer, noisy, sigma, text), expected)
    assert expected.abs().max() > 0.1


def test_x_equals_wan_through_the_names_of_lingbot():
    noisy, text = inputs()
    theirs = wan()
    tensors = {
        lingbot_names(2)[name]: theirs.state_dict()[wan_name]
        for name, wan_name in wan_names(2).items()
    }
    assert 'patch_embedding_mlp.weight' in tensors
    flat = tensors['patch_embedding_mlp.weight'].flatten(1)
    tensors['patch_embedding_mlp.weight'] = flat
    transformer, sigma = ours(tensors, lingbot_names(2)), torch.full((2, 1), 0.5)
    with torch.no_grad():
        expected = theirs(noisy, 1000 * sigma[:, 0], text).sample
        assert torch.equal(x_alone(transformer, noisy, sigma, text), expected)


def test_every_tensor_of_wan_has_a_name():
    assert sorted(wan_names(2).values()) == sorted(wan().state_dict())


@pytest.mark.parametrize('own_value_weights', [True, False])
def test_m_and_a_start_from_x(own_value_weights):
    config = dataclasses.replace(CONFIG, own_value_weights=own_value_weights)
    transformer = ours(wan().state_dict(), wan_names(2), config)
    tensors = transformer.state_dict()
    if own_value_weights:
        copy = tensors['layers.1.attention.value.query.weight']
        assert torch.equal(copy, tensors['layers.1.attention.video.query.weight'])
        assert torch.equal(
            tensors['embedding.value_patch.weight'], tensors['embedding.patch.weight']
        )
    # The ends of an interpolated matrix are those of its source, scaled.
    wide = tensors['layers.1.ffn.video.0.weight']
    narrow = tensors['layers.1.ffn.action.0.weight']
    corners = wide[:: len(wide) - 1, :: wide.shape[1] - 1] * (64 / 24) ** 0.5
    torch.testing.assert_close(narrow[:: len(narrow) - 1, :: narrow.shape[1] - 1], corners)
    common = tensors['layers.0.attention.action.norm_key.weight']
    assert torch.equal(common, tensors['layers.0.attention.video.norm_key.weight'])
    assert tensors['embedding.value_type'].abs().max() == 0
    for name in ('heads.VALUE.linear.weight', 'heads.ACTION.linear.bias'):
        assert tensors[name].abs().max() == 0


def test_untrained_m_and_a_move_nothing_and_leave_x_as_it_was():
    transformer = ours(wan().state_dict(), wan_names(2))
    noisy, text = inputs()
    sample = Sample(noisy, noisy + 1, torch.randn(2, 12, 5))
    sigma, observed = torch.full((2, 1), 0.5), noisy[:, :, :2]
    with torch.no_grad():
        out = transformer(observed, text, sample, sigma, sigma)
        segments = [
            transformer.embedding.observed(observed),
            transformer.embedding.rgb(noisy, sigma, observed[:, :, -1:], now=1),
        ]
        hidden, _ = transformer.run(segments, transformer.read_text(text))
        assert torch.equal(out.rgb, transformer.velocity(segments[1], hidden[1]))
    assert out.value.abs().max() == out.action.abs().max() == 0


def test_parameters_of_the_full_size():
    """Counted without memory; x is Wan2.2-TI2V-5B to the last number (section 2.1)."""
    counts = {}
    for name in ('aim_5b', 'aim_5b_compact'):
        with torch.device('meta'):
            transformer = AimTransformer(load_model_config(name))
        tensors = transformer.state_dict()
        assert sum(tensors[name].numel() for name in wan_names(30)) == 4_999_787_712
        counts[name] = {
            stream: sum(t.numel() for n, t in tensors.items() if stream in _words(n))
            for stream in ('value', 'action')
        }
    paper, compact = counts['aim_5b'], counts['aim_5b_compact']
    assert 1.13e9 < paper['value'] < 1.14e9
    assert 0.63e9 < paper['action'] < 0.65e9
    assert compact['value'] < 1e6
    assert compact['action'] == paper['action']


def _words(name):
    """m's key and value projections are called `value` too, in every stream."""
    stem = name.replace('.value.weight', '').replace('.value.bias', '').lower()
    words = set(stem.replace('_', '.').split('.'))
    return {'value'} & words or words


def test_all_executions_are_known():
    assert set(EXECUTIONS) == {'split', 'dense', 'flex'}
