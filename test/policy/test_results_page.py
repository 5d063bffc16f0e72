import json

from aim_policy import results_page
from aim_ros.results import EpisodeResult, ResultWriter


def run(folder, successes):
    writer = ResultWriter(folder, {})
    for seed in range(4):
        for task in ('lift_pot', 'click_bell'):
            done = seed < successes
            writer.add(EpisodeResult(task, 'easy', seed, done, 10, 1.0, 2, 0, 5.0))
    return folder


def test_runs_stand_side_by_side_with_their_intervals(tmp_path, capsys):
    runs = [f'full={run(tmp_path / "a", 4)}', f'blind={run(tmp_path / "b", 0)}']
    assert results_page.main(runs) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == '| task | setting | full | blind |'
    assert lines[2] == '| click_bell | easy | 4/4, 100% (51 to 100) | 0/4, 0% (0 to 49) |'
    assert lines[-1].startswith('| all tasks | easy | 8/8')


def test_a_file_is_written_whole_and_mistakes_are_one_line(tmp_path, capsys):
    out = tmp_path / 'page.md'
    assert results_page.main([f'full={run(tmp_path / "a", 1)}', '--out', str(out)]) == 0
    assert '| all tasks |' in out.read_text()
    assert results_page.main([str(tmp_path)]) == 2
    (tmp_path / 'c').mkdir()
    (tmp_path / 'c' / 'results.json').write_text(json.dumps({'summary': []})[:5])
    assert results_page.main([f'cut={tmp_path / "c"}']) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2
