"""Several checkpoints become one."""

from dataclasses import replace

import pytest
import torch

from aim_policy.checkpoint import CheckpointInfo, load_checkpoint, save_checkpoint
from aim_policy.checkpoint_cli import main
from aim_policy.model.aim import AimModel
from aim_policy.model.config import load_model_config
from aim_policy.robot import load_robot
from aim_policy.transforms import Normalisation

ROBOT = load_robot('aloha_agilex')
TEST = load_model_config('test')
INFO = CheckpointInfo(TEST, ROBOT, Normalisation.of_robot(ROBOT, TEST.action_unit_rad))


@pytest.fixture
def folders(tmp_path):
    paths = tmp_path / 'one', tmp_path / 'two'
    tokenizer = AimModel.random(TEST, 0).tokenizer
    for seed, path in enumerate(paths):
        info = replace(INFO, provenance=f'run {seed}')
        save_checkpoint(path, info, AimModel.random(TEST, seed).transformer, tokenizer)
    return [str(path) for path in paths]


def test_the_mean_of_two_is_a_checkpoint(folders, tmp_path, capsys):
    assert main(['average', *folders, '--out', str(tmp_path / 'mean')]) == 0
    found = load_checkpoint(tmp_path / 'mean', ROBOT)
    one, two = (load_checkpoint(folder, ROBOT).model.transformer for folder in folders)
    for name, tensor in found.model.transformer.state_dict().items():
        expected = (one.state_dict()[name] + two.state_dict()[name]) / 2
        torch.testing.assert_close(tensor, expected)
    assert found.info.provenance == 'mean of 2 checkpoints, the first: run 0'
    assert 'written to' in capsys.readouterr().out


def test_what_differs_in_more_than_weights_is_refused(folders, tmp_path, capsys):
    other, model = replace(TEST, text_to_value=not TEST.text_to_value), AimModel.random(TEST, 0)
    both = ['average', folders[0], str(tmp_path / 'other'), '--out', str(tmp_path / 'x')]
    changed = replace(INFO, model=other)
    save_checkpoint(tmp_path / 'other', changed, model.transformer, model.tokenizer)
    assert main(both) == 1
    assert 'checkpoint.model.text_to_value is True, expected False' in capsys.readouterr().err
    with torch.no_grad():
        model.tokenizer.offset += 0.1
    save_checkpoint(tmp_path / 'other', INFO, model.transformer, model.tokenizer)
    assert main(both) == 1
    assert 'tokenizer tensor offset differs' in capsys.readouterr().err
    assert not (tmp_path / 'x').exists()


def test_one_is_not_enough(folders, tmp_path, capsys):
    assert main(['average', folders[0], '--out', str(tmp_path / 'x')]) == 1
    assert '1 checkpoint to average, expected two or more' in capsys.readouterr().err
