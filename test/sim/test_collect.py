"""The data factory: goes on where it stopped, refuses what it must, stops in order."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from aim_policy.config import ConfigError
from aim_policy.episode import encode_jpeg, read_episode
from aim_policy.robot import load_robot, share_dir
from aim_policy.rollout import Plan, Scene, make_rollout
from sim_bridge import collect
from sim_bridge.builtin import shared_backend
from sim_bridge.leader import Leader
from sim_bridge.workers import Job, _record

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


def test_pictures_can_be_smaller(tmp_path):
    assert run(tmp_path / 'whole', '--episodes', '1') == 0
    assert run(tmp_path / 'half', '--episodes', '1', '--smaller', '2') == 0
    whole, half = (
        read_episode(tmp_path / size / 'click_bell/easy/data/episode0.hdf5')
        for size in ('whole', 'half')
    )
    np.testing.assert_array_equal(half.joint_target, whole.joint_target)
    for name, track in whole.cameras.items():
        small = half.cameras[name].image(0)
        assert small.shape == (120, 160, 3)
        shrunk = track.image(0).reshape(120, 2, 160, 2, 3).mean((1, 3))
        assert np.abs(small - shrunk).mean() < 4
        focal = (episode.cameras[name].intrinsic[0, 0, 0] for episode in (half, whole))
        assert np.divide(*focal) == 0.5


def wait_until(is_true, timeout_s):
    end = time.monotonic() + timeout_s
    while not is_true() and time.monotonic() < end:
        time.sleep(0.05)
    assert is_true()


def is_running(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_signal_leaves_nothing_broken_nor_running_and_the_next_run_goes_on(tmp_path):
    command = [sys.executable, '-m', 'sim_bridge.collect', '--tasks', 'click_bell', *QUICK]
    command += ['--out', str(tmp_path), '--episodes', '400']
    data = tmp_path / 'click_bell' / 'easy' / 'data'
    made = set()
    for number in (signal.SIGTERM, signal.SIGINT):
        process = subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        wait_until(lambda: len(set(data.glob('episode*.hdf5')) - made) >= 1, 60)  # noqa: B023
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
        assert process.returncode == 130
        assert 'Traceback' not in errors
        assert 'goes on from here' in errors
        wait_until(lambda: not is_running(process.pid), 5)  # noqa: B023
        assert set(data.iterdir()) > made
        made = set(data.iterdir())
        for path in made:
            read_episode(path)


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
        (
            ['--episodes', '1', '--led-by', 'x', '--smaller', '2'],
            'a policy that leads needs whole pictures',
        ),
        (
            ['--episodes', '1', '--led-by', 'x', '--led-chunks', '0.5'],
            '--led-chunks is 0.5, expected 1 or more',
        ),
        (['--episodes', '1', '--noise', '-1'], '--noise is -1.0, expected metres from 0 to below'),
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
    (folder / 'collected_with.json').write_text('')
    assert run(tmp_path, '--episodes', '1') == 2
    assert 'collected_with.json is no JSON' in capsys.readouterr().err


def test_a_cut_off_line_of_the_log_does_not_spoil_the_next(tmp_path):
    arguments = ['--tasks', 'click_bell', '--episodes', '1', '--out', str(tmp_path)]
    log = tmp_path / 'click_bell' / 'easy' / 'failed_seeds.jsonl'
    first, second = ({'seed': seed, 'reason': 'out of reach'} for seed in (3, 5))
    log.parent.mkdir(parents=True)
    log.write_text(json.dumps(first) + '\n{"seed": 4, "rea')
    assert collection(arguments).failures == {3: 'out of reach'}
    with log.open('a') as file:
        file.write(json.dumps(second) + '\n')
    assert collection(arguments).failures == {3: 'out of reach', 5: 'out of reach'}


def collection(arguments):
    return collect.Collection('click_bell', collect.parse(arguments))


def test_an_expert_goes_on_from_where_a_policy_led(tmp_path, capsys):
    words = ['--episodes', '1', '--led-by', str(share_dir() / 'models' / 'aim_tiny')]
    assert run(tmp_path, *words, '--second-attempt', '0') == 0
    (name,) = files(tmp_path)
    episode = read_episode(tmp_path / 'click_bell' / 'easy' / 'data' / name)
    home = load_robot('aloha_agilex').home
    assert np.abs(episode.joint_target[0] - home).max() > 0.05
    assert [event.kind for event in episode.events] == ['press']
    shared_backend().reset('click_bell', episode.seed, 'easy')
    for name, picture in shared_backend().render().items():
        assert episode.cameras[name].at_reset == encode_jpeg(picture)
    assert run(tmp_path / 'other', '--episodes', '1', '--led-by', str(tmp_path / 'gone')) == 2
    assert 'gone' in capsys.readouterr().err


def test_a_policy_leads_for_as_many_chunks_as_asked():
    checkpoint = str(share_dir() / 'models' / 'aim_tiny')
    scene = 'click_bell', 7, 'easy'
    alone = make_rollout(Plan('aim', (), checkpoint, preset='realtime'))
    alone.play(Scene('click_bell', 'easy', 7), chunks=1)
    leader = Leader(checkpoint)
    leader.begin(1.0, *scene)
    np.testing.assert_array_equal(command(leader.backend), command(alone.world.backend))
    leader.begin(8.0, *scene)
    assert np.abs(command(leader.backend) - command(alone.world.backend)).max() > 0.05


def command(backend):
    return backend.world.command


def test_an_odd_scene_costs_its_seed_and_nothing_else(tmp_path):
    """No picture at all (every 0th step) is an error that nobody expected."""
    seed, reason = _record(Job('click_bell', 7, 'easy', tmp_path, 0.0, 0.0, 0.0, picture_every=0))
    assert seed == 7
    assert reason.startswith('ZeroDivisionError: ')


@pytest.mark.parametrize(
    ('task', 'folder', 'error'),
    [('click_bell', 'missing', FileNotFoundError), ('clik_bell', '.', ConfigError)],
)
def test_what_is_no_fault_of_the_scene_ends_the_run(tmp_path, task, folder, error):
    with pytest.raises(error):
        _record(Job(task, 0, 'easy', tmp_path / folder, 0.0, 0.0, 0.0, picture_every=50))


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path, capsys):
    (tmp_path / 'click_bell').touch()
    assert run(tmp_path, '--episodes', '1') == 1
    assert 'collect: stopped: ' in capsys.readouterr().err


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
