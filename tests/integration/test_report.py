"""`write_report` rebuilds everything people open from a result folder, safely and the same every time."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import openpyxl
import pandas as pd
import pytest
from typer.testing import CliRunner

from ishcount.cli.app import app
from ishcount.core.errors import UsageError
from ishcount.report.dictionary import COLUMNS
from ishcount.report.write import write_comparison, write_report
from tests.study_folder import SHEET, make_study

PAYLOAD = '<script>alert(1)</script>"><img src=x onerror=alert(2)>=1+1 $x$ {{ 7*7 }} #import'
SHEETS = [
    "Summary", "Densities", "Patients", "Prism", "Statistics", "Controls", "QC", "Sensitivity", "Parameters",
    "Dictionary",
]  # fmt: skip
MADE = ("report.html", "report.pdf", "densities.xlsx", "statistics.json")


class Page(HTMLParser):
    """The elements of a page, with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with its report, made once; tests must not change it."""
    out = make_study(tmp_path_factory.mktemp("study") / "out", hostile=PAYLOAD)
    write_report(out, case="EM", control="normal")
    return out


@pytest.fixture
def copy(study: Path, tmp_path: Path) -> Path:
    """A copy of the study that a test may change."""
    return Path(shutil.copytree(study, tmp_path / "out"))


def contents(out: Path) -> dict[str, bytes]:
    files = [out / name for name in MADE] + sorted((out / "figures").iterdir())
    return {path.name: path.read_bytes() for path in files}


def page(out: Path) -> Page:
    return Page((out / "report.html").read_text("utf-8"))


def test_a_second_rebuild_gives_the_same_bytes(copy: Path) -> None:
    before = contents(copy)
    write_report(copy, case="EM", control="normal")
    assert contents(copy) == before


def test_the_workbook_has_its_ten_sheets_in_order(study: Path) -> None:
    assert openpyxl.load_workbook(study / "densities.xlsx").sheetnames == SHEETS


def test_the_workbooks_densities_equal_the_table(study: Path) -> None:
    written = pd.read_excel(study / "densities.xlsx", sheet_name="Densities")
    table = pd.read_parquet(study / "densities.parquet")
    assert written["slide_id"].tolist() == table["slide_id"].tolist()
    pd.testing.assert_series_equal(
        written["positive_per_mm2"], table["positive_per_mm2"], check_exact=False, rtol=1e-15
    )


def test_controls_are_a_table_with_a_row_each_and_one_per_batch_of_blanks(study: Path) -> None:
    sheet = pd.read_excel(study / "densities.xlsx", sheet_name="Controls")
    given = json.loads((study / "statistics.json").read_text())["controls"]
    assert sheet["role"].tolist() == [entry["role"] for entry in given]
    assert [name for name in sheet if name not in COLUMNS | {"batch": None}] == []
    limits = [entry for entry in given if entry["role"] == "limits"]
    blanks = sheet[sheet["role"] == "limits"]
    expected = [entry["limit_of_blank"]["estimate"] for entry in limits]
    assert blanks["limit_of_blank"].tolist() == pytest.approx(expected)
    assert sheet["linked"].dropna().tolist()[0] == "; ".join(given[0]["linked"])


def test_the_sensitivity_sheet_begins_with_the_answer_at_every_number_of_copies(study: Path) -> None:
    sheet = pd.read_excel(study / "densities.xlsx", sheet_name="Sensitivity")
    tried = json.loads((study / "statistics.json").read_text())["least_copies"]
    first = sheet.iloc[: len(tried)]
    assert tried
    assert first["slide_id"].isna().all()
    assert sheet["slide_id"].iloc[len(tried) :].notna().all()
    assert first["min_dots"].tolist() == [entry["min_dots"] for entry in tried]
    known = [entry["p"] is not None for entry in tried]
    assert first["p"].notna().tolist() == known
    assert first["p"].dropna().tolist() == pytest.approx([e["p"] for e in tried if e["p"] is not None])
    assert ["used" in text for text in first["remark"].fillna("")] == [entry["is_used"] for entry in tried]


@pytest.mark.parametrize("name", ["densities.xlsx", "densities.csv", "densities.parquet"])
def test_compare_reads_every_table_of_densities_that_is_written(
    study: Path, tmp_path: Path, name: str
) -> None:
    done = CliRunner().invoke(
        app, ["compare", str(study / name), "-o", str(tmp_path), "--case", "EM", "--control", "normal"]
    )
    assert done.exit_code == 0, done.output
    ours, theirs = (
        json.loads((folder / "statistics.json").read_text())["comparisons"] for folder in (study, tmp_path)
    )
    assert [c["p_primary"] for c in theirs] == pytest.approx([c["p_primary"] for c in ours], rel=1e-12)
    assert [c["mean_case"] for c in theirs] == pytest.approx([c["mean_case"] for c in ours], rel=1e-12)


def test_the_answer_stands_before_everything_else(study: Path) -> None:
    text = page(study).text
    statistics = json.loads((study / "statistics.json").read_text("utf-8"))
    assert "IFNG: more positive cells in EM than in normal" in text
    assert text.index("The answer") < text.index("Figures", text.index("The answer"))
    assert statistics["design"]["case"] == "EM"


def test_a_slide_that_failed_is_named_with_its_reason(study: Path) -> None:
    text = page(study).text
    assert "1 of 10 slides could not be counted and are not in any number: EM-05." in text
    assert "no pixel size in the file; give one with --mpp" in text


def test_every_positive_cell_has_its_picture(study: Path) -> None:
    crops = [image for image in page(study).all("img") if (image["alt"] or "").startswith("cell ")]
    assert len(crops) == sum(entry[3] for entry in SHEET.values())


def test_the_page_needs_no_network_and_no_script(study: Path) -> None:
    seen = page(study)
    assert seen.all("script") == []
    assert seen.all("link") == []
    assert all((image["src"] or "").startswith("data:image/") for image in seen.all("img"))
    assert all((link["href"] or "").startswith("#") for link in seen.all("a"))
    policy = next(meta["content"] for meta in seen.all("meta") if "http-equiv" in meta)
    assert policy.startswith("default-src 'none'; img-src data:;")


def test_every_picture_is_described(study: Path) -> None:
    assert all(image.get("alt") for image in page(study).all("img"))


def test_names_from_the_data_are_shown_as_text_only(copy: Path) -> None:
    table = pd.read_parquet(copy / "densities.parquet")
    table["slide_id"] = table["slide_id"].replace("EM-05", PAYLOAD)
    table["patient"] = table["patient"].replace("P05", PAYLOAD)
    table["group"] = table["group"].replace("EM", PAYLOAD)
    table.to_parquet(copy / "densities.parquet")
    write_report(copy, case=PAYLOAD, control="normal")
    seen = page(copy)
    assert PAYLOAD in seen.text
    assert seen.all("script") == []
    assert not any(name.startswith("on") for _, attributes in seen.elements for name in attributes)
    book = openpyxl.load_workbook(copy / "densities.xlsx")
    assert {cell.data_type for sheet in book for row in sheet.iter_rows() for cell in row} <= {"s", "n", "b"}


def test_no_path_of_the_machine_is_in_what_is_passed_on(study: Path) -> None:
    for name in ("report.html", "statistics.json"):
        assert str(study.parent) not in (study / name).read_text("utf-8")


def test_a_slide_that_moved_away_leaves_the_rest_of_the_report_whole(copy: Path) -> None:
    run = json.loads((copy / "run.json").read_text("utf-8"))
    for slide in run["slides"]:
        slide["path"] = str(copy / "gone.tif")
    (copy / "run.json").write_text(json.dumps(run), "utf-8")
    write_report(copy, case="EM", control="normal")
    assert "the slide file is not where it was counted" in page(copy).text


def test_reviewed_densities_are_compared_once_every_slide_was_reviewed(copy: Path) -> None:
    table = pd.read_parquet(copy / "densities.parquet")
    counted = table["positive_per_mm2"].notna()
    table["positive_per_mm2_reviewed"] = table["positive_per_mm2"] / 2
    table["n_positive_reviewed"] = table["n_positive"]
    table["reviewed"] = counted & (table["slide_id"] != "EM-01")
    table.to_parquet(copy / "densities.parquet")
    assert write_report(copy, case="EM", control="normal")["after_review"] == []
    table.assign(reviewed=counted).to_parquet(copy / "densities.parquet")
    assert write_report(copy, case="EM", control="normal")["after_review"] != []
    assert "IFNG after review of every slide: difference of means" in page(copy).text


def test_two_groups_without_case_and_control_are_an_error(copy: Path) -> None:
    with pytest.raises(UsageError, match="There are EM, normal; give --case and --control"):
        write_report(copy)


def test_slides_without_groups_are_reported_without_statistics(copy: Path) -> None:
    table = pd.read_parquet(copy / "densities.parquet").assign(group=None, patient=None)
    table.to_parquet(copy / "densities.parquet")
    (copy / "statistics.json").unlink()
    assert write_report(copy) is None
    assert not (copy / "statistics.json").exists()
    assert "No groups were compared" in page(copy).text


def test_the_pdf_holds_the_answer(study: Path) -> None:
    content = (study / "report.pdf").read_bytes()
    assert content.startswith(b"%PDF-")
    assert len(re.findall(rb"/Type\s*/Page\b", content)) >= 3


def test_a_table_made_elsewhere_prints_what_the_paper_printed(tmp_path: Path) -> None:
    cases = json.loads((Path(__file__).parents[1] / "golden" / "stats_cases.json").read_text("utf-8"))[
        "cases"
    ]
    data = next(case["input"] for case in cases if case["id"].startswith("C01"))
    rows = [("EM", value) for value in data["x"]] + [("normal", value) for value in data["y"]]
    table = pd.DataFrame(rows, columns=["group", "positive_per_mm2"]).assign(marker="IFNG")
    table["patient"] = [f"p{i}" for i in range(len(table))]
    write_comparison(table, tmp_path, case="EM", control="normal", paper_mode=True)
    text = page(tmp_path).text
    assert "8.72 (95% CI, 2.60-14.84), P=.008" in text
    assert "Student's t test gives P=.008 and Welch's P=.01" in text
    assert "The densities were made elsewhere" in text


def test_a_target_without_a_passing_control_is_flagged_in_every_table(copy: Path) -> None:
    table = pd.read_parquet(copy / "densities.parquet")
    is_target = table["role"] == "target"
    table.loc[is_target & (table["patient"] == table.loc[is_target, "patient"].iloc[0]), "flags"] = (
        "CONTROL_MISSING;NO_GLASS"
    )
    table.to_parquet(copy / "densities.parquet")
    write_report(copy, case="EM", control="normal")
    patients = pd.read_excel(copy / "densities.xlsx", sheet_name="Patients")
    assert patients["flags"].dropna().unique().tolist() == ["CONTROL_MISSING"]
    assert set(patients.loc[patients["flags"].notna(), "patient"]) == {
        table.loc[is_target, "patient"].iloc[0]
    }
    statistics = pd.read_excel(copy / "densities.xlsx", sheet_name="Statistics")
    assert set(statistics["flags"]) == {"CONTROL_MISSING"}
    assert page(copy).text.count("no negative control") >= 2
