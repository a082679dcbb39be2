"""`ishcount compare` on tables as people have them: one clear line, or null with its reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from ishcount.cli import app

HEAD = "patient,group,marker,positive_per_mm2\n"


def rows(**groups: list[Any]) -> str:
    lines = [
        f"{group}{i},{group},IFNG,{value}\n"
        for group, values in groups.items()
        for i, value in enumerate(values)
    ]
    return HEAD + "".join(lines)


@pytest.fixture(autouse=True)
def _signals_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "_listen_for_the_end", lambda: None)


def compare(table: Path, *options: str) -> int:
    with pytest.raises(SystemExit) as left:
        app.run(["compare", str(table), "-o", str(table.parent / "out"), *options])
    return int(left.value.code or 0)


def written(folder: Path, text: str) -> Path:
    (folder / "table.csv").write_text(text, "utf-8")
    return folder / "table.csv"


GOOD = rows(EM=[7, 3, 4], normal=[0, 1, 0])
REFUSED = {
    "negative density": (rows(EM=[7, -3, 4], normal=[0, 1]), "a density is -3"),
    "impossible density": (rows(EM=[7e300, 3, 4], normal=[0, 1]), "at most 1e+09"),
    "text for a number": (rows(EM=[7, "ca. 3"], normal=[0, 1]), "'ca. 3'"),
    "decimal comma": (GOOD.replace(",", ";").replace(";7\n", ";7,5\n"), "'7,5'; write such as 1.5"),
    "no such control": (rows(EM=[7, 3], healthy=[0, 1]), "there are EM, healthy"),
    "one group": (rows(EM=[7, 3]), "no patient in the group 'normal'"),
    "patient in two groups": (GOOD + "EM0,normal,IFNG,1\n", "stands in two groups"),
    "no marker": ("patient,group,positive_per_mm2\na,EM,1\n", "lacks marker"),
    "a title above the header": ("My densities\n" + GOOD, "the first line must name the columns"),
    "header alone": (HEAD, "no target row"),
    "empty": ("", "is empty"),
    "unknown pair": ("patient,group,marker,positive_per_mm2,pair\na,EM,IFNG,1,vor\n", "pair is 'vor'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_table_that_cannot_be_compared_is_refused_in_one_line(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, words = REFUSED[name]
    assert compare(written(tmp_path, text), "--case", "EM", "--control", "normal") == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (rows(EM=[4, 4, 4], normal=[1, 1, 1]), "zero variance in both groups"),
        (rows(EM=[0, 0, 0], normal=[0, 0]), "zero variance in both groups"),
        (rows(EM=[7], normal=[0, 1, 0, 2]), "fewer than 2 patients in a group"),
    ],
    ids=["constant groups", "all zero", "one patient"],
)
def test_degenerate_groups_give_null_and_the_reason(text: str, reason: str, tmp_path: Path) -> None:
    assert compare(written(tmp_path, text), "--case", "EM", "--control", "normal") == 0
    (found,) = json.loads((tmp_path / "out" / "statistics.json").read_text("utf-8"))["comparisons"]
    assert (found["p_primary"], found["reason"]) == (None, reason)
    assert f"The primary test could not be done: {reason}." in (tmp_path / "out" / "report.html").read_text()


def test_a_byte_order_mark_and_semicolons_change_nothing(tmp_path: Path) -> None:
    answers = []
    for name, text in (("plain", GOOD), ("marked", "\ufeff" + GOOD.replace(",", ";"))):
        (tmp_path / name).mkdir()
        assert compare(written(tmp_path / name, text), "--case", "EM", "--control", "normal") == 0
        answers.append((tmp_path / name / "out" / "statistics.json").read_bytes())
    assert answers[0] == answers[1]


def test_merged_cells_are_not_dropped_in_silence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    book = openpyxl.Workbook()
    for line in GOOD.strip().split("\n"):
        book.active.append([float(cell) if cell.isdigit() else cell for cell in line.split(",")])
    book.active.merge_cells("B2:B4")
    book.save(tmp_path / "table.xlsx")
    assert compare(tmp_path / "table.xlsx", "--case", "EM", "--control", "normal") == 0
    assert "2 rows of the table with no group left out" in capsys.readouterr().err


def test_one_group_before_and_during_needs_no_control(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [
        f"{p},EM,IFNG,{n},{when}\n" for p in "abc" for when, n in (("before", 5), ("during", ord(p) - 96))
    ]
    text = "patient,group,marker,positive_per_mm2,pair\n" + "".join(lines) + "d,EM,IFNG,9,before\n"
    assert compare(written(tmp_path, text)) == 0
    assert "Within patients (during minus before, 3 pairs): mean change -3.00" in capsys.readouterr().out
