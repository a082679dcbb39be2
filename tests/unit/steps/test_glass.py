"""The light over a slide, smoothed coarsely on large slides."""

from __future__ import annotations

import numpy as np
import pytest

from ishcount.steps.tissue import glass
from ishcount.steps.tissue.glass import find_glass, overview_od


def shaded_slide(height: int = 301, width: int = 430) -> np.ndarray:
    """Glass darker towards one corner by a tenth, with a piece of tissue on it."""
    y, x = np.mgrid[:height, :width]
    light = 240 * (1 - 0.1 * (y / height + x / width) / 2)
    light[100:180, 150:260] *= 0.6
    return np.repeat(np.rint(light).astype(np.uint8)[..., None], 3, axis=-1)


def test_light_smoothed_on_squares_is_that_of_all_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    slide = shaded_slide()
    found = find_glass(slide, np.ones(slide.shape[:2], np.bool_))
    fine = overview_od(slide, found)
    monkeypatch.setattr(glass, "MANY_CELLS", 0)
    coarse = overview_od(slide, found)
    assert not np.array_equal(fine, coarse)
    assert np.abs(fine - coarse).max() < 0.001
    assert np.abs(coarse[:60]).max() < 0.015  # shading is gone from glass, where it was up to 0.05


def test_a_picture_of_one_bright_cell_has_no_glass_and_warns_of_nothing() -> None:
    found = find_glass(np.full((1, 1, 3), (231, 230, 230), np.uint8), np.ones((1, 1), np.bool_))
    assert not found.present
    assert all(np.isfinite(found.white))
