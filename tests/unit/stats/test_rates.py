"""Blanks: what they allow to be claimed, and what they do not."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ishcount.stats import rates
from ishcount.stats.tipping import blank_corrected_difference, tipping_curve, tipping_point


def test_no_cell_has_an_upper_limit_of_three_over_the_area() -> None:
    assert rates.rate_upper_limit(0, 10.0) == pytest.approx(-math.log(0.05) / 10)
    assert math.isnan(rates.rate_upper_limit(0, 0.0))


def test_no_area_is_null_with_a_reason() -> None:
    assert rates.rate_interval(3, 0.0)["reason"] == "no area"
    assert rates.poisson_rate_ratio(3, 1.0, 2, 0.0)["p"] is None


def test_blanks_above_the_limit_of_blank_are_as_rare_as_stated(rng: np.random.Generator) -> None:
    area, rate = 10.0, 1.5
    blank = rates.limit_of_blank(rng.poisson(rate * area, 400).tolist(), [area] * 400)
    above = (rng.poisson(rate * area, 20_000) / area > blank["estimate"]).mean()
    assert 0.01 < above <= 0.06
    assert blank["nonparametric"] == pytest.approx(blank["estimate"], abs=0.2)  # one or two cells in 10 mm2


def test_the_limit_of_detection_is_found_as_often_as_stated(rng: np.random.Generator) -> None:
    blank = rates.limit_of_blank([3, 0, 1, 9, 2, 4], [8.0, 10.0, 9.0, 12.0, 10.0, 11.0])
    found = rates.limit_of_detection(blank)
    area, alpha = blank["area_mm2"], blank["alpha"]
    assert alpha > 0
    false = rng.poisson(blank["rate"] * area * rng.gamma(1 / alpha, alpha, 40_000))
    seen = (rng.poisson(found["estimate"] * area, 40_000) + false) / area > blank["estimate"] + 1e-12
    assert seen.mean() == pytest.approx(0.95, abs=0.005)  # Monte Carlo: 5 standard errors


def test_the_limit_of_quantitation_has_the_stated_coefficient_of_variation() -> None:
    blank = rates.limit_of_blank([3, 0, 1, 9, 2, 4], [10.0] * 6)
    density = rates.limit_of_quantitation(blank, largest_cv=0.2)["estimate"]
    false = blank["rate"] * 10
    variance = density * 10 + false + blank["alpha"] * false**2
    assert math.sqrt(variance) / (density * 10) == pytest.approx(0.2, rel=1e-12)
    assert rates.limit_of_quantitation(blank, between_sections_cv=0.3)["estimate"] is None


def test_blanks_without_a_cell_still_have_an_honest_upper_figure() -> None:
    blank = rates.limit_of_blank([0, 0], [10.0, 12.0])
    assert blank["estimate"] == 0
    assert blank["estimate_upper"] > 0
    assert rates.limit_of_detection(blank)["estimate"] == pytest.approx(-math.log(0.05) / 11)


def test_without_a_blank_nothing_is_claimed() -> None:
    blank = rates.limit_of_blank([], [])
    assert blank["reason"] == "no blank with an area"
    assert (
        rates.limit_of_detection(blank)["reason"]
        == rates.limit_of_quantitation(blank)["reason"]
        == blank["reason"]
    )


def test_min_dots_is_the_smallest_whose_upper_limit_keeps_the_stated_rate() -> None:
    found = rates.min_dots_from_blanks(
        {1: [8, 9], 2: [1, 0], 3: [0, 0]}, [10.0, 12.0], largest_false_per_mm2=0.25
    )
    assert found["estimate"] == 2
    assert [row["n_positive"] for row in found["table"]] == [17, 1, 0]


def test_too_little_blank_tissue_says_how_much_would_do() -> None:
    found = rates.min_dots_from_blanks({1: [0], 2: [0]}, [2.0], largest_false_per_mm2=0.1)
    assert found["estimate"] is None
    assert "30 mm2 without a false cell could" in found["reason"]


def test_blanks_are_subtracted_with_their_own_doubt() -> None:
    case, control = [9.0, 12.0, 4.0, 15.0], [1.0, 0.0, 2.0, 1.0]
    found = blank_corrected_difference(
        case, control, blank_case=[2.0, 1.0, 3.0], blank_control=[0.0, 0.5, 0.1]
    )
    assert found["estimate"] == pytest.approx(10 - 1 - (2 - 0.2))
    assert found["blank_difference"]["estimate"] == pytest.approx(1.8)
    plain = blank_corrected_difference(case, control, blank_case=[0.0, 0.0], blank_control=[0.0, 0.0])
    assert found["standard_error"] > plain["standard_error"]


def test_the_tipping_point_moves_the_interval_onto_zero() -> None:
    difference = {"estimate": 8.0, "ci": [2.5, 13.5], "reason": None}
    found = tipping_point(difference, mean_case=8.6, blank_difference={"estimate": 0.1, "ci": [-0.4, 0.9]})
    assert found["estimate"] == 2.5
    assert found["ruled_out_by_blanks"] is True
    assert (
        tipping_point(difference, blank_difference={"estimate": 2.0, "ci": [0.1, 3.0]})["ruled_out_by_blanks"]
        is False
    )
    at_tip = [
        row for row in tipping_curve(difference, steps=28) if row["extra_false_per_mm2"] == pytest.approx(2.5)
    ]
    assert at_tip[0]["low"] == pytest.approx(0)


def test_an_interval_that_holds_zero_tips_at_once() -> None:
    assert tipping_point({"estimate": 1.0, "ci": [-1.0, 3.0]})["estimate"] == 0
    assert (
        tipping_point({"estimate": None, "ci": None, "reason": "zero variance"})["reason"] == "zero variance"
    )
