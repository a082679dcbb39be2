"""What the number of copies changes is said, and the number blanks ask for is the same for both groups."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from ishcount.report.least_copies import copies_tried, printed_copies, remarks, stated_rate
from ishcount.stats.settings import StatisticsParams
from ishcount.study.controls import control_gate

SETTINGS = StatisticsParams(case="EM", control="normal")
COMPARED = {"marker": "IFNG", "compartment": "tissue", "case": "EM", "control": "normal"}


def study(*, blanks: dict[str, tuple[int, int, int]]) -> pd.DataFrame:
    """Two batches of 4 EM and 4 normal patients of 10 mm2 and a blank of 20 mm2 per batch: cells with 1, 2, 3
    copies.
    """
    base: dict[str, Any] = {"compartment": "tissue", "chromogen": "fast_red", "marker": "IFNG", "flags": ""}
    rows = []
    for batch, counts in blanks.items():
        shared = base | {"batch": batch}
        blank = {"slide_id": f"{batch}-dapB", "patient": f"{batch}-EM0", "group": "EM", "marker": "dapB"}
        rows.append(shared | blank | _counts(counts) | {"role": "negative_control", "area_mm2": 20.0})
        for group, extra in (("EM", 40), ("normal", 0)):
            for k in range(4):
                name = f"{batch}-{group}{k}"
                cells = (extra + 9 + k, extra + 3 + k, extra + k)
                own = {"slide_id": name, "patient": name, "group": group, "role": "target", "area_mm2": 10.0}
                rows.append(shared | own | _counts(cells))
    table = pd.DataFrame(rows).assign(control_for=None, acd_score=None)
    return table.assign(positive_per_mm2=table["n_positive"] / table["area_mm2"])


def _counts(counts: tuple[int, int, int]) -> dict[str, int]:
    return dict(zip(("n_positive", "n_positive_2", "n_positive_3"), counts, strict=True))


def tried(table: pd.DataFrame, *, min_dots: int = 1) -> list[dict[str, Any]]:
    controls = control_gate(table, min_dots=min_dots).controls
    statistics = {"comparisons": [COMPARED], "controls": controls}
    return copies_tried(table, statistics, min_dots=min_dots, settings=SETTINGS)


def test_the_answer_at_every_number_of_copies_with_the_false_cells_of_the_blanks() -> None:
    found = tried(study(blanks={"b1": (30, 2, 0)}))
    assert [entry["min_dots"] for entry in found] == [1, 2, 3]
    assert [entry["is_used"] for entry in found] == [True, False, False]
    assert [entry["is_derived"] for entry in found] == [False, True, False]  # 2 in 20 mm2: upper limit .31
    assert [entry["false_per_mm2"] for entry in found] == pytest.approx([1.5, 0.1, 0.0])
    assert [entry["mean_control"] for entry in found] == pytest.approx([1.05, 0.45, 0.15])
    assert {entry["estimate"] for entry in found} == {4.0}
    assert (
        "ask for 2 copies per positive cell; with that the difference of means would be 4.00"
        in (remarks(found)[0])
    )


def test_batches_that_ask_for_different_numbers_get_their_own_the_same_for_both_groups() -> None:
    found = tried(study(blanks={"b1": (30, 2, 0), "b2": (0, 0, 0)}))
    mixed = found[-1]
    assert mixed["by_batch"] == {"b1 fast_red": 2, "b2 fast_red": 1}
    assert mixed["is_derived"]
    assert not any(entry["is_derived"] for entry in found[:-1])
    assert mixed["mean_control"] == pytest.approx((0.45 + 1.05) / 2)
    assert mixed["mean_case"] == pytest.approx((4.45 + 5.05) / 2)
    assert mixed["false_per_mm2"] == pytest.approx(2 / 40)


def test_blanks_that_are_content_with_the_number_used_say_so() -> None:
    found = tried(study(blanks={"b1": (0, 0, 0)}))
    assert [entry["is_derived"] for entry in found] == [True, False, False]
    assert remarks(found) == ["IFNG: the blanks ask for the number of copies that was used."]


def test_blanks_too_small_to_say_derive_nothing_and_the_reason_is_printed() -> None:
    table = study(blanks={"b1": (0, 0, 0)})
    small = table.assign(area_mm2=table["area_mm2"].where(table["role"] == "target", 2.0))
    found = tried(small)
    assert not any(entry["is_derived"] for entry in found)
    assert remarks(found) == []
    assert "2 mm2 of blanks cannot show so low a rate" in stated_rate(control_gate(small).controls)[1]


def test_counts_made_at_two_copies_are_never_read_as_one() -> None:
    table = study(blanks={"b1": (30, 2, 0)}).drop(columns="n_positive")
    table = table.assign(n_positive=table["n_positive_2"])
    table = table.assign(positive_per_mm2=table["n_positive"] / table["area_mm2"])
    found = tried(table, min_dots=2)
    assert [entry["min_dots"] for entry in found] == [2, 3]
    assert found[0]["is_used"]
    assert found[0]["is_derived"]


def test_the_rule_used_is_the_bold_row() -> None:
    printed = printed_copies(tried(study(blanks={"b1": (30, 2, 0)})))
    assert [row.is_primary for row in printed.rows] == [True, False, False]
    assert [row.cells[1] for row in printed.rows] == ["1 copy", "2 copies", "3 copies"]
    assert [row.cells[-1] for row in printed.rows] == ["used", "asked for by the blanks", ""]
