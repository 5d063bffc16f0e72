"""Value maps as colours, and over an image."""

import numpy as np
import pytest

from aim_policy.overlay import colourise, overlay

GREY = np.full((24, 32, 3), 100, np.uint8)
ZERO = np.zeros((24, 32), np.float32)


def luminance(colours):
    return (colours / 255.0) ** 2.2 @ [0.2126, 0.7152, 0.0722]


def test_higher_values_are_brighter():
    ramp = np.linspace(0, 1, 64, dtype=np.float32)[None]
    colours = colourise(ramp)
    assert colours.shape == (1, 64, 3)
    assert colours.dtype == np.uint8
    assert (np.diff(luminance(colours)[0]) > 0).all()


def test_values_outside_the_range_look_like_the_ends():
    found = colourise(np.array([[-1.0, 0.0, 1.0, 2.0]], np.float32))[0]
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[2], found[3])


@pytest.mark.parametrize('heat', [ZERO.astype(float), ZERO[None], ZERO[0]])
def test_other_heat_is_refused(heat):
    with pytest.raises(ValueError, match=r'expected float32\[H, W\]'):
        colourise(heat)


def test_heat_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match='not finite'):
        colourise(ZERO * np.nan)


def test_no_heat_leaves_the_image():
    assert np.array_equal(overlay(GREY, ZERO), GREY)


def test_blend_is_strongest_where_heat_is_high():
    heat = ZERO.copy()
    heat[:, 10], heat[:, 20] = 0.3, 1.0
    change = np.abs(overlay(GREY, heat).astype(int) - GREY).sum(axis=2)[0]
    assert 0 == change[0] < change[10] < change[20]


def test_full_alpha_shows_the_colour():
    assert np.array_equal(overlay(GREY, ZERO + 1, alpha=1.0), colourise(ZERO + 1))


def test_input_is_not_written_to():
    image = GREY.copy()
    overlay(image, ZERO + 1, peak_px=(3, 3))
    assert np.array_equal(image, GREY)


def test_cross_is_centred_on_the_peak():
    found = overlay(GREY, ZERO, peak_px=(20.4, 9.6))
    white = np.argwhere((found == 255).all(axis=2))
    assert white.mean(axis=0).tolist() == [10, 20]
    assert len(white) == 25


@pytest.mark.parametrize('peak_px', [(0, 0), (31, 23), (-3, 50), (-99, 5)])
def test_cross_is_cut_off_at_the_border(peak_px):
    found = overlay(GREY, ZERO, peak_px=peak_px)
    assert found.shape == GREY.shape
    assert len(np.argwhere((found == 255).all(axis=2))) < 25


@pytest.mark.parametrize('image', [GREY[1:], GREY.astype(np.float32), GREY[..., 0]])
def test_other_image_is_refused(image):
    with pytest.raises(ValueError, match=r'expected uint8\[24, 32, 3\]'):
        overlay(image, ZERO)


@pytest.mark.parametrize('alpha', [-0.1, 1.1, np.nan])
def test_alpha_out_of_range_is_refused(alpha):
    with pytest.raises(ValueError, match='alpha'):
        overlay(GREY, ZERO, alpha=alpha)
