"""Dot-sized spots tell the chromogen; blood, pigment and a slide without dots do not."""

import cv2
import numpy as np
import pytest

from ishcount.core.dot_colours import DotColours, dot_colours
from ishcount.core.stain_model import REFERENCE, unit

GRID_UM = 0.5
SIDE = 800
MELANIN, RED_CELL = (0.31, 0.47, 0.83), (0.12, 0.55, 0.83)


def places(rng, n):
    return rng.uniform(20, SIDE - 20, (n, 2))


def discs(where, radius_um, amount, rng, *, jitter_um=0.0):
    plane = np.zeros((SIDE, SIDE), np.float32)
    for x, y in where + rng.normal(0, jitter_um / GRID_UM, where.shape):
        cv2.circle(
            plane, (int(x * 16), int(y * 16)), int(radius_um / GRID_UM * 16), amount, -1, cv2.LINE_8, 4
        )
    return cv2.GaussianBlur(plane, (0, 0), 0.5 / GRID_UM)


def skin(*, dots=None, heaps=0, red_cells=0, seed=1):
    """160,000 um2 with 700 nuclei, of which 60 hold two dots; heaps of pigment on others; red cells."""
    rng = np.random.default_rng(seed)
    nuclei = places(rng, 700)
    layers = {REFERENCE["haematoxylin"]: 0.2 + discs(nuclei, 4, 0.6, rng)}
    if dots:
        layers[REFERENCE[dots]] = discs(np.repeat(nuclei[:60], 2, axis=0), 0.6, 1.5, rng, jitter_um=1.5)
    layers[MELANIN] = discs(np.repeat(nuclei[60 : 60 + heaps], 14, axis=0), 0.4, 2.0, rng, jitter_um=2.5)
    layers[RED_CELL] = discs(places(rng, red_cells), 3, 0.4, rng)
    return sum(plane[..., None] * unit(colour) for colour, plane in layers.items()).astype(np.float64)


def seen(**what):
    return dot_colours([skin(**what)], REFERENCE["haematoxylin"], GRID_UM)


@pytest.mark.parametrize("name", ["fast_red", "dab"])
def test_the_dots_of_a_slide_tell_its_chromogen(name):
    assert seen(dots=name).chromogen == name


@pytest.mark.parametrize("name", ["fast_red", "dab"])
def test_blood_does_not_hide_the_chromogen(name):
    assert seen(dots=name, red_cells=300).chromogen == name


def test_pigment_does_not_make_a_red_slide_brown():
    assert seen(dots="fast_red", heaps=25).chromogen != "dab"
    assert seen(dots="fast_red", heaps=10).chromogen == "fast_red"


@pytest.mark.parametrize("what", [{}, {"heaps": 25}, {"red_cells": 300}, {"heaps": 25, "red_cells": 300}])
def test_a_slide_without_dots_tells_nothing(what):
    assert seen(**what).chromogen is None


def test_dots_beside_no_nucleus_are_no_evidence():
    od = discs(places(np.random.default_rng(2), 200), 0.6, 1.5, np.random.default_rng(3))
    found = dot_colours([(od[..., None] * unit(REFERENCE["dab"])).astype(float)], (0.65, 0.70, 0.29), GRID_UM)
    assert found.n_brown == 0


def test_spots_as_wide_as_red_cells_are_no_evidence():
    rng = np.random.default_rng(4)
    nuclei = places(rng, 300)
    od = (0.2 + discs(nuclei, 4, 0.6, rng))[..., None] * unit(REFERENCE["haematoxylin"])
    od = od + discs(nuclei, 3.2, 0.8, rng)[..., None] * unit(REFERENCE["dab"])
    assert dot_colours([od.astype(float)], REFERENCE["haematoxylin"], GRID_UM).n_brown < 10


def test_brown_spots_must_be_far_more_than_red_ones_and_alone():
    assert DotColours(25, 100, 0, 0.2).chromogen == "dab"
    assert DotColours(30, 100, 0, 0.2).chromogen is None
    assert DotColours(0, 100, 40, 0.2).chromogen is None
    assert DotColours(0, 400, 400, 0.2).chromogen == "dab"
    assert DotColours(0, 100, 0, 1.0).chromogen is None
    assert DotColours(0, 0, 0, 0.0).chromogen is None
