"""The answer says what the numbers say, and what stands against them comes before it is believed."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from ishcount.core import tables
from ishcount.params import Params, protocol_digest
from ishcount.report.answers import answers, doubts, in_no_number, slide_answers
from ishcount.report.blanks import with_blanks
from ishcount.stats.compare import compare_groups
from ishcount.stats.patients import patient_densities
from ishcount.stats.settings import StatisticsParams

PARAMS = Params().model_dump(mode="json")


def densities(**changes: Any) -> pd.DataFrame:
    row = {
        "slide_id": "a", "patient": "p1", "group": "EM", "marker": "IFNG", "role": "target", "status": "ok",
        "compartment": "tissue", "area_mm2": 2.0, "n_cells": 9000, "n_positive": 18, "positive_per_mm2": 9.0,
        "ci_low": 5.0, "ci_high": 14.0, "reviewed": True, "flags": "",
    }  # fmt: skip
    blank = row | {"slide_id": "dapb", "role": "negative_control"}
    table = pd.DataFrame([row | changes, blank])
    return tables.check(table.reindex(columns=list(tables.DENSITIES)), tables.DENSITIES)


def comparison(p: float | None, estimate: float | None = 8.0) -> dict[str, Any]:
    test = {"estimate": estimate, "ci": [2.0, 14.0], "p": p, "reason": None if p else "zero variance"}
    groups = {"n": 12, "n_zero": 0, "mean": 8.7, "mean_ci": [2.6, 14.8], "median": 5.0}
    sides = {
        f"{name}_{side}{'_ci' if end else ''}": value
        for side in ("case", "control")
        for key, value in groups.items()
        for name, end in [(key.removesuffix("_ci"), key.endswith("_ci"))]
    }
    shared = {"marker": "IFNG", "compartment": "tissue", "case": "EM", "control": "normal", "p_holm": p}
    shared |= {"measure": "positive_per_mm2", "primary": "permutation", "tests": {"permutation": test}}
    return shared | sides


@pytest.mark.parametrize(
    ("p", "estimate", "finding"),
    [
        (0.0004, 8.0, "IFNG: more positive cells in EM than in normal (P<.001)"),
        (0.03, -8.0, "IFNG: fewer positive cells in EM than in normal (P=.03)"),
        (0.2, 8.0, "IFNG: no difference shown between EM and normal (P=.20)"),
        (None, None, "IFNG: no test possible"),
    ],
)
def test_the_finding_is_the_primary_test_after_holm(p: Any, estimate: Any, finding: str) -> None:
    assert [a.finding for a in answers({"comparisons": [comparison(p, estimate)]})] == [finding]


def test_without_statistics_every_marker_has_its_density() -> None:
    one = densities().iloc[:1]
    assert slide_answers(one)[0].finding == "IFNG: 9.00 positive cells per mm\u00b2"
    assert slide_answers(one.assign(positive_per_mm2=float("nan"))) == []


def test_a_group_that_is_small_in_another_compartment_alone_is_no_doubt() -> None:
    few = comparison(0.01) | {"compartment": "follicle", "n_case": 3}
    text = " ".join(
        d.text for d in doubts(densities(), {"comparisons": [comparison(0.01), few]}, params=PARAMS)
    )
    assert "only 3 patients" not in text
    few["compartment"] = "tissue"
    text = " ".join(d.text for d in doubts(densities(), {"comparisons": [few]}, params=PARAMS))
    assert "only 3 patients" in text


def test_a_clean_study_raises_only_the_missing_protocol() -> None:
    statistics = {"comparisons": [comparison(0.01)]}
    assert [doubt.level for doubt in doubts(densities(), statistics, params=PARAMS)] == ["note"]
    fixed = PARAMS | {"protocol": {"test": "permutation"}}
    counted_under_it = densities().assign(protocol_digest=protocol_digest(fixed["protocol"]))
    assert doubts(counted_under_it, statistics, params=fixed) == []


@pytest.mark.parametrize(
    ("changes", "level", "words"),
    [
        ({"status": "failed"}, "care", "1 of 2 slides could not be counted"),
        ({"status": "partial"}, "care", "counted in part"),
        ({"flags": "STAIN_MISMATCH"}, "stop", "do not look like the chromogen"),
        ({"flags": "NO_GLASS"}, "note", "No empty glass was found"),
    ],
)
def test_what_stands_against_a_number_is_said(changes: dict[str, str], level: str, words: str) -> None:
    found = doubts(densities(**changes), None, params=PARAMS)
    assert [doubt.level for doubt in found if words in doubt.text] == [level]


def test_a_study_without_negative_control_says_so_first() -> None:
    found = doubts(densities().iloc[:1].assign(reviewed=False), None, params=PARAMS)
    assert [doubt.level for doubt in found] == ["stop", "care"]
    assert "No negative control" in found[0].text


FAST = StatisticsParams(n_bootstrap=2000, n_model_bootstrap=199, n_permutations=999)


def rows(**groups: list[float]) -> pd.DataFrame:
    return pd.DataFrame(
        {"patient": f"{group}{i}", "group": group, "marker": "IFNG", "positive_per_mm2": value}
        for group, values in groups.items()
        for i, value in enumerate(values)
    )


def test_median_with_quartiles_and_a_single_patient_in_the_singular() -> None:
    found = compare_groups(rows(EM=[1, 2, 3, 4], normal=[0]), case="EM", control="normal", settings=FAST)
    (answer,) = answers(found)
    assert "EM 2.50 (95% CI, 0.45-4.55), median 2.50 (IQR, 1.75-3.25) (n = 4 patients" in answer.sentences[0]
    assert "normal 0.00 (95% CI not estimable), median 0.00 (n = 1 patient, 1 at 0)" in answer.sentences[0]


def test_a_change_within_patients_is_an_answer_of_its_own() -> None:
    before = rows(EM=[9, 8, 7, 6, 5, 4]).assign(pair="before")
    during = rows(EM=[3, 1, 2, 1, 0]).assign(pair="during")  # the sixth patient has no second biopsy
    found = compare_groups(pd.concat([before, during]), case="EM", settings=FAST)
    (answer,) = answers(found)
    assert answer.finding == "IFNG: no change shown between before and during treatment (P=.06)"
    assert "(during minus before, 5 pairs): mean change -5.60" in answer.sentences[1]
    more = pd.concat([before, during, rows(EM=[0, 0, 0, 0, 0, 1]).assign(pair="during").iloc[5:]])
    (answer,) = answers(compare_groups(more, settings=FAST))
    assert answer.finding == "IFNG: fewer positive cells during than before treatment (P=.03)"


def test_further_groups_are_tested_together_and_said() -> None:
    table = rows(EM=[7, 3, 4, 9], normal=[0, 1, 0, 0], other=[3, 3, 1, 2])
    (answer,) = answers(compare_groups(table, case="EM", control="normal", settings=FAST))
    assert answer.sentences[-1] == (
        "All 3 groups: Welch analysis of variance, P=.01; Kruskal-Wallis test, P=.01; every pair is in the "
        "table."
    )


def test_what_is_in_no_number_is_said() -> None:
    table = rows(EM=[7, float("nan"), 4], normal=[0, 1, 0])
    table.loc[5, "group"] = None
    found = in_no_number(compare_groups(table, case="EM", control="normal", settings=FAST))
    assert [doubt.text for doubt in found] == [
        "1 row of the table with no group left out (merged cells keep their text in the first row only).",
        "IFNG: patients without a density are in no number (1 in EM).",
    ]


@pytest.mark.parametrize(("in_em", "said"), [([9.0, 14.0, 11.0], True), ([0.0, 0.5, 0.2], False)])
def test_a_difference_that_the_blanks_could_make_is_not_to_be_believed(
    in_em: list[float], said: bool
) -> None:
    targets = rows(EM=[9, 12, 15, 8, 11, 10], normal=[0, 1, 0, 2, 0, 1]).assign(role="target")
    blanks = rows(EM=in_em, normal=[0.0, 0.5, 0.1]).assign(role="negative_control", marker="dapB")
    table = pd.concat([targets, blanks]).assign(compartment="tissue", chromogen="dab")
    found = compare_groups(table, case="EM", control="normal", settings=FAST)
    found["comparisons"] = with_blanks(found, patient_densities(table), table)
    text = " ".join(d.text for d in doubts(densities(), found, params=PARAMS) if d.level == "stop")
    assert ("IFNG: the blanks do not rule out that false cells make this difference" in text) == said
    assert ("They hold 11.33 positive cells per mm\u00b2 in EM and 0.20 in normal" in text) == said
