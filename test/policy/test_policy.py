import numpy as np
import pytest
from observations import (
    CONFIG,
    ROBOT,
    drive,
    lively,
    observation,
)

from aim_policy.baseline import HoldPolicy
from aim_policy.config import ConfigError
from aim_policy.policy import AimPolicy
from aim_policy.registry import POLICIES, make_policy


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
