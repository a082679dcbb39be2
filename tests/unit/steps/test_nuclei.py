"""Nuclei on planes drawn by hand: what is found, where, and what may not change it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from ishcount.core.flags import Flag
from ishcount.core.units import PixelSize
from ishcount.steps.nuclei import NucleiCalibration, NucleiParams, calibrate_nuclei, find_nuclei

GRID = PixelSize(0.5, 0.5)
FIXED = NucleiCalibration(60.0)


def plane(*nuclei: tuple[float, float, float, float, float], side: int = 160, haze: int = 12) -> np.ndarray:
    """Nuclei given as x, y, half axes along x and y (px) and grey level, over haze, slightly blurred."""
    stain = np.full((side, side), float(haze))
    y, x = np.mgrid[:side, :side]
    for cx, cy, ax, ay, level in nuclei:
        body = ((x - cx) / ax) ** 2 + ((y - cy) / ay) ** 2 <= 1
        stain[body] = np.maximum(stain[body], level)
    noise = np.random.default_rng(1).normal(0, 1.5, stain.shape)
    return np.clip(np.rint(cv2.GaussianBlur(stain, (0, 0), 1.0) + noise), 0, 255).astype(np.uint8)


def field(seed: int, side: int = 300, n: int = 150) -> np.ndarray:
    """A crowded field."""
    rng = np.random.default_rng(seed)
    drawn = [(*rng.uniform(0, side, 2), *rng.uniform(5, 10, 2), rng.uniform(60, 200)) for _ in range(n)]
    return plane(*drawn, side=side)


def test_a_round_nucleus_is_found_where_it_is_with_its_size():
    found = find_nuclei(plane((80, 60, 9, 9, 120)), GRID, FIXED)
    assert found.label.tolist() == [1]
    assert found.x_px[0] == pytest.approx(80, abs=0.3)
    assert found.y_px[0] == pytest.approx(60, abs=0.3)
    assert found.area_px[0] == pytest.approx(np.pi * 81, rel=0.2)  # outlined at two fifths of its height
    assert found.mean_od[0] == pytest.approx((120 - 12) / 200, rel=0.2)
    assert found.score[0] > 0.7


@pytest.mark.parametrize("level", [0, 40, 255])
def test_an_even_plane_has_no_nuclei(level):
    found = find_nuclei(np.full((90, 110), level, np.uint8), GRID, FIXED)
    assert found.labels.shape == (90, 110)
    assert len(found.label) == 0
    assert not found.labels.any()


def test_noise_alone_has_no_nuclei_at_the_slide_s_own_threshold():
    noise = np.clip(np.random.default_rng(3).normal(20, 3, (200, 200)), 0, 255).astype(np.uint8)
    assert len(find_nuclei(noise, GRID, FIXED).label) == 0


def test_two_touching_lymphocytes_are_two_and_a_spindle_is_one():
    pair = find_nuclei(plane((60, 80, 7, 7, 130), (73, 80, 7, 7, 130)), GRID, FIXED)
    spindle = find_nuclei(plane((80, 80, 18, 5, 130)), GRID, FIXED)
    assert len(pair.label) == 2
    assert len(spindle.label) == 1
    assert spindle.aspect[0] == pytest.approx(5 / 18, abs=0.1)


def test_a_faint_nucleus_beside_a_dark_one_keeps_its_outline_and_is_flagged():
    found = find_nuclei(plane((60, 80, 9, 9, 230), (86, 80, 10, 10, 55)), GRID, FIXED)
    assert len(found.label) == 2
    faint = int(np.argmax(found.x_px))
    assert found.x_px[faint] == pytest.approx(86, abs=1.5)
    assert found.area_px[faint] == pytest.approx(np.pi * 100, rel=0.25)
    assert found.flags[faint] & Flag.NUCLEUS_FAINT
    assert not found.flags[1 - faint] & Flag.NUCLEUS_FAINT


def test_a_pale_centre_is_part_of_its_nucleus():
    stain = plane((80, 80, 12, 11, 150)).astype(float)
    stain -= plane((80, 80, 4, 4, 90), haze=0)
    found = find_nuclei(np.clip(stain, 0, 255).astype(np.uint8), GRID, FIXED)
    assert len(found.label) == 1
    assert found.labels[80, 80] == 1


@pytest.mark.parametrize("change", [-45, 45])
def test_a_dot_over_a_nucleus_neither_splits_nor_loses_it(change):
    stain = plane((80, 80, 11, 9, 120)).astype(float)
    dot = np.zeros(stain.shape)
    cv2.circle(dot, (84, 79), 1, 1.0, -1)
    found = find_nuclei(
        np.clip(stain + change * cv2.GaussianBlur(dot, (0, 0), 0.8), 0, 255).astype(np.uint8), GRID, FIXED
    )
    assert len(found.label) == 1


def test_brown_nuclei_are_found_with_all_stains_and_only_then():
    blue, brown = plane((40, 80, 9, 9, 120)), plane((110, 80, 9, 9, 200), haze=0)
    blue_alone = find_nuclei(blue, GRID, FIXED, chromogen=brown)
    both = find_nuclei(blue, GRID, FIXED, NucleiParams(channels="all_stains"), chromogen=brown)
    assert np.rint(blue_alone.x_px).tolist() == [40]
    assert sorted(np.rint(both.x_px).tolist()) == [40, 110]


def test_a_nucleus_does_not_depend_on_the_array_it_is_seen_in():
    whole = field(5, side=320, n=170)
    part = whole[40:280, 30:290]
    seen, cut = find_nuclei(whole, GRID, FIXED), find_nuclei(part, GRID, FIXED)
    margin = 40  # 20 um
    inside = slice(margin, part.shape[0] - margin), slice(margin, part.shape[1] - margin)
    ours, theirs = cut.labels[inside] > 0, seen.labels[40:280, 30:290][inside] > 0
    assert np.count_nonzero(theirs) > 5_000
    assert np.count_nonzero(ours != theirs) <= 0.001 * np.count_nonzero(theirs)


def test_the_same_plane_gives_the_same_nuclei_twice():
    once, twice = (find_nuclei(field(7), GRID, FIXED) for _ in range(2))
    np.testing.assert_array_equal(once.labels, twice.labels)
    np.testing.assert_array_equal(once.score, twice.score)


@pytest.mark.parametrize("turn", [np.fliplr, np.flipud, np.rot90])
def test_turned_or_mirrored_tissue_has_as_many_nuclei(turn):
    counts = [
        len(find_nuclei(np.ascontiguousarray(f), GRID, FIXED).label) for f in (field(9), turn(field(9)))
    ]
    assert counts[1] == pytest.approx(counts[0], rel=0.02)


def test_the_table_agrees_with_the_labels():
    found = find_nuclei(field(11), GRID, FIXED)
    n = len(found.label)
    assert n > 40
    assert np.unique(found.labels).tolist() == list(range(n + 1))
    assert np.bincount(found.labels.ravel(), minlength=n + 1)[1:].tolist() == found.area_px.tolist()
    edge = np.unique(
        np.concatenate([found.labels[0], found.labels[-1], found.labels[:, 0], found.labels[:, -1]])
    )
    assert np.flatnonzero(found.at_border).tolist() == [label - 1 for label in edge if label > 0]
    for label in found.label[:10]:
        y, x = np.nonzero(found.labels == label)
        assert (found.x_px[label - 1], found.y_px[label - 1]) == pytest.approx((x.mean(), y.mean()))


@pytest.mark.parametrize("grid_um", [0.35, 0.5, 0.6])
def test_a_nucleus_has_the_same_area_in_um2_on_any_grid(grid_um):
    size = PixelSize(grid_um, grid_um)
    found = find_nuclei(plane((80, 80, 5 / grid_um, 4 / grid_um, 130)), size, FIXED)
    assert len(found.label) == 1
    assert size.area_um2(int(found.area_px[0])) == pytest.approx(np.pi * 20, rel=0.2)


def test_the_threshold_is_learned_from_samples_and_has_a_floor():
    assert calibrate_nuclei([], GRID).otsu == 30
    assert calibrate_nuclei([np.zeros((64, 64), np.uint8)], GRID).otsu == 6
    assert 30 < calibrate_nuclei([field(1), field(2)], GRID).otsu < 110


@pytest.mark.parametrize("half_axis_px", [6, 10])
def test_the_usual_nucleus_is_learned_from_samples(half_axis_px):
    places = [(x, y) for x in range(30, 290, 45) for y in range(30, 290, 45)]
    sample = plane(*((x, y, half_axis_px, half_axis_px, 130) for x, y in places), side=320)
    learned = calibrate_nuclei([sample], GRID)
    assert np.exp(learned.log_area_um2) == pytest.approx(np.pi * half_axis_px**2 / 4, rel=0.25)
    assert learned.height * learned.otsu == pytest.approx(130 - 12, rel=0.3)  # blurred: its mean, not its top


def test_too_few_nuclei_teach_no_usual_one():
    learned, usual = calibrate_nuclei([plane((80, 80, 9, 9, 130))], GRID), NucleiCalibration(30)
    assert (learned.log_area_um2, learned.height) == (usual.log_area_um2, usual.height)


def test_a_small_pale_object_is_believed_less_where_nuclei_are_large_and_dark():
    small = plane((80, 80, 4.5, 4.5, 60))
    among_small = find_nuclei(small, GRID, NucleiCalibration(40.0, np.log(16), 1.0))
    among_large = find_nuclei(small, GRID, NucleiCalibration(40.0, np.log(90), 2.5))
    doubt_large, doubt_small = (1 - found.score[0] for found in (among_large, among_small))
    assert doubt_large > 2 * doubt_small
