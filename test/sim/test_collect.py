"""The data factory: goes on where it stopped, refuses what it must, stops in order."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from aim_policy.episode import read_episode
from sim_bridge import collect

pytestmark = pytest.mark.sapien
QUICK = ['--workers', '1', '--picture-every', '50']


def run(out, *words):
    return collect.main(['--tasks', 'click_bell', '--out', str(out), *QUICK, *words])


def files(out):
    return sorted(path.name for path in (out / 'click_bell' / 'easy' / 'data').iterdir())


def test_a_second_run_only_makes_what_is_missing(tmp_path, capsys):
    assert run(tmp_path, '--episodes', '1') == 0
    first = tmp_path / 'click_bell/easy/data/episode0.hdf5'
    written = first.stat().st_mtime_ns
    assert run(tmp_path, '--episodes', '2') == 0
    assert files(tmp_path) == ['episode0.hdf5', 'episode1.hdf5']
    assert first.stat().st_mtime_ns == written
    assert 'click_bell                      2      2     100%' in capsys.readouterr().out
    episode = read_episode(first)
    assert (episode.task, episode.seed, episode.setting) == ('click_bell', 0, 'easy')
    assert len(episode.instructions['seen']) > 1


def test_after_an_interrupt_nothing_is_broken_and_the_rest_is_made(tmp_path):
    command = [sys.executable, '-m', 'sim_bridge.collect', '--tasks', 'click_bell', *QUICK]
    command += ['--out', str(tmp_path), '--episodes', '400']
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    data = tmp_path / 'click_bell' / 'easy' / 'data'
    end = time.monotonic() + 60
    while len(list(data.glob('episode*.hdf5'))) < 2 and time.monotonic() < end:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert 'Traceback' not in errors
    made = len(files(tmp_path))
    assert made >= 2
    for name in files(tmp_path):
        read_episode(data / name)
    assert run(tmp_path, '--episodes', str(made + 1)) == 0
    assert len(files(tmp_path)) == made + 1


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['--episodes', '3', '--first-seed', '99999'], 'training seeds lie below 100000'),
        (['--episodes', '0'], '--episodes is 0, expected 1 or more'),
        (
            ['--episodes', '1', '--setting', 'harder'],
            'unknown setting "harder" (did you mean "hard"',
        ),
        (['--episodes', '1', '--second-attempt', '2'], '--second-attempt is 2.0, expected 0 to 1'),
    ],
)
def test_bad_arguments_are_one_line(tmp_path, capsys, words, message):
    assert run(tmp_path, *words) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.rglob('*.hdf5'))


def test_episodes_made_differently_are_not_mixed(tmp_path, capsys):
    folder = tmp_path / 'click_bell' / 'easy'
    folder.mkdir(parents=True)
    (folder / 'collected_with.json').write_text(json.dumps({'noise': 0.5}))
    assert run(tmp_path, '--episodes', '1') == 2
    assert 'choose another --out' in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() != 0, reason='only root can make a small file system')
def test_a_full_disk_stops_it_with_what_is_finished_intact(tmp_path, capsys):
    made = subprocess.run(
        ['mount', '-t', 'tmpfs', '-o', 'size=600k', 'tmpfs', str(tmp_path)], capture_output=True
    )
    if made.returncode:
        pytest.skip('this machine lets nobody mount a tmpfs')
    try:
        assert run(tmp_path, '--episodes', '50') == 1
        assert 'No space left' in capsys.readouterr().err
        for name in files(tmp_path):
            read_episode(tmp_path / 'click_bell/easy/data' / name)
        assert files(tmp_path)
    finally:
        subprocess.run(['umount', '-l', str(tmp_path)], check=True)
