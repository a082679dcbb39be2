"""Annotations: what is read, what is mended, what is refused and by which feature."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ishcount.core.annotations import read_annotations, role_of
from ishcount.core.errors import SlideError

SQUARE = [[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]


def feature(rings: Any, name: str | None = None, kind: str = "Polygon") -> dict[str, Any]:
    properties = {"objectType": "annotation", **({"classification": {"name": name}} if name else {})}
    return {"type": "Feature", "geometry": {"type": kind, "coordinates": rings}, "properties": properties}


def written(folder: Path, *features: dict[str, Any]) -> Path:
    path = folder / "a.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": list(features)}))
    return path


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("", "limit"),
        ("Exclude", "exclude"),
        ("Ignore: fold", "exclude"),
        ("Necrosis*", "exclude"),
        ("Papillary dermis", "compartment"),
        ("Excluded follicle", "compartment"),
    ],
)
def test_the_class_name_decides_what_an_area_does(name: str, role: str) -> None:
    assert role_of(name) == role


def test_a_hole_is_not_area(tmp_path: Path) -> None:
    hole = [[2, 2], [4, 2], [4, 4], [2, 4], [2, 2]]
    (area,) = read_annotations(written(tmp_path, feature([SQUARE, hole])))
    assert area.geometry.area == 96


def test_both_halves_of_a_bowtie_count(tmp_path: Path) -> None:
    bowtie = [[0, 0], [10, 10], [10, 0], [0, 10], [0, 0]]
    (area,) = read_annotations(written(tmp_path, feature([bowtie])))
    assert area.geometry.area == 50


def test_points_lines_and_detections_are_left_out(tmp_path: Path) -> None:
    detection = feature([SQUARE])
    detection["properties"]["objectType"] = "detection"
    path = written(tmp_path, feature([1, 2], kind="Point"), detection, feature([SQUARE], "Epidermis"))
    assert [area.name for area in read_annotations(path)] == ["Epidermis"]


@pytest.mark.parametrize(
    "rings",
    [
        [[[0, 0], [1e300, 0], [0, 5]]],
        [[[0, 0], [1, 1]]],
        [[]],
        [],
        "text",
        [[[0, 0], ["a", 1], [2, 2]]],
        [[[0, 0], [5], [2, 2]]],
        [[[0, 0], [5, 5], [10, 10]]],
    ],
)
def test_an_unusable_area_is_refused_by_its_number(rings: Any, tmp_path: Path) -> None:
    path = written(tmp_path, feature([SQUARE]), feature(rings, "Bad"))
    with pytest.raises(SlideError, match=r"feature 2 of a\.geojson") as caught:
        read_annotations(path)
    assert caught.value.code == "E_ANNOT"


@pytest.mark.parametrize(
    "text",
    [
        '{"type": "FeatureCollection", "features": [NaN]}',
        "[" * 200_000,
        '{"type": "Topology"}',
        "not json",
        "",
        "17",
    ],
)
def test_a_file_that_is_no_geojson_is_refused_in_one_line(text: str, tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    path.write_text(text)
    with pytest.raises(SlideError, match=r"a\.geojson") as caught:
        read_annotations(path)
    assert caught.value.code == "E_ANNOT"
    assert "\n" not in str(caught.value)


def test_a_depth_bomb_in_coordinates_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    deep = "[" * 900 + "]" * 900
    path.write_text(
        '{"type": "Feature", "geometry": {"type": "Polygon", "coordinates": ' + deep + '}, "properties": {}}'
    )
    with pytest.raises(SlideError, match=r"feature 1 |nested"):
        read_annotations(path)


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(SlideError, match=r"cannot read none\.geojson"):
        read_annotations(tmp_path / "none.geojson")


def test_napari_shapes_are_rows_and_columns_of_pixel_centres(tmp_path: Path) -> None:
    path = tmp_path / "shapes.csv"
    corners = [(0, 0), (0, 20), (10, 20), (10, 0)]
    lines = [f"0,rectangle,{i},{row},{col}" for i, (row, col) in enumerate(corners)]
    path.write_text("index,shape-type,vertex-index,axis-0,axis-1\n" + "\n".join(lines))
    (area,) = read_annotations(path)
    assert area.geometry.bounds == (0.5, 0.5, 20.5, 10.5)


def test_a_napari_ellipse_has_nearly_the_area_of_an_ellipse(tmp_path: Path) -> None:
    path = tmp_path / "shapes.csv"
    corners = [(0, 0), (0, 20), (10, 20), (10, 0)]
    lines = [f"0,ellipse,{i},{row},{col}" for i, (row, col) in enumerate(corners)]
    path.write_text("index,shape-type,vertex-index,axis-0,axis-1\n" + "\n".join(lines))
    (area,) = read_annotations(path)
    assert area.geometry.area == pytest.approx(157.08, rel=0.002)
