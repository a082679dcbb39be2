"""cells.geojson is what QuPath imports: cell detections with a nucleus, a class and numbers only."""

import json
import uuid
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from shapely.geometry import shape

from ishcount.core.flags import Flag
from ishcount.core.tables import cells_schema, check
from ishcount.core.units import PixelSize
from ishcount.outputs import geojson
from ishcount.outputs.contours import trace_contours

MARKERS = ("IFNG", "IL15")
PIXEL = PixelSize(0.25, 0.25)


def table() -> pd.DataFrame:
    cells = pd.DataFrame(
        {
            "cell_id": [1, 2, 3],
            "x_um": [4.0, 12.0, 20.0],
            "y_um": [4.0, 12.0, 20.0],
            "nucleus_area_um2": [4.0, 4.0, 4.0],
            "cell_area_um2": [16.0, 16.0, 16.0],
            "section": [1, 1, 1],
            "compartment": ["dermis", "epidermis", None],
            "depth_um": [12.5, np.nan, np.nan],
            "flags": [0, int(Flag.CLUSTERED_DOTS), 0],
        }
    )
    for marker, positive in zip(MARKERS, ([True, True, False], [False, True, False]), strict=True):
        cells[f"{marker}_dots"] = [int(yes) for yes in positive]
        cells[f"{marker}_dots_nucleus"] = 0
        cells[f"{marker}_copies"] = [int(yes) for yes in positive]
        cells[f"{marker}_score"] = [0.9 if yes else 0.0 for yes in positive]
        cells[f"{marker}_positive"] = positive
    return check(cells, cells_schema(MARKERS))


def written(path: Path, pieces: int = 1) -> list[dict]:
    nuclei = np.zeros((60, 60), np.uint32)
    for cell_id, centre in enumerate((8, 24, 40), 1):
        nuclei[centre - 2 : centre + 2, centre - 2 : centre + 2] = cell_id
    whole = trace_contours(nuclei, np.arange(1, 4), factor=2)
    geojson.write_cells_geojson(
        path,
        table(),
        markers=MARKERS,
        pixel_size=PIXEL,
        nuclei=whole if pieces == 1 else iter([whole.part(0, 1), whole.part(1, 1), whole.part(1, 3)]),
        slide_digest="abc",
    )
    return json.loads(path.read_text())["features"]


def test_each_cell_is_a_qupath_cell_with_its_nucleus_inside(tmp_path: Path) -> None:
    features = written(tmp_path / "cells.geojson")
    assert [f["properties"]["objectType"] for f in features] == ["cell"] * 3
    for feature in features:
        assert str(uuid.UUID(feature["id"])) == feature["id"]
        assert shape(feature["geometry"]).equals(shape(feature["nucleusGeometry"]))
        assert shape(feature["nucleusGeometry"]).area == 64


def test_outlines_in_pieces_give_the_same_bytes(tmp_path: Path) -> None:
    written(tmp_path / "whole.geojson")
    written(tmp_path / "pieces.geojson", pieces=3)
    assert (tmp_path / "whole.geojson").read_bytes() == (tmp_path / "pieces.geojson").read_bytes()


def test_positive_cells_carry_their_markers_and_the_rest_are_negative(tmp_path: Path) -> None:
    classes = [f["properties"]["classification"] for f in written(tmp_path / "cells.geojson")]
    assert [c.get("name", c.get("names")) for c in classes] == ["IFNG", ["IFNG", "IL15"], "Negative"]
    assert all(len(c["color"]) == 3 and all(0 <= v <= 255 for v in c["color"]) for c in classes)


def test_measurements_are_finite_numbers_and_missing_ones_are_left_out(tmp_path: Path) -> None:
    measures = [f["properties"]["measurements"] for f in written(tmp_path / "cells.geojson")]
    assert measures[0]["depth_um"] == 12.5
    assert "depth_um" not in measures[1]
    assert measures[0]["IFNG_score"] == 0.9
    assert all(isinstance(v, int | float) for m in measures for v in m.values())


def test_doubts_and_compartments_travel_as_text(tmp_path: Path) -> None:
    metadata = [f["properties"]["metadata"] for f in written(tmp_path / "cells.geojson")]
    assert metadata[1] == {"compartment": "epidermis", "flags": "CLUSTERED_DOTS"}
    assert metadata[2] == {"compartment": "", "flags": ""}


def test_too_many_cells_are_left_out_unless_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(geojson, "MOST_CELLS", 2)
    nothing = trace_contours(np.zeros((4, 4), np.uint32), np.arange(1, 4), factor=1)
    options = {"markers": MARKERS, "pixel_size": PIXEL, "nuclei": nothing}
    assert not geojson.write_cells_geojson(tmp_path / "a.geojson", table(), **options)
    assert not (tmp_path / "a.geojson").exists()
    assert geojson.write_cells_geojson(tmp_path / "a.geojson", table(), **options, even_if_large=True)
    assert len(json.loads((tmp_path / "a.geojson").read_text())["features"]) == 3


def test_no_cells_give_an_empty_collection(tmp_path: Path) -> None:
    nothing = trace_contours(np.zeros((4, 4), np.uint32), np.zeros(0, int), factor=1)
    geojson.write_cells_geojson(
        tmp_path / "a.geojson", table().iloc[:0], markers=MARKERS, pixel_size=PIXEL, nuclei=nothing
    )
    assert json.loads((tmp_path / "a.geojson").read_text()) == {"type": "FeatureCollection", "features": []}


def test_an_outline_that_touches_itself_is_written_as_valid_geometry(tmp_path: Path) -> None:
    labels = np.array([[0, 1, 1, 1], [0, 1, 0, 1], [1, 0, 0, 1], [1, 1, 1, 1]], np.uint32)
    labels = np.pad(labels, 1)
    ring = trace_contours(labels, np.array([1]), factor=2)
    geojson.write_cells_geojson(
        tmp_path / "a.geojson", table().iloc[:1], markers=MARKERS, pixel_size=PIXEL, nuclei=ring
    )
    geometry = shape(json.loads((tmp_path / "a.geojson").read_text())["features"][0]["geometry"])
    assert geometry.is_valid
