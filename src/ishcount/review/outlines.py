"""Areas under review: exclusions, redrawn outlines, and which cell lies where.

Outlines come from `tissue.geojson` (level-0 pixels, traced along pixel edges, so that a polygon has exactly
the area that was counted) and are held in corner-origin micrometres, as every position in the tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from ishcount.core.decisions import VIABLE
from ishcount.core.errors import SlideError
from ishcount.core.units import PixelSize

UM2_PER_MM2 = 1e6
WHOLE = "tissue"


def read_outlines(path: Path, pixel_size: PixelSize) -> dict[str, BaseGeometry]:
    """Tissue and compartments in micrometres; artefacts and sections are left out.

    Several features of one name become one geometry. SlideError when the file is no GeoJSON.
    """
    try:
        features = msgspec.json.decode(path.read_bytes(), type=_Features).features
        named = [(_area_name(feature_class({"properties": one.properties})), one) for one in features]
        kept = [(name, bytes(one.geometry)) for name, one in named if name and one.geometry != b"null"]
        # GEOS reads the corners of all shapes in one go: 20 times as fast as shape by shape in Python.
        shapes = shapely.from_geojson([geometry for _, geometry in kept])
    except (OSError, msgspec.MsgspecError, shapely.errors.GEOSException, ValueError) as error:
        what = " ".join(str(error).split())
        raise SlideError(
            f"{path.name} cannot be read as GeoJSON ({what}); count the slide again to rebuild it",
            code="E_ANNOT",
        ) from error
    parts: dict[str, list[BaseGeometry]] = {}
    for (name, _), shape in zip(kept, shapes, strict=True):
        parts.setdefault(name, []).append(_scaled(shape, pixel_size))
    return {name: found[0] if len(found) == 1 else shapely.union_all(found) for name, found in parts.items()}


class _Feature(msgspec.Struct):
    properties: dict[str, Any] | None = None
    geometry: msgspec.Raw = msgspec.Raw(b"null")


class _Features(msgspec.Struct):
    features: list[_Feature]


def _area_name(words: str) -> str:
    """Name of the area a class stands for; "" for what is taken out (`Exclude`, `Ignore...`, `...*`)."""
    if words.casefold().startswith(("ignore", "exclude")) or words.endswith("*"):
        return ""
    return WHOLE if words.casefold() == WHOLE else words


def feature_class(feature: Mapping[str, Any]) -> str:
    """Name of a GeoJSON feature's class as QuPath writes it; "" when it has none."""
    found = (feature.get("properties") or {}).get("classification") or {}
    if isinstance(found, str):
        return found
    return str(found.get("name") or ": ".join(found.get("names") or ()))


def to_um(geometry: Mapping[str, Any], pixel_size: PixelSize) -> BaseGeometry:
    """A GeoJSON geometry (level-0 pixels, corner origin) as a valid shape in micrometres."""
    return _scaled(shapely.geometry.shape(geometry), pixel_size)


def _scaled(shape: BaseGeometry, pixel_size: PixelSize) -> BaseGeometry:
    um: BaseGeometry = shapely.transform(shape, lambda xy: xy * (pixel_size.x_um, pixel_size.y_um))
    return um if shapely.is_valid(um) else shapely.make_valid(um)


def to_px(shape: BaseGeometry, pixel_size: PixelSize) -> dict[str, Any]:
    """A shape in micrometres as a GeoJSON geometry in level-0 pixels with the corner origin."""
    pixels = shapely.transform(shape, lambda xy: xy / (pixel_size.x_um, pixel_size.y_um))
    geometry: dict[str, Any] = shapely.geometry.mapping(pixels)
    return geometry


def polygon(corners_um: Any) -> BaseGeometry:
    """A valid shape from corners (k, 2: x, y in micrometres); a crossing outline by the even-odd rule."""
    corners = np.asarray(corners_um, dtype=np.float64)
    if corners.ndim != 2 or corners.shape[1] != 2 or len(corners) < 3:
        return shapely.Polygon()
    return shapely.make_valid(shapely.Polygon(corners))


def from_rings(rings: Iterable[Any]) -> BaseGeometry:
    """One shape from rings (each (k, 2) in um): a ring inside another is a hole, others are joined."""
    shape: BaseGeometry = shapely.Polygon()
    for ring in sorted((polygon(ring) for ring in rings), key=lambda part: -part.area):
        shape = shapely.difference(shape, ring) if shape.contains(ring) else shapely.union(shape, ring)
    return shape


def rings_of(shape: BaseGeometry | None) -> list[NDArray[np.float64]]:
    """Outer rings and holes (k, 2) of a shape, the way back from `from_rings`."""
    pieces = (
        [] if shape is None else [part for part in shapely.get_parts(shape) if part.geom_type == "Polygon"]
    )
    return [
        shapely.get_coordinates(ring)[:-1] for part in pieces for ring in (part.exterior, *part.interiors)
    ]


def redrawn(
    outlines: Mapping[str, BaseGeometry], corrections: Mapping[str, Iterable[Any]]
) -> dict[str, BaseGeometry]:
    """Outlines after corrections (area name -> polygons, each (k, 2) in micrometres).

    A corrected compartment takes ground from the others, the last corrected one first, and only inside
    tissue; a corrected tissue outline cuts all compartments. Compartments never overlap.
    """
    if not corrections:
        return dict(outlines)
    new = {name: from_rings(rings) for name, rings in corrections.items()}
    tissue = new.get(WHOLE, outlines.get(WHOLE, shapely.Polygon()))
    areas, taken = {WHOLE: tissue}, shapely.Polygon()
    for name in reversed([name for name in new if name != WHOLE]):
        areas[name] = shapely.difference(shapely.intersection(new[name], tissue), taken)
        taken = shapely.union(taken, new[name])
    for name, shape in outlines.items():
        if name not in areas:
            areas[name] = shapely.difference(shapely.intersection(shape, tissue), taken)
    return areas


def area_changes_mm2(
    before: Mapping[str, BaseGeometry], after: Mapping[str, BaseGeometry], left_out: BaseGeometry
) -> dict[str, float]:
    """Signed change of each area: after corrections and without what is left out, minus before.

    Compartments do not overlap, so `viable` changes by what its parts change.
    """
    none = shapely.Polygon()
    changes = {}
    for name in sorted({*before, *after} - {"viable"}):
        old, new = before.get(name, none), after.get(name, none)
        # What an exclusion takes is its overlap: far quicker to find than what remains of a whole outline.
        change = (0.0 if new is old else new.area - old.area) - _overlap_um2(new, left_out)
        if change:
            changes[name] = change / UM2_PER_MM2
    parts = [changes[name] for name in VIABLE if name in changes]
    return {**changes, "viable": sum(parts)} if parts else changes


def _overlap_um2(shape: BaseGeometry, part: BaseGeometry) -> float:
    shapely.prepare(shape)  # kept with the shape, which outlives many exclusions
    if part.is_empty or shapely.contains_properly(shape, part):
        return float(part.area)
    return float(shapely.intersection(shape, part).area)


def compartments_at(
    x_um: NDArray[np.float64],
    y_um: NDArray[np.float64],
    automatic: NDArray[np.object_],
    areas: Mapping[str, BaseGeometry],
    corrected: Iterable[str],
) -> NDArray[np.object_]:
    """Compartment of each point after outline corrections; "" outside tissue.

    Only the corrected areas move points; others keep their automatic compartment.
    """
    names = automatic.copy()
    corrected = list(corrected)
    for name in (name for name in corrected if name != WHOLE):
        inside = _inside(areas[name], x_um, y_um)
        leaving = ~inside & (names == name)
        names[inside] = name
        for other, shape in areas.items():
            if other not in (WHOLE, name) and leaving.any():
                rows = np.flatnonzero(leaving)
                names[rows[_inside(shape, x_um[rows], y_um[rows])]] = other
        names[leaving & (names == name)] = WHOLE
    if WHOLE in corrected:
        names[~_inside(areas[WHOLE], x_um, y_um)] = ""
    return names


def _inside(shape: BaseGeometry, x_um: NDArray[np.float64], y_um: NDArray[np.float64]) -> NDArray[np.bool_]:
    shapely.prepare(shape)
    return np.asarray(shapely.contains_xy(shape, x_um, y_um), dtype=bool)
