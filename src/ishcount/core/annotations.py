"""The user's areas: QuPath GeoJSON or napari Shapes CSV, in level-0 pixels.

Class `Exclude`, `Ignore...` or a name ending in `*` is taken out; another class is a compartment; no class
limits the tissue.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import shapely
from shapely.geometry.base import BaseGeometry

from ishcount.core.errors import SlideError

MAX_BYTES = 256 * 2**20  # a million hand-drawn vertices take 40 MB
MAX_VERTICES = 2_000_000
MAX_COORDINATE = 1e7  # px: no scanner makes slides of 10 million pixels a side
MAX_NAME = 64


@dataclass(frozen=True)
class Annotation:
    """One area. geometry: valid (multi)polygon in level-0 pixels. `name` is its class, empty for a limit."""

    name: str
    role: Literal["limit", "exclude", "compartment"]
    geometry: BaseGeometry


def role_of(name: str) -> Literal["limit", "exclude", "compartment"]:
    """What a class name does."""
    if not name:
        return "limit"
    if name.lower() == "exclude" or name.lower().startswith("ignore") or name.endswith("*"):
        return "exclude"
    return "compartment"


def read_annotations(path: Path | str) -> list[Annotation]:
    """Areas of a file, in its order; SlideError E_ANNOT names the first feature that cannot be used.

    Points and lines have no area and are left out; detections and cells of QuPath too. A ring that crosses
    itself is mended so that every part it goes round counts.
    """
    path = Path(path)
    text = _text(path)
    if path.suffix.lower() == ".csv":
        return _from_shapes(text, path.name)
    try:
        content = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise _unusable(f"{path.name} is no GeoJSON: {reason}; export it again from QuPath") from None
    try:
        return list(_from_geojson(content, path.name))
    except RecursionError:
        raise _unusable(f"{path.name} is nested too deeply; export it again from QuPath") from None


def _unusable(message: str) -> SlideError:
    return SlideError(message, "E_ANNOT")


def _text(path: Path) -> str:
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise _unusable(
                f"{path.name} has {size / 2**20:.0f} MB, more than {MAX_BYTES >> 20}; simplify the outlines"
            )
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _unusable(f"{path.name} is no UTF-8 text; save it as UTF-8") from None
    except OSError as error:
        raise _unusable(f"cannot read {path.name}: {error.strerror}; check the path") from None


def _refuse_constant(name: str) -> float:
    raise ValueError(f"it holds {name}, which is no number")


def _from_geojson(content: Any, file: str) -> Iterator[Annotation]:
    for number, feature in enumerate(_features(content, file), start=1):
        where = f"feature {number} of {file}"
        if not isinstance(feature, dict):
            raise _unusable(f"{where} is no object but {type(feature).__name__}; export it again from QuPath")
        properties = feature.get("properties") or {}
        if not isinstance(properties, dict):
            raise _unusable(f"{where} has properties that are no object; export it again from QuPath")
        if properties.get("objectType", "annotation") != "annotation":
            continue
        name = _class_name(properties.get("classification"), where)
        geometry = _geometry(feature.get("geometry"), f"{where}{f' ({name})' if name else ''}")
        if geometry is not None:
            yield Annotation(name, role_of(name), geometry)


def _features(content: Any, file: str) -> list[Any]:
    """Features of a collection, of a bare list (QuPath writes both), or of a single feature."""
    if isinstance(content, list):
        return content
    if isinstance(content, dict):
        if content.get("type") == "FeatureCollection" and isinstance(content.get("features"), list):
            return list(content["features"])
        if content.get("type") == "Feature":
            return [content]
    raise _unusable(f"{file} holds no GeoJSON features; export annotations as GeoJSON from QuPath")


def _class_name(classification: Any, where: str) -> str:
    name = classification
    if isinstance(classification, dict):
        name = classification.get("name") or ": ".join(map(str, classification.get("names") or []))
    if name is None:
        return ""
    if not isinstance(name, str) or len(name) > MAX_NAME:
        raise _unusable(f"{where} has a class that is no name of up to {MAX_NAME} letters; rename it")
    return " ".join("".join(c if c.isprintable() else " " for c in name).split())


def _geometry(content: Any, where: str) -> BaseGeometry | None:
    """A valid area, or None for points and lines."""
    kind = content.get("type") if isinstance(content, dict) else None
    if kind in ("Point", "MultiPoint", "LineString", "MultiLineString"):
        return None
    if kind == "GeometryCollection":
        parts = [_geometry(part, where) for part in content.get("geometries") or []]
        areas = [part for part in parts if part is not None]
        return shapely.union_all(areas) if areas else None
    if kind not in ("Polygon", "MultiPolygon"):
        raise _unusable(f"{where} has no area: its geometry is {kind or 'missing'}; draw a polygon")
    polygons = [content.get("coordinates")] if kind == "Polygon" else content.get("coordinates")
    if not isinstance(polygons, list) or not polygons:
        raise _unusable(f"{where} has no coordinates; draw it again")
    return _area([_rings(polygon, where) for polygon in polygons], where)


def _rings(polygon: Any, where: str) -> list[list[tuple[float, float]]]:
    if not isinstance(polygon, list) or not polygon:
        raise _unusable(f"{where} has an empty polygon; draw it again")
    return [_ring(ring, where) for ring in polygon]


def _ring(ring: Any, where: str) -> list[tuple[float, float]]:
    if not isinstance(ring, list) or len(ring) > MAX_VERTICES:
        raise _unusable(f"{where} has a ring that is no list of up to {MAX_VERTICES} points; simplify it")
    points = [_point(point, where) for point in ring]
    if len(set(points)) < 3:
        raise _unusable(f"{where} has a ring of {len(set(points))} different points; an area needs 3")
    return points


def _point(point: Any, where: str) -> tuple[float, float]:
    try:
        x, y = float(point[0]), float(point[1])
    except (TypeError, ValueError, IndexError, KeyError, OverflowError):
        raise _unusable(f"{where} has a point that is no pair of numbers; draw it again") from None
    if not (math.isfinite(x) and math.isfinite(y) and max(abs(x), abs(y)) <= MAX_COORDINATE):
        raise _unusable(f"{where} has a point at ({x:g}, {y:g}), on no slide; positions are level-0 pixels")
    return x, y


def _area(polygons: list[list[list[tuple[float, float]]]], where: str) -> BaseGeometry:
    """Union of polygons with their holes, mended where rings cross."""
    parts = []
    for shell, *holes in polygons:
        area = shapely.make_valid(shapely.Polygon(shell))
        if holes:
            gaps = shapely.union_all([shapely.make_valid(shapely.Polygon(hole)) for hole in holes])
            area = shapely.difference(area, gaps)
        parts.append(area)
    whole = shapely.union_all(parts)
    # Mending may leave stray lines; only what has an area counts.
    areas = [part for part in shapely.get_parts(whole) if part.area > 0]
    if not areas:
        raise _unusable(f"{where} has no area; draw it again")
    return shapely.union_all(areas)


def _from_shapes(text: str, file: str) -> list[Annotation]:
    """napari Shapes CSV: `index, shape-type, vertex-index, axis-0, axis-1` (row, column), optional `class`.

    napari puts pixel centres on integers; the corner origin used here adds half a pixel.
    """
    reader = csv.DictReader(io.StringIO(text))
    missing = {"index", "axis-0", "axis-1"} - set(reader.fieldnames or [])
    if missing:
        raise _unusable(
            f"{file} lacks the columns {', '.join(sorted(missing))}; save a Shapes layer from napari as CSV"
        )
    shapes: dict[str, tuple[str, str, list[tuple[float, float]]]] = {}
    for row in reader:
        where = f"shape {row['index']} of {file}"
        y, x = _point((row["axis-0"], row["axis-1"]), where)
        name = _class_name(row.get("class") or row.get("classification"), where)
        shape = shapes.setdefault(str(row["index"]), (name, row.get("shape-type") or "polygon", []))
        shape[2].append((x + 0.5, y + 0.5))
        if len(shape[2]) > MAX_VERTICES:
            raise _unusable(f"{where} has more than {MAX_VERTICES} points; simplify it")
    return [
        Annotation(name, role_of(name), _shape(kind, points, f"shape {index} of {file}"))
        for index, (name, kind, points) in shapes.items()
        if kind not in ("path", "line")
    ]


def _shape(kind: str, points: list[tuple[float, float]], where: str) -> BaseGeometry:
    """A polygon or rectangle by its corners, an ellipse by those of its box."""
    if len(set(points)) < 3:
        raise _unusable(f"{where} has {len(set(points))} different points; an area needs 3")
    if kind == "ellipse":
        points = _ellipse(points)
    return _area([[points]], where)


def _ellipse(corners: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """96 points of the ellipse that touches the four sides of a box: its area is 0.1 % under the true one."""
    (ax, ay), (bx, by), (cx, cy) = corners[0], corners[1], corners[2]
    middle_x, middle_y = (ax + cx) / 2, (ay + cy) / 2
    turns = [2 * math.pi * i / 96 for i in range(96)]
    return [
        (
            middle_x + (bx - ax) / 2 * math.cos(t) + (cx - bx) / 2 * math.sin(t),
            middle_y + (by - ay) / 2 * math.cos(t) + (cy - by) / 2 * math.sin(t),
        )
        for t in turns
    ]
