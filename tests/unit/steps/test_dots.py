"""Dots are found where they are, and look the same from every block."""

import numpy as np
import pytest

from ishcount.core.optical_density import LEVELS_PER_OD, block_mean, separate, unmixing_tables
from ishcount.core.units import PixelSize
from ishcount.steps.dots import (
    FEATURE_NAMES,
    N_LOCAL,
    REACH_UM,
    DotNoise,
    DotParams,
    _surroundings,
    find_candidates,
    measure_noise,
)

PIXEL = PixelSize(0.25, 0.25)
ROWS = np.array([[0.65, 0.70, 0.29], [0.21, 0.85, 0.48], [0.1, -0.45, 0.89]])
TABLES = unmixing_tables((240, 240, 240), ROWS / np.linalg.norm(ROWS, axis=1, keepdims=True))


def scene(rng, places, *, size=400, noise=2.0, sigma_px=1.6):
    y, x = np.mgrid[:size, :size]
    amount = sum(0.5 * np.exp(-((y - row) ** 2 + (x - col) ** 2) / (2 * sigma_px**2)) for row, col in places)
    od = np.asarray(amount)[..., None] * (ROWS[1] / np.linalg.norm(ROWS[1])) + 0.05
    return np.clip(240 * 10**-od + rng.normal(0, noise, od.shape), 0, 255).astype(np.uint8)


def look(rgb):
    planes, coarse = separate(rgb, TABLES), separate(block_mean(rgb, 2), TABLES)
    return find_candidates(planes, coarse, 2, PIXEL, DotNoise(0.0), stain_angle_deg=29, is_brown=False)


def test_dots_are_found_within_a_tenth_of_a_pixel(rng):
    places = rng.uniform(30, 370, (25, 2))
    places = np.array([p for i, p in enumerate(places) if np.hypot(*(places[:i] - p).T).min(initial=99) > 12])
    found = look(scene(rng, places, noise=0.5))
    strong = found.peak_od > 0.2
    y, x = (found.y + found.dy)[strong], (found.x + found.dx)[strong]
    nearest = np.hypot(y[:, None] - places[:, 0], x[:, None] - places[:, 1]).min(axis=0)
    assert strong.sum() == len(places)
    assert np.median(nearest) < 0.1
    assert nearest.max() < 0.3


@pytest.mark.parametrize(("left", "top"), [(20, 36), (58, 4), (32, 32)])
def test_a_dot_has_the_same_evidence_in_whatever_block_it_is_seen(rng, left, top):
    rgb = scene(rng, rng.uniform(100, 300, (40, 2)), noise=4.0)
    whole, part = look(rgb), look(np.ascontiguousarray(rgb[top:390, left:394]))
    margin = int(np.ceil(REACH_UM / 0.25)) + 2
    inner = (
        (whole.x > left + margin) & (whole.x < 394 - margin)
        & (whole.y > top + margin) & (whole.y < 390 - margin)
    )  # fmt: skip
    place = {(y, x): i for i, (y, x) in enumerate(zip(part.y + top, part.x + left, strict=True))}
    rows = [place[key] for key in zip(whole.y[inner], whole.x[inner], strict=True)]
    assert inner.sum() >= 20
    for name in ("features", "dx", "dy", "area_um2", "peak_od", "integrated_od"):
        assert np.array_equal(getattr(whole, name)[inner], getattr(part, name)[rows]), name


def test_a_plateau_gives_one_candidate():
    planes = np.zeros((3, 60, 60), np.int16)
    planes[1, 28:32, 28:32] = int(0.5 * LEVELS_PER_OD)
    coarse = np.zeros((3, 30, 30), np.int16)
    found = find_candidates(planes, coarse, 2, PIXEL, DotNoise(0.0), stain_angle_deg=29, is_brown=False)
    assert len(found.x) == 1


def test_an_empty_field_gives_no_candidates():
    nothing = np.zeros((3, 80, 80), np.int16)
    found = find_candidates(
        nothing, nothing[:, ::2, ::2].copy(), 2, PIXEL, DotNoise(0.0), stain_angle_deg=29, is_brown=False
    )
    assert len(found.x) == 0
    assert found.features.shape == (0, len(FEATURE_NAMES))


def test_integrated_od_doubles_with_the_chromogen(rng):
    def integrated(amount):
        planes = np.zeros((3, 60, 60), np.int16)
        y, x = np.mgrid[:60, :60]
        planes[1] = amount * LEVELS_PER_OD * np.exp(-((y - 30) ** 2 + (x - 30) ** 2) / 5.0)
        coarse = np.ascontiguousarray(planes[:, ::2, ::2])
        return find_candidates(planes, coarse, 2, PIXEL, DotNoise(0.0), stain_angle_deg=29, is_brown=False)

    one, two = integrated(0.3), integrated(0.6)
    assert two.integrated_od[0] == pytest.approx(2 * one.integrated_od[0], rel=0.03)
    # The integral of a Gaussian of sigma^2 = 2.5 px2 is 2 pi 2.5 x 0.3 OD x (0.25 um)^2, less its far tail.
    assert one.integrated_od[0] == pytest.approx(2 * np.pi * 2.5 * 0.3 / 16, rel=0.1)


def test_noise_lifts_the_threshold(rng):
    planes = [rng.normal(0, 0.05 * LEVELS_PER_OD, (200, 200)).astype(np.int16)]
    noise = measure_noise(planes, PIXEL, DotParams())
    assert 0.005 < noise.noise_od < 0.05
    assert noise.threshold_od(DotParams(noise_factor=10)) == pytest.approx(10 * noise.noise_od)
    assert measure_noise([], PIXEL, DotParams()).threshold_od(DotParams()) == 0.03


def test_surroundings_are_means_of_boxes_cut_off_at_the_edge(rng):
    planes = rng.integers(-2000, 9000, (3, 41, 57)).astype(np.int16)
    halves = np.array([2, 9])
    y, x = (np.array(v, np.int32) for v in ([0, 3, 3, 50, 81], [0, 113, 4, 60, 2]))
    found = np.zeros((5, N_LOCAL + 6), np.float32)
    _surroundings(planes, 2, y, x, halves, found)
    for i, (row, col) in enumerate(zip(y // 2, x // 2, strict=True)):
        for k, half in enumerate(halves):
            box = planes[:, max(0, row - half) : row + half + 1, max(0, col - half) : col + half + 1]
            assert found[i, N_LOCAL + k :: 2] == pytest.approx(box.mean(axis=(1, 2)) / 4000, rel=1e-6)
