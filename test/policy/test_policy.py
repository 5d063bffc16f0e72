import dataclasses

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLWan

from aim_policy.baseline import HoldPolicy
from aim_policy.config import ConfigError
from aim_policy.interface import Observation
from aim_policy.model.aim import AimModel
from aim_policy.model.config import ViewConfig, load_model_config
from aim_policy.model.sampler import Sampler
from aim_policy.policy import AimPolicy
from aim_policy.registry import POLICIES, make_policy
from aim_policy.robot import load_robot
from aim_policy.tokenizers.text import HashedTextEncoder
from aim_policy.wan.vae import WanVae

ROBOT = load_robot('aloha_agilex')
CONFIG = load_model_config('test')


def observation(seed=0, **changes):
    draw = np.random.default_rng(seed)
    images = {c.name: draw.integers(0, 256, (240, 320, 3), dtype=np.uint8) for c in ROBOT.cameras}
    return dataclasses.replace(
        Observation(images, {}, ROBOT.home + 0.01, ROBOT.home, 'press the bell', 10**9), **changes
    )


@pytest.fixture(scope='module')
def policy():
    return AimPolicy.random(ROBOT, CONFIG, seed=0)


def test_images_go_in_and_motion_and_maps_come_out(policy):
    policy.reset('press the bell', 0)
    output = policy.infer(observation())
    assert output.chunk.positions.shape == (16, 14)
    assert output.chunk.stamp_ns == 10**9
    assert set(output.value_maps.heat) == {camera.name for camera in ROBOT.cameras}
    for heat in output.value_maps.heat.values():
        assert heat.shape == (2, 240, 320)
        assert heat.min() >= 0
        assert heat.max() <= 1
    assert list(output.timings_ms) == ['append', 'imagine', 'act', 'decode']
    assert output.future_images == {}


def test_same_seed_same_episode_bit_for_bit():
    episodes = []
    for policy in (AimPolicy.random(ROBOT, CONFIG, 0), AimPolicy.random(ROBOT, CONFIG, 0)):
        for _ in range(2):
            policy.reset('press the bell', 42)
            episodes.append([policy.infer(observation(i)) for i in range(2)])
    for episode in episodes[1:]:
        for output, first in zip(episode, episodes[0], strict=True):
            assert np.array_equal(output.chunk.positions, first.chunk.positions)
            heat, expected = output.value_maps.heat, first.value_maps.heat
            assert all(np.array_equal(heat[name], expected[name]) for name in expected)


def test_another_seed_another_chunk(policy):
    chunks = []
    for seed in (1, 2):
        policy.reset('press the bell', seed)
        chunks.append(policy.infer(observation()).chunk.positions)
    assert not np.array_equal(*chunks)


def test_untrained_motion_is_safe(policy):
    for seed in range(5):
        policy.reset('press the bell', seed)
        motion = policy.infer(observation()).chunk.positions
        assert np.isfinite(motion).all()
        assert (motion >= ROBOT.lower).all()
        assert (motion <= ROBOT.upper).all()
        speed = np.abs(np.diff(motion, axis=0, prepend=ROBOT.home[None])) / ROBOT.dt_s
        assert (speed < ROBOT.max_velocity).all()


def test_chunks_are_counted_within_an_episode(policy):
    policy.reset('press the bell', 0)
    assert [policy.infer(observation()).chunk.chunk_id for _ in range(2)] == [0, 1]
    policy.reset('press the bell', 0)
    assert policy.infer(observation()).chunk.chunk_id == 0


def test_imagined_images_on_request():
    policy = AimPolicy.random(ROBOT, CONFIG, 0)
    policy.show_future = True
    assert policy.infer(observation()).future_images['head_camera'].shape == (2, 240, 320, 3)


def test_description_says_what_runs(policy):
    assert policy.description == 'AIM test, random weights: expect no success'
    assert HoldPolicy(ROBOT).description.startswith('hold')


def without(camera):
    images = observation().images
    return {name: image for name, image in images.items() if name != camera}


NAN = np.where(np.arange(14) == 3, np.nan, 0.0)
MISTAKES = {
    'image of left_camera is missing, found: head_camera, right': {
        'images': without('left_camera')
    },
    r'image of head_camera has shape \(48, 64, 3\), expected \(240, 320, 3\)': {
        'images': observation().images | {'head_camera': np.zeros((48, 64, 3), np.uint8)}
    },
    'image of head_camera has type float32, expected uint8': {
        'images': observation().images | {'head_camera': np.zeros((240, 320, 3), np.float32)}
    },
    'joint_position is not finite at fl_joint4': {'joint_position': NAN},
    'joint_target is not finite at fl_joint4': {'joint_target': NAN},
    r'joint_target has shape \(7,\), expected \(14,\)': {'joint_target': np.zeros(7)},
    'instruction is " ", expected at least one word': {'instruction': ' '},
}


@pytest.mark.parametrize('message', MISTAKES)
def test_a_wrong_observation_is_refused(policy, message):
    wrong = observation(**MISTAKES[message])
    with pytest.raises(ValueError, match=message):
        policy.infer(wrong)
    with pytest.raises(ValueError, match=message):
        policy.observe(wrong, np.zeros((8, 14)))


def test_wrong_executed_targets_and_empty_instruction_are_refused(policy):
    with pytest.raises(ValueError, match=r'executed has shape \(3,\), expected \(14,\)'):
        policy.observe(observation(), np.zeros((8, 3)))
    with pytest.raises(ValueError, match='instruction is ""'):
        policy.reset('', 0)
    with pytest.raises(ValueError, match='has 33 words, expected at most 32'):
        policy.reset('very ' * 32 + 'long', 0)


def test_a_refused_observation_leaves_the_episode_as_it_was(policy):
    policy.reset('press the bell', 0)
    expected = policy.infer(observation()).chunk
    policy.reset('press the bell', 0)
    with pytest.raises(ValueError, match='not finite'):
        policy.infer(observation(joint_target=NAN))
    chunk = policy.infer(observation()).chunk
    assert chunk.chunk_id == 0
    assert np.array_equal(chunk.positions, expected.positions)


REMEMBERING = dataclasses.replace(CONFIG, history_frames=3)
STEP_NS = ROBOT.dt_ns
FRAME_NS = CONFIG.steps_per_frame * STEP_NS


def lively(config=REMEMBERING, preset=''):
    """A policy whose output depends on all it knows; untrained output layers are zero."""
    model = AimModel.random(config, 0)
    draw = torch.Generator().manual_seed(1)
    for parameter in model.transformer.parameters():
        parameter.data.add_(0.1 * torch.randn(parameter.shape, generator=draw))
    policy = AimPolicy(ROBOT, config, model, preset=preset)
    policy.reset('press the bell', 0)
    return policy


def frame(index, **changes):
    """Key frame `index` of an episode."""
    moved = ROBOT.home + 0.01 * index
    return observation(
        index,
        stamp_ns=10**9 + index * FRAME_NS,
        joint_target=moved,
        joint_position=moved,
        **changes,
    )


def motion(index):
    return (
        ROBOT.home
        + np.linspace(0.01 * index, 0.01 * index + 0.01, CONFIG.steps_per_frame)[:, None]
    )


def drive(policy, chunks, frames=CONFIG.frames):
    """Plan, execute, report; returns what each plan was."""
    outputs = []
    for chunk in range(chunks):
        outputs.append(policy.infer(frame(chunk * frames)).chunk.positions)
        for index in range(chunk * frames, (chunk + 1) * frames):
            policy.observe(frame(index + 1), motion(index))
    return outputs


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


def test_presets_are_chosen_by_name():
    policy = lively(preset='reference')
    assert policy.sampling.video_steps == 25
    assert np.isfinite(drive(policy, 2)[1]).all()
    assert make_policy('aim', ROBOT, preset='flash').sampling.action_steps == 4
    with pytest.raises(ConfigError, match='unknown preset "fast"'):
        make_policy('aim', ROBOT, preset='fast')
    with pytest.raises(ConfigError, match='preset is "flash", expected none'):
        make_policy('hold', ROBOT, preset='flash')


def test_hold_repeats_the_commanded_joints():
    policy = HoldPolicy(ROBOT, steps=5)
    policy.reset('stay', 0)
    chunk = policy.infer(observation()).chunk
    assert np.array_equal(chunk.positions, np.tile(ROBOT.home, (5, 1)))
    assert policy.infer(observation()).chunk.chunk_id == 1
    with pytest.raises(ValueError, match='joint_target is not finite'):
        policy.infer(observation(joint_target=NAN))
    with pytest.raises(ConfigError, match='steps is 0'):
        HoldPolicy(ROBOT, steps=0)


@pytest.mark.parametrize('name', POLICIES)
def test_every_named_policy_gives_a_chunk(name):
    policy = make_policy(name, ROBOT)
    policy.reset('press the bell', 0)
    assert policy.infer(observation()).chunk.positions.shape[1] == 14
    assert policy.description


def test_wrong_names_are_refused_with_what_would_do():
    with pytest.raises(ConfigError, match='unknown policy "hodl" .did you mean "hold".*aim, hold'):
        make_policy('hodl', ROBOT)
    with pytest.raises(ConfigError, match='x: no aim_config.json, expected a checkpoint'):
        make_policy('aim', ROBOT, checkpoint='x')
    with pytest.raises(ConfigError, match='device "tpux" cannot be used'):
        make_policy('aim', ROBOT, device='tpux')


def test_a_chunk_continues_what_is_committed(policy):
    policy.reset('press the bell', 3)
    committed = ROBOT.home + np.linspace(0.01, 0.03, 3)[:, None]
    committed[:, [6, 13]] = 1.0
    rows = policy.infer(observation(), committed).chunk.positions
    assert np.array_equal(rows[:3], committed)
    reach = ROBOT.max_velocity * ROBOT.dt_s
    assert (np.abs(rows[3] - committed[-1]) <= reach).all()


def test_a_whole_chunk_cannot_be_committed(policy):
    policy.reset('press the bell', 3)
    with pytest.raises(ValueError, match='rows are committed, expected 1 to'):
        policy.infer(observation(), np.tile(ROBOT.home, (99, 1)))
