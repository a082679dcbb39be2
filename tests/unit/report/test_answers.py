"""The answer says what the numbers say, and what stands against them comes before it is believed."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from ishcount.core import tables
from ishcount.params import Params, protocol_digest
from ishcount.report.answers import answers, doubts, slide_answers

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
