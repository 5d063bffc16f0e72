"""Stage I from files to a checkpoint, at test size."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from recordings import ROBOT, episode

from aim_policy import fit_tokenizer, map_report, train_stage1
from aim_policy.episode import write_episode
from aim_policy.policy import AimPolicy
from aim_policy.robot import share_dir
from aim_policy.run_folder import RunFolder
from aim_policy.weights import read_weights

CONFIG = """
model: test
steps: 4
batch: 4
action_only_steps: 1
validate_every: 4
validate_clips: 4
save_every: 2
noise:
  {action_draws: 2, rgb_share: 0.5, history_share: 0.5, clean_share: 0.3, blind_share: 0.5,
   value_share: 0.7}
optimiser: {kind: muon, rate: 0.002, warm_up: 1}
"""


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp('data')
    for seed in (0, 1, 2, 19):
        write_episode(folder / f'episode{seed}.hdf5', episode(seed))
    return folder


@pytest.fixture(scope='module')
def tokenizer(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp('tokenizer')
    assert fit_tokenizer.main(
        ['--data', str(data), '--model', 'test', '--frames', '8', '--out', str(folder)]
    ) == 0  # fmt: skip
    return folder


@pytest.fixture
def config(tmp_path):
    path = tmp_path / 'stage1.yaml'
    path.write_text(CONFIG)
    return path


def words(config, data, tokenizer, out, *more):
    paths = {'--config': config, '--data': data, '--tokenizer': tokenizer, '--out': out}
    return [str(word) for pair in paths.items() for word in pair] + ['--workers', '1', *more]


def test_from_files_to_a_policy_that_moves(config, data, tokenizer, tmp_path):
    assert train_stage1.main(words(config, data, tokenizer, tmp_path / 'run')) == 0
    policy = AimPolicy.from_checkpoint(tmp_path / 'run' / 'checkpoint', ROBOT)
    assert 'checkpoint' in policy.description
    assert any((tmp_path / 'run' / 'tensorboard').iterdir())


def test_maps_of_held_out_episodes_are_reported(config, data, tokenizer, tmp_path, capsys):
    train_stage1.main(words(config, data, tokenizer, tmp_path / 'run', '--set', 'steps=1'))
    checkpoint, out = tmp_path / 'run' / 'checkpoint', tmp_path / 'maps.json'
    options = ['--data', data, '--cache', tmp_path / 'latents', '--workers', 1, '--out', out]
    options += ['--moments', 5, '--preset', 'flash']
    assert map_report.main(['--checkpoint', str(checkpoint), *map(str, options)]) == 0
    rows = json.loads(out.read_text())
    assert rows['click_bell easy']['n'] == 1  # one press, in episode 19
    assert rows['any moment'] == rows['any moment, easy']
    assert rows['any moment']['psnr_imagined_db'] > 0
    assert '| click_bell easy | 1 |' in capsys.readouterr().out


def test_moments_without_a_contact_ahead_are_counted_as_none():
    measures = {'peak': torch.zeros(2, 2), 'contact': torch.full((2, 2), torch.nan)}
    measures |= {name: torch.ones(2) for name in ('psnr_imagined_db', 'psnr_last_frame_db')}
    rows = map_report.summary(['a', 'b'], measures, 'all')
    assert list(rows) == ['a', 'b', 'all']
    assert (rows['all']['n'], rows['all']['near'], rows['all']['psnr_imagined_db']) == (0, 0, 1)


def test_a_report_without_moments_is_refused(data, tmp_path, capsys):
    options = ['--checkpoint', tmp_path, '--data', data, '--cache', tmp_path, '--out', tmp_path]
    assert map_report.main([*map(str, options), '--moments', '0']) == 2
    assert '--moments is 0, expected at least 1' in capsys.readouterr().err


@pytest.mark.parametrize('share', [0, 1])
def test_m_is_learned_in_a_share_of_the_batches(config, data, tokenizer, tmp_path, share, capsys):
    train_stage1.main(
        words(config, data, tokenizer, tmp_path / 'run', '--set', f'noise.value_share={share}')
    )
    assert (' value=' in capsys.readouterr().err) == bool(share)


def test_a_stopped_run_goes_on_bit_for_bit(config, data, tokenizer, tmp_path, monkeypatch):
    train_stage1.main(words(config, data, tokenizer, tmp_path / 'whole'))
    step = train_stage1.Trainer._step

    def interrupted(self, *arguments):
        figures = step(self, *arguments)
        if self.number == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return figures

    monkeypatch.setattr(train_stage1.Trainer, '_step', interrupted)
    assert train_stage1.main(words(config, data, tokenizer, tmp_path / 'parts')) == 130
    monkeypatch.undo()
    assert train_stage1.main(words(config, data, tokenizer, tmp_path / 'parts')) == 0
    whole, parts = (RunFolder.load(_open(tmp_path / name))[1:] for name in ('whole', 'parts'))
    for expected, found in zip(whole, parts, strict=True):
        assert expected.keys() == found.keys()
        for name in expected:
            assert torch.equal(expected[name], found[name]), name


def _open(path):
    folder = object.__new__(RunFolder)
    folder.path = path
    return folder


def test_another_config_is_refused_on_resume(config, data, tokenizer, tmp_path, capsys):
    train_stage1.main(words(config, data, tokenizer, tmp_path / 'run', '--set', 'steps=1'))
    assert train_stage1.main(words(config, data, tokenizer, tmp_path / 'run')) == 2
    assert 'steps is 1, expected 4' in capsys.readouterr().err


def test_a_model_config_that_changed_meanwhile_is_refused_on_resume(
    config, data, tokenizer, tmp_path, capsys
):
    model = tmp_path / 'model.yaml'
    model.write_text((share_dir() / 'config/model/test.yaml').read_text())
    command = words(config, data, tokenizer, tmp_path / 'run', '--set', f'model={model}')
    assert train_stage1.main(command) == 0
    model.write_text(model.read_text() + '\npin_first_frame: true\n')
    assert train_stage1.main(command) == 2
    assert 'model_options.pin_first_frame is False, expected True' in capsys.readouterr().err


def test_weights_go_on_in_a_model_of_other_options_but_not_of_other_sizes(
    config, data, tokenizer, tmp_path, capsys
):
    more = '--set', 'steps=1'
    train_stage1.main(words(config, data, tokenizer, tmp_path / 'run', *more))
    more = *more, '--init', str(tmp_path / 'run' / 'checkpoint'), '--set'
    unread = 'model_changes=[text_to_observation=false]'
    assert train_stage1.main(words(config, data, tokenizer, tmp_path / 'next', *more, unread)) == 0
    deeper = 'model_changes=[layers=3]'
    assert train_stage1.main(words(config, data, tokenizer, tmp_path / 'deep', *more, deeper)) == 2
    assert 'layers.2' in capsys.readouterr().err


def test_a_loss_that_is_no_number_stops_and_names_the_batch(
    config, data, tokenizer, tmp_path, capsys
):
    bad = ['--set', 'losses.action=1.0e+300']
    assert train_stage1.main(words(config, data, tokenizer, tmp_path / 'run', *bad)) == 1
    message = capsys.readouterr().err
    assert 'step 0: the loss is inf' in message
    assert 'episode' in message


def test_an_empty_folder_is_refused(config, tokenizer, tmp_path, capsys):
    (tmp_path / 'none').mkdir()
    assert train_stage1.main(words(config, tmp_path / 'none', tokenizer, tmp_path / 'run')) == 2
    assert 'no *.hdf5 in it' in capsys.readouterr().err


def test_broken_and_foreign_files_are_left_out_by_name(config, data, tokenizer, tmp_path, capsys):
    folder = tmp_path / 'mixed'
    folder.mkdir()
    write_episode(folder / 'episode0.hdf5', episode(0))
    write_episode(folder / 'episode1.hdf5', replace(episode(1), robot='franka'))
    (folder / 'episode2.hdf5').write_bytes((folder / 'episode0.hdf5').read_bytes()[:5000])
    one_step = ['--set', 'steps=1']
    assert train_stage1.main(words(config, folder, tokenizer, tmp_path / 'run', *one_step)) == 0
    message = capsys.readouterr().err
    assert 'episode1.hdf5: robot is franka, expected aloha_agilex' in message
    assert 'episode2.hdf5' in message


def test_a_full_disk_stops_and_keeps_the_state_before(
    config, data, tokenizer, tmp_path, capsys, monkeypatch
):
    calls = []

    def full(*arguments, **named):
        calls.append(1)
        if len(calls) > 2:
            raise OSError(28, 'No space left on device')
        return write(*arguments, **named)

    from aim_policy import run_folder

    write = run_folder.write_weights
    monkeypatch.setattr(run_folder, 'write_weights', full)
    assert train_stage1.main(words(config, data, tokenizer, tmp_path / 'run')) == 1
    assert 'No space left on device' in capsys.readouterr().err
    monkeypatch.undo()
    assert json.loads((tmp_path / 'run' / 'state.json').read_text())['step'] == 2
    assert train_stage1.main(words(config, data, tokenizer, tmp_path / 'run')) == 0


@pytest.mark.parametrize(('kind', 'near'), [('adamw', 2e-4), ('muon', 2e-3)])
def test_two_processes_equal_one(config, data, tokenizer, tmp_path, kind, near):
    """Where Muon computes in bfloat16, sums in another order show sooner."""
    plain = ['--set', f'optimiser.kind={kind}', '--set', 'validate_every=2']
    assert train_stage1.main(words(config, data, tokenizer, tmp_path / 'one', *plain)) == 0
    launcher = [sys.executable, '-m', 'torch.distributed.run', '--nproc-per-node', '2',
                '--master-port', str(29500 + os.getpid() % 500)]  # fmt: skip
    module = ['-m', 'aim_policy.train_stage1']
    command = [*launcher, *module, *words(config, data, tokenizer, tmp_path / 'two', *plain)]
    environment = os.environ | {'OMP_NUM_THREADS': '1', 'GLOO_SOCKET_IFNAME': 'lo'}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=240)
    assert done.returncode == 0, done.stderr
    one, two = (
        read_weights(tmp_path / name / 'checkpoint', 'transformer') for name in ('one', 'two')
    )
    for name, expected in one.items():
        torch.testing.assert_close(
            two[name],
            expected,
            atol=near,
            rtol=1e-3,
        )
