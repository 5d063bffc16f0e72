"""The picture of what a policy intends."""

import math

import numpy as np
import pytest

from aim_policy.map_view import SCALE, Contact, draw
from aim_policy.overlay import ARM_COLOURS

GREY = np.full((120, 160, 3), 90, np.uint8)
HEAT = np.zeros((120, 160), np.float32)
PICTURE = slice(0, SCALE * 120 - 28)


def count(page, colour):
    return int((page == colour).all(axis=2).sum())


def test_it_is_larger_and_has_a_legend_below():
    page = draw(GREY, HEAT, Contact((0, 0), 0.0))
    assert (page.shape, page.dtype) == ((SCALE * 120, SCALE * 160, 3), np.uint8)
    assert (page[PICTURE] == 90).all()
    assert count(page[PICTURE.stop :], (255, 255, 255)) > 50


def test_contact_and_path_have_the_colour_of_their_arm():
    path = np.array([[20.0, 20.0], [60.0, 60.0]])
    contact = Contact((100, 40), 0.9, 'right', 0.5, {'right': path}, 1.0)
    page = draw(GREY, HEAT, contact)[PICTURE]
    assert count(page[40:130, 40:130], ARM_COLOURS['right']) > 50
    around = page[SCALE * 40 - 16 : SCALE * 40 + 18, SCALE * 100 - 16 : SCALE * 100 + 18]
    assert count(around, ARM_COLOURS['right']) > 50
    assert count(around, (255, 255, 255)) > 10
    assert count(page, ARM_COLOURS['left']) == 0


def test_what_is_out_of_sight_is_left_out():
    paths = {'left': np.full((4, 2), np.nan), 'right': np.array([[1e4, -1e4]])}
    page = draw(GREY, HEAT, Contact((500, -20), 0.0, 'left', math.inf, paths, 1.0))
    assert (page[PICTURE] == 90).all()


@pytest.mark.parametrize(
    ('contact', 'words'),
    [
        (Contact((1, 1), 0.1, 'left', 0.2), 'no contact in view'),
        (Contact((1, 1), 0.8), 'contact'),
        (Contact((1, 1), 0.8, 'left', 0.24), 'left arm: contact in 0.2 s'),
        (Contact((1, 1), 0.8, 'left', chunk_s=0.96), 'left arm: contact after 1.0 s'),
    ],
)
def test_it_says_who_and_when(contact, words):
    assert str(contact) == words
