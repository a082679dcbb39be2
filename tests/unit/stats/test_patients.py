"""The patient is the unit: sections are pooled, levels averaged, zeros kept, missing named."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest

from ishcount.core.errors import UsageError
from ishcount.stats.patients import complete_rows, patient_densities, section_densities


def table(*rows: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame([{"patient": "p1", "group": "EM", "marker": "IFNG"} | row for row in rows])


def only(densities: pd.DataFrame) -> pd.Series:
    assert len(densities) == 1
    return densities.iloc[0]


def test_density_is_the_sum_of_counts_over_the_sum_of_areas() -> None:
    row = only(
        patient_densities(table({"n_positive": 10, "area_mm2": 2.0}, {"n_positive": 0, "area_mm2": 8.0}))
    )
    assert row["positive_per_mm2"] == 1.0  # the mean of the densities would be 2.5
    assert (row["n_sections"], row["n_positive"], row["exposure"]) == (2, 10.0, 10.0)


def test_adjacent_levels_are_averaged_and_weigh_as_one_section() -> None:
    levels = [
        {"n_positive": n, "area_mm2": 5.0, "level": level} for level, n in enumerate((4, 6, 8), start=1)
    ]
    row = only(patient_densities(table(*levels, {"n_positive": 0, "area_mm2": 5.0})))
    assert (row["n_positive"], row["exposure"], row["positive_per_mm2"]) == (6.0, 10.0, 0.6)


def test_levels_of_two_blocks_are_two_sections() -> None:
    rows = [
        {"n_positive": n, "area_mm2": 1.0, "level": i % 2, "block": "AB"[i // 2]}
        for i, n in enumerate((1, 3, 5, 7))
    ]
    row = only(patient_densities(table(*rows)))
    assert (row["n_positive"], row["exposure"]) == (8.0, 2.0)


def test_zero_positive_cells_stay_in() -> None:
    assert only(patient_densities(table({"n_positive": 0, "area_mm2": 3.0})))["positive_per_mm2"] == 0.0


@pytest.mark.parametrize(
    "row",
    [
        {"n_positive": 0, "area_mm2": 0.0},
        {"n_positive": math.nan, "area_mm2": math.nan},
        {"n_positive": 5, "area_mm2": 2.0, "status": "failed"},
    ],
)
def test_a_patient_without_a_measured_section_is_missing_with_a_reason(row: dict[str, Any]) -> None:
    found = only(patient_densities(table(row)))
    assert math.isnan(found["positive_per_mm2"])
    assert (found["n_sections"], found["n_not_measured"], found["reason"]) == (0, 1, "no section measured")


def test_a_failed_section_beside_a_good_one_is_counted_as_not_measured() -> None:
    row = only(
        patient_densities(
            table({"n_positive": 4, "area_mm2": 2.0}, {"n_positive": math.nan, "area_mm2": math.nan})
        )
    )
    assert (row["positive_per_mm2"], row["n_sections"], row["n_not_measured"]) == (2.0, 1, 1)


def test_densities_alone_are_averaged_and_leave_the_rate_model_without_counts() -> None:
    row = only(patient_densities(table({"positive_per_mm2": 1.0}, {"positive_per_mm2": 4.0})))
    assert row["positive_per_mm2"] == 2.5
    assert math.isnan(row["n_positive"])


def test_only_target_rows_enter() -> None:
    rows = table(
        {"n_positive": 4, "area_mm2": 2.0, "role": "target"},
        {"n_positive": 400, "area_mm2": 2.0, "role": "positive_control"},
        {"n_positive": 0, "area_mm2": 2.0, "role": "negative_control"},
    )
    assert only(patient_densities(rows))["n_positive"] == 4


def test_before_and_during_are_two_rows() -> None:
    rows = table({"positive_per_mm2": 9.0, "pair": "before"}, {"positive_per_mm2": 2.0, "pair": "During"})
    assert patient_densities(rows)["pair"].tolist() == ["before", "during"]


def test_another_measure_is_divided_by_its_own_exposure() -> None:
    rows = table({"n_positive": 6, "area_mm2": 2.0, "epidermis_mm": 3.0, "positive_per_mm_epidermis": 2.0})
    assert (
        only(patient_densities(rows, measure="positive_per_mm_epidermis"))["positive_per_mm_epidermis"] == 2.0
    )


def test_spreadsheet_numbers_and_text_name_the_same_patient() -> None:
    rows = table(
        {"patient": 7.0, "n_positive": 1, "area_mm2": 1.0}, {"patient": "7", "n_positive": 3, "area_mm2": 1.0}
    )
    assert only(patient_densities(rows))["n_sections"] == 2


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (table({"n_positive": 1}), "lacks n_positive with area_mm2, or positive_per_mm2"),
        (table({"positive_per_mm2": "many"}), "column positive_per_mm2 holds text"),
        (table({"positive_per_mm2": -1.0}), "a density is -1;"),
        (table({"positive_per_mm2": float("inf")}), "a density is inf"),
        (table({"positive_per_mm2": 7e300}), "at most 1e\\+09"),
        (table({"n_positive": -1, "area_mm2": 2.0}), "n_positive is -1"),
        (table({"n_positive": 1, "area_mm2": -2.0}), "area_mm2 is -2"),
        (table({"n_positive": 1, "area_mm2": float("inf")}), "area_mm2 is inf"),
        (table({"n_positive": "1,5", "area_mm2": 1.0}), "text where a number belongs: '1,5'"),
        (table({"positive_per_mm2": 1.0, "pair": "after"}), "pair is 'after'"),
        (
            table({"positive_per_mm2": 1.0}, {"positive_per_mm2": 1.0, "group": "normal"}),
            "stands in two groups",
        ),
    ],
)
def test_a_table_that_cannot_be_compared_says_why(rows: pd.DataFrame, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        patient_densities(rows)


def test_an_empty_table_gives_an_empty_table_with_the_same_columns() -> None:
    full = patient_densities(table({"n_positive": 1, "area_mm2": 1.0}))
    empty = patient_densities(table({"n_positive": 1, "area_mm2": 1.0}).iloc[:0])
    assert empty.empty
    assert list(empty.columns) == list(full.columns)


def test_the_mixed_model_sees_measured_sections_only() -> None:
    rows = table({"n_positive": 4, "area_mm2": 2.0}, {"n_positive": 1, "area_mm2": 0.0})
    assert section_densities(rows)["density"].tolist() == [2.0]


def test_rows_that_name_no_patient_are_left_out_and_counted() -> None:
    rows = table(
        {"positive_per_mm2": 1.0},
        {"positive_per_mm2": 9.0, "patient": None},
        {"positive_per_mm2": 9.0, "group": ""},
    )
    assert only(patient_densities(rows))["positive_per_mm2"] == 1.0
    kept, left_out = complete_rows(rows)
    assert len(kept) == 1
    assert left_out == [{"reason": "no patient", "n_rows": 1}, {"reason": "no group", "n_rows": 1}]
