"""Confounding: what an adjusted answer can and cannot say."""

from __future__ import annotations

import numpy as np
import pytest

from ishcount.stats.adjust import adjusted_difference, imbalance, leave_one_out

CASE = [True] * 6 + [False] * 6


def test_without_imbalance_the_adjusted_difference_is_the_plain_one(rng: np.random.Generator) -> None:
    y = [9.0, 7.5, 12.0, 8.0, 15.0, 4.0, 1.0, 0.5, 2.0, 0.0, 3.0, 1.5]
    found = adjusted_difference(y, CASE, {"block_year": [2019, 2020, 2021] * 4})
    assert found["estimate"] == pytest.approx(np.mean(y[:6]) - np.mean(y[6:]))
    assert found["df"] == 9


def test_a_covariate_that_is_the_group_cannot_be_adjusted_for() -> None:
    found = adjusted_difference(list(range(12)), CASE, {"scanner": ["a"] * 6 + ["b"] * 6})
    assert found["estimate"] is None
    assert "cannot be told apart from the group" in found["reason"]


def test_a_difference_made_by_a_covariate_vanishes(rng: np.random.Generator) -> None:
    age = np.concatenate([rng.uniform(0, 6, 6), rng.uniform(4, 10, 6)])
    found = adjusted_difference((2 * age + rng.normal(0, 0.1, 12)).tolist(), CASE, {"age": age.tolist()})
    assert abs(found["estimate"]) < 0.5


def test_imbalance_is_seen_in_numbers_and_in_labels() -> None:
    assert imbalance([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], CASE)["p"] < 0.01
    assert imbalance(["a"] * 6 + ["b"] * 6, CASE)["p"] < 0.01
    assert imbalance(["a", "b", "c"] * 4, CASE)["p"] == pytest.approx(1.0)
    assert imbalance(["a"] * 12, CASE)["reason"] == "the same for every patient"
    assert imbalance([None] * 12, CASE)["reason"] == "not known"


def test_leaving_out_a_batch_leaves_out_its_patients() -> None:
    y = [9.0, 7.5, 12.0, 8.0, 15.0, 4.0, 1.0, 0.5, 2.0, 0.0, 3.0, 1.5]
    found = leave_one_out(y, CASE, ["run 2", "run 1", "run 1"] * 4)
    assert [(entry["left_out"], entry["n_case"]) for entry in found] == [("run 1", 2), ("run 2", 4)]
    assert found[1]["estimate"] == pytest.approx(np.mean([7.5, 12, 15, 4]) - np.mean([0.5, 2, 3, 1.5]))


def test_a_covariate_that_is_the_same_for_everybody_adjusts_nothing() -> None:
    found = adjusted_difference([1, 2, 3, 4, 5, 6], [True] * 3 + [False] * 3, {"batch": ["b1"] * 6})
    assert (found["estimate"], found["reason"]) == (None, "the same for every patient")
