import json

import pytest

from aim_policy.bench import STAGES, main


@pytest.mark.parametrize(
    'options',
    [
        ['--preset', 'flash', '--history', '3', '--dtype', 'bfloat16'],
        ['--preset', 'action-only'],
        ['--preset', 'reference', '--history', '2'],
    ],
    ids=str,
)
def test_every_stage_is_measured(tmp_path, capsys, options):
    output = tmp_path / 'bench.json'
    few = ['--model', 'test', '--warmup', '1', '--repeats', '3', '--output', str(output)]
    assert main([*few, *options]) == 0
    result = json.loads(output.read_text())
    assert result['preset'] == options[1]
    assert list(result['stages']) == [*STAGES, 'total']
    for stage in ('append', 'act', 'imagine', 'total'):
        row = result['stages'][stage]
        assert 0 < row['median'] <= row['p90'] <= row['p99']
        assert row['floor_ms'] > 0
    assert result['stages']['imagine']['gflop'] > 0
    assert result['tokens']['value'] == 2 * (72 + 1)
    assert bool(result['cache']) == ('--history' in options)
    assert 'imagine' in capsys.readouterr().out


def test_wrong_names_are_one_line(capsys):
    assert main(['--model', 'aim_tny']) == 2
    assert 'did you mean "aim_tiny"' in capsys.readouterr().err
