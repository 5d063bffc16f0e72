"""Figures and files of an evaluation."""

import json

import pytest

from aim_ros.results import EpisodeResult, ResultWriter, table, unique_folder, wilson


def episode(seed, success):
    return EpisodeResult('click_bell', 'easy', seed, success, 40, 1.5, 5, 0, 12.0)


@pytest.mark.parametrize(
    ('successes', 'episodes', 'low', 'high'),
    [(0, 10, 0.0, 0.278), (10, 10, 0.722, 1.0), (25, 40, 0.470, 0.758), (0, 0, 0.0, 1.0)],
)
def test_wilson_interval_of_known_cases(successes, episodes, low, high):
    assert wilson(successes, episodes) == pytest.approx((low, high), abs=5e-4)


def test_every_finished_episode_is_on_disk(tmp_path):
    writer = ResultWriter(tmp_path / 'run', {'policy': 'hold'})
    for seed in range(3):
        writer.add(episode(seed, success=seed != 1))
        content = json.loads(writer.path.read_text())
        assert len(content['episodes']) == seed + 1
    assert content['summary'][0]['successes'] == 2
    assert content['policy'] == 'hold'
    assert [path.name for path in writer.folder.iterdir()] == ['results.json']


def test_two_runs_never_share_a_folder(tmp_path):
    assert unique_folder(tmp_path, 'run') != unique_folder(tmp_path, 'run')


def test_the_table_says_count_and_interval(tmp_path):
    writer = ResultWriter(tmp_path, {})
    writer.add(episode(0, success=True))
    assert '1/1' in table(writer.summary())
    assert '21 to 100 %' in table(writer.summary())
