import dataclasses

import pytest
import torch

from aim_policy.model.aim import AimModel
from aim_policy.model.config import load_model_config
from aim_policy.model.mask import Group, Place, Scope, visibility
from aim_policy.model.transformer import AimTransformer, Memory, Sample

TEST = dataclasses.replace(load_model_config('test'), history_frames=4)
SCOPE = Scope(visibility())
SIGMA = torch.tensor([[0.7]])
pytestmark = pytest.mark.filterwarnings('ignore:flex_attention called without')


def variant(**options):
    return dataclasses.replace(TEST, **options)


def network(config=TEST):
    """A network whose zero-initialised parts are random too: every path carries gradient."""
    torch.manual_seed(0)
    transformer = AimTransformer(config)
    for parameter in transformer.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return transformer


def inputs(config=TEST, frames=2):
    """Observed latents, text, noisy sample, joints; each wants a gradient."""
    draw = torch.Generator().manual_seed(1)

    def noise(*shape):
        return torch.randn(*shape, generator=draw).requires_grad_()

    canvas = config.rows, config.columns
    future = (1, config.latent_channels, config.frames, *canvas)
    sample = Sample(noise(*future), noise(*future), noise(1, config.steps, config.action_dim))
    observed = noise(1, config.latent_channels, frames, *canvas)
    text = noise(1, config.text_tokens, config.text_dim)
    return observed, text, sample, noise(1, 2 * config.action_dim)


def forward(transformer, observed, text, sample, joints, **options):
    joints = joints if transformer.config.proprioception else None
    return transformer(observed, text, sample, SIGMA, 0.5 * SIGMA, joints, **options)


def gradient(output, source):
    """Gradient of all numbers of an output, each weighted by itself; zeros where there is none."""
    (value,) = torch.autograd.grad(
        output.square().sum(), source, allow_unused=True, retain_graph=True
    )
    return torch.zeros_like(source) if value is None else value


@pytest.mark.parametrize('execution', ['split', 'dense'])  # flex has no gradient on a CPU
def test_nothing_flows_against_the_intent(execution):
    observed, text, sample, joints = inputs()
    out = forward(network(), observed, text, sample, joints, execution=execution)
    assert gradient(out.rgb, sample.value).abs().max() == 0
    assert gradient(out.rgb, sample.action).abs().max() == 0
    assert gradient(out.value, sample.action).abs().max() == 0
    assert gradient(out.rgb, joints).abs().max() == 0
    assert gradient(out.value, joints).abs().max() == 0


def test_what_may_flow_does_flow():
    observed, text, sample, joints = inputs()
    out = forward(network(), observed, text, sample, joints)
    sources = {
        'rgb': (observed, text, sample.rgb),
        'value': (observed, text, sample.rgb, sample.value),
        'action': (observed, text, sample.rgb, sample.value, sample.action, joints),
    }
    for stream, tensors in sources.items():
        for source in tensors:
            assert gradient(getattr(out, stream), source).abs().max() > 0, stream


def frozen_action(config):
    """Velocities of a over m's frozen keys, with everything else still attached."""
    observed, text, sample, joints = inputs(config)
    transformer = network(config)
    embed, read, current = transformer.embedding, transformer.read_text(text), observed[:, :, -1:]
    _, past = transformer.run([embed.observed(observed), embed.proprioception(joints, 1)], read)
    future = [
        embed.rgb(sample.rgb, SIGMA, current, 1),
        embed.value(sample.value, SIGMA, current, 1),
    ]
    _, (seen, intent) = transformer.run(future, read, past)
    layers = tuple((key.detach(), value.detach()) for key, value in intent.layers)
    intent = dataclasses.replace(intent, layers=layers)
    segment = embed.actions(sample.action, SIGMA, 1)
    (hidden,), _ = transformer.run([segment], read, [*past, seen, intent])
    return transformer.velocity(segment, hidden), sample, text


def test_frozen_intent_is_the_only_way_from_the_future_to_action():
    action, sample, _ = frozen_action(TEST)
    assert gradient(action, sample.rgb).abs().max() == 0
    assert gradient(action, sample.value).abs().max() == 0


def test_frozen_intent_is_the_only_way_from_text_to_action_unless_o_reads_it():
    action, _, text = frozen_action(variant(text_to_observation=False))
    assert gradient(action, text).abs().max() == 0
    action, _, text = frozen_action(TEST)
    assert gradient(action, text).abs().max() > 0


def test_without_a_the_rest_is_bit_identical():
    transformer, (observed, text, sample, joints) = network(), inputs()
    whole = forward(transformer, observed, text, sample, joints)
    embed, current = transformer.embedding, observed[:, :, -1:]
    segments = [
        embed.observed(observed),
        embed.proprioception(joints, 1),
        embed.rgb(sample.rgb, SIGMA, current, 1),
        embed.value(sample.value, SIGMA, current, 1),
    ]
    hidden, _ = transformer.run(segments, transformer.read_text(text))
    assert torch.equal(transformer.velocity(segments[-2], hidden[-2]), whole.rgb)
    assert torch.equal(transformer.velocity(segments[-1], hidden[-1]), whole.value)


@pytest.mark.parametrize(
    'options',
    [
        {},
        {'proprioception': False},
        {'history_to_action': True},
        {'action_reads': ('rgb', 'value')},
        {'action_reads': ()},
        {'history_frames': 2, 'pin_first_frame': True},
        {'own_value_weights': False, 'text_to_value': True},
        {'align_current': False, 'coordinate_features': False},
    ],
    ids=str,
)
def test_three_executions_agree(options):
    config = variant(**options)
    transformer, data = network(config), inputs(config)
    with torch.no_grad():
        dense, *others = (
            forward(transformer, *data, execution=name) for name in ('dense', 'split', 'flex')
        )
    for other in others:
        assert_alike(other, dense)


def assert_alike(found, expected):
    for stream in ('rgb', 'value', 'action'):
        difference = getattr(found, stream) - getattr(expected, stream)
        assert difference.abs().max() <= 1e-5 * getattr(expected, stream).abs().max()


def clip(chunks, frames, config):
    """Chunks planned one after the other in one clip, and the clean motion between its frames."""
    draw = torch.Generator().manual_seed(2)

    def noise(*shape):
        return torch.randn(*shape, generator=draw)

    canvas, ahead = (config.rows, config.columns), len(chunks) * config.frames
    video = (1, config.latent_channels, ahead, *canvas)
    action = 1, ahead * config.steps_per_frame, config.action_dim
    return {
        'observed': noise(1, config.latent_channels, frames, *canvas),
        'text': noise(1, config.text_tokens, config.text_dim),
        'noisy': Sample(noise(*video), noise(*video), noise(*action)),
        'sigma_video': torch.linspace(0.2, 0.9, ahead)[None],
        'sigma_action': torch.linspace(0.8, 0.1, ahead)[None],
        'proprio': noise(1, len(chunks), 2 * config.action_dim),
        'executed': noise(1, (frames - 1) * config.steps_per_frame, config.action_dim),
        'now': torch.tensor(chunks),
    }


@pytest.mark.parametrize('chunks', [[1, 3, 5], [0, 1, 4]], ids=str)
def test_several_chunks_in_one_clip_agree_in_all_executions(chunks):
    config = variant(history_frames=3)
    transformer, data = network(config), clip(chunks, 6, config)
    with torch.no_grad():
        dense, *others = (
            transformer(**data, execution=name) for name in ('dense', 'split', 'flex')
        )
    for other in others:
        assert_alike(other, dense)


def test_a_chunk_in_a_clip_does_not_know_what_comes_after():
    transformer, data = network(), clip([0, 2, 4], 5, TEST)
    ahead, steps, noisy = 2 * TEST.frames, 2 * TEST.steps, data['noisy']
    cut = {
        'observed': data['observed'][:, :, :3],
        'text': data['text'],
        'noisy': Sample(
            noisy.rgb[:, :, :ahead], noisy.value[:, :, :ahead], noisy.action[:, :steps]
        ),
        'sigma_video': data['sigma_video'][:, :ahead],
        'sigma_action': data['sigma_action'][:, :ahead],
        'proprio': data['proprio'][:, :2],
        'executed': data['executed'][:, : 2 * TEST.steps_per_frame],
        'now': data['now'][:2],
    }
    with torch.no_grad():
        whole, part = transformer(**data), transformer(**cut)
    first = whole.rgb[:, :, :ahead], whole.value[:, :, :ahead], whole.action[:, :steps]
    assert_alike(part, Sample(*first))


def test_order_of_remembered_segments_does_not_matter():
    transformer, (observed, text, sample, _) = network(), inputs()
    config, read = TEST, transformer.read_text(text)
    embed, first = transformer.embedding, sample.action[:, : config.steps_per_frame]
    segments = [
        embed.observed(observed),
        embed.executed(first, torch.tensor([1]), torch.tensor([0])),
    ]
    _, memory = transformer.run(segments, read)
    action = embed.actions(sample.action, SIGMA, 1)
    results = [transformer.run([action], read, m)[0][0] for m in (memory, memory[::-1])]
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-5)


def test_one_noise_level_per_frame_equals_one_for_all_when_they_agree():
    transformer, (observed, text, sample, joints) = network(), inputs()
    one = transformer(observed, text, sample, SIGMA, SIGMA, joints)
    each = SIGMA.expand(1, TEST.frames)
    per_frame = transformer(observed, text, sample, each, each, joints)
    torch.testing.assert_close(per_frame.action, one.action)
    torch.testing.assert_close(per_frame.value, one.value)


def test_larger_patches_cover_the_same_canvas():
    views = tuple(
        dataclasses.replace(
            v, height=2 * v.height, width=2 * v.width, row=2 * v.row, column=2 * v.column
        )
        for v in TEST.views
    )
    config = variant(views=views, patch=2)
    out = forward(network(config), *inputs(config))
    assert out.rgb.shape == (1, config.latent_channels, config.frames, 18, 16)


def test_untrained_streams_predict_no_motion():
    transformer = AimModel.random(TEST, 0).transformer
    out = forward(transformer, *inputs())
    assert max(v.abs().max() for v in (out.rgb, out.value, out.action)) == 0


def test_random_weights_depend_on_the_seed_only():
    torch.manual_seed(3)
    first = AimModel.random(TEST, 7)
    after = torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(after, torch.rand(1))
    for a, b in zip(first.parameters(), AimModel.random(TEST, 7).parameters(), strict=True):
        assert torch.equal(a, b)


def test_shipped_configs_build():
    config = load_model_config('aim_tiny')
    model = AimModel.random(config, 0)
    assert 4 * sum(p.numel() for p in model.parameters()) < 40e6
    assert (config.rows, config.columns) == (9, 8)


def test_a_memory_is_repeated_element_by_element():
    pair = torch.arange(2.0).reshape(2, 1, 1, 1), torch.arange(2.0, 4.0).reshape(2, 1, 1, 1)
    one = torch.zeros(1, dtype=torch.int64)
    memory = Memory(Place(Group.PROPRIO, one, one, torch.zeros(1, 3)), (pair,))
    ((key, value),) = memory.repeated(2).layers
    assert key.flatten().tolist() == [0, 0, 1, 1]
    assert value.flatten().tolist() == [2, 2, 3, 3]
