"""Displaced red and blue: found as scipy displaced them, and taken back."""

from __future__ import annotations

from dataclasses import astuple

import cv2
import numpy as np
import pytest
from scipy import ndimage

from ishcount.steps.colour_shift import ColourShift, in_register, measure_colour_shift, registered


def tissue(seed: int, side: int = 300) -> np.ndarray:
    """Blue discs on pale pink, without noise."""
    rng = np.random.default_rng(seed)
    stain = np.zeros((side, side))
    for _ in range(side * side // 900):
        x, y = (int(v) for v in rng.uniform(0, side, 2))
        cv2.circle(stain, (x, y), int(rng.integers(5, 12)), float(rng.uniform(0.3, 0.8)), -1)
    stain = cv2.GaussianBlur(stain, (0, 0), 1.2)
    return 240 * 10 ** -(stain[..., None] * (0.65, 0.7, 0.3) + (0.03, 0.08, 0.04))


def displaced(image: np.ndarray, shift: ColourShift) -> np.ndarray:
    moved = image.copy()
    moved[..., 0] = ndimage.shift(image[..., 0], (shift.red_y_px, shift.red_x_px), mode="nearest")
    moved[..., 2] = ndimage.shift(image[..., 2], (shift.blue_y_px, shift.blue_x_px), mode="nearest")
    return np.clip(np.rint(moved), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    "shift",
    [
        ColourShift(0.9, 0.4, 0.0, -0.2),
        ColourShift(-0.5, 0.0, 1.6, -1.2),
        ColourShift(0.0, -0.3, -0.4, 0.0),
    ],
)
def test_a_displacement_is_found_and_taken_back(shift):
    images = [tissue(seed) for seed in range(4)]
    windows = [displaced(image, shift) for image in images]
    found = measure_colour_shift(windows)
    assert astuple(found) == pytest.approx(astuple(shift), abs=0.05)
    for image, window in zip(images, windows, strict=True):
        inside = np.s_[8:-8, 8:-8]
        before, after = (
            np.abs(seen[inside] - image[inside]).mean() for seen in (window, registered(window, found))
        )
        assert after < 0.35 * before  # rounding to grey levels alone leaves 0.2 of 0.7 levels


def test_registered_pixels_do_not_depend_on_the_array_they_are_read_in():
    shift = ColourShift(0.93, -0.44, -1.4, 2.3)
    whole = displaced(tissue(7), shift)
    part = registered(whole[40:200, 30:260], shift)
    np.testing.assert_array_equal(registered(whole, shift)[50:190, 40:250], part[10:-10, 10:-10])


@pytest.mark.parametrize("shape", [(61, 83, 3), (1, 1, 3), (2, 40, 3), (40, 3, 3)])
@pytest.mark.parametrize(
    "shift",
    [ColourShift(0.4, -0.3, -0.6, 0.25), ColourShift(-2.9, 3.0, 0.0, 1.0), ColourShift(1.5, 0, 0, -2.5)],
)
def test_whole_number_weights_agree_with_opencv_s_filter_within_a_grey_level(shape, shift):
    rgb = np.random.default_rng(5).integers(0, 256, shape).astype(np.uint8)
    moved = registered(rgb, shift)
    for channel, x, y in ((0, shift.red_x_px, shift.red_y_px), (2, shift.blue_x_px, shift.blue_y_px)):
        plane, kernels = rgb[..., channel].copy(), (cubic(x), cubic(y))
        expected = cv2.sepFilter2D(plane, -1, *kernels, borderType=cv2.BORDER_REPLICATE)
        differs = np.abs(moved[..., channel].astype(int) - expected)
        assert differs.max() <= 1
        assert (differs > 0).mean() < 0.1  # 0.01 of many pixels
    np.testing.assert_array_equal(moved[..., 1], rgb[..., 1])


def cubic(shift_px: float) -> np.ndarray:
    """Catmull and Rom's weights of 11 pixels about one, from their definition as a piecewise polynomial."""
    far = np.abs(np.arange(-5, 6) - shift_px)
    near = 1.5 * far**3 - 2.5 * far**2 + 1
    return np.where(far < 1, near, np.where(far < 2, -0.5 * far**3 + 2.5 * far**2 - 4 * far + 2, 0))


def test_colours_in_place_are_left_as_they_are():
    window = displaced(tissue(3), ColourShift())
    found = measure_colour_shift([window])
    assert found.is_small
    assert registered(window, found) is window


@pytest.mark.parametrize("level", [0, 255])
def test_an_even_picture_has_no_displacement(level):
    assert measure_colour_shift([np.full((90, 70, 3), level, np.uint8)]) == ColourShift()
    assert measure_colour_shift([]) == ColourShift()


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_a_colour_without_edges_moves_nothing_far(channel):
    window = displaced(tissue(5), ColourShift())
    window[..., channel] = 200
    assert np.abs(astuple(measure_colour_shift([window]))).max() < 0.05


def test_a_displacement_of_many_pixels_is_no_scanner_s_and_is_left():
    window = displaced(tissue(5), ColourShift(red_x_px=9.0, red_y_px=-7.0))
    assert measure_colour_shift([window]).is_small


def test_windows_of_one_slide_share_one_displacement():
    windows = [displaced(tissue(seed), ColourShift(0.7, -0.3, 0.2, 0.5)) for seed in range(3)]
    seen, shift = in_register(windows)
    assert shift == measure_colour_shift(windows)
    for window, moved in zip(windows, seen, strict=True):
        np.testing.assert_array_equal(moved, registered(window, shift))
        assert (moved != window).any()


def test_green_is_never_touched():
    window = displaced(tissue(5), ColourShift(1.2, 1.2, -1.2, -1.2))
    moved = registered(window, measure_colour_shift([window]))
    np.testing.assert_array_equal(moved[..., 1], window[..., 1])
    assert (moved[..., 0] != window[..., 0]).any()
