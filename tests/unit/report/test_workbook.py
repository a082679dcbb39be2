"""The workbook holds text as text, missing as empty, and reads back as it was written."""

from datetime import datetime
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest

from ishcount.core.tables import CELLS, CELLS_PER_MARKER, DENSITIES, DOTS
from ishcount.report.dictionary import COLUMNS
from ishcount.report.tables import qc_table, sensitivity_table
from ishcount.report.workbook import Front, Sheet, parameters_table, prism_table, write_workbook

CREATED = datetime(2026, 1, 2, 3, 4, 5)
PAYLOADS = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\tx",
    "=cmd|' /C calc'!A0",
    "\uff1d1+1",
    "http://a.b",
    "'quoted",
    "_x0041_",
]


def densities() -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "slide_id": PAYLOADS,
            "status": ["ok", "failed", "partial", *["ok"] * 7],
            "n_positive": pd.array([0, None, 3, *range(7)], dtype="Int64"),
            "positive_per_mm2": [0.0, np.nan, 1 / 3, *np.linspace(0, 17, 7)],
            "reviewed": pd.array([True, None, False] + [None] * 7, dtype="boolean"),
            "flags": ["", "NO_GLASS", *[""] * 8],
            "my note": ["=HYPERLINK(1)", *["x"] * 9],
        }
    )
    return table


def write(path: Path, **options: object) -> Path:
    write_workbook(path, [Sheet("Densities", densities())], created=CREATED, **options)
    return path


def test_no_text_becomes_a_formula_or_a_link(tmp_path: Path) -> None:
    page = openpyxl.load_workbook(write(tmp_path / "a.xlsx"))["Densities"]
    cells = [cell for row in page.iter_rows() for cell in row if cell.value is not None]
    assert {cell.data_type for cell in cells} <= {"s", "n", "b"}
    assert [cell.value for cell in cells if cell.hyperlink] == []


def test_the_table_reads_back_equal_in_pandas(tmp_path: Path) -> None:
    again = pd.read_excel(
        write(tmp_path / "a.xlsx"), sheet_name="Densities", keep_default_na=False, na_values=[""]
    )
    expected = densities()
    assert again["slide_id"].tolist() == PAYLOADS
    assert again["n_positive"].astype("Int64").equals(expected["n_positive"])
    np.testing.assert_allclose(again["positive_per_mm2"], expected["positive_per_mm2"], rtol=1e-15)
    assert again["reviewed"].astype("boolean").equals(expected["reviewed"])


def test_missing_is_an_empty_cell_and_zero_is_zero(tmp_path: Path) -> None:
    page = openpyxl.load_workbook(write(tmp_path / "a.xlsx"))["Densities"]
    assert [page.cell(row, 4).value for row in (2, 3)] == [0, None]


def test_equal_tables_give_equal_bytes(tmp_path: Path) -> None:
    front = Front("title", ("a line",))
    assert (
        write(tmp_path / "a.xlsx", front=front).read_bytes()
        == write(tmp_path / "b.xlsx", front=front).read_bytes()
    )


def test_headers_are_frozen_and_filtered(tmp_path: Path) -> None:
    page = openpyxl.load_workbook(write(tmp_path / "a.xlsx"))["Densities"]
    assert page.freeze_panes == "B2"
    assert page.auto_filter.ref == "A1:G11"


def test_text_longer_than_a_cell_is_cut_with_a_note(tmp_path: Path) -> None:
    write_workbook(
        tmp_path / "a.xlsx", [Sheet("QC", pd.DataFrame({"reason": ["x" * 40_000]}))], created=CREATED
    )
    value = openpyxl.load_workbook(tmp_path / "a.xlsx")["QC"]["A2"].value
    assert len(value) <= 32_767
    assert value.endswith("[cut short: longer than a cell may be]")


def test_an_empty_table_is_a_sheet_with_headers(tmp_path: Path) -> None:
    write_workbook(tmp_path / "a.xlsx", [Sheet("QC", qc_table([]))], created=CREATED)
    assert pd.read_excel(tmp_path / "a.xlsx", sheet_name="QC").columns[0] == "slide_id"


@pytest.mark.parametrize("name", [*DENSITIES, *DOTS, *CELLS, *(f"M_{kind}" for kind in CELLS_PER_MARKER)])
def test_every_declared_column_is_in_the_dictionary(name: str) -> None:
    assert COLUMNS[name].meaning


def test_the_dictionary_explains_every_column_of_every_sheet(tmp_path: Path) -> None:
    explained = pd.read_excel(write(tmp_path / "a.xlsx"), sheet_name="Dictionary").set_index("column")
    assert set(densities().columns) <= set(explained.index)
    assert explained.loc["positive_per_mm2", "unit"] == "cells per mm2"
    assert explained.loc["NO_GLASS", "sheet"] == "flags"


def test_prism_has_one_column_per_group_and_marker() -> None:
    patients = pd.DataFrame(
        {
            "marker": ["IFNG"] * 3,
            "group": ["EM", "EM", "normal"],
            "positive_per_mm2": [8.0, 9.0, 0.0],
        }
    )
    table = prism_table(patients)
    assert table.columns.tolist() == ["IFNG EM", "IFNG normal"]
    assert table["IFNG EM"].tolist() == [8.0, 9.0]
    assert table["IFNG normal"].dropna().tolist() == [0.0]


def test_parameters_are_listed_by_their_dotted_names() -> None:
    table = parameters_table({"density": {"dot_cut": 0.9, "score_bins": (1, 4)}, "name": "x"})
    assert table["parameter"].tolist() == ["density.dot_cut", "density.score_bins", "name"]
    assert table["value"].tolist() == [0.9, "1, 4", "x"]


def test_summaries_become_rows_of_quality_and_of_sensitivity() -> None:
    point = {"dot_cut": 0.9, "min_dots": 1, "ownership": "em", "n_positive": 4, "positive_per_mm2": 2.0}
    summary = {
        "slide_id": "a",
        "status": "ok",
        "tissue_area_mm2": 2.0,
        "sections": [{}, {}],
        "artefacts": {"fold": 0.25, "ink": 0.5},
        "flags": ["NO_GLASS"],
        "qc": {"blur_share": 0.1},
        "stains": {"source": "measured", "mismatch": None},
        "markers": {"IFNG": {"sensitivity": [point]}},
    }
    row = qc_table([summary, {"slide_id": "b", "status": "failed"}])
    assert row.loc[0, ["artefacts_mm2", "artefact_fold_mm2", "qc_blur_share", "n_sections"]].tolist() == [
        0.75,
        0.25,
        0.1,
        2,
    ]
    assert pd.isna(row.loc[1, "artefacts_mm2"])
    assert sensitivity_table([summary, {"slide_id": "b"}]).to_dict("records") == [
        {"slide_id": "a", "marker": "IFNG", **point}
    ]
