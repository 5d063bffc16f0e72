"""The evaluation without ROS: goes on where it stopped, refuses what it must, takes away."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from aim_policy import evaluate
from aim_policy.ablation import ABLATIONS, Ablation
from aim_policy.baseline import HoldPolicy
from aim_policy.config import ConfigError
from aim_policy.model.config import load_model_config
from aim_policy.policy import AimPolicy
from aim_policy.rollout import Plan, Rollout, Scene
from sim_bridge.fake import FakeBackend
from sim_bridge.sim_loop import SimLoop
from sim_bridge.tasks import TASKS

SCENE = Scene('click_bell', 'easy', 100_000)
STEPS = 16
HOLD = ['--policy', 'hold', '--backend', 'fake', '--workers', '1']


def run(out, *words):
    return evaluate.main(['--tasks', 'click_bell', '--out', str(out), *HOLD, *words])


def read(out):
    return json.loads((out / 'results.json').read_text())


def rollout(robot, policy, tasks=('click_bell',), backend=FakeBackend):
    plan = Plan('aim', tasks, backend='fake', execute_steps=STEPS)
    return Rollout(plan, policy, SimLoop(backend(robot)))


def test_a_second_run_of_the_same_words_plays_nothing_again(tmp_path, capsys):
    assert run(tmp_path, '--episodes', '2') == 0
    first = read(tmp_path)['episodes']
    assert sorted(episode['seed'] for episode in first) == [100_000, 100_001]
    assert run(tmp_path, '--episodes', '2', '--workers', '2') == 0
    assert read(tmp_path)['episodes'] == first
    printed = capsys.readouterr().out
    assert '0/2     0%      0 to 66 %' in printed
    assert '2 x out of steps' in printed


def test_other_words_need_another_folder(tmp_path, capsys):
    assert run(tmp_path, '--episodes', '1') == 0
    assert run(tmp_path, '--episodes', '1', '--seed', '1') == 2
    assert 'was made with seed 0, expected 1; choose another' in capsys.readouterr().err
    (tmp_path / 'results.json').write_text('{"episodes": [')
    assert run(tmp_path, '--episodes', '1') == 2
    assert 'results.json holds no results' in capsys.readouterr().err


def test_a_folder_without_episodes_takes_any_words(tmp_path):
    assert run(tmp_path, '--episodes', '1', '--checkpoint', 'none') == 2
    assert run(tmp_path, '--episodes', '1') == 0


def test_tasks_settings_and_workers(tmp_path):
    words = '--tasks click_bell lift_pot --setting easy hard --episodes 1 --seed 2 --workers 2'
    assert run(tmp_path, *words.split()) == 0
    summary = read(tmp_path)['summary']
    assert [(row['task'], row['setting'], row['episodes']) for row in summary] == [
        ('click_bell', 'easy', 1),
        ('click_bell', 'hard', 1),
        ('lift_pot', 'easy', 1),
        ('lift_pot', 'hard', 1),
        ('all tasks', 'easy', 2),
        ('all tasks', 'hard', 2),
    ]
    assert {episode['seed'] for episode in read(tmp_path)['episodes']} == {300_000}


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_keeps_what_is_finished(tmp_path, number):
    command = [sys.executable, '-m', 'aim_policy.evaluate', '--tasks', 'click_bell', *HOLD]
    command += ['--episodes', '5000', '--out', str(tmp_path)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 60
    while not ((tmp_path / 'results.json').exists() and read(tmp_path)['episodes']):
        assert time.monotonic() < end
        time.sleep(0.1)
    process.send_signal(number)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert 'Traceback' not in errors
    assert 'goes on from here' in errors
    assert read(tmp_path)['episodes']


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        ('--policy aims', 'unknown policy "aims" (did you mean "aim"?)'),
        ('--tasks clik_bell', 'unknown task "clik_bell" (did you mean "click_bell"?)'),
        ('--setting harder', 'unknown setting "harder" (did you mean "hard"?)'),
        ('--preset realtim', 'unknown preset "realtim" (did you mean "realtime"?)'),
        ('--backend fak', 'unknown backend "fak" (did you mean "fake"?)'),
        ('--ablate other_maps', 'unknown ablation "other_maps" (did you mean "other_map"?)'),
        ('--instruction sen', 'unknown wording "sen" (did you mean "seen"?)'),
        ('--robot aloha_agilx', 'unknown robot "aloha_agilx" (did you mean "aloha_agilex"?)'),
        ('--seed -1', '--seed is -1, expected 0 or more'),
        ('--execute-steps 0', '--execute-steps is 0, expected 1 or more'),
        ('--ablate other_map', 'other_map needs a policy that imagines maps'),
    ],
)
def test_bad_words_are_one_line(tmp_path, capsys, words, message):
    assert run(tmp_path, '--episodes', '1', *words.split()) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if 'evaluate: ' in line]
    assert len(errors) == 1
    assert message in errors[0]


class Eyes(HoldPolicy):
    """Remembers what it was shown and told."""

    def __init__(self, robot):
        super().__init__(robot)
        self.seen, self.told = [], []

    def reset(self, instruction, seed):
        super().reset(instruction, seed)
        self.told.append(instruction)

    def infer(self, observation, committed=None):
        self.seen.append(observation)
        return super().infer(observation, committed)


def test_pictures_are_taken_only_where_the_policy_looks(robot):
    class Counting(FakeBackend):
        pictures = 0

        def render(self):
            self.pictures += 1
            return super().render()

    world = rollout(robot, HoldPolicy(robot), backend=Counting)
    result = world.episode(SCENE)
    assert result.steps == TASKS['click_bell'].step_limit
    assert result.chunks == world.world.backend.pictures == result.steps / STEPS


def test_what_breaks_in_a_scene_is_its_failure_and_the_next_one_runs(robot):
    class Odd(FakeBackend):
        def step(self, positions, velocities):
            if self.broken:
                raise ArithmeticError('joint flew off')
            super().step(positions, velocities)

    world = rollout(robot, HoldPolicy(robot), backend=Odd)
    world.world.backend.broken = True
    result = world.episode(SCENE)
    assert (result.success, result.reason) == (False, 'ArithmeticError: joint flew off')
    world.world.backend.broken = False
    assert world.episode(SCENE).reason == 'out of steps'
    with pytest.raises(ConfigError):
        world.episode(replace(SCENE, task='clik_bell'))


class Wild(HoldPolicy):
    """Wants to be elsewhere at once."""

    def infer(self, observation, committed=None):
        output = super().infer(observation, committed)
        output.chunk.positions[:, 1] += 1.5
        return output


def test_a_policy_whose_chunks_are_refused_is_stopped_as_by_its_node(robot):
    result = rollout(robot, Wild(robot)).episode(SCENE)
    assert (result.chunks, result.rejected_chunks, result.steps) == (0, 5, 0)
    assert result.reason.startswith('policy stopped: fl_joint2 at step 0 jumps by 1.500')


def test_black_cameras(robot):
    eyes = Eyes(robot)
    rollout(robot, ABLATIONS['black_cameras'](eyes)).episode(SCENE)
    assert all(not image.any() for seen in eyes.seen for image in seen.images.values())
    assert eyes.told == [eyes.seen[-1].instruction]


def test_other_instruction_is_of_another_evaluated_task_and_follows_the_seed(robot):
    eyes = Eyes(robot)
    world = rollout(robot, ABLATIONS['other_instruction'](eyes), ('click_bell', 'lift_pot'))
    world.episode(SCENE)
    assert 'stands for lift_pot' in eyes.told[-1]
    assert {seen.instruction for seen in eyes.seen} == {eyes.told[-1]}
    alone = rollout(robot, ABLATIONS['other_instruction'](eyes))
    eyes.told.clear()
    for seed in (1, 2, 3, 4, 1):
        alone.episode(replace(SCENE, seed=seed))
    assert len(set(eyes.told)) > 1
    assert eyes.told[0] == eyes.told[4]
    assert not any('click_bell' in told for told in eyes.told)


class Recorder(Ablation):
    """Keeps the chunks and the highest places of the maps."""

    def __init__(self, policy):
        super().__init__(policy)
        self.chunks, self.peaks = [], []

    def infer(self, observation, committed=None):
        output = self.policy.infer(observation, committed)
        self.chunks.append(output.chunk.positions)
        self.peaks.append(output.value_maps.peak_px['head_camera'])
        return output


def played(robot, ablation, scene):
    """Chunks and peaks of an episode of the untrained network, without those of a donor."""
    policy = AimPolicy.random(robot, load_model_config('test'), seed=0)
    torch.manual_seed(0)
    for parameter in policy.model.transformer.parameters():  # untrained, motion ignores maps
        torch.nn.init.normal_(parameter, std=0.1)
    if ablation:
        policy = ABLATIONS[ablation](policy)
        policy.prepare(scene, rollout(robot, policy))
    recorder = Recorder(policy)
    rollout(robot, recorder).play(scene)
    return np.array(recorder.chunks), np.array(recorder.peaks)


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_other_map_acts_on_what_was_imagined_elsewhere(robot):
    plain, _ = played(robot, '', SCENE)
    donor, donor_peaks = played(robot, '', replace(SCENE, seed=199_999))
    swapped, peaks = played(robot, 'other_map', SCENE)
    count = min(len(peaks), len(donor_peaks))
    np.testing.assert_array_equal(peaks[:count], donor_peaks[:count])
    assert not np.array_equal(swapped[0], plain[0])
    assert not np.array_equal(swapped[0], donor[0])
