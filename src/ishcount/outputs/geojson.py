"""`cells.geojson`: every cell as a QuPath cell detection with its nucleus, class and measurements.

Coordinates are level-0 pixels from the corner of pixel (0, 0), which is QuPath's own convention. QuPath opens
the file with File > Import objects from file, or by drag and drop on the slide.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import pairwise
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
    space = uuid.uuid5(uuid.NAMESPACE_URL, f"ishcount:{slide_digest}")
    with replacing(path) as temporary, open(temporary, "wb") as file:
        file.write(b'{"type":"FeatureCollection","features":[')
        before = "\n"
        for piece, rows in _pieces(cells, nuclei):
            features = _features(rows, markers, pixel_size, piece, space)
            file.write("".join([before + feature for feature in features[:1]]).encode())
            file.write("".join([",\n" + feature for feature in features[1:]]).encode())
            before = ",\n"
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
    rows: pd.DataFrame, markers: Sequence[str], pixel_size: PixelSize, nuclei: Contours, space: uuid.UUID
) -> list[str]:
    """The cells as GeoJSON text. Written out by hand, since this is the slowest of all outputs."""
    x, y = (rows["x_um"] / pixel_size.x_um).tolist(), (rows["y_um"] / pixel_size.y_um).tolist()
    shapes = _shapes(nuclei)
    parts = zip(
        rows["cell_id"].tolist(), shapes, _classes(rows, markers), _measurements(rows, markers),
        _metadata(rows), strict=True,
    )  # fmt: skip
    features = []
    for i, (cell_id, shape, classification, measures, metadata) in enumerate(parts):
        place = shape or f'{{"type":"Point","coordinates":[{x[i]!r},{y[i]!r}]}}'
        nucleus = f'"nucleusGeometry":{shape},' if shape else ""
        features.append(
            f'{{"type":"Feature","id":"{_id(space, cell_id)}","geometry":{place},{nucleus}"properties":{{'
            f'"objectType":"cell","classification":{classification},"isLocked":false,'
            f'"measurements":{{"cell_id":{cell_id}{measures}}},"metadata":{metadata}}}}}'
        )
    return features


def _id(space: uuid.UUID, cell_id: int) -> str:
    """`uuid.uuid5(space, str(cell_id))` as text."""
    digest = hashlib.sha1(space.bytes + str(cell_id).encode(), usedforsecurity=False).digest()
    number = digest[:6] + bytes([digest[6] & 0x0F | 0x50, digest[7], digest[8] & 0x3F | 0x80]) + digest[9:16]
    text = number.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _classes(rows: pd.DataFrame, markers: Sequence[str]) -> list[str]:
    """The QuPath class of each cell: the markers it is positive for (`A: B` for two), or Negative."""
    positive = np.column_stack([rows[f"{marker}_positive"].to_numpy(bool) for marker in markers])
    known: dict[bytes, str] = {}
    for pattern in np.unique(positive, axis=0):
        found = [marker for marker, yes in zip(markers, pattern, strict=True) if yes]
        colour = marker_rgb(markers.index(found[0])) if found else NEGATIVE_RGB
        label = {"names": found} if len(found) > 1 else {"name": found[0] if found else "Negative"}
        known[pattern.tobytes()] = _json({**label, "color": list(colour)})
    return [known[row.tobytes()] for row in positive]


def _metadata(rows: pd.DataFrame) -> list[str]:
    """Compartment and doubts of each cell; few combinations occur, and spelling one out asks every bit."""
    spelt = cache(lambda name, bits: _json({"compartment": str(name), "flags": names(int(bits))}))
    return [spelt(*pair) for pair in zip(rows["compartment"].fillna(""), rows["flags"].tolist(), strict=True)]


def _measurements(rows: pd.DataFrame, markers: Sequence[str]) -> list[str]:
    """Numbers of each cell, each with a comma before; missing ones are left out: QuPath takes only
    numbers."""
    columns = list(_MEASURES)
    columns += [
        f"{marker}_{name}" for marker in markers for name in ("dots", "dots_nucleus", "copies", "score")
    ]
    texts = []
    for name in columns:
        before, values = f",{_json(name)}:", rows[name].to_numpy()
        if values.dtype.kind in "iu":
            texts.append([f"{before}{value}" for value in values.tolist()])
        else:  # float32 through its own text: a score of 0.9 and not 0.8999999761581421
            numbers = map(str, values)
            texts.append(["" if n == "nan" else before + n.removesuffix(".0") for n in numbers])
    return ["".join(row) for row in zip(*texts, strict=True)]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _shapes(contours: Contours) -> list[str]:
    """Each outline as a closed GeoJSON polygon; empty where there is no ring."""
    shapes, touching = [], _touching(contours)
    corners = [f"[{x},{y}]" for x, y in contours.vertices.tolist()]
    for i, (start, stop) in enumerate(pairwise(contours.offsets.tolist())):
        if start == stop:
            shapes.append("")
        elif touching[i]:
            shapes.append(_mended(contours.ring(i).tolist()))
        else:
            ring = ",".join(corners[start:stop])
            shapes.append(f'{{"type":"Polygon","coordinates":[[{ring},{corners[start]}]]}}')
    return shapes


def _touching(contours: Contours) -> np.ndarray:
    """bool (n,): outlines that come by one corner twice, which no polygon may."""
    owner = np.repeat(np.arange(len(contours)), np.diff(contours.offsets))
    x, y = contours.vertices.T
    order = np.lexsort((y, x, owner))
    same = (np.diff(owner[order]) == 0) & (np.diff(x[order]) == 0) & (np.diff(y[order]) == 0)
    touching = np.zeros(len(contours), bool)
    touching[owner[order][1:][same]] = True
    return touching


def _mended(points: list[list[int]]) -> str:
    """A ring that touches itself at a corner, as the valid polygon or polygons of the same area."""
    import shapely

    return _json(shapely.geometry.mapping(shapely.make_valid(shapely.Polygon(points))))
