import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from aim_policy import weights
from aim_policy.checkpoint import CheckpointInfo, load_checkpoint, save_checkpoint
from aim_policy.config import ConfigError
from aim_policy.interface import Observation
from aim_policy.model.aim import AimModel
from aim_policy.model.config import load_model_config
from aim_policy.policy import AimPolicy
from aim_policy.registry import make_policy
from aim_policy.robot import load_robot
from aim_policy.transforms import Normalisation

ROBOT = load_robot('aloha_agilex')
TEST = load_model_config('test')


def observation(instruction='press the bell'):
    draw = np.random.default_rng(0)
    images = {c.name: draw.integers(0, 256, (240, 320, 3), dtype=np.uint8) for c in ROBOT.cameras}
    return Observation(images, {}, ROBOT.home + 0.01, ROBOT.home, instruction, 10**9)


def infer(policy):
    policy.reset('press the bell', 3)
    return policy.infer(observation())


def info(config=TEST, **changes):
    figures = Normalisation.of_robot(ROBOT, config.action_unit_rad)
    return CheckpointInfo(config, ROBOT, figures, **changes)


def noisy_model(seed=0):
    """A model whose zero-initialised parts are random too, its tokenizer not the default one."""
    model = AimModel.random(TEST, seed)
    draw = torch.Generator().manual_seed(seed)
    for tensor in model.state_dict().values():
        tensor += 0.05 * torch.randn(tensor.shape, generator=draw)
    return model


@pytest.fixture
def saved(tmp_path):
    model = noisy_model()
    save_checkpoint(tmp_path / 'saved', info(), model.transformer, model.tokenizer)
    return tmp_path / 'saved'


def test_a_saved_policy_gives_the_same_chunk_bit_for_bit(saved):
    expected = infer(AimPolicy(ROBOT, TEST, noisy_model()))
    output = infer(AimPolicy.from_checkpoint(saved, ROBOT))
    assert np.array_equal(output.chunk.positions, expected.chunk.positions)
    for camera, heat in expected.value_maps.heat.items():
        assert np.array_equal(output.value_maps.heat[camera], heat)


def test_a_checkpoint_carries_what_it_was_trained_with(tmp_path):
    model = noisy_model()
    offset = tuple(float(i) for i in range(14))
    figures = dataclasses.replace(info().normalisation, action_offset=offset)
    words = {'source': 'a', 'source_hash': 'b', 'licence': 'c', 'provenance': 'd'}
    written = dataclasses.replace(info(**words), normalisation=figures)
    save_checkpoint(tmp_path, written, model.transformer, model.tokenizer)
    assert load_checkpoint(tmp_path, ROBOT).info == written
    policy = AimPolicy.from_checkpoint(tmp_path, ROBOT)
    assert policy.config == TEST
    assert policy.description.startswith('AIM test, ')


def test_the_shipped_checkpoint_is_the_default(saved, tmp_path, monkeypatch):
    monkeypatch.setattr('aim_policy.policy.share_dir', lambda: tmp_path)
    with pytest.raises(ConfigError, match='no aim_config.json'):
        make_policy('aim', ROBOT)
    (tmp_path / 'models').mkdir()
    saved.rename(tmp_path / 'models' / 'aim_tiny')
    assert make_policy('aim', ROBOT).description == 'AIM test, weights of aim_tiny'
    shutil.copytree(tmp_path / 'models' / 'aim_tiny', tmp_path / 'other')
    policy = make_policy('aim', ROBOT, checkpoint=str(tmp_path / 'other'))
    assert policy.description == 'AIM test, weights of other'


def test_weights_keep_their_type(tmp_path):
    model = noisy_model().to(torch.bfloat16)
    save_checkpoint(tmp_path, info(), model.transformer, model.tokenizer)
    loaded = load_checkpoint(tmp_path, ROBOT).model
    assert {p.dtype for p in loaded.transformer.parameters()} == {torch.bfloat16}


def test_large_weights_are_sharded_and_read_back(saved, monkeypatch):
    expected = load_checkpoint(saved, ROBOT).model
    monkeypatch.setattr(weights, 'SHARD_BYTES', 100_000)
    save_checkpoint(saved, info(), expected.transformer, expected.tokenizer)
    assert len(list(saved.glob('transformer-0*.safetensors'))) > 2
    assert not (saved / 'transformer.safetensors').exists()
    found = load_checkpoint(saved, ROBOT).model.state_dict()
    for name, tensor in expected.state_dict().items():
        assert torch.equal(found[name], tensor)
    lost = next(saved.glob('transformer-00002*'))
    lost.rename(saved / 'elsewhere')
    with pytest.raises(ConfigError, match=f'names "{lost.name}", expected a file beside it'):
        load_checkpoint(saved, ROBOT)


def camera(index, **changes):
    cameras = list(ROBOT.cameras)
    cameras[index] = dataclasses.replace(cameras[index], **changes)
    return {'cameras': tuple(cameras)}


OTHER_ROBOTS = {
    'robot.name is aloha_agilex, expected panda': {'name': 'panda'},
    'robot.dt_s is 0.06, expected 0.04': {'dt_s': 0.04},
    'length of robot.joint_names is 14, expected 7': {'arms': ROBOT.arms[:1]},
    r'robot.joint_names\[0\] is fl_joint1, expected fr_joint1': {'arms': ROBOT.arms[::-1]},
    'list of robot.cameras is head_camera, left_camera, right_camera, expected head_camera': {
        'cameras': ROBOT.cameras[:1]
    },
    'robot.cameras.head_camera.width is 320, expected 640': camera(0, width=640),
}


@pytest.mark.parametrize('message', OTHER_ROBOTS)
def test_a_checkpoint_of_another_robot_is_refused(saved, message):
    with pytest.raises(ConfigError, match=message):
        load_checkpoint(saved, dataclasses.replace(ROBOT, **OTHER_ROBOTS[message]))


def test_limits_may_be_tightened_after_training(saved):
    arms = tuple(
        dataclasses.replace(arm, max_velocity=tuple(0.5 * v for v in arm.max_velocity))
        for arm in ROBOT.arms
    )
    load_checkpoint(saved, dataclasses.replace(ROBOT, arms=arms, joint_states_topic='other'))


def edit_config(folder, **changes):
    file = folder / 'aim_config.json'
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def edit_tensors(folder, change, name='transformer.safetensors'):
    tensors = load_file(folder / name)
    change(tensors)
    save_file(tensors, folder / name)


def cut(file):
    file.write_bytes(file.read_bytes()[:-10])


WRONG = {
    'no aim_config.json, expected a checkpoint': lambda f: (f / 'aim_config.json').unlink(),
    'format is 99, expected 1': lambda f: edit_config(f, format=99),
    'unknown key "colour"': lambda f: edit_config(f, colour='red'),
    'aim_config.json: not valid JSON: NaN is no number': lambda f: edit_config(f, source=np.nan),
    'aim_config.json: not valid JSON: U': lambda f: cut(f / 'aim_config.json'),
    'transformer.safetensors: not a whole safetensors file': lambda f: cut(
        f / 'transformer.safetensors'
    ),
    'no tokenizer.safetensors': lambda f: (f / 'tokenizer.safetensors').unlink(),
    r'tensor heads.VALUE.table has shape \[5\], expected \[2, 48\]': lambda f: edit_tensors(
        f, lambda tensors: tensors.update({'heads.VALUE.table': torch.zeros(5)})
    ),
    'tensor heads.VALUE.table is missing': lambda f: edit_tensors(
        f, lambda tensors: tensors.pop('heads.VALUE.table')
    ),
    'tensor extra is not part of the model': lambda f: edit_tensors(
        f, lambda tensors: tensors.update(extra=torch.zeros(5))
    ),
    r'tensor basis has shape \[3\]': lambda f: edit_tensors(
        f, lambda tensors: tensors.update(basis=torch.zeros(3)), 'tokenizer.safetensors'
    ),
}


@pytest.mark.parametrize('message', WRONG)
def test_a_damaged_checkpoint_is_refused(saved, message):
    WRONG[message](saved)
    with pytest.raises(ConfigError, match=message):
        load_checkpoint(saved, ROBOT)


def test_a_save_that_fails_leaves_nothing_that_loads(saved, monkeypatch):
    model = noisy_model(1)
    monkeypatch.setattr(weights, 'save_file', lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        save_checkpoint(saved, info(), model.transformer, model.tokenizer)
    with pytest.raises(ConfigError, match='no aim_config.json'):
        load_checkpoint(saved, ROBOT)
    assert not list(saved.glob('.*'))
