from dataclasses import replace

import numpy as np
import pytest
import torch
from recordings import ROBOT, episode

from aim_policy.clip_sampler import ClipSampler
from aim_policy.config import ConfigError
from aim_policy.data import ClipDataset, collate
from aim_policy.encoded_episode import encode_episode
from aim_policy.episode import Event, encode_jpeg
from aim_policy.interface import Observation
from aim_policy.losses import LossConfig
from aim_policy.model.aim import AimModel
from aim_policy.model.config import load_model_config
from aim_policy.normalise import normalisation_of
from aim_policy.policy import AimPolicy
from aim_policy.stage1 import NoiseConfig, StageOne, draw_noise
from aim_policy.transforms import Transforms
from aim_policy.value_map import chunk_maps, peak_px

TEST = load_model_config('test')
MODEL = AimModel.random(TEST, seed=0)
N_A = TEST.steps_per_frame


def dataset(config=TEST, *recordings):
    encoded = [encode_episode(e, MODEL.codec(), ROBOT) for e in recordings or (episode(0),)]
    figures = normalisation_of(encoded, ROBOT, config.steps, 0.05)
    return ClipDataset(encoded, config, Transforms(ROBOT, config, figures), MODEL.text_encoder)


def test_a_clip_shows_what_the_live_policy_sees():
    recording, data = episode(0), dataset()
    clips = collate([data[0, 3, 1, 0]])  # fourth picture: step 12
    policy = AimPolicy(ROBOT, TEST, MODEL, data.transforms.figures)
    images = {name: camera.image(3) for name, camera in recording.cameras.items()}
    joints = recording.joint_position[12], recording.joint_target[12]
    seen = Observation(images, {}, *joints, 'ring the bell', 0)
    policy.reset('ring the bell', 0)
    with torch.inference_mode():
        context = policy.history.context(seen)
    torch.testing.assert_close(context.current, clips.observed, atol=2e-2, rtol=1e-2)
    assert torch.equal(data.transforms.proprioception(*joints), clips.proprio)
    assert torch.equal(MODEL.text_encoder.encode('ring the bell'), clips.text[0])


def test_a_clip_begins_with_the_first_frame_that_the_live_policy_keeps():
    config, recording = replace(TEST, pin_first_frame=True), episode(0)
    names = recording.cameras.keys()
    before = {n: np.full((240, 320, 3), 30 * i, np.uint8) for i, n in enumerate(names)}
    late = {n: replace(c, at_reset=encode_jpeg(before[n])) for n, c in recording.cameras.items()}
    clips = collate([dataset(config, replace(recording, cameras=late))[0, 3, 1, 0]])
    model = AimModel.random(config, seed=0)
    policy = AimPolicy(ROBOT, config, model, dataset(config).transforms.figures)
    policy.reset('ring the bell', 0)
    joints = recording.joint_position[12], recording.joint_target[12]
    images = {name: camera.image(3) for name, camera in recording.cameras.items()}
    stage = StageOne(model.transformer, LossConfig(), draws=1)
    noise = draw_noise(clips, 1, NoiseConfig(), torch.Generator().manual_seed(0))
    with torch.inference_mode():
        policy.history.context(Observation(before, {}, *joints, 'ring the bell', 0))
        seen = policy.history.context(Observation(images, {}, *joints, 'ring the bell', 1))
        learned = stage.context(clips, noise, model.transformer.read_text(clips.text))
    assert clips.observed.shape[1:3] == (TEST.latent_channels, 2)
    assert (seen.now, learned.now) == (1, 1)
    for one, other in zip(seen.memory, learned.memory, strict=True):
        assert torch.equal(one.place.frame, other.place.frame)
        for pair in zip(one.layers, other.layers, strict=True):
            for found, expected in zip(*pair, strict=True):
                torch.testing.assert_close(found, expected, atol=2e-2, rtol=2e-2)


def test_actions_are_the_coming_commands_and_hold_at_the_end():
    recording, data = episode(0), dataset()
    last = len(recording) - 1
    clips = collate([data[0, 3, 1, 0]])
    positions = data.transforms.positions(clips.actions, recording.joint_target[12])
    expected = recording.joint_target[np.minimum(np.arange(13, 13 + TEST.steps), last)]
    np.testing.assert_allclose(positions, expected, atol=1e-5)


def test_nothing_is_learned_of_what_comes_after_the_end():
    recording, data = episode(0), dataset()
    last = len(recording) - 1
    for latent, step in enumerate(data.episodes[0].steps.tolist()):
        clip = data[0, latent, 1, 0]
        assert clip.acting.sum() == min(TEST.steps, last - step)
        assert clip.acting.diff().max() <= 0  # ones first
    clips = collate([data[0, 3, 1, 0]])
    stage = StageOne(MODEL.transformer, LossConfig(), draws=1)
    noise = draw_noise(clips, 1, NoiseConfig(), torch.Generator().manual_seed(0))
    blank = replace(clips, acting=torch.zeros_like(clips.acting))
    assert stage(clips, noise, imagine=False, rgb=False).action > 0
    assert stage(blank, noise, imagine=False, rgb=False).action == 0


def test_nothing_is_learned_of_a_miss_but_how_to_go_on():
    recording = episode(0)
    recording.joint_target[:, 6] = np.concatenate(
        [np.ones(6), np.linspace(1, 0, 4), np.zeros(4), np.linspace(0, 1, 4), np.ones(7)]
    )
    clips = collate([dataset(TEST, replace(recording, events=()))[0, i, 1, 0] for i in range(4)])
    learned = clips.acting.sum(dim=1).tolist()  # from steps 0, 4, 8 and 12 on
    assert learned[:3] == [2, 0, 0]
    assert learned[3] == min(TEST.steps, len(recording) - 13)


def test_a_longer_history_brings_what_was_executed_between_its_frames():
    config = replace(TEST, history_frames=3)
    recording, data = episode(0), dataset(config)
    clip = data[0, 4, 3, 0]  # steps 0, 8, 16
    assert clip.observed.shape[1] == 3
    assert torch.equal(clip.observed[:, 0], data[0, 0, 1, 0].observed[:, 0])
    # With F = 2, both frames were planned at the first one, and are relative to its commands.
    positions = data.transforms.positions(clip.executed[None], recording.joint_target[0])
    np.testing.assert_allclose(positions, recording.joint_target[1:17], atol=1e-5)


def test_batches_depend_on_their_number_alone_and_processes_share_them():
    data = dataset(TEST, episode(0), episode(1, task='lift_pot'))
    whole = list(ClipSampler(data, 8, seed=5, first=0, count=4))
    late = list(ClipSampler(data, 8, seed=5, first=2, count=4))
    left, right = (
        list(ClipSampler(data, 8, 5, 0, 4, part=part)) for part in (slice(0, 4), slice(4, 8))
    )
    assert late == whole[2:]
    assert [a + b for a, b in zip(left, right, strict=True)] == whole


def test_tasks_come_up_alike_whatever_their_length():
    data = dataset(TEST, episode(0), episode(1, steps=101, task='lift_pot'))
    drawn = [key[0] for batch in ClipSampler(data, 64, 0, 0, 30) for key in batch]
    assert np.mean(drawn) == pytest.approx(0.5, abs=0.05)


def test_a_task_may_come_up_more_often_than_others():
    data = dataset(TEST, episode(0), episode(1, task='lift_pot'))
    sampler = ClipSampler(data, 64, 0, 0, 30, shares={'lift_pot': 3.0})
    drawn = [key[0] for batch in sampler for key in batch]
    assert np.mean(drawn) == pytest.approx(0.75, abs=0.05)
    both = dataset(TEST, episode(0), replace(episode(1), setting='hard'))
    sampler = ClipSampler(both, 64, 0, 0, 30, shares={'easy': 3.0})
    drawn = [key[0] for batch in sampler for key in batch]
    assert np.mean(drawn) == pytest.approx(0.25, abs=0.05)
    with pytest.raises(
        ConfigError, match='unknown task or setting in shares "lift_pots" .*"lift_pot"'
    ):
        ClipSampler(data, 64, 0, 0, 30, shares={'lift_pots': 3.0})


def test_nothing_to_learn_from_is_refused():
    with pytest.raises(ConfigError, match='empty'):
        ClipSampler(ClipDataset([], TEST, None, MODEL.text_encoder), 8, 0, 0, 1)


def test_pictures_that_no_chunk_ends_on_are_refused():
    recording = episode(0, every=5)
    with pytest.raises(ConfigError, match=r'\[5\] steps apart, expected a divisor of 8'):
        encode_episode(recording, MODEL.codec(), ROBOT)


def test_recordings_without_contacts_say_that_their_maps_mean_nothing():
    silent = encode_episode(replace(episode(0), events=()), MODEL.codec(), ROBOT)
    assert not silent.has_maps
    assert not silent.heat.any()


def test_a_map_shows_the_contact_that_its_frame_leads_to():
    press = Event(15, 'left', 'press', 'bell', np.zeros((1, 3)))
    place = Event(20, 'left', 'press', 'bell', np.array([[0.2, 0, 0]]))
    recording = replace(episode(0), events=(press, place))

    def peak(step, frame):
        maps = chunk_maps(recording, 'head_camera', step, 2, 8, (48, 64))
        return peak_px(maps[frame])

    first, second = peak(0, 0), peak(16, 0)
    assert first != second
    assert peak(8, 0) == first  # steps 9 to 16: the contact comes within the frame
    assert peak(8, 1) == second  # steps 17 to 24: by then it is over
    assert peak(20, 0) is None


def test_a_map_lies_where_the_object_is_at_the_contact():
    recording = episode(0)
    moved = recording.object_pose['bell'].copy()
    moved[16:, 0] += 0.3  # carried away after it was touched at step 15
    carried = replace(recording, object_pose={'bell': moved})
    at_rest, later = (
        chunk_maps(e, 'head_camera', 8, 2, 8, (48, 64))[0] for e in (recording, carried)
    )
    np.testing.assert_array_equal(at_rest, later)
    moved[:, 0] += 0.3
    assert peak_px(chunk_maps(carried, 'head_camera', 8, 2, 8, (48, 64))[0]) != peak_px(at_rest)


def test_normalisation_puts_motion_in_reach_and_leaves_still_joints_alone():
    recording = episode(0)
    still = recording.joint_target.copy()
    still[:, 3] = 0.1
    encoded = encode_episode(replace(recording, joint_target=still), MODEL.codec(), ROBOT)
    figures = normalisation_of([encoded], ROBOT, TEST.steps, least_rad=0.05)
    assert figures.action_scale[3] == pytest.approx(0.05)
    clip = ClipDataset(
        [encoded], TEST, Transforms(ROBOT, TEST, figures), MODEL.text_encoder
    )[0, 0, 1, 0]  # fmt: skip
    assert clip.actions.abs().max() < 2
