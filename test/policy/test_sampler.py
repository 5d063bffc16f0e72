import dataclasses

import pytest
import torch

from aim_policy.config import ConfigError
from aim_policy.model.attention import Passes
from aim_policy.model.config import PRESETS, SamplingConfig, load_model_config
from aim_policy.model.sampler import Context, Sampler
from aim_policy.model.transformer import AimTransformer, Sample

TEST = load_model_config('test')
OBSERVED = (1, TEST.latent_channels, 2, TEST.rows, TEST.columns)
VIDEO = (1, TEST.latent_channels, TEST.frames, TEST.rows, TEST.columns)


@pytest.fixture(scope='module')
def transformer():
    return random_transformer()


def random_transformer(**changes):
    torch.manual_seed(0)
    config = dataclasses.replace(TEST, history_frames=4, **changes)
    transformer = AimTransformer(config).requires_grad_(False)
    for parameter in transformer.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return transformer


@pytest.fixture(scope='module')
def data():
    """Observed latents, text, joints."""
    draw = torch.Generator().manual_seed(1)
    shapes = OBSERVED, (1, TEST.text_tokens, TEST.text_dim), (1, 2 * TEST.action_dim)
    return [torch.randn(shape, generator=draw) for shape in shapes]


def sampler(transformer, black=None, **changes):
    return Sampler(transformer, dataclasses.replace(TEST.sampling, **changes), black)


def context(sampler, data):
    """What is known at the second of two frames."""
    observed, text, joints = data
    read = sampler.transformer.read_text(text)
    return sampler.context(sampler.append(observed, read), read, observed[:, :, -1:], 1, joints)


def seeded(seed=5):
    return torch.Generator().manual_seed(seed)


def test_split_sampling_equals_the_dense_forward(transformer, data):
    """One step of x, m and then of a, over keys that were left behind, against one dense pass."""
    one_step = sampler(transformer, video_steps=1, action_steps=1, extra_freeze_pass=False)
    known, one, generator = context(one_step, data), torch.ones(1, 1), seeded()
    intent = one_step.imagine(known, generator)
    action = one_step.act(known, intent, generator)
    generator = seeded()
    shapes = VIDEO, VIDEO, (1, TEST.steps, TEST.action_dim)
    noisy = Sample(*(torch.randn(shape, generator=generator) for shape in shapes))
    observed, text, joints = data
    dense = transformer(observed, text, noisy, one, one, joints, execution='dense')
    pairs = [
        (intent.rgb, noisy.rgb - dense.rgb),
        (intent.value, noisy.value - dense.value),
        (action, noisy.action - dense.action),
    ]
    for split, expected in pairs:
        assert (split - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_passes_are_what_each_is_by_itself(transformer, data):
    """Keys that stay laid out between steps must never be those of the step before."""
    known, draw, passes = context(sampler(transformer), data), seeded(), Passes()
    embed, kept = transformer.embedding, []
    for sigma in (1.0, 0.6, 0.2):
        level = torch.full((1, 1), sigma)
        segments = [
            make(torch.randn(VIDEO, generator=draw), level, known.current, known.now)
            for make in (embed.rgb, embed.value)
        ]
        found, memory = transformer.run(segments, known.text, known.memory, passes)
        expected, alone = transformer.run(segments, known.text, known.memory)
        kept += zip(memory, alone, strict=True)
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    for one, other in kept:  # later passes left the keys of earlier ones alone
        for pair, wanted in zip(one.layers, other.layers, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(pair, wanted, strict=True))


def test_without_the_last_layer_the_memory_is_the_same(transformer, data):
    known = context(sampler(transformer), data)
    segment = transformer.embedding.observed(data[0], 2)
    runs = [
        transformer.run([segment], known.text, known.memory, only_memory=short)[1][0]
        for short in (False, True)
    ]
    for pair, expected in zip(*(memory.layers for memory in runs), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(pair, expected, strict=True))


def keys_of_value(transformer, known, noisy, sigma):
    """Keys of m from a pass of its own."""
    embed, level = transformer.embedding, torch.full((1, 1), sigma)
    segments = [
        make(z, level, known.current, known.now)
        for make, z in zip((embed.rgb, embed.value), noisy, strict=True)
    ]
    return transformer.run(segments, known.text, known.memory)[1][-1]


def steps_of(transformer, known, grid):
    """The noisy x and m before each level of a grid, by hand."""
    generator = seeded()
    noisy = [torch.randn(VIDEO, generator=generator) for _ in range(2)]
    path = [noisy]
    for sigma, after in zip(grid, grid[1:], strict=False):
        level = torch.full((1, 1), sigma)
        embed = transformer.embedding
        segments = [
            make(z, level, known.current, known.now)
            for make, z in zip((embed.rgb, embed.value), noisy, strict=True)
        ]
        hidden, _ = transformer.run(segments, known.text, known.memory)
        noisy = [
            z + (after - sigma) * transformer.velocity(s, h)
            for z, s, h in zip(noisy, segments, hidden, strict=True)
        ]
        path.append(noisy)
    return path


@pytest.mark.parametrize('end', [0.0, 0.3, 0.6])
@pytest.mark.parametrize('extra', [False, True])
def test_frozen_keys_equal_a_pass_of_their_own(transformer, data, end, extra):
    """Bit for bit: at the end with the extra pass, at the last evaluated level without."""
    partial = sampler(transformer, video_steps=3, sigma_end=end, extra_freeze_pass=extra)
    known = context(partial, data)
    grid = partial.video_grid.tolist()
    path = steps_of(transformer, known, grid)
    assert grid[-1] == pytest.approx(end, abs=1e-6)
    where = (path[-1], end) if extra else (path[-2], grid[-2])
    expected = keys_of_value(transformer, known, *where)
    frozen = partial.imagine(known, seeded()).memory[-1]
    for pair, other in zip(frozen.layers, expected.layers, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(pair, other, strict=True))


@pytest.mark.parametrize('imagine_rgb', [True, False])
def test_maps_given_back_as_imagined_lead_to_the_same_motion(transformer, data, imagine_rgb):
    own = sampler(transformer, imagine_rgb=imagine_rgb)
    known = context(own, data)
    intent = own.imagine(known, seeded())
    given = own.freeze(intent.value, known, intent.rgb)
    motion, same = (own.act(known, one, seeded(9)) for one in (intent, given))
    torch.testing.assert_close(same, motion, rtol=1e-4, atol=1e-4)
    other = own.freeze(intent.value.flip(-1), known, intent.rgb)
    assert (own.act(known, other, seeded(9)) - motion).abs().max() > 1e-2


def test_what_a_reads_decides_whose_future_moves_it(data):
    def effects(reads):
        own = sampler(random_transformer(action_reads=reads))
        known = context(own, data)
        intent = own.imagine(known, seeded())
        motion = own.act(known, intent, seeded(9))
        changed = [(intent.rgb.flip(-1), intent.value), (intent.rgb, intent.value.flip(-1))]
        others = [own.freeze(value, known, rgb) for rgb, value in changed]
        return [
            not torch.allclose(own.act(known, o, seeded(9)), motion, atol=1e-4) for o in others
        ]

    assert effects(()) == [False, False]
    assert effects(('rgb', 'value')) == [True, True]


def test_rgb_can_be_left_out(transformer, data):
    without = sampler(transformer, imagine_rgb=False)
    intent = without.imagine(context(without, data), seeded())
    assert intent.rgb is None
    assert intent.value.shape == VIDEO


def test_no_steps_act_on_a_black_map(transformer, data):
    black = torch.randn(1, TEST.latent_channels, 1, TEST.rows, TEST.columns)
    blind = sampler(transformer, black, video_steps=0, imagine_rgb=False)
    known = context(blind, data)
    intent = blind.imagine(known, seeded())
    assert intent.rgb is None
    assert torch.equal(intent.value, black.expand(VIDEO))
    segment = transformer.embedding.value(intent.value, torch.zeros(1, 1), known.current, 1)
    _, (expected,) = transformer.run([segment], known.text, known.memory)
    assert torch.equal(intent.memory[-1].layers[0][0], expected.layers[0][0])


def unguided(sampler, data):
    observed, text, _ = data
    read = sampler.transformer.read_text(torch.zeros_like(text))
    return Context(tuple(sampler.append(observed, read)), read, observed[:, :, -1:], 1)


def test_guidance_pushes_x_away_from_no_text(transformer, data):
    steps = {'video_steps': 1, 'extra_freeze_pass': False}
    plain, strong = sampler(transformer, **steps), sampler(transformer, **steps, guidance=5.0)
    known, without = context(plain, data), unguided(plain, data)
    both = dataclasses.replace(known, unguided=without)
    with_text, blind = (plain.imagine(c, seeded()) for c in (known, without))
    guided = strong.imagine(both, seeded())
    expected = blind.rgb + 5.0 * (with_text.rgb - blind.rgb)
    torch.testing.assert_close(guided.rgb, expected, rtol=1e-4, atol=1e-4)
    # m reads no text: in the first step it is what it was, and so is what a reads.
    assert torch.equal(guided.value, with_text.value)
    action = [s.act(known, i, seeded()) for s, i in ((plain, with_text), (strong, guided))]
    assert torch.equal(*action)


def test_guidance_of_one_changes_nothing(transformer, data):
    plain = sampler(transformer, video_steps=2)
    known = context(plain, data)
    both = dataclasses.replace(known, unguided=unguided(plain, data))
    expected, found = (plain.imagine(c, seeded()) for c in (known, both))
    torch.testing.assert_close(found.rgb, expected.rgb, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('name', PRESETS)
def test_presets_run(transformer, data, name):
    chosen = Sampler(transformer, TEST.sampling.preset(name))
    known = context(chosen, data)
    if chosen.config.guidance != 1.0:
        known = dataclasses.replace(known, unguided=unguided(chosen, data))
    generator = seeded()
    action = chosen.act(known, chosen.imagine(known, generator), generator)
    assert action.shape == (1, TEST.steps, TEST.action_dim)
    assert action.isfinite().all()


def test_presets_are_the_published_table():
    rows = {name: SamplingConfig().preset(name) for name in PRESETS}
    found = {
        name: (c.video_steps, c.sigma_end, c.guidance, c.action_steps) for name, c in rows.items()
    }
    assert found['reference'] == (25, 0.0, 5.0, 50)
    assert found['paper-lva'] == (3, 0.6, 1.0, 10)
    assert found['realtime'] == (5, 0.0, 1.0, 10)
    assert [name for name, c in rows.items() if not c.imagine_rgb] == ['value-only', 'action-only']


def test_a_preset_keeps_what_a_model_was_trained_for():
    own = SamplingConfig(video_shift=3.0, extra_freeze_pass=True)
    assert own.preset('') == own
    assert own.preset('flash').video_shift == 3.0
    assert own.preset('flash').extra_freeze_pass
    with pytest.raises(ConfigError, match='unknown preset "falsh" .did you mean "flash"'):
        own.preset('falsh')


def test_committed_actions_come_out_exactly_and_steer_the_others(transformer, data):
    """Real-time chunking: what is promised stays, and what follows knows of it."""
    drawing = sampler(transformer)
    known = context(drawing, data)
    intent = drawing.imagine(known, seeded())
    free = drawing.act(known, intent, seeded())
    committed = torch.full((1, 2, TEST.action_dim), 0.7)
    bound = drawing.act(known, intent, seeded(), committed)
    assert torch.equal(bound[:, :2], committed)
    assert not torch.equal(bound[:, 2:], free[:, 2:])


def test_committing_what_would_come_anyway_changes_nothing_much(transformer, data):
    """One Euler step is a straight line: put onto it, the first rows are where they were."""
    drawing = sampler(transformer, action_steps=1)
    known = context(drawing, data)
    intent = drawing.imagine(known, seeded())
    free = drawing.act(known, intent, seeded())
    bound = drawing.act(known, intent, seeded(), free[:, :2])
    assert torch.equal(bound, free)
