"""The control gate: who stands for whom, what passes, what a target without a control is told."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from ishcount.core.tables import DENSITIES
from ishcount.study.controls import Gate, control_gate, with_control_flags


def rows(*given: dict[str, Any]) -> pd.DataFrame:
    base = {
        "compartment": "tissue", "role": "target", "marker": "IFNG", "chromogen": "fast_red", "status": "ok",
        "area_mm2": 10.0, "n_positive": 90, "n_positive_2": 0, "n_positive_3": 0, "flags": "",
    }  # fmt: skip
    table = pd.DataFrame([base | row for row in given])
    for name, kind in DENSITIES.items():
        table[name] = (table[name] if name in table else pd.Series([None] * len(table))).astype(kind)
    table["positive_per_mm2"] = (table["n_positive"] / table["area_mm2"]).astype("float64")
    return table


def control(**more: Any) -> dict[str, Any]:
    return {"slide_id": "neg", "role": "negative_control", "marker": "dapB", "n_positive": 0} | more


def flags(gate: Gate, table: pd.DataFrame) -> dict[str, str]:
    flagged = with_control_flags(table, gate)
    return dict(zip(flagged["slide_id"], flagged["flags"].fillna(""), strict=True))


def test_a_clean_control_of_the_patient_lets_the_target_pass() -> None:
    table = rows({"slide_id": "t", "patient": "p1"}, control(patient="p1"))
    gate = control_gate(table)
    assert gate.controls[0]["passed"]
    assert gate.controls[0]["linked"] == ["t"]
    assert gate.controls[0]["upper_limit"] == pytest.approx(0.29957, abs=1e-4)  # -ln(.05) / 10 mm2
    assert flags(gate, table) == {"t": "", "neg": ""}


def test_a_target_without_a_control_is_flagged() -> None:
    table = rows(
        {"slide_id": "t", "patient": "p1"}, {"slide_id": "u", "patient": "p2"}, control(patient="p1")
    )
    assert flags(control_gate(table), table) == {"t": "", "u": "CONTROL_MISSING", "neg": ""}


def test_a_control_full_of_false_cells_fails_the_targets_it_stands_for() -> None:
    table = rows({"slide_id": "t", "patient": "p1"}, control(patient="p1", n_positive=40))
    gate = control_gate(table)
    assert not gate.controls[0]["passed"]
    assert flags(gate, table)["t"] == "CONTROL_FAILED"


def test_the_makers_rule_of_one_dot_in_ten_cells_would_not_pass_here() -> None:
    table = rows({"slide_id": "t", "patient": "p1"}, control(patient="p1", n_positive=5000, area_mm2=10.0))
    assert not control_gate(table).controls[0]["passed"]


def test_too_little_control_tissue_does_not_pass_and_says_so() -> None:
    table = rows({"slide_id": "t", "patient": "p1", "n_positive": 10}, control(patient="p1", area_mm2=0.5))
    entry = control_gate(table).controls[0]
    assert not entry["passed"]
    assert "too few to show less" in entry["reason"]


def linked(*controls: dict[str, Any]) -> dict[str, list[str]]:
    """control -> targets it stands for, of three targets: patients p1 to p3, batches b1, b1, b2."""
    known = (("a", "p1", "b1"), ("b", "p2", "b1"), ("c", "p3", "b2"))
    targets = [{"slide_id": name, "patient": patient, "batch": batch} for name, patient, batch in known]
    given = [{"control_for": None, "batch": None} | row for row in [*targets, *controls]]
    table = rows(*given).astype({"batch": "string", "control_for": "string"})
    return {
        entry["slide_id"]: entry["linked"] for entry in control_gate(table).controls if "slide_id" in entry
    }


def test_named_links_come_before_the_patient_and_the_patient_before_the_batch() -> None:
    assert linked(control(control_for="c; b", patient="p1", batch="b1")) == {"neg": ["b", "c"]}
    assert linked(control(patient="p1")) == {"neg": ["a"]}
    assert linked(control(patient="p9", batch="b1")) == {"neg": ["a", "b"]}
    assert linked(control(patient="p9", batch="b9")) == {"neg": []}


def test_the_control_of_one_patient_serves_batch_mates_who_have_none() -> None:
    assert linked(control(patient="p1", batch="b1")) == {"neg": ["a", "b"]}
    own = control(slide_id="own", patient="p2", batch="b1")
    assert linked(control(patient="p1", batch="b1"), own) == {"neg": ["a"], "own": ["b"]}


def test_a_target_named_by_one_control_leaves_those_of_its_patient_and_batch() -> None:
    named = control(slide_id="named", control_for="a", patient="p3")
    assert linked(control(patient="p1", batch="b1"), named) == {"neg": ["b"], "named": ["a"]}


def test_positive_and_negative_controls_are_linked_apart() -> None:
    positive = {"slide_id": "pos", "role": "positive_control", "marker": "PPIB", "acd_score": 2}
    found = linked(control(patient="p9", batch="b1"), positive | {"patient": "p1", "batch": "b1"})
    assert found == {"neg": ["a", "b"], "pos": ["a", "b"]}


def test_a_failed_control_shows_nothing() -> None:
    table = rows({"slide_id": "t", "patient": "p1"}, control(patient="p1", n_positive=None, area_mm2=None))
    entry = control_gate(table).controls[0]
    assert not entry["passed"]
    assert "not counted" in entry["reason"]


@pytest.mark.parametrize(
    ("marker", "score", "passed"), [("PPIB", 2, True), ("PPIB", 1, False), ("UBC", 2, False)]
)
def test_a_positive_control_passes_by_its_score(marker: str, score: int, passed: bool) -> None:
    positive = {
        "slide_id": "pos",
        "role": "positive_control",
        "marker": marker,
        "acd_score": score,
        "patient": "p1",
    }
    table = rows({"slide_id": "t", "patient": "p1"}, control(patient="p1"), positive)
    gate = control_gate(table)
    assert gate.controls[1]["passed"] is passed
    assert flags(gate, table)["t"] == ("" if passed else "CONTROL_FAILED")


@pytest.mark.parametrize(("told", "passed"), [("DENSE_STAIN", True), ("NO_EPIDERMIS", False)])
def test_a_positive_control_too_dense_to_be_counted_is_no_failure(told: str, passed: bool) -> None:
    positive = {"slide_id": "pos", "role": "positive_control", "marker": "PPIB", "acd_score": 0}
    table = rows({"slide_id": "t", "patient": "p"}, positive | {"patient": "p", "flags": f"NO_GLASS;{told}"})
    entry = control_gate(table).controls[0]
    assert entry["passed"] is passed
    assert ("too dense" in entry["reason"]) is passed


def test_a_blank_with_stain_too_dense_to_be_counted_does_not_pass() -> None:
    table = rows({"slide_id": "t", "patient": "p"}, control(patient="p", flags="DENSE_STAIN"))
    entry = control_gate(table).controls[0]
    assert not entry["passed"]
    assert "too dense" in entry["reason"]


def test_limits_are_given_per_batch_in_cells_per_mm2() -> None:
    blanks = [control(slide_id=f"n{k}", n_positive=k, n_positive_2=0) for k in range(4)]
    table = rows({"slide_id": "t"}, *blanks).assign(batch=pd.Series(["b1"] * 5, dtype="string"))
    limits = control_gate(table).controls[-1]
    assert (limits["role"], limits["batch"], limits["n_blanks"], limits["area_mm2"]) == (
        "limits",
        "b1",
        4,
        40.0,
    )
    assert limits["limit_of_blank"]["estimate"] < limits["limit_of_detection"]["estimate"]
    assert limits["min_dots"]["estimate"] in (1, 2)


def test_flags_are_replaced_and_not_piled_up() -> None:
    table = rows(
        {"slide_id": "t", "flags": "BLURRED;CONTROL_MISSING", "patient": "p1"}, control(patient="p1")
    )
    once = with_control_flags(table, control_gate(table))
    assert list(once["flags"]) == ["BLURRED", ""]
    assert list(with_control_flags(once, control_gate(once))["flags"]) == ["BLURRED", ""]


def test_a_blank_stands_for_targets_of_its_own_dye_unless_it_names_others() -> None:
    red, brown = {"slide_id": "red", "batch": "b"}, {"slide_id": "brown", "batch": "b", "chromogen": "dab"}
    spoilt = control(batch="b", n_positive=400)  # a red blank
    table = rows(red, brown, spoilt, control(slide_id="neg_dab", batch="b", chromogen="dab"))
    gate = control_gate(table)
    assert [entry["linked"] for entry in gate.controls if entry["role"] != "limits"] == [["red"], ["brown"]]
    assert flags(gate, table)["red"] == "CONTROL_FAILED"
    assert flags(gate, table)["brown"] == ""
    named = rows(red, brown, spoilt | {"control_for": "brown"})
    assert control_gate(named).controls[0]["linked"] == ["brown"]
