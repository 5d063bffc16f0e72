import numpy as np
import pytest

from aim_policy.misses import SLOWING_STEPS, misses

OPEN, SHUT = 1.0, 0.0
NOTHING = np.array([], int)


def commands(*openings):
    """Ten policy steps at each opening, four on the way to the next."""
    parts = [np.full(10, openings[0])]
    for before, after in zip(openings, openings[1:], strict=False):
        parts += [np.linspace(before, after, 5)[1:], np.full(10, after)]
    return np.concatenate(parts)[:, None]


def test_fingers_that_close_on_nothing_and_open_again_have_missed():
    missed = misses(commands(OPEN, SHUT, OPEN, SHUT), NOTHING)
    assert np.flatnonzero(missed).tolist() == list(range(10 - SLOWING_STEPS, 14))


@pytest.mark.parametrize('step', [10, 13, 23])
def test_who_touched_something_meanwhile_has_not_missed(step):
    assert not misses(commands(OPEN, SHUT, OPEN), np.array([step])).any()


@pytest.mark.parametrize(
    'openings', [(OPEN, 0.45, SHUT), (SHUT, OPEN, SHUT), (OPEN,), (SHUT, OPEN)]
)
def test_closing_for_good_is_no_miss(openings):
    assert not misses(commands(*openings), NOTHING).any()


def test_fingers_at_rest_may_tremble():
    trembling = commands(OPEN, SHUT) + 1e-6 * np.sin(np.arange(24))[:, None]
    assert not misses(trembling, NOTHING).any()


def test_each_gripper_is_watched():
    both = np.concatenate([commands(OPEN, OPEN, OPEN), commands(OPEN, SHUT, OPEN)], axis=1)
    assert misses(both, NOTHING).any()
