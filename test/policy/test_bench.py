import json

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from aim_policy.bench import STAGES, main
from aim_policy.roofline import count_flops


@pytest.mark.parametrize(
    'options',
    [
        ['--preset', 'flash', '--history', '3', '--dtype', 'bfloat16'],
        ['--preset', 'action-only'],
        ['--preset', 'reference', '--history', '4'],
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
    if result['cache']:
        assert result['cache']['fewer_flops_than_history_again'] > 1
    assert 'imagine' in capsys.readouterr().out


def test_wrong_names_are_one_line(capsys):
    assert main(['--model', 'aim_tny']) == 2
    assert 'did you mean "aim_tiny"' in capsys.readouterr().err


def test_attention_counts_as_arithmetic_on_a_cpu():
    """Else a cache, which saves keys that attention reads, looks smaller than it is."""
    query, key = torch.randn(1, 2, 5, 8), torch.randn(1, 2, 7, 8)
    with torch.inference_mode():
        _, flops = count_flops(lambda: scaled_dot_product_attention(query, key, key))
    assert flops == 2 * (2 * 5 * 7 * 8) * 2
