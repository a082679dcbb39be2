"""The statistics as rows: the primary first, all that was computed, nothing that was not asked."""

from __future__ import annotations

import pandas as pd
import pytest

from ishcount.report.statistics_table import statistics_table
from ishcount.stats.compare import compare_groups
from ishcount.stats.settings import StatisticsParams

SETTINGS = StatisticsParams(
    case="EM", control="normal", exact_limit=1000, n_permutations=999, n_bootstrap=2000, n_model_bootstrap=199
)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    values = {"EM": [0.0, 2.0, 5.0, 9.0, 12.0, 20.0], "normal": [0.0, 0.0, 0.5, 1.0, 1.5, 2.0]}
    rows = [
        {"patient": f"{group}{i}", "group": group, "positive_per_mm2": value, "compartment": compartment}
        for compartment in ("dermis", "tissue")
        for group, densities in values.items()
        for i, value in enumerate(densities)
    ]
    return statistics_table(compare_groups(pd.DataFrame(rows).assign(marker="IFNG"), settings=SETTINGS))


def test_the_primary_test_in_tissue_is_the_first_row(table: pd.DataFrame) -> None:
    first = table.iloc[0]
    assert (first["compartment"], first["role_of_result"]) == ("tissue", "primary")
    assert first["quantity"].startswith("Studentised permutation test")
    assert (table["role_of_result"] == "primary").sum() == 1


def test_only_the_primary_row_has_a_p_adjusted_over_markers(table: pd.DataFrame) -> None:
    assert table["p_holm"].notna().tolist() == (table["role_of_result"] == "primary").tolist()


def test_other_compartments_are_descriptive(table: pd.DataFrame) -> None:
    assert set(table.loc[table["compartment"] == "dermis", "role_of_result"]) == {"descriptive"}


def test_tests_that_nobody_asked_for_are_not_listed(table: pd.DataFrame) -> None:
    assert not table["quantity"].str.contains("Paired|Kruskal|Sign-flip").any()


def test_every_row_has_a_number_or_says_why_not(table: pd.DataFrame) -> None:
    silent = table[table["estimate"].isna() & table["p"].isna() & (table["reason"] == "")]
    assert silent["quantity"].tolist() == []


def test_every_row_says_what_it_estimates(table: pd.DataFrame) -> None:
    assert table["estimand"].notna().all()


def test_every_pair_of_three_groups_is_named_with_both_tests() -> None:
    values = {"EM": [7.0, 3, 4, 9], "normal": [0.0, 1, 0, 0], "other": [3.0, 3, 1, 2]}
    rows = [
        {"patient": f"{group}{i}", "group": group, "positive_per_mm2": value, "marker": "IFNG"}
        for group, densities in values.items()
        for i, value in enumerate(densities)
    ]
    pairs = statistics_table(compare_groups(pd.DataFrame(rows), settings=SETTINGS)).query("n_case.isna()")
    names = ["Welch t test", "Mann-Whitney test (exact, ties kept)"]
    sides = ["EM minus other", "EM minus normal", "other minus normal"]
    assert pairs["quantity"].tolist() == [f"{name}, {side}" for side in sides for name in names]
    assert (pairs["p_holm"] >= pairs["p"]).all()
