"""compare_groups: the shape of statistics.json, its labels, and honest nulls."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ishcount.core.errors import UsageError
from ishcount.stats.compare import StatisticsParams, compare_groups

QUICK = StatisticsParams(n_bootstrap=2_000, n_model_bootstrap=199, n_permutations=999, exact_limit=20_000)


def rows_of(groups: dict[str, list[float]], **more: Any) -> Iterator[dict[str, Any]]:
    for group, counts in groups.items():
        for i, count in enumerate(counts):
            yield {
                "patient": f"{group}{i}",
                "group": group,
                "marker": "IFNG",
                "n_positive": count,
                "area_mm2": 10.0,
            } | more


def compare(groups: dict[str, list[float]], *, case: str = "EM", control: str = "normal") -> dict[str, Any]:
    found = compare_groups(pd.DataFrame(rows_of(groups)), case=case, control=control, settings=QUICK)
    json.dumps(found, allow_nan=False)
    return found["comparisons"][0]


TYPICAL = {"EM": [0, 12, 40, 88, 150, 31], "normal": [0, 0, 3, 6, 9]}


def test_every_comparison_has_the_agreed_keys() -> None:
    found = compare(TYPICAL)
    agreed = "marker compartment case control measure n_case n_control mean_case mean_case_ci median_case"
    assert set(agreed.split()) | {"tests", "effects", "p_primary", "p_holm", "reason"} <= set(found)
    tests = "welch student mann_whitney permutation negative_binomial welch_anova kruskal pairs"
    assert {*tests.split(), "paired_t", "signed_rank", "sign_flip"} <= set(found["tests"])
    assert {"estimate", "ci", "statistic", "df", "p"} <= set(found["tests"]["welch"])
    assert {"p", "hodges_lehmann", "ci"} <= set(found["tests"]["mann_whitney"])
    assert {"rate_ratio", "ci", "p"} <= set(found["tests"]["negative_binomial"])
    assert {"hedges_g", "cliffs_delta"} <= set(found["effects"])


def test_every_test_names_what_it_estimates_and_one_is_primary() -> None:
    tests = compare(TYPICAL)["tests"]
    assert all(test["estimand"] for test in tests.values())
    assert [name for name, test in tests.items() if test["label"] == "primary"] == ["permutation"]


def test_every_missing_number_has_a_reason() -> None:
    for groups in (TYPICAL, {"EM": [0, 0, 0], "normal": [0, 0]}, {"EM": [4], "normal": [1, 2]}):
        for name, test in compare(groups)["tests"].items():
            assert test["p"] is not None or test["reason"], name


def test_the_difference_is_case_minus_control() -> None:
    assert compare(TYPICAL)["tests"]["permutation"]["estimate"] == pytest.approx(5.35 - 0.36)
    assert compare(TYPICAL, case="normal", control="EM")["tests"]["welch"]["estimate"] == pytest.approx(
        0.36 - 5.35
    )


@pytest.mark.parametrize(
    ("groups", "reason"),
    [
        ({"EM": [0] * 4, "normal": [0] * 4}, "zero variance in both groups"),
        ({"EM": [5] * 5, "normal": [0] * 4}, "zero variance in both groups"),
        ({"EM": [5], "normal": [1, 2, 3]}, "fewer than 2 patients in a group"),
        ({"EM": [np.nan], "normal": [1, 2, 3]}, "fewer than 2 patients in a group"),
    ],
)
def test_degenerate_data_have_no_primary_p_and_say_why(groups: dict[str, list[float]], reason: str) -> None:
    found = compare(groups)
    assert (found["p_primary"], found["p_holm"], found["reason"]) == (None, None, reason)
    assert found["tests"]["welch"]["p"] is None
    assert found["effects"]["bca"]["ci"] is None


def test_controls_without_a_positive_cell_give_a_lower_limit_only() -> None:
    rate = compare({"EM": [5, 90, 3, 40, 0], "normal": [0] * 5})["tests"]["negative_binomial"]
    assert (rate["rate_ratio"], rate["ci"][1], rate["unbounded"]) == (None, None, "high")
    assert rate["ci"][0] > 1
    assert 0 < rate["p"] < 0.05


def test_cases_without_a_positive_cell_give_ratio_zero_and_an_upper_limit() -> None:
    rate = compare({"EM": [0] * 5, "normal": [5, 90, 3, 40, 0]})["tests"]["negative_binomial"]
    assert rate["rate_ratio"] == 0
    assert rate["ci"][0] == 0
    assert 0 < rate["ci"][1] < 1


def test_densities_without_counts_leave_out_the_rate_model_alone() -> None:
    table = pd.DataFrame(rows_of(TYPICAL)).assign(positive_per_mm2=lambda t: t["n_positive"] / 10)
    found = compare_groups(
        table.drop(columns=["n_positive", "area_mm2"]), case="EM", control="normal", settings=QUICK
    )["comparisons"][0]
    assert found["tests"]["negative_binomial"]["reason"] == "the rate model needs n_positive and area_mm2"
    assert found["p_primary"] == compare(TYPICAL)["p_primary"]


def test_holm_runs_over_markers_in_tissue_only() -> None:
    rows = [
        *rows_of(TYPICAL, compartment="tissue"),
        *rows_of(TYPICAL, compartment="dermis"),
        *rows_of({"EM": [3, 1, 4, 9, 8, 2], "normal": [2, 1, 0, 0, 4]}, marker="IL15", compartment="tissue"),
    ]
    found = compare_groups(pd.DataFrame(rows), case="EM", control="normal", settings=QUICK)["comparisons"]
    assert [(c["marker"], c["compartment"]) for c in found] == [
        ("IFNG", "dermis"),
        ("IFNG", "tissue"),
        ("IL15", "tissue"),
    ]
    dermis, ifng, il15 = found
    assert dermis["p_holm"] is None
    assert {test["label"] for test in dermis["tests"].values()} == {"descriptive"}
    assert ifng["p_holm"] == min(1.0, 2 * ifng["p_primary"])
    assert il15["p_holm"] == max(il15["p_primary"], ifng["p_holm"])


def test_three_groups_bring_anova_kruskal_and_adjusted_pairs() -> None:
    found = compare(TYPICAL | {"lupus": [3, 20, 9, 44]})["tests"]
    assert found["welch_anova"]["p"] is not None
    assert found["kruskal"]["df"] == 2
    pairs = found["pairs"]["pairs"]
    assert [(p["case"], p["control"]) for p in pairs] == [
        ("EM", "lupus"),
        ("EM", "normal"),
        ("lupus", "normal"),
    ]
    assert all(p["p_holm"] >= p["p"] for p in pairs)


def test_welch_anova_of_two_groups_is_welch_squared() -> None:
    from ishcount.stats.means import welch, welch_anova

    x, y = [1.0, 4.0, 2.5, 9.0], [0.3, 0.9, 1.1]
    assert welch_anova([x, y])["p"] == pytest.approx(welch(x, y)["p"], abs=1e-12)


def paired_rows() -> list[dict[str, Any]]:
    before, during = [9.0, 14.0, 3.0, 22.0, 6.0, 8.0], [2.0, 3.0, 1.0, 9.0, 5.0, 0.0]
    return [
        {"patient": f"EM{i}", "group": "EM", "marker": "IFNG", "positive_per_mm2": value, "pair": pair}
        for pair, values in (("before", before), ("during", during))
        for i, value in enumerate(values)
    ]


def test_paired_tests_use_during_minus_before_and_unpaired_tests_leave_during_out() -> None:
    normal = [
        {"patient": f"n{i}", "group": "normal", "marker": "IFNG", "positive_per_mm2": v}
        for i, v in enumerate((0.0, 1.0, 0.5))
    ]
    found = compare_groups(pd.DataFrame(paired_rows() + normal), case="EM", control="normal", settings=QUICK)
    comparison = found["comparisons"][0]
    assert comparison["n_case"] == 6
    assert comparison["mean_case"] == pytest.approx(62 / 6)
    assert comparison["tests"]["paired_t"]["estimate"] == pytest.approx((20 - 62) / 6)
    assert comparison["tests"]["sign_flip"]["p"] == 2 / 64


def test_one_group_with_pairs_is_compared_with_itself() -> None:
    found = compare_groups(pd.DataFrame(paired_rows()), settings=QUICK)
    assert found["comparisons"][0]["primary"] == "sign_flip"
    assert found["comparisons"][0]["p_primary"] == 2 / 64
    assert found["comparisons"][0]["control"] is None


def test_sections_within_patients_bring_the_mixed_model_with_few_degrees_of_freedom(
    rng: np.random.Generator,
) -> None:
    rows = [
        row | {"n_positive": int(rng.poisson(row["n_positive"] + 1))}
        for _ in range(3)
        for row in rows_of(TYPICAL)
    ]
    found = compare_groups(pd.DataFrame(rows), case="EM", control="normal", settings=QUICK)["comparisons"][0]
    assert found["n_case"] == 6
    assert found["n_sections_case"] == 18
    assert found["tests"]["mixed_model"]["df"] == 11 - 2


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ({}, "Name case and control; there are EM, normal"),
        ({"case": "EM", "control": "healthy"}, "no patient in the group 'healthy'"),
        ({"case": "EM", "control": "EM"}, "both 'EM'"),
    ],
)
def test_groups_that_are_not_named_are_an_error_with_the_names_there_are(
    names: dict[str, str], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        compare_groups(pd.DataFrame(rows_of(TYPICAL)), **names, settings=QUICK)


def test_rows_without_a_group_are_left_out_and_reported() -> None:
    rows = [
        *rows_of(TYPICAL),
        {"patient": "x", "group": None, "marker": "IFNG", "n_positive": 4, "area_mm2": 10.0},
    ]
    found = compare_groups(pd.DataFrame(rows), case="EM", control="normal", settings=QUICK)
    assert found["design"]["left_out"] == [{"reason": "no group", "n_rows": 1}]
    assert found["design"]["groups"] == {"EM": 6, "normal": 5}


def test_a_table_without_a_target_row_is_an_error() -> None:
    rows = pd.DataFrame(rows_of(TYPICAL, role="negative_control"))
    with pytest.raises(UsageError, match="no target row"):
        compare_groups(rows, case="EM", control="normal", settings=QUICK)
