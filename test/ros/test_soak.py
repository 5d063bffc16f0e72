"""What a soak run makes of its figures."""

import os

import numpy as np
import pytest

from aim_ros.processes import arguments, resident_bytes
from aim_ros.soak import evenness, faults, growth, lost

GOOD = {'lost_heartbeats': 0.0, 'tick_p99_ms': 4.0, 'chunks': 9.0}


def test_memory_that_settles_has_not_grown():
    assert growth([10, 60, 90, *[100] * 20]) == 0.0
    assert growth([*[100] * 10, *range(100, 200, 10)]) > 0.5
    assert growth([0, 0, 0]) > 1


def test_a_late_message_is_not_a_lost_one():
    times_s = np.arange(100) * 0.06
    late = times_s.copy()
    late[50] += 0.045
    assert lost(late, 0.06) == 0
    assert evenness('tick', late, 0.06)['tick_max_ms'] == pytest.approx(45)
    assert lost(np.delete(late, [20, 50, 51]), 0.06) == 3
    assert lost(late[:1], 0.06) == float('inf')


@pytest.mark.parametrize(
    ('changed', 'grown', 'words'),
    [
        ({}, 0.01, []),
        ({}, -0.2, ['memory of policy changed by -20.0%']),
        ({}, float('nan'), ['memory of policy']),
        ({'lost_heartbeats': 2.0}, 0.0, ['2 heartbeats were lost']),
        ({'tick_p99_ms': float('inf')}, 0.0, ['control ticks are off by up to inf ms']),
        ({'chunks': 0.0}, 0.0, ['sent no chunk']),
    ],
)
def test_every_limit_is_named_when_it_is_missed(changed, grown, words):
    found = faults({**GOOD, **changed}, {'policy': grown})
    assert len(found) == len(words)
    assert all(word in text for word, text in zip(words, found, strict=True))


def test_processes_are_told_their_parameters_and_watched():
    assert arguments(safety__execute_steps=1, judge=False)[1:] == [
        '-p', 'safety.execute_steps:=1', '-p', 'judge:=false',
    ]  # fmt: skip
    assert resident_bytes(os.getpid()) > 1 << 20
