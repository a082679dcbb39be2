"""What other programs rely on: OME-Zarr 0.4 for the labels, QuPath's GeoJSON for the cells."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import numpy as np
import pytest

from ishcount.core.units import PixelSize
from ishcount.outputs.contours import trace_by_bands
from ishcount.outputs.geojson import write_cells_geojson
from ishcount.outputs.labels import write_labels
from tests.result_folder import MadeResult, make_result


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> MadeResult:
    return make_result(tmp_path_factory.mktemp("result") / "out")[0]


def attributes(folder: Path) -> dict:
    return json.loads((folder / ".zattrs").read_text("utf-8"))


def test_labels_are_a_zarr_2_group_of_arrays_with_slashes_between_chunks(made: MadeResult) -> None:
    folder = made.slide_folder / "labels.ome.zarr"
    assert json.loads((folder / ".zgroup").read_text("utf-8")) == {"zarr_format": 2}
    for dataset in attributes(folder)["multiscales"][0]["datasets"]:
        array = json.loads((folder / dataset["path"] / ".zarray").read_text("utf-8"))
        assert array["zarr_format"] == 2
        assert array["dimension_separator"] == "/"
        assert array["dtype"] == "<u4"


def test_multiscales_meet_the_rules_of_ome_zarr_0_4(made: MadeResult) -> None:
    content = attributes(made.slide_folder / "labels.ome.zarr")
    image = content["multiscales"][0]
    assert content["image-label"]["version"] == image["version"] == "0.4"
    assert image["axes"] == [{"name": n, "type": "space", "unit": "micrometer"} for n in ("y", "x")]
    scales = []
    for dataset in image["datasets"]:
        kinds = [change["type"] for change in dataset["coordinateTransformations"]]
        assert kinds == ["scale", "translation"]
        assert all(len(change[change["type"]]) == 2 for change in dataset["coordinateTransformations"])
        scales.append(dataset["coordinateTransformations"][0]["scale"][0])
    assert scales == sorted(scales)


def test_a_chunk_of_background_takes_no_file(tmp_path: Path) -> None:
    labels = np.zeros((600, 600), np.uint32)
    labels[10, 10] = 1
    write_labels(tmp_path / "a.zarr", [labels], height=600, width=600, pixel_size=PixelSize(0.5, 0.5))
    assert (tmp_path / "a.zarr" / "0" / "0" / "0").is_file()
    assert not (tmp_path / "a.zarr" / "0" / "1").exists()


def is_ring(ring: object) -> bool:
    return (
        isinstance(ring, list) and len(ring) >= 4 and ring[0] == ring[-1] and all(len(p) == 2 for p in ring)
    )


def test_every_feature_is_a_cell_that_qupath_imports(made: MadeResult, tmp_path: Path) -> None:
    import zarr

    from ishcount.result import load_slide_result

    cells = load_slide_result(made.slide_folder).cells
    labels = zarr.open_group(str(made.slide_folder / "labels.ome.zarr"), mode="r")["0"]
    nuclei = trace_by_bands(labels, cells["y_um"].to_numpy() / 0.5, factor=2)
    options = {"markers": ["IFNG"], "pixel_size": PixelSize(0.25, 0.25), "nuclei": nuclei}
    write_cells_geojson(tmp_path / "cells.geojson", cells, **options)
    content = json.loads((tmp_path / "cells.geojson").read_text("utf-8"))
    assert set(content) == {"type", "features"}
    assert len(content["features"]) == len(cells)
    assert len({feature["id"] for feature in content["features"]}) == len(cells)
    for feature in content["features"]:
        assert set(feature) == {"type", "id", "geometry", "nucleusGeometry", "properties"}
        assert uuid.UUID(feature["id"])
        for name in ("geometry", "nucleusGeometry"):
            assert feature[name]["type"] == "Polygon"
            assert all(is_ring(ring) for ring in feature[name]["coordinates"])
        properties = feature["properties"]
        assert properties["objectType"] == "cell"
        assert set(properties["classification"]) == {"name", "color"}
        assert all(isinstance(value, int | float) for value in properties["measurements"].values())
        assert all(isinstance(value, str) for value in properties["metadata"].values())


def test_a_polygon_lies_where_the_table_has_its_cell(made: MadeResult) -> None:
    import zarr
    from shapely import Polygon

    from ishcount.result import load_slide_result

    cells = load_slide_result(made.slide_folder).cells
    labels = zarr.open_group(str(made.slide_folder / "labels.ome.zarr"), mode="r")["0"]
    nuclei = trace_by_bands(labels, cells["y_um"].to_numpy() / 0.5, factor=2)
    centres = np.array([Polygon(nuclei.ring(i)).centroid.coords[0] for i in range(len(cells))]) * 0.25
    # A nucleus drawn on a 0.5 um grid: its centroid is off by a fraction of a pixel.
    assert np.abs(centres - cells[["x_um", "y_um"]].to_numpy()).max() < 0.25
