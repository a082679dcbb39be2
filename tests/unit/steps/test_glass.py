"""The light over a slide, smoothed coarsely on large slides."""

from __future__ import annotations

import numpy as np
import pytest

from ishcount.core.tissue_map import RegionKind
from ishcount.core.units import PixelSize
from ishcount.steps.tissue import find_tissue, glass
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


@pytest.mark.parametrize("tint", [(245, 238, 205), (250, 215, 230), (205, 220, 248)])
def test_glass_in_tinted_light_is_glass_whatever_its_hue(tint: tuple[int, int, int]) -> None:
    slide = np.repeat(np.array([[tint]], np.uint8), 120, 0).repeat(160, 1)
    slide[40:80, 50:110] = np.random.default_rng(0).integers(120, 190, (40, 60, 3))
    found = find_glass(slide, np.ones(slide.shape[:2], np.bool_))
    assert found.white == tint
    assert found.cells.sum() > 0.8 * (120 * 160 - 40 * 60)
    assert not found.cells[40:80, 50:110].any()


def test_flat_tinted_tissue_is_no_glass_where_something_brighter_is_seen() -> None:
    slide = np.full((120, 160, 3), (235, 180, 210), np.uint8)
    slide[::2, 100:] = np.random.default_rng(0).integers(225, 250, (60, 60, 3))
    assert not find_glass(slide, np.ones(slide.shape[:2], np.bool_)).present


def test_a_large_slide_is_mapped_by_the_part_that_is_not_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Same map as from the whole raster, worked through in bands and within a window."""
    slide = np.full((500, 640, 3), 240, np.uint8)
    speckle = np.random.default_rng(1).integers(-20, 20, (90, 120, 1))
    slide[200:290, 260:380] = np.clip(np.array([180, 150, 190]) + speckle, 0, 255)
    valid = np.ones(slide.shape[:2], np.bool_)
    valid[240:250, 300:310] = False
    sizes = {"width_px": 640 * 16, "height_px": 500 * 16}
    whole = find_tissue(slide, valid, PixelSize(0.25, 0.25), 16, **sizes)
    monkeypatch.setattr(glass, "MANY_CELLS", 20_000)
    monkeypatch.setattr(glass, "BESIDE_CELLS", 40)
    part = find_tissue(slide, valid, PixelSize(0.25, 0.25), 16, **sizes)
    rows, columns = glass.matter_window(find_glass(slide, valid))
    assert (rows.start, rows.stop, columns.start, columns.stop) == (159, 331, 219, 421)
    assert whole.kind[245, 320] == RegionKind.TISSUE
    for name in ("kind", "section", "low", "high"):
        np.testing.assert_array_equal(getattr(part, name), getattr(whole, name))


def test_a_lamp_that_falls_off_leaves_no_shade_on_glass_round_a_large_section() -> None:
    y, x = np.mgrid[-1:1:150j, -1:1:200j]
    light = 245 * 10 ** -(0.03 * (x**2 + y**2) + 0.02 * x)
    light[12:138, 16:184] *= 0.8
    rgb = np.repeat(np.rint(light).astype(np.uint8)[..., None], 3, axis=2)
    glass = find_glass(rgb, np.ones(rgb.shape[:2], np.bool_))
    od = overview_od(rgb, glass)
    assert np.abs(od[:10]).max() < 0.006
    assert np.abs(od[:, :14]).max() < 0.006


def test_pale_flat_dermis_within_a_few_levels_of_glass_is_tissue() -> None:
    """Of mean optical density .018: the mode of glass may not lie between the two."""
    slide = np.full((160, 200, 3), 240, np.uint8)
    slide[20:140, 30:170] = 230
    rng = np.random.default_rng(3)
    for y, x in zip(rng.integers(22, 136, 150), rng.integers(32, 166, 150), strict=True):
        slide[y : y + 2, x : x + 2] = (120, 110, 160)
    slide[20:40, 30:170] = rng.integers(110, 180, (20, 140, 1))
    found = find_glass(slide, np.ones(slide.shape[:2], np.bool_))
    assert not found.cells[20:140, 30:170].any()
    tissue = find_tissue(
        slide, found.cells | True, PixelSize(0.25, 0.25), 16, width_px=200 * 16, height_px=160 * 16
    )
    assert (tissue.kind == RegionKind.TISSUE).sum() == pytest.approx(120 * 140, rel=0.03)
