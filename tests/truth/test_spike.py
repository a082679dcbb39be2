"""Planted dots are known exactly, and found again."""

import json

import numpy as np
import pandas as pd
import pytest
import tifffile

from ishcount.core.errors import UsageError
from ishcount.core.units import PixelSize
from ishcount.result import load_slide_result
from ishcount.truth.spike import SpikeSpec, gaussian, report, spike, stray_colour, with_coarse_colour
from tests import small_slide


@pytest.fixture(scope="module")
def blank(tmp_path_factory):
    rgb, _ = small_slide.draw(1600, 1200, n_dots=0)
    return small_slide.write(tmp_path_factory.mktemp("blank") / "blank.tif", rgb)


@pytest.fixture(scope="module")
def spiked(blank, tmp_path_factory):
    out = tmp_path_factory.mktemp("spike")
    return spike(blank, out, chromogen="fast_red", spec=SpikeSpec(n_cells=40, seed=3), blank=True), out


def test_most_planted_dots_come_back_and_the_blank_stays_blank(spiked):
    summary, out = spiked
    assert summary["unspiked"]["n_positive"] == 0
    assert summary["cells"]["n_true"] == 40
    assert summary["cells"]["recall"] > 0.5
    assert summary["dots"]["precision"] > 0.8
    assert summary["owner_right"] > 0.7
    assert summary["copies"]["found"] == pytest.approx(summary["copies"]["planted"], rel=0.4)
    assert summary["drawn_with"]["sigma_um"] == [0.2, 0.45]
    assert summary["unspiked"]["limit_of_detection"]["estimate"] > 0
    assert json.loads((out / "spike.json").read_text())["seed"] == 3


def test_only_the_planted_places_differ_from_the_slide(spiked, blank):
    before, after = tifffile.imread(blank).astype(int), tifffile.imread(spiked[1] / "spiked.tif").astype(int)
    changed = np.abs(after - before).max(axis=-1) > 0
    assert 0 < changed.mean() < 0.1
    assert np.all(after <= before)


def test_the_same_seed_plants_the_same_pixels(blank, tmp_path, spiked):
    spike(blank, tmp_path, chromogen="fast_red", spec=SpikeSpec(n_cells=40, seed=3))
    assert np.array_equal(tifffile.imread(tmp_path / "spiked.tif"), tifffile.imread(spiked[1] / "spiked.tif"))


def test_dots_are_drawn_wider_than_one_colour_and_one_size(rng):
    colours = np.array([stray_colour(rng, (0.21, 0.85, 0.48)) for _ in range(300)])
    middle = colours.mean(axis=0) / np.linalg.norm(colours.mean(axis=0))
    assert 1.0 < np.degrees(np.arccos(np.clip(colours @ middle, -1, 1))).mean() < 6
    peaks = [gaussian(rng, PixelSize(0.25, 0.25), middle).max() for _ in range(300)]
    assert max(peaks) > 2 * min(peaks)


def test_an_unknown_chromogen_is_refused(blank, tmp_path):
    with pytest.raises(UsageError, match="fast_red, dab"):
        spike(blank, tmp_path, chromogen="eosin")


def test_limits_of_blank_are_given_only_for_a_slide_declared_blank(spiked, blank, tmp_path):
    plain = load_slide_result(spiked[1] / "slides" / "plain")
    planted = pd.read_parquet(spiked[1] / "planted.parquet")
    summary = report(plain, plain, planted, "spike")
    assert summary["unspiked"]["limit_of_blank"] is None
    assert summary["unspiked"]["per_mm2"] == 0.0


def test_planted_dots_lose_the_colour_detail_that_jpeg_takes_and_keep_their_light(rng):
    before = np.full((41, 61, 3), 230, np.uint8)
    after = before.copy()
    after[20, 30] = (200, 60, 120)
    assert np.array_equal(with_coarse_colour(before, after, (1, 1)), after)
    coarse = with_coarse_colour(before, after, (2, 2))
    light = np.array([0.299, 0.587, 0.114])
    assert coarse[20, 30] @ light == pytest.approx(after[20, 30] @ light, abs=1)
    assert np.ptp(coarse[20, 30].astype(int)) < np.ptp(after[20, 30].astype(int)) / 2
    assert coarse[21, 31].tolist() != [230, 230, 230]
    assert np.array_equal(coarse[:19], before[:19])


def test_a_control_of_another_scan_is_refused(blank, tmp_path):
    rgb, _ = small_slide.draw(1200, 900, n_dots=30)
    control = small_slide.write(tmp_path / "control.tif", rgb, mpp_um=0.5)
    with pytest.raises(UsageError, match="same scan"):
        spike(blank, tmp_path, chromogen="fast_red", positive_control=control)
