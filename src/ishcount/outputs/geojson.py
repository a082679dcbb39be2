"""`cells.geojson`: every cell as a QuPath cell detection with its nucleus, class and measurements.

Coordinates are level-0 pixels from the corner of pixel (0, 0), which is QuPath's own convention. QuPath opens
the file with File > Import objects from file, or by drag and drop on the slide.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ishcount.core.files import replacing
from ishcount.core.flags import names
from ishcount.core.units import PixelSize
from ishcount.outputs.contours import Contours
from ishcount.outputs.style import NEGATIVE_RGB, marker_rgb

# Beyond this QuPath needs minutes and gigabytes to open the file (architecture: left out unless asked).
MOST_CELLS = 500_000
CELLS_PER_WRITE = 5_000
_MEASURES = ("nucleus_area_um2", "cell_area_um2", "depth_um", "section")


def write_cells_geojson(
    path: Path,
    cells: pd.DataFrame,
    *,
    markers: Sequence[str],
    pixel_size: PixelSize,
    nuclei: Contours | Iterable[Contours],
    slide_digest: str = "",
    even_if_large: bool = False,
) -> bool:
    """Write the cells; False, and nothing written, when there are more than `MOST_CELLS` and nobody insisted.

    cells: as `cells.parquet`, row i is cell i + 1. pixel_size: of level 0. nuclei: ring i belongs to row i,
    in one piece or in consecutive ones; the nucleus stands for the cell. slide_digest: makes ids unique
    between slides; a cell keeps its id when the slide is counted again with the same result.
    """
    if len(cells) > MOST_CELLS and not even_if_large:
        return False
    import msgspec

    encode = msgspec.json.Encoder().encode
    with replacing(path) as temporary, open(temporary, "wb") as file:
        file.write(b'{"type":"FeatureCollection","features":[')
        separator = b"\n"
        for piece, rows in _pieces(cells, nuclei):
            for feature in _features(rows, markers, pixel_size, piece, slide_digest):
                file.write(separator + encode(feature))
                separator = b",\n"
        file.write(b"\n]}\n")
    return True


def _pieces(
    cells: pd.DataFrame, nuclei: Contours | Iterable[Contours]
) -> Iterator[tuple[Contours, pd.DataFrame]]:
    """Outlines with the rows of their cells, a few thousand at a time."""
    row = 0
    for contours in [nuclei] if isinstance(nuclei, Contours) else nuclei:
        for first in range(0, len(contours), CELLS_PER_WRITE):
            piece = contours.part(first, min(first + CELLS_PER_WRITE, len(contours)))
            yield piece, cells.iloc[row + first : row + first + len(piece)]
        row += len(contours)


def _features(
    rows: pd.DataFrame,
    markers: Sequence[str],
    pixel_size: PixelSize,
    nuclei: Contours,
    slide_digest: str,
) -> Iterator[dict[str, Any]]:
    touching = _touching(nuclei)
    flag_names = cache(names)  # few combinations occur, and spelling one out asks every bit
    space = uuid.uuid5(uuid.NAMESPACE_URL, f"ishcount:{slide_digest}")
    classes = _classes(rows, markers)
    measurements = _measurements(rows, markers)
    centres = np.column_stack([rows["x_um"] / pixel_size.x_um, rows["y_um"] / pixel_size.y_um])
    texts = list(zip(rows["compartment"].fillna(""), rows["flags"], strict=True))
    for i, cell_id in enumerate(rows["cell_id"].tolist()):
        nucleus = _polygon(nuclei, i, touching)
        feature: dict[str, Any] = {
            "type": "Feature",
            "id": str(uuid.uuid5(space, str(cell_id))),
            "geometry": nucleus or {"type": "Point", "coordinates": centres[i].tolist()},
        }
        if nucleus:
            feature["nucleusGeometry"] = nucleus
        compartment, flags = texts[i]
        feature["properties"] = {
            "objectType": "cell",
            "classification": classes[i],
            "isLocked": False,
            "measurements": {"cell_id": cell_id, **measurements[i]},
            "metadata": {"compartment": str(compartment), "flags": flag_names(int(flags))},
        }
        yield feature


def _classes(rows: pd.DataFrame, markers: Sequence[str]) -> list[dict[str, Any]]:
    """The QuPath class of each cell: the markers it is positive for (`A: B` for two), or Negative."""
    positive = np.column_stack([rows[f"{marker}_positive"].to_numpy(bool) for marker in markers])
    known: dict[bytes, dict[str, Any]] = {}
    for pattern in np.unique(positive, axis=0):
        found = [marker for marker, yes in zip(markers, pattern, strict=True) if yes]
        colour = marker_rgb(markers.index(found[0])) if found else NEGATIVE_RGB
        label = {"names": found} if len(found) > 1 else {"name": found[0] if found else "Negative"}
        known[pattern.tobytes()] = {**label, "color": list(colour)}
    return [known[row.tobytes()] for row in positive]


def _measurements(rows: pd.DataFrame, markers: Sequence[str]) -> list[dict[str, float]]:
    """Numbers of each cell; missing ones are left out, since QuPath takes only numbers."""
    columns = list(_MEASURES)
    columns += [
        f"{marker}_{name}" for marker in markers for name in ("dots", "dots_nucleus", "copies", "score")
    ]
    # Through text, so that a float32 score of 0.9 is written 0.9 and not 0.8999999761581421.
    values = np.column_stack([_shortest(rows[name]) for name in columns])
    return [
        {
            name: int(value) if value.is_integer() else value
            for name, value in zip(columns, row, strict=True)
            if value == value  # not NaN
        }
        for row in values.tolist()
    ]


def _shortest(column: pd.Series[Any]) -> np.ndarray:
    """A column as float64 with the shortest decimals that give the stored number back."""
    if column.dtype == np.float32:
        return np.array([float(str(value)) for value in column.to_numpy()], dtype=np.float64)
    return column.to_numpy(np.float64, na_value=np.nan)


def _polygon(contours: Contours, index: int, touching: np.ndarray) -> dict[str, Any] | None:
    """Outline `index` as a closed GeoJSON polygon, or None where there is no ring."""
    points = contours.ring(index).tolist()
    if not points:
        return None
    points.append(points[0])
    return _mended(points) if touching[index] else {"type": "Polygon", "coordinates": [points]}


def _touching(contours: Contours) -> np.ndarray:
    """bool (n,): outlines that come by one corner twice, which no polygon may."""
    owner = np.repeat(np.arange(len(contours)), np.diff(contours.offsets))
    x, y = contours.vertices.T
    order = np.lexsort((y, x, owner))
    same = (np.diff(owner[order]) == 0) & (np.diff(x[order]) == 0) & (np.diff(y[order]) == 0)
    touching = np.zeros(len(contours), bool)
    touching[owner[order][1:][same]] = True
    return touching


def _mended(points: list[list[int]]) -> dict[str, Any]:
    """A ring that touches itself at a corner, as the valid polygon or polygons of the same area."""
    import shapely

    whole = shapely.make_valid(shapely.Polygon(points))
    shape: dict[str, Any] = shapely.geometry.mapping(whole)
    return shape
