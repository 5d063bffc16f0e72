"""What a policy remembers of an episode, and what its encoders make of it."""

import dataclasses

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLWan
from observations import (
    CONFIG,
    FRAME_NS,
    REMEMBERING,
    ROBOT,
    STEP_NS,
    drive,
    frame,
    lively,
    motion,
    observation,
)

from aim_policy.model.aim import AimModel
from aim_policy.model.config import ViewConfig
from aim_policy.model.sampler import Sampler
from aim_policy.policy import AimPolicy
from aim_policy.tokenizers.text import HashedTextEncoder
from aim_policy.wan.vae import WanVae


@pytest.mark.parametrize('frames', [1, 2])
def test_a_chunk_is_what_all_that_is_remembered_says(frames):
    """Against one pass over the whole episode, put together by hand."""
    config = dataclasses.replace(CONFIG, history_frames=8)
    policy, last = lively(config), 4
    drive(policy, last // frames, frames)
    found = policy.infer(frame(last))
    model, transforms = policy.model, policy._transforms
    frames_seen = [frame(i) for i in range(last + 1)]
    plans = [i // frames * frames for i in range(last)]
    with torch.inference_mode():
        latents = torch.cat(
            [model.encode(transforms.images(f.images)) for f in frames_seen], dim=2
        )
        blocks = [transforms.actions(motion(i), frame(plans[i]).joint_target) for i in range(last)]
        text = model.transformer.read_text(model.text_encoder.encode('press the bell')[None])
        sampler = Sampler(model.transformer, config.sampling)
        known = sampler.append(latents, text, (), 0, torch.cat(blocks, dim=1), torch.tensor(plans))
        joints = transforms.proprioception(frame(last).joint_position, frame(last).joint_target)
        context = sampler.context(known, text, latents[:, :, -1:], last, joints)
        generator = torch.Generator().manual_seed(0)
        for _ in range(1 + last // frames):  # the same noise as the last of as many plans
            intent = sampler.imagine(context, generator)
            actions = sampler.act(context, intent, generator)
        expected = transforms.chunk(actions, frame(last), 0).positions
    np.testing.assert_allclose(found.chunk.positions, expected, atol=1e-6)


def test_what_was_seen_and_done_before_matters():
    plans = []
    for shift in (0.0, 0.1):
        policy = lively()
        policy.infer(frame(0))
        for index in range(2):
            policy.observe(frame(index + 1), motion(index) + shift)
        plans.append(policy.infer(frame(2)).chunk.positions)
    assert not np.array_equal(*plans)


def test_a_reset_forgets_everything():
    used, fresh = lively(), lively()
    drive(used, 3)
    for policy in (used, fresh):
        policy.reset('lift the pot', 7)
    for index in (0, 1):
        seen = frame(index, instruction='lift the pot')
        one, other = (policy.infer(seen).chunk.positions for policy in (used, fresh))
        assert np.array_equal(one, other)


@pytest.mark.parametrize(
    'changes',
    [{'instruction': 'lift the pot'}, {'stamp_ns': 10**9 + 9 * FRAME_NS}, {'stamp_ns': 1}],
)
def test_another_instruction_a_gap_and_a_step_back_in_time_start_anew(changes):
    used, fresh = lively(), lively()
    drive(used, 1)
    later = dataclasses.replace(frame(2), **changes)
    for policy in (used, fresh):
        policy._generator.manual_seed(3)
    one, other = (policy.infer(later).chunk.positions for policy in (used, fresh))
    assert np.array_equal(one, other)


FIRST = dataclasses.replace(CONFIG, pin_first_frame=True)


def test_without_a_history_the_first_frame_may_stay_in_sight():
    plans = []
    for begin in (0, 5):
        policy = lively(FIRST)
        policy.infer(frame(0, images=frame(begin).images))
        policy.observe(frame(1), motion(0))  # not asked for, does nothing
        policy._generator.manual_seed(3)
        plans.append([policy.infer(frame(i)).chunk.positions for i in (2, 3, 4)])
    assert policy.key_frame_steps == 0
    for one, other in zip(*plans, strict=True):
        assert not np.array_equal(one, other)


@pytest.mark.parametrize(
    'changes', [{'instruction': 'lift the pot'}, {'stamp_ns': 1}, {'stamp_ns': 10**9 + FRAME_NS}]
)
def test_another_instruction_and_a_step_back_in_time_make_another_frame_the_first(changes):
    used, fresh = lively(FIRST), lively(FIRST)
    for seen in (frame(0), frame(2)):
        used.infer(seen)
    later = dataclasses.replace(frame(3), **changes)
    for policy in (used, fresh):
        policy._generator.manual_seed(3)
    one, other = (policy.infer(later).chunk.positions for policy in (used, fresh))
    assert np.array_equal(one, other)


def test_an_observation_between_key_frames_is_seen_but_not_kept():
    policy, other = lively(), lively()
    between = dataclasses.replace(frame(7), stamp_ns=10**9 + 3 * STEP_NS)
    for one in (policy, other):
        one.infer(frame(0))
    state = policy._generator.get_state()
    seen = policy.infer(between).chunk.positions
    policy._generator.set_state(state)
    assert not np.array_equal(seen, policy.infer(frame(0)).chunk.positions)
    for one in (policy, other):
        one.observe(frame(1), motion(0))
        one._generator.manual_seed(3)
    assert np.array_equal(*(p.infer(frame(1)).chunk.positions for p in (policy, other)))


def test_the_plan_counts_as_executed_when_nobody_reports():
    silent, told = lively(), lively()
    nothing = np.empty((0, 14))
    for policy, report in ((silent, False), (told, True)):
        plan = policy.infer(frame(0)).chunk.positions
        for index in range(2):
            rows = plan[index * CONFIG.steps_per_frame :][: CONFIG.steps_per_frame]
            policy.observe(frame(index + 1), rows if report else nothing)
    assert np.array_equal(*(p.infer(frame(2)).chunk.positions for p in (silent, told)))
    with pytest.raises(ValueError, match='executed has 3 rows, expected 8'):
        told.observe(frame(3), motion(0)[:3])


def test_an_instruction_that_cannot_be_read_changes_nothing():
    told, other = lively(), lively()
    for policy in (told, other):
        drive(policy, 2)
    with pytest.raises(ValueError, match='has 33 words, expected at most 32'):
        told.observe(frame(5, instruction='very ' * 32 + 'long'), motion(4))
    for policy in (told, other):
        policy.observe(frame(5), motion(4))
    assert np.array_equal(*(p.infer(frame(5)).chunk.positions for p in (told, other)))


class AskedToWait(HashedTextEncoder):
    """Takes no instruction for an order to wait."""

    def empty(self):
        return self.encode('wait')


def test_guidance_leads_away_from_what_the_encoder_has_for_no_instruction():
    encoder = AskedToWait(CONFIG.text_dim, CONFIG.text_tokens)
    model = AimModel(CONFIG, text_encoder=encoder)
    policy = AimPolicy(ROBOT, CONFIG, model, preset='reference')
    with torch.inference_mode():
        text = policy.history.context(observation()).unguided.text
        expected = model.transformer.read_text(encoder.encode('wait')[None])
    for found, wanted in zip(text, expected, strict=True):
        assert all(torch.allclose(one, other) for one, other in zip(found, wanted, strict=True))


def wan_policy():
    """With Wan's video code, four pictures in a latent frame."""
    vae = AutoencoderKLWan(
        base_dim=8, decoder_base_dim=8, z_dim=48, dim_mult=[1, 2, 4, 4], num_res_blocks=1,
        attn_scales=[], temperal_downsample=[False, True, True], is_residual=True, in_channels=12,
        out_channels=12, patch_size=2, scale_factor_spatial=16, scale_factor_temporal=4,
        latents_mean=[0.0] * 48, latents_std=[1.0] * 48,
    )  # fmt: skip
    views = (
        ViewConfig('left_camera', 32, 32, 0, 0),
        ViewConfig('right_camera', 32, 32, 0, 2),
        ViewConfig('head_camera', 64, 64, 2, 0),
    )
    config = dataclasses.replace(REMEMBERING, views=views, cell_px=16, latent_channels=48)
    return AimPolicy(ROBOT, config, AimModel(config, WanVae(vae)))


def test_imagined_pictures_follow_the_current_one():
    """Wan's code of a frame only means something after the frame before it."""
    policy = wan_policy()
    policy.show_future = True
    policy.reset('press the bell', 0)
    found = policy.infer(observation()).future_images['head_camera']
    with torch.inference_mode():
        context = policy.history.context(observation())
        rgb = policy.sampler.imagine(context, torch.Generator().manual_seed(0)).rgb
        after, alone = (policy.model.decode(rgb, b) for b in (context.current, None))
    expected, wrong = (policy._transforms.future_images(v)['head_camera'] for v in (after, alone))
    assert np.array_equal(found, expected)
    assert not np.array_equal(found, wrong)


def test_four_pictures_become_one_latent_frame_with_their_motion():
    """Key frames come every quarter of a latent frame's motion."""
    policy = wan_policy()
    policy.reset('press the bell', 0)
    quarter, cache = CONFIG.steps_per_frame // 4, policy.history.cache
    for index in range(9):
        stamp_ns = 10**9 + index * quarter * STEP_NS
        policy.observe(observation(index, stamp_ns=stamp_ns), motion(0)[:quarter])
        policy.infer(observation(index, stamp_ns=stamp_ns))
        assert cache.frames == 1 + index // 4
    observed, executed = cache.memory()
    assert observed.place.frame.unique().tolist() == [0, 1, 2]
    assert executed.place.frame.unique().tolist() == [1, 2]
    with pytest.raises(ValueError, match='executed has 8 rows, expected 2'):
        policy.observe(observation(9, stamp_ns=stamp_ns + 1), motion(0))
