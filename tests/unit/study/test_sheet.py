"""The sample sheet: what is accepted, what is refused, and what the refusal teaches."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from openpyxl import Workbook

from ishcount.core.errors import UsageError
from ishcount.params import Params
from ishcount.study.draft import draft_sheet
from ishcount.study.jobs import RunOptions, slides_of
from ishcount.study.sheet import default_slide_id, read_sheet, sheet_of_slides


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.svs", "b.svs", "c.ome.tif"):
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


def sheet(folder: Path, text: str, *, encoding: str = "utf-8") -> Path:
    path = folder / "sheet.csv"
    path.write_bytes(text.encode(encoding))
    return path


def test_a_row_of_two_columns_gets_every_default(folder: Path) -> None:
    rows = read_sheet(sheet(folder, "slide,marker\nc.ome.tif,IFNG\n")).rows
    assert len(rows) == 1
    row = rows[0]
    assert (row.slide_id, row.role, row.chromogen, row.mpp, row.line) == ("c", "target", "auto", None, 2)
    assert row.slide == folder / "c.ome.tif"


def test_all_known_columns_are_understood(folder: Path) -> None:
    rows = read_sheet(
        sheet(
            folder,
            "slide,slide_id,patient,group,marker,chromogen,role,control_for,batch,mpp,sections,pair,site\n"
            "a.svs,A,p1,EM,IFNG,Fast Red,target,,b1,0.25,3;1,before,arm\n"
            "b.svs,B,p1,EM,dapB,DAB,Negative Control,A,b1,,,,\n",
        )
    ).rows
    assert rows[0].mpp == 0.25
    assert rows[0].sections == (1, 3)
    assert rows[0].chromogen == "fast_red"
    assert rows[0].pair == "before"
    assert rows[0].own["site"] == "arm"
    assert (rows[1].role, rows[1].control_for) == ("negative_control", ("A",))


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_the_csv_dialects_of_spreadsheets_read_alike(folder: Path, separator: str, encoding: str) -> None:
    text = "slide,marker,note\r\na.svs,IFNG,größer\r\n\r\nb.svs,IFNG,\r\n".replace(",", separator)
    rows = read_sheet(sheet(folder, text, encoding=encoding)).rows
    assert [(row.slide_id, row.line, row.own["note"]) for row in rows] == [("a", 2, "größer"), ("b", 4, "")]


def test_xlsx_reads_like_csv(folder: Path) -> None:
    book = Workbook()
    book.active.append(["slide", "marker", "mpp", "block_year"])
    book.active.append(["a.svs", "IFNG", 0.25, 2019.0])
    book.save(folder / "sheet.xlsx")
    row = read_sheet(folder / "sheet.xlsx").rows[0]
    assert (row.mpp, row.own["block_year"]) == (0.25, "2019")


def test_unknown_columns_travel_along_and_a_likely_slip_is_pointed_out(folder: Path) -> None:
    read = read_sheet(sheet(folder, "slide,marker,pateint,stainer\na.svs,IFNG,p1,Bond\n"))
    assert read.rows[0].own["stainer"] == "Bond"
    assert len(read.warnings) == 1
    assert "'patient'" in read.warnings[0]


def test_a_shielded_cell_is_read_without_its_shield(folder: Path) -> None:
    assert read_sheet(sheet(folder, "slide,marker,patient\na.svs,IFNG,'=1+1\n")).rows[0].patient == "=1+1"


REFUSED = {
    "no marker column": ("slide,gene\na.svs,IFNG\n", "no column 'marker'"),
    "empty marker": ("slide,marker\na.svs,\n", "line 2: 'marker' is empty"),
    "no row": ("slide,marker\n", "lists no slide"),
    "nothing": ("", "is empty"),
    "two columns of a name": ("slide,marker,Marker\na.svs,IFNG,IFNG\n", "more than one column 'marker'"),
    "nameless column": ("slide,,marker\na.svs,,IFNG\n", "column 2 has no name"),
    "too many cells": ("slide,marker\na.svs,IFNG,more\n", "has 3 cells"),
    "broken quotes": ('slide,marker\n"a.svs,IFNG\n', "broken CSV"),
    "decimal comma": ("slide;marker;mpp\na.svs;IFNG;0,25\n", "mpp '0,25'"),
    "zero pixel": ("slide,marker,mpp\na.svs,IFNG,0\n", "mpp '0'"),
    "nan pixel": ("slide,marker,mpp\na.svs,IFNG,nan\n", "mpp 'nan'"),
    "72 dpi": ("slide,marker,mpp\na.svs,IFNG,352.8\n", "0.05 to 5"),
    "role": ("slide,marker,role\na.svs,IFNG,negativ\n", "write one of target"),
    "pair": ("slide,marker,pair\na.svs,IFNG,after\n", "before, during"),
    "sections": ("slide,marker,sections\na.svs,IFNG,first\n", "write such as 1;3"),
    "marker with plus": ("slide,marker\na.svs,IFNG+IL15\n", "holds '+'"),
    "control of nobody": ("slide,marker,control_for\na.svs,IFNG,x\n", "no slide_id of the sheet"),
    "one slide, two ids": ("slide,slide_id,marker\na.svs,A,IFNG\na.svs,B,IL15\n", "one slide under two ids"),
    "one slide, two ids, by another path": (
        "slide,slide_id,marker\na.svs,A,IFNG\n./x/../a.svs,B,IL15\n", "one slide under two ids"),
    "one id, two slides": ("slide,slide_id,marker\na.svs,A,IFNG\nb.svs,A,IL15\n", "two slides under one id"),
    "ids equal but for case": (
        "slide,slide_id,marker\na.svs,A,IFNG\nb.svs,a,IFNG\n", "two slides under one id"),
    "ids equal but for Unicode form": (
        "slide,slide_id,marker\na.svs,\u00e9,IFNG\nb.svs,e\u0301,IFNG\n", "two slides under one id"),
    "marker twice": ("slide,marker\na.svs,IFNG\na.svs,IFNG\n", "twice, line 2, line 3"),
    "a slide of two patients": (
        "slide,patient,marker\na.svs,p1,IFNG\na.svs,p2,IL15\n", "patient 'p1' and 'p2'"),
    "marker spelt two ways": ("slide,marker\na.svs,IFNG\nb.svs,ifng\n", "spell it one way"),
    "group spelt two ways": ("slide,group,marker\na.svs,EM,IFNG\nb.svs,em,IFNG\n", "spell it one way"),
    "NUL": ("slide,marker\na.svs\0,IFNG\n", "NUL"),
    "control character in the id": ("slide,slide_id,marker\na.svs,A\x1b[2J,IFNG\n", "control character"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_sheet_that_could_mix_things_up_is_refused_with_its_line(folder: Path, name: str) -> None:
    text, says = REFUSED[name]
    (folder / "x").mkdir()
    with pytest.raises(UsageError) as caught:
        read_sheet(sheet(folder, text))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_text_that_is_not_utf8_is_refused_with_what_to_do(folder: Path) -> None:
    with pytest.raises(UsageError, match="CSV UTF-8"):
        read_sheet(sheet(folder, "slide,marker,patient\na.svs,IFNG,Müller\n", encoding="latin-1"))


def test_a_hard_link_is_the_same_slide(folder: Path) -> None:
    os.link(folder / "a.svs", folder / "copy.svs")
    with pytest.raises(UsageError, match="one slide under two ids"):
        read_sheet(sheet(folder, "slide,marker\na.svs,IFNG\ncopy.svs,IFNG\n"))


def test_a_missing_slide_is_no_fault_of_the_sheet(folder: Path) -> None:
    assert read_sheet(sheet(folder, "slide,marker\nnowhere.svs,IFNG\n")).rows[0].slide_id == "nowhere"


def test_a_url_is_a_slide_too(folder: Path) -> None:
    url = "https://host.example/a/b.ome.tif?key=secret"
    read = read_sheet(sheet(folder, f"slide,marker\n{url},IFNG\n"))
    assert read.rows[0].slide_id == "b"
    (slide,) = slides_of(read, folder / "out", Params(), RunOptions())
    assert slide.job.slide == url
    twice = f"slide,slide_id,marker\n{url},A,IFNG\n{url},B,IFNG\n"
    with pytest.raises(UsageError, match="one slide under two ids"):
        read_sheet(sheet(folder, twice))


def test_two_markers_on_one_slide_are_two_rows_of_one_slide(folder: Path) -> None:
    read = read_sheet(sheet(folder, "slide,marker,chromogen\na.svs,IFNG,fast_red\na.svs,IL15,dab\n"))
    markers = {slide: [row.marker for row in rows] for slide, rows in read.slides().items()}
    assert markers == {"a": ["IFNG", "IL15"]}


def test_slides_of_the_command_line_make_a_sheet(folder: Path) -> None:
    read = sheet_of_slides([folder / "a.svs", folder / "b.svs"], {"IFNG": "dab"}, None)
    assert [(row.slide_id, row.marker, row.chromogen) for row in read.rows] == [
        ("a", "IFNG", "dab"),
        ("b", "IFNG", "dab"),
    ]


def test_one_annotation_file_for_two_slides_is_refused(folder: Path) -> None:
    (folder / "a.geojson").write_text("{}")
    with pytest.raises(UsageError, match="one file but 2 slides"):
        sheet_of_slides([folder / "a.svs", folder / "b.svs"], {"IFNG": "auto"}, folder / "a.geojson")
    read = sheet_of_slides([folder / "a.svs", folder / "b.svs"], {"IFNG": "auto"}, folder)
    assert [row.annotations for row in read.rows] == [folder / "a.geojson", None]


@pytest.mark.parametrize(
    ("name", "slide_id"),
    [("x.OME.TIF", "x"), ("x.y.svs", "x.y"), (".ome.tif", ".ome"), ("x", "x"),
     (os.fsdecode(b"\xff.svs"), "\\udcff")],
)  # fmt: skip
def test_the_default_id_is_the_name_without_its_suffix(name: str, slide_id: str) -> None:
    assert default_slide_id(Path(name)) == slide_id


def test_a_drafted_sheet_lists_each_slide_once(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "a.svs").write_bytes(b"")
    (folder / "sub" / "1.dcm").write_bytes(b"")
    (folder / "sub" / "2.dcm").write_bytes(b"")
    (folder / "notes.txt").write_bytes(b"")
    table, left_out = draft_sheet(folder)
    assert list(table["slide"]) == ["a.svs", "b.svs", "c.ome.tif", "sub/1.dcm", "sub/a.svs"]
    assert table["slide_id"].is_unique
    assert left_out == []


@pytest.mark.skipif(sys.platform != "linux", reason="other systems take only names that are text")
def test_a_drafted_sheet_says_which_name_no_sheet_can_hold(folder: Path) -> None:
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff.svs")).write_bytes(b"")
    _, left_out = draft_sheet(folder)
    assert len(left_out) == 1


def test_a_folder_without_slides_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no slide in"):
        draft_sheet(tmp_path)
