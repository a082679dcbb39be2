"""A covariate that travels with the group is named before the difference is believed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ishcount.report.confounding import confounding, rows_of, warnings_of
from ishcount.report.figures.covariates import draw_covariates
from ishcount.stats.compare import compare_groups
from ishcount.stats.patients import patient_densities
from ishcount.stats.settings import StatisticsParams

SETTINGS = StatisticsParams(
    case="EM", control="normal", exact_limit=1000, n_permutations=999, n_bootstrap=2000, n_model_bootstrap=199
)


def checks_of(**columns: list[Any]) -> list[dict[str, Any]]:
    density = np.random.default_rng(2).gamma(2, [4] * 6 + [1] * 6)
    table = pd.DataFrame({"positive_per_mm2": density, "marker": "IFNG", "role": "target", **columns})
    table["patient"] = [f"p{i}" for i in range(12)]
    table["group"] = ["EM"] * 6 + ["normal"] * 6
    statistics = compare_groups(table, settings=SETTINGS)
    return confounding(patient_densities(table), table, statistics, SETTINGS)


def test_a_batch_that_separates_the_groups_is_named() -> None:
    checks = checks_of(batch=["b1"] * 3 + ["b2"] * 3 + ["b3"] * 6)
    assert list(warnings_of(checks)) == [
        "The groups differ entirely in batch: whatever it does cannot be told from the disease."
    ]
    assert checks[0]["adjusted"]["estimate"] is None


def test_a_balanced_batch_is_adjusted_for_and_left_out_in_turn() -> None:
    checks = checks_of(batch=["b1", "b2", "b3"] * 4)
    assert list(warnings_of(checks)) == []
    assert [row["label"] for row in rows_of(checks, "IFNG")] == [
        "adjusted for batch", "without batch b1", "without batch b2", "without batch b3",
    ]  # fmt: skip
    assert all(row["estimate"] is not None for row in rows_of(checks, "IFNG"))


def test_a_number_that_differs_between_the_groups_is_named_once() -> None:
    checks = checks_of(block_year=[2010 + i for i in range(6)] + [2020 + i for i in range(6)])
    assert list(warnings_of(checks)) == [
        "The groups differ in block year: read the adjusted answers before believing the difference."
    ]


def test_a_label_of_its_own_for_every_patient_says_nothing_about_groups() -> None:
    checks = checks_of(run_date=[f"2026-01-{day:02d}" for day in range(1, 13)])
    assert list(warnings_of(checks)) == []


def test_a_covariate_nobody_recorded_is_not_checked() -> None:
    assert checks_of(scanner=[None] * 12) == []


def test_every_patient_is_a_dot_beside_every_covariate_that_varies() -> None:
    checks = checks_of(batch=["b1", "b2", "b3"] * 4, scanner=["A"] * 12, block_year=list(range(2010, 2022)))
    assert [len(check["points"]) for check in checks] == [12, 12, 12]
    figure = draw_covariates("IFNG", checks, case="EM", control="normal")
    assert figure is not None
    assert figure.stem == "covariates_IFNG"
    assert "batch" in figure.alt
    assert "block year" in figure.alt
    assert "scanner" not in figure.alt  # one for all: nothing to see


def test_without_a_covariate_that_varies_there_is_no_figure() -> None:
    checks = checks_of(scanner=["A"] * 12)
    assert draw_covariates("IFNG", checks, case="EM", control="normal") is None
    assert draw_covariates("IFNG", [], case="EM", control="normal") is None
