"""Decisions to other programs and back."""

import json

import numpy as np
import openpyxl
import pytest

from ishcount.core.decisions import Call
from ishcount.core.errors import SlideError
from ishcount.core.files import read_csv
from ishcount.core.units import PixelSize
from ishcount.outputs.contours import trace_contours
from ishcount.outputs.geojson import write_cells_geojson
from ishcount.result import load_slide_result
from ishcount.review.apply import reader_states
from ishcount.review.exchange import changes_from_qupath, write_decisions
from ishcount.review.log import Change, ReviewLog
from ishcount.review.state import ReviewState
from tests.result_folder import FACTOR, MARKER, MPP, make_result


@pytest.fixture
def result(tmp_path):
    result = load_slide_result(make_result(tmp_path / "result")[0].slide_folder)
    log = ReviewLog(result.folder, reviewer="=AB", slide_id=result.slide_id, result_digest=result.digest())
    box = [[50, 50], [100, 50], [100, 100], [50, 100]]
    log.append([Change(operation="call", marker=MARKER, item=3, new="positive", reason="=1+1")])
    log.append([Change(operation="exclude", item="X:1", new={"polygon_um": box}, reason="fold")])
    log.append([Change(operation="add", item="M:1", new={"x_um": 80.0, "y_um": 300.0, "positive": [MARKER]})])
    return result


def test_csv_says_who_when_what_and_why(result, tmp_path):
    write_decisions(tmp_path / "d.csv", result, reader_states(result))
    table = read_csv(tmp_path / "d.csv")
    assert table["operation"].tolist() == ["call", "exclude", "add"]
    assert set(table["reviewer"]) == {"=AB"}
    assert table["utc"].str.endswith("Z").all()
    assert (table["value"][0], table["reason"][0]) == ("positive", "=1+1")


def test_xlsx_holds_the_same_and_no_formula(result, tmp_path):
    write_decisions(tmp_path / "d.xlsx", result, reader_states(result))
    sheet = openpyxl.load_workbook(tmp_path / "d.xlsx").active
    cells = [cell for row in sheet.iter_rows() for cell in row]
    assert "=1+1" in [cell.value for cell in cells]
    assert all(cell.data_type != "f" for cell in cells)


def test_geojson_is_in_pixels_with_author(result, tmp_path):
    write_decisions(tmp_path / "d.geojson", result, reader_states(result))
    call, exclusion, added = json.loads((tmp_path / "d.geojson").read_text())["features"]
    row = result.cells.set_index("cell_id").loc[3]
    assert call["geometry"]["coordinates"] == pytest.approx([row["x_um"] / MPP, row["y_um"] / MPP])
    assert call["properties"]["metadata"]["reviewer"] == "=AB"
    assert exclusion["properties"]["classification"]["name"] == "Exclude"
    assert np.array(exclusion["geometry"]["coordinates"]).max() == pytest.approx(100 / MPP)
    assert added["geometry"]["coordinates"] == pytest.approx([80 / MPP, 300 / MPP])


def test_another_ending_is_refused(result, tmp_path):
    with pytest.raises(SlideError, match=r"use \.csv, \.xlsx or \.geojson"):
        write_decisions(tmp_path / "d.doc", result, reader_states(result))


@pytest.fixture
def exported(result, tmp_path):
    import zarr

    labels = zarr.open_group(str(result.folder / "labels.ome.zarr"), mode="r")["0"][:]
    nuclei = trace_contours(labels, result.cells["cell_id"].to_numpy(np.int64), factor=FACTOR)
    path = tmp_path / "cells.geojson"
    write_cells_geojson(path, result.cells, markers=[MARKER], pixel_size=PixelSize(MPP, MPP), nuclei=nuclei)
    return path


def edit(path, change):
    content = json.loads(path.read_text())
    content["features"] = change(content["features"])
    path.write_text(json.dumps(content))


def test_an_export_nobody_edited_brings_no_decisions(result, exported):
    assert changes_from_qupath(exported, result, ReviewState()) == []


def test_classes_changed_in_qupath_come_back_as_calls(result, exported):
    positive = result.cells[f"{MARKER}_positive"].to_numpy()
    up, down = int(np.flatnonzero(~positive)[0]), int(np.flatnonzero(positive)[0])

    def change(features):
        features[up]["properties"]["classification"] = {"name": MARKER}
        features[down]["properties"]["classification"] = {"name": "Negative"}
        return features

    edit(exported, change)
    changes = changes_from_qupath(exported, result, ReviewState())
    assert {(c.item, c.new) for c in changes} == {(up + 1, "positive"), (down + 1, "negative")}
    assert {c.reason for c in changes} == {"QuPath"}


def test_objects_drawn_in_qupath_are_added_cells(result, exported):
    drawn = {
        "type": "Feature", "id": "abc", "geometry": {"type": "Point", "coordinates": [400, 800]},
        "properties": {"objectType": "annotation", "classification": {"name": MARKER}},
    }  # fmt: skip
    edit(exported, lambda features: [*features, drawn])
    (change,) = changes_from_qupath(exported, result, ReviewState())
    assert (change.operation, change.item) == ("add", "M:qupath-abc")
    assert change.new == {"x_um": 400 * MPP, "y_um": 800 * MPP, "positive": [MARKER]}


def test_cells_deleted_in_qupath_count_as_no_cells_only_when_asked(result, exported):
    edit(exported, lambda features: features[2:])
    assert changes_from_qupath(exported, result, ReviewState()) == []
    changes = changes_from_qupath(exported, result, ReviewState(), deleted_are_no_cells=True)
    assert [(c.item, c.new) for c in changes] == [(1, Call.NOT_A_CELL.word), (2, Call.NOT_A_CELL.word)]


def test_a_file_that_is_no_geojson_is_refused_in_one_line(result, tmp_path):
    (tmp_path / "x.geojson").write_text("{}")
    with pytest.raises(SlideError, match="no GeoJSON that QuPath wrote"):
        changes_from_qupath(tmp_path / "x.geojson", result, ReviewState())
