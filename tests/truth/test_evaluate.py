"""Scores of results whose faults are known by construction."""

import numpy as np
import pandas as pd
import pytest

from ishcount.core.errors import UsageError
from ishcount.core.files import write_json, write_parquet
from ishcount.result import SlideResult
from ishcount.truth.ceiling import ownership_ceiling
from ishcount.truth.evaluate import calibration, evaluate_slide, evaluation_table, pool
from ishcount.truth.matching import match_points, overlap_matches
from ishcount.truth.regions import dice
from ishcount.truth.simulate.spec import PhantomSpec
from ishcount.truth.simulate.truth import load_truth
from ishcount.truth.simulate.writer import write_phantom

CUT = 0.9


@pytest.fixture(scope="module")
def truth_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("truth")
    write_phantom(PhantomSpec(preset="hard", prevalence=0.2, size_px=(1600, 1200), seed=2), folder, "s")
    return folder / "s.truth"


@pytest.fixture
def perfect(truth_folder):
    """Tables and summary of a result that knows the truth."""
    truth = load_truth(truth_folder)
    nuclei = truth.nuclei[truth.nuclei["in_plane"]].reset_index(drop=True)
    cells = pd.DataFrame(
        {
            "x_um": nuclei["x_um"],
            "y_um": nuclei["y_um"],
            "IFNG_score": np.where(nuclei["IFNG_positive"], 0.95, 0.1).astype(np.float32),
            "IFNG_positive": nuclei["IFNG_positive"],
            "IFNG_copies": nuclei["IFNG_copies"].astype(float),
        }
    )
    dots = truth.dots[["marker", "x_um", "y_um"]].assign(score=np.float32(0.95))
    summary = {
        "slide_id": "s", "tissue_area_mm2": truth.area_mm2["tissue"], "compartments": {"tissue": {}},
        "counting": {"dot_cut": CUT}, "epidermis_mm": truth.epidermis_mm,
        "markers": {"IFNG": {"chromogen": "fast_red", "estimated_per_mm2": 1.0}},
    }  # fmt: skip
    return cells, dots, summary


def score(folder, result, truth_folder):
    cells, dots, summary = result
    write_parquet(folder / "cells.parquet", cells)
    write_parquet(folder / "dots.parquet", dots)
    write_json(folder / "summary.json", summary)
    (row,) = evaluate_slide(SlideResult(folder, summary), truth_folder)
    return row


def test_the_truth_itself_scores_one_and_errs_by_nothing(tmp_path, perfect, truth_folder):
    row = score(tmp_path, perfect, truth_folder)
    assert row["positive_cells"]["f1"] == row["nuclei_centroid"]["f1"] == row["dots"]["f1"] == 1.0
    assert row["best_cut_f1"] == 1.0
    assert row["n_false_cells"] == 0
    assert row["area_error"] == row["count_error"] == row["epidermis_error"] == 0.0
    assert row["density_error_per_mm2"] == pytest.approx(0.0)
    assert row["copies_correlation"] == pytest.approx(1.0)


def test_missed_cells_lower_recall_and_nothing_else(tmp_path, perfect, truth_folder):
    cells, dots, summary = perfect
    positive = np.flatnonzero(cells["IFNG_positive"])[::2]
    cells.loc[positive, ["IFNG_positive", "IFNG_score"]] = [False, np.float32(0.1)]
    row = score(tmp_path, (cells, dots, summary), truth_folder)
    assert row["positive_cells"]["precision"] == 1.0
    assert row["positive_cells"]["recall"] < 0.6
    assert row["count_error"] < -0.4
    assert row["n_false_cells"] == 0


def test_cells_called_on_negative_nuclei_and_on_nothing_are_false(tmp_path, perfect, truth_folder):
    cells, dots, summary = perfect
    ghosts = cells.head(3).assign(x_um=-500.0, IFNG_positive=True, IFNG_score=np.float32(0.95))
    counted = load_truth(truth_folder).nuclei.query("in_plane").reset_index(drop=True)
    negative = counted.index[counted["counted"] & ~counted["IFNG_positive"]][:5]
    cells.loc[negative, ["IFNG_positive", "IFNG_score"]] = [True, np.float32(0.95)]
    row = score(tmp_path, (pd.concat([cells, ghosts], ignore_index=True), dots, summary), truth_folder)
    assert row["n_false_cells"] == 8
    area = summary["tissue_area_mm2"]
    assert row["false_per_mm2"] == pytest.approx(8 / area)
    assert row["false_per_mm2_upper"] == pytest.approx(14.4347 / area, rel=1e-3)  # chi2.ppf(.95, 18) / 2


def test_cells_on_spoilt_tissue_neither_help_nor_harm(tmp_path, perfect, truth_folder):
    cells, dots, summary = perfect
    nuclei = load_truth(truth_folder).nuclei.query("in_plane").reset_index(drop=True)
    spoilt = ~nuclei["counted"]
    assert spoilt.sum() > 5
    before = score(tmp_path, perfect, truth_folder)
    cells.loc[spoilt, ["IFNG_positive", "IFNG_score"]] = [True, np.float32(0.95)]
    assert score(tmp_path, (cells, dots, summary), truth_folder)["positive_cells"] == before["positive_cells"]


def test_a_dot_counts_as_found_within_half_a_micrometre_only(tmp_path, perfect, truth_folder):
    cells, dots, summary = perfect
    near = score(tmp_path, (cells, dots.assign(x_um=dots["x_um"] + 0.3), summary), truth_folder)
    far = score(tmp_path, (cells, dots.assign(x_um=dots["x_um"] + 0.8), summary), truth_folder)
    assert near["dots"]["f1"] > 0.95
    assert far["dots"]["f1"] < 0.3


def test_pooling_adds_counts_and_keeps_states_apart(tmp_path, perfect, truth_folder):
    row = score(tmp_path, perfect, truth_folder)
    pooled = pool([row, row | {"slide_id": "t", "state": "normal"}])
    assert pooled["positive_cells"]["n_true"] == 2 * row["positive_cells"]["n_true"]
    assert set(pooled["by_state"]) == {"inflamed", "normal"}
    assert pooled["area_mm2"] == pytest.approx(2 * row["area_mm2"])
    assert len(evaluation_table({"slides": [row]})) == 1


def test_perfect_dots_and_nuclei_do_not_reach_one_where_dots_lie_between_cells(truth_folder):
    ceiling = ownership_ceiling(truth_folder, "IFNG")
    assert 0.8 < ceiling["f1"] < 1.0
    assert ceiling["nearest_f1"] < ceiling["f1"]


def test_points_are_matched_once_and_nearest_first():
    found, true = match_points(np.array([[0.0, 0], [1.0, 0]]), np.array([[0.9, 0.0], [9.0, 9]]), 2.0)
    assert (found.tolist(), true.tolist()) == ([1], [0])


def test_two_halves_of_a_nucleus_do_not_overlap_it_enough():
    true = np.zeros((10, 10), np.uint32)
    true[2:8, 2:8] = 1
    halves = true.copy()
    halves[2:8, 5:8] = 2
    assert overlap_matches(true, true) == 1
    assert overlap_matches(halves, true) == 0


def test_scores_that_are_right_on_average_lie_on_the_diagonal():
    rng = np.random.default_rng(1)
    score_ = rng.uniform(0.01, 0.999, 20_000).astype(np.float32)
    places = np.arange(20_000)
    for entry in calibration(score_, places, places, rng.random(20_000) < score_):
        assert abs(entry["score"] - entry["share"]) < 4 * np.sqrt(0.25 / entry["n"])


def test_dice_of_nothing_is_unknown_and_of_halves_two_thirds():
    full, half = np.ones((4, 4), bool), np.zeros((4, 4), bool)
    half[:2] = True
    assert dice(half & False, half & False) is None
    assert dice(half, full) == pytest.approx(2 / 3)


def test_a_folder_without_truth_says_so(tmp_path):
    with pytest.raises(UsageError, match=r"truth\.json"):
        load_truth(tmp_path)
