"""Tables made elsewhere, agreement of two of them, and what changed between two results."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from ishcount.core.errors import UsageError
from ishcount.study.agreement import compare_readers
from ishcount.study.diff import changed_rows
from ishcount.study.tables_in import read_densities


def table(folder: Path, text: str) -> pd.DataFrame:
    path = folder / "table.csv"
    path.write_text(text)
    return read_densities(path)


def test_numbers_are_numbers_and_ids_stay_text(tmp_path: Path) -> None:
    read = table(tmp_path, "patient,group,marker,positive_per_mm2,note\n007,1,IFNG,2.5,x\n008,2,IFNG,,3\n")
    assert list(read["patient"]) == ["007", "008"]
    assert list(read["group"]) == ["1", "2"]
    assert read["positive_per_mm2"].tolist()[0] == 2.5
    assert pd.isna(read["positive_per_mm2"].tolist()[1])
    assert list(read["note"]) == ["x", "3"]


def test_xlsx_and_csv_read_alike(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"patient": ["a", "b"], "marker": "IFNG", "group": "EM", "positive_per_mm2": [1.5, 0.0]}
    )
    frame.to_excel(tmp_path / "t.xlsx", index=False)
    frame.to_csv(tmp_path / "t.csv", index=False)
    pd.testing.assert_frame_equal(read_densities(tmp_path / "t.xlsx"), read_densities(tmp_path / "t.csv"))


def test_a_folder_without_a_result_and_a_column_named_twice_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no densities\.parquet"):
        read_densities(tmp_path)
    with pytest.raises(UsageError, match="more than one column 'marker'"):
        table(tmp_path, "marker,marker\na,b\n")


def test_truth_values_written_as_words_are_truth_values(tmp_path: Path) -> None:
    read = table(tmp_path, "slide_id,reviewed\na,True\nb,False\nc,\n")["reviewed"]
    assert read.dtype == "boolean"
    assert read.tolist() == [True, False, pd.NA]


def test_a_formula_without_its_value_is_refused(tmp_path: Path) -> None:
    frame = pd.DataFrame({"patient": ["a", "b"], "positive_per_mm2": [1.5, "=1+1"]})
    frame.to_excel(tmp_path / "t.xlsx", index=False, engine="openpyxl")
    with pytest.raises(UsageError, match="line 3 holds the formula '=1\\+1' without its value"):
        read_densities(tmp_path / "t.xlsx")


A = (
    "slide_id,marker,group,positive_per_mm2\n"
    "a,IFNG,EM,1\nb,IFNG,EM,4\nc,IFNG,EM,9\nd,IFNG,normal,0\nonly,IFNG,EM,5\n"
)


def test_readers_are_matched_by_slide_and_compared_within_groups(tmp_path: Path) -> None:
    a = table(tmp_path, A)
    b = table(tmp_path, A.replace("a,IFNG,EM,1", "a,IFNG,EM,3").replace("only", "other"))
    found = compare_readers(a, b)
    assert (found["matched_by"], found["n_pairs"]) == ("slide_id", 4)
    entry = found["markers"]["IFNG"]
    assert entry["all"]["bland_altman_raw"]["estimate"] == pytest.approx(-0.5)
    assert set(entry["within_groups"]) == {"EM", "normal"}


def test_a_table_agrees_with_itself(tmp_path: Path) -> None:
    a = table(tmp_path, A)
    entry = compare_readers(a, a)["markers"]["IFNG"]["all"]
    assert entry["lin_ccc"]["estimate"] == pytest.approx(1.0)
    assert entry["bland_altman_raw"]["estimate"] == 0


@pytest.mark.parametrize(
    ("cells", "words"),
    [("-1,2", "n_positive is -1"), ("1,-2", "area_mm2 is -2"), ("x,2", "text where a number belongs: 'x'")],
)
def test_numbers_that_cannot_be_are_refused_by_agreement(tmp_path: Path, cells: str, words: str) -> None:
    bad = table(tmp_path, f"slide_id,marker,n_positive,area_mm2\na,IFNG,{cells}\nb,IFNG,1,2\n")
    with pytest.raises(UsageError, match=words):
        compare_readers(bad, bad)


def test_a_section_without_tissue_is_in_no_pair(tmp_path: Path) -> None:
    counted = table(tmp_path, "slide_id,marker,n_positive,area_mm2\na,IFNG,0,0\nb,IFNG,1,2\n")
    assert compare_readers(counted, counted)["n_pairs"] == 1


def test_calls_of_three_readers_get_kappa_ac1_and_fleiss(tmp_path: Path) -> None:
    a = table(tmp_path, A)
    b = table(tmp_path, A.replace("c,IFNG,EM,9", "c,IFNG,EM,0"))
    calls = compare_readers(a, b, a)["markers"]["IFNG"]["calls"]["any_positive"]
    assert calls["n"] == 5
    assert calls["positive_agreement"]["estimate"] == pytest.approx(6 / 7)
    # 5 slides, readers a, b, a: P = (4 + 1/3) / 5, chance = (11/15)^2 + (4/15)^2
    assert calls["fleiss_kappa"]["estimate"] == pytest.approx((13 / 15 - 137 / 225) / (1 - 137 / 225))
    assert "fleiss_kappa" not in compare_readers(a, b)["markers"]["IFNG"]["calls"]["any_positive"]


def test_acd_scores_get_weighted_kappa_where_every_table_has_them(tmp_path: Path) -> None:
    scored = "slide_id,marker,positive_per_mm2,acd_score\na,IFNG,1,1\nb,IFNG,2,2\nc,IFNG,3,4\n"
    a = table(tmp_path, scored)
    entry = compare_readers(a, a)["markers"]["IFNG"]["calls"]
    assert entry["acd_score"]["quadratic"]["estimate"] == 1
    assert "acd_score" not in compare_readers(a, a.drop(columns="acd_score"))["markers"]["IFNG"]["calls"]


def test_tables_without_a_common_key_or_row_are_refused(tmp_path: Path) -> None:
    a = table(tmp_path, A)
    with pytest.raises(UsageError, match="neither slide_id nor patient"):
        compare_readers(a, table(tmp_path, "patient,marker,positive_per_mm2\np,IFNG,1\n"))
    with pytest.raises(UsageError, match="no slide_id and marker has a density in all"):
        compare_readers(a, table(tmp_path, "slide_id,marker,positive_per_mm2\nz,IFNG,1\n"))


def densities(**changes: object) -> pd.DataFrame:
    row = {
        "slide_id": "a", "marker": "IFNG", "compartment": "tissue", "status": "ok", "chromogen": "dab",
        "n_cells": 10, "n_positive": 1, "area_mm2": 2.0, "positive_per_mm2": 0.5, "flags": None,
        "n_positive_reviewed": None,
    }  # fmt: skip
    return pd.DataFrame([row | changes])


def test_only_what_differs_is_a_change_and_two_missing_values_are_equal() -> None:
    assert changed_rows(densities(), densities()) == []
    (entry,) = changed_rows(densities(), densities(n_positive=2, positive_per_mm2=1.0))
    assert entry["changes"] == {"n_positive": [1, 2], "positive_per_mm2": [0.5, 1.0]}
