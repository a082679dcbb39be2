"""The bucket-queue watershed against scikit-image's."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage.segmentation import watershed

from ishcount.core.watershed import flood


def landscape(seed: int, grain_px: float) -> np.ndarray:
    field = cv2.GaussianBlur(np.random.default_rng(seed).normal(size=(140, 170)), (0, 0), grain_px)
    return np.rint((field - field.min()) / np.ptp(field) * 255).astype(np.uint8)


def minima(levels: np.ndarray, radius_px: int) -> np.ndarray:
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius_px + 1, 2 * radius_px + 1))
    lowest = levels == cv2.erode(levels, disc)
    return cv2.connectedComponents(lowest.astype(np.uint8), connectivity=8)[1].astype(np.int32)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("grain_px", [1.5, 4.0])
def test_floods_from_minima_equal_those_of_scikit_image_to_a_pixel_in_a_thousand(seed, grain_px):
    levels = landscape(seed, grain_px)
    mask = (levels < 170).astype(np.uint8)
    seeds = minima(levels, 4) * mask
    ours, theirs = flood(levels, seeds, mask), watershed(levels, seeds, mask=mask > 0)
    assert np.count_nonzero(ours) > 5_000
    assert np.count_nonzero(ours != theirs) <= 0.001 * np.count_nonzero(theirs)


@pytest.mark.parametrize("seed", range(6))
def test_seeds_of_different_levels_give_scikit_image_s_labels_exactly(seed):
    levels = landscape(seed, 2.0)
    rng = np.random.default_rng(seed)
    seeds = np.zeros(levels.shape, np.int32)
    for number, level in enumerate(range(20, 180, 6), start=1):
        rows, columns = np.nonzero(levels == level)
        if len(rows):
            place = rng.integers(len(rows))
            seeds[rows[place], columns[place]] = number
    everywhere = np.ones(levels.shape, np.uint8)
    np.testing.assert_array_equal(flood(levels, seeds, everywhere), watershed(levels, seeds))


def test_nothing_is_flooded_outside_the_mask_or_where_no_seed_reaches():
    levels = np.zeros((5, 9), np.uint8)
    mask = np.ones((5, 9), np.uint8)
    mask[:, 4] = 0
    seeds = np.zeros((5, 9), np.int32)
    seeds[0, 0] = 7
    labels = flood(levels, seeds, mask)
    assert (labels[:, :4] == 7).all()
    assert (labels[:, 4:] == 0).all()


def test_a_lower_level_behind_a_pass_waits_for_the_pass():
    levels = np.array([[10, 90, 0, 0, 50, 10]], np.uint8)
    seeds = np.array([[1, 0, 0, 0, 0, 2]], np.int32)
    assert flood(levels, seeds, np.ones_like(levels)).tolist() == [[1, 1, 2, 2, 2, 2]]
