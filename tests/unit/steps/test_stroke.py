"""Pen over tissue in the colours of its dyes, and what is as smooth but no pen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from ishcount.core.tissue_map import RegionKind
from ishcount.core.units import PixelSize
from ishcount.steps.tissue import find_tissue
from ishcount.steps.tissue.stroke import find_strokes

Array = np.ndarray[Any, Any]
HAEMATOXYLIN = np.array([0.65, 0.70, 0.29], np.float32)
RED, BLUE = np.array([0.10, 0.55, 0.35], np.float32), np.array([0.56, 0.30, 0.14], np.float32)
HEIGHT, WIDTH = 200, 260


def section() -> tuple[Array, Array]:
    """Optical density of pale dermis with nuclei on glass, and its mask; cells of 4 um."""
    rng = np.random.default_rng(4)
    inside = np.zeros((HEIGHT, WIDTH), np.bool_)
    inside[30:170, 30:230] = True
    fibres = 1 + 0.25 * ndimage.gaussian_filter(rng.standard_normal(inside.shape), (0.7, 3)) * 3
    od = (0.10 * fibres * inside)[..., None] * np.array([0.9, 1.1, 1.0], np.float32)
    nuclei = np.zeros(inside.shape, np.bool_)
    nuclei[rng.integers(30, 170, 700), rng.integers(30, 230, 700)] = True
    nuclei = ndimage.binary_dilation(nuclei) & inside
    od[nuclei] += 0.5 * HAEMATOXYLIN
    return np.maximum(od, 0).astype(np.float32), inside


def stroke(over_glass: bool) -> Array:
    """A band 80 um wide through the middle."""
    band = np.zeros((HEIGHT, WIDTH), np.bool_)
    band[: 120 if over_glass else 160, 120:140] = True
    band[: 0 if over_glass else 40] = False
    return band


@pytest.mark.parametrize("ink", [RED, BLUE])
@pytest.mark.parametrize("od", [0.25, 0.7])
def test_ink_in_the_colour_of_a_dye_is_found_over_tissue(ink: Array, od: float) -> None:
    plane, _ = section()
    pen = stroke(True)
    plane[pen] += 3 * od * ink
    found = find_strokes(plane, cell_um=4.0)
    assert (found & pen).sum() > 0.85 * pen.sum()
    assert (found & ~ndimage.binary_dilation(pen)).sum() == 0


def test_a_dark_smooth_epidermis_is_no_pen() -> None:
    plane, _ = section()
    plane[150:170, 30:230] += 0.6 * HAEMATOXYLIN
    plane[150:170, 30:230] = plane[150:170, 30:230].mean(axis=(0, 1))
    assert not find_strokes(plane, cell_um=4.0).any()


def test_haze_of_chromogen_is_no_pen() -> None:
    plane, inside = section()
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    cloud = np.exp(-((y - 100) ** 2 + (x - 130) ** 2) / (2 * 30**2)) * inside
    plane += (1.5 * cloud)[..., None] * RED
    assert not find_strokes(plane, cell_um=4.0).any()


def test_plain_tissue_holds_no_pen() -> None:
    assert not find_strokes(section()[0], cell_um=4.0).any()


def test_a_red_stroke_leaves_the_tissue_as_pen() -> None:
    plane, inside = section()
    pen = stroke(True)
    plane[pen] += 0.9 * RED
    slide = np.clip(np.rint(240 * 10**-plane), 0, 255).astype(np.uint8)
    valid = np.ones(slide.shape[:2], np.bool_)
    found = find_tissue(slide, valid, PixelSize(0.25, 0.25), 16, width_px=WIDTH * 16, height_px=HEIGHT * 16)
    assert (found.kind[pen] == RegionKind.PEN).mean() > 0.85
    assert (found.kind == RegionKind.TISSUE).sum() == pytest.approx((inside & ~pen).sum(), rel=0.03)
