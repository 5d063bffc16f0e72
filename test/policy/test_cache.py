"""The ring cache against recomputing everything from the first frame on."""

import dataclasses

import pytest
import torch

from aim_policy.model import cache as cache_module
from aim_policy.model.cache import RingCache, narrow
from aim_policy.model.config import load_model_config
from aim_policy.model.mask import Group
from aim_policy.model.sampler import Sampler
from aim_policy.model.transformer import AimTransformer

TEST = dataclasses.replace(load_model_config('test'), history_frames=5)
F, N_A, CHUNKS = TEST.frames, TEST.steps_per_frame, 12
SIGMA = torch.tensor([[0.7]])


def network(config):
    torch.manual_seed(0)
    transformer = AimTransformer(config).requires_grad_(False)
    for parameter in transformer.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return transformer


def episode(config, frames=1 + CHUNKS * F):
    """Latents of all frames, motion that led to each, text, and a noisy sample."""
    draw = torch.Generator().manual_seed(1)
    canvas = config.latent_channels, config.rows, config.columns
    observed = torch.randn(1, canvas[0], frames, *canvas[1:], generator=draw)
    executed = torch.randn(1, (frames - 1) * N_A, config.action_dim, generator=draw)
    text = torch.randn(1, config.text_tokens, config.text_dim, generator=draw)
    video = torch.randn(1, canvas[0], F, *canvas[1:], generator=draw)
    action = torch.randn(1, config.steps, config.action_dim, generator=draw)
    return observed, executed, text, video, action


def new_cache(config):
    return RingCache(config, 1, torch.device('cpu'), torch.float32)


def append(cache, sampler, read, observed, executed, first, count):
    """Frames first .. first + count - 1 of an episode, and the motion of their chunk."""
    moved = executed[:, (first - 1) * N_A : (first - 1 + count) * N_A] if first else None
    planned = torch.full((count,), cache.frames - 1)
    latents = observed[:, :, first : first + count]
    cache.write(
        sampler.append(
            latents, read, cache.memory(), cache.frames, moved, planned[: count * bool(first)]
        )
    )


def predict(transformer, read, memory, current, now, video, action, execution='split'):
    embed = transformer.embedding
    segments = [
        embed.rgb(video, SIGMA, current, now),
        embed.value(video, SIGMA, current, now),
        embed.actions(action, SIGMA, now),
    ]
    hidden, _ = transformer.run(segments, read, memory, execution)
    return [transformer.velocity(s, h) for s, h in zip(segments, hidden, strict=True)]


def from_scratch(transformer, read, observed, executed, last, video, action):
    """One dense pass over all frames up to `last`."""
    embed, frame = transformer.embedding, torch.arange(1, last + 1)
    past = [embed.observed(observed[:, :, : last + 1])]
    if last:
        planned = (frame - 1) // F * F
        past.append(embed.executed(executed[:, : last * N_A], frame, planned))
    current = observed[:, :, last : last + 1]
    future = [
        embed.rgb(video, SIGMA, current, last),
        embed.value(video, SIGMA, current, last),
        embed.actions(action, SIGMA, last),
    ]
    hidden, _ = transformer.run([*past, *future], read, execution='dense')
    pairs = zip(future, hidden[len(past) :], strict=True)
    return [transformer.velocity(s, h) for s, h in pairs]


def assert_alike(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert (one - other).abs().max() <= 1e-5 * other.abs().max()


@pytest.mark.parametrize('window', [2, 5, 40])
@pytest.mark.parametrize('pin', [False, True])
def test_a_cached_rollout_equals_recomputing_everything(window, pin):
    config = dataclasses.replace(TEST, history_frames=window, pin_first_frame=pin)
    transformer = network(config)
    observed, executed, text, video, action = episode(config)
    sampler, read, cache = (
        Sampler(transformer, config.sampling),
        transformer.read_text(text),
        new_cache(config),
    )
    for chunk in range(CHUNKS + 1):
        first, count = (1 + (chunk - 1) * F, F) if chunk else (0, 1)
        append(cache, sampler, read, observed, executed, first, count)
        now = cache.frames - 1
        found = predict(
            transformer, read, cache.memory(), observed[:, :, now : now + 1], now, video, action
        )
        assert_alike(
            found, from_scratch(transformer, read, observed, executed, now, video, action)
        )


@pytest.fixture(scope='module')
def rollout():
    """A cache after all chunks of an episode, and what belongs to it."""
    transformer = network(TEST)
    observed, executed, text, video, action = episode(TEST)
    sampler, read, cache = (
        Sampler(transformer, TEST.sampling),
        transformer.read_text(text),
        new_cache(TEST),
    )
    for chunk in range(CHUNKS):
        first, count = (1 + (chunk - 1) * F, F) if chunk else (0, 1)
        append(cache, sampler, read, observed, executed, first, count)
    now = cache.frames - 1
    current = observed[:, :, now : now + 1]

    def run(memory, now=now):
        return predict(transformer, read, memory, current, now, video, action)

    return cache, run


def test_whole_frames_are_kept_and_only_the_newest(rollout):
    cache, _ = rollout
    newest = set(range(cache.frames - TEST.history_frames, cache.frames))
    for memory in cache.memory():
        frames, counts = memory.place.frame.unique(return_counts=True)
        assert set(frames.tolist()) == newest
        assert set(counts.tolist()) == {cache.tokens[memory.place.group]}


def test_a_full_cache_is_read_without_a_copy(rollout):
    cache, _ = rollout
    for memory in cache.memory():
        pool = cache.pool[memory.place.group]
        assert memory.layers[0][0].data_ptr() == pool.data_ptr()
        assert memory.layers[0][0].shape[2] == pool.shape[4]


def test_the_order_of_slots_means_nothing(rollout):
    cache, run = rollout
    shuffled = []
    for memory in cache.memory():
        order = torch.randperm(len(memory.place.frame), generator=torch.Generator().manual_seed(3))
        place = dataclasses.replace(
            memory.place, frame=memory.place.frame[order], now=memory.place.now[order]
        )
        layers = tuple((k[:, :, order], v[:, :, order]) for k, v in memory.layers)
        shuffled.append(dataclasses.replace(memory, place=place, layers=layers))
    assert_alike(run(shuffled[::-1]), run(cache.memory()))


def test_narrowing_drops_what_a_does_not_see(rollout):
    cache, _ = rollout
    transformer = network(TEST)
    now = cache.frames - 1
    segment = transformer.embedding.actions(
        torch.zeros(1, TEST.steps, TEST.action_dim), SIGMA, now
    )
    observed, executed = narrow(transformer.scope, [segment.place], cache.memory())
    assert set(observed.place.frame.tolist()) == {now}
    assert len(executed.place.frame) == TEST.history_frames * N_A
    text = transformer.read_text(torch.zeros(1, TEST.text_tokens, TEST.text_dim))
    results = [
        transformer.run([segment], text, memory)[0][0]
        for memory in ((observed, executed), cache.memory())
    ]
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('after', [6, 11])
def test_frame_ids_that_start_low_again_change_nothing(monkeypatch, after):
    monkeypatch.setattr(cache_module, 'REBASE_AFTER', after)
    transformer = network(TEST)
    observed, executed, text, video, action = episode(TEST)
    sampler, read, cache = (
        Sampler(transformer, TEST.sampling),
        transformer.read_text(text),
        new_cache(TEST),
    )
    seen = []
    for chunk in range(CHUNKS + 1):
        first, count = (1 + (chunk - 1) * F, F) if chunk else (0, 1)
        append(cache, sampler, read, observed, executed, first, count)
        seen.append(cache.frames)
    assert max(seen) <= after + TEST.history_frames
    last, now = observed.shape[2] - 1, cache.frames - 1
    current = observed[:, :, last : last + 1]
    found = predict(transformer, read, cache.memory(), current, now, video, action)
    assert_alike(found, from_scratch(transformer, read, observed, executed, last, video, action))


def test_a_pinned_frame_stays_the_first_when_ids_start_low_again():
    config = dataclasses.replace(TEST, pin_first_frame=True)
    transformer = network(config)
    observed, executed, text, *_ = episode(config)
    sampler, read, cache = (
        Sampler(transformer, config.sampling),
        transformer.read_text(text),
        new_cache(config),
    )
    append(cache, sampler, read, observed, executed, 0, 1)
    first = cache.memory()[0].layers[0][0].clone()
    for frame in range(1, 20):
        append(cache, sampler, read, observed, executed, frame, 1)
    cache.rebase()
    memory = cache.memory()[0]
    assert sorted(memory.place.frame.unique().tolist()) == [
        0,
        *range(cache.frames - 5, cache.frames),
    ]
    assert cache.frames <= 2 * TEST.history_frames + 1
    pinned = memory.layers[0][0][:, :, memory.place.frame == 0]
    assert torch.equal(pinned, first)


def test_clearing_forgets_everything():
    transformer = network(TEST)
    observed, executed, text, *_ = episode(TEST)
    sampler, read = Sampler(transformer, TEST.sampling), transformer.read_text(text)
    used, fresh = new_cache(TEST), new_cache(TEST)
    for frame in range(8):
        append(used, sampler, read, observed, executed, frame, 1)
    used.clear()
    assert used.memory() == []
    for cache in (used, fresh):
        append(cache, sampler, read, observed, executed, 0, 1)
        append(cache, sampler, read, observed, executed, 1, F)
    for one, other in zip(used.memory(), fresh.memory(), strict=True):
        assert one.place.group in (Group.OBSERVED, Group.EXECUTED)
        assert torch.equal(one.place.frame, other.place.frame)
        for pair, expected in zip(one.layers, other.layers, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(pair, expected, strict=True))
