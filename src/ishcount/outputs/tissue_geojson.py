"""`tissue.geojson`: outlines, tissue with its holes, artefacts and compartments as QuPath annotations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ishcount.outputs.contours import trace_contours

Mask = NDArray[np.bool_]


def tissue_geojson(
    sections: NDArray[np.uint16],
    tissue: Mask,
    compartments: Mapping[str, Mask],
    artefacts: Mapping[str, Mask],
    *,
    factor: int,
) -> dict[str, Any]:
    """A feature collection in level-0 pixels from the corner of pixel (0, 0).

    All rasters are (h, w) with `factor` level-0 pixels a cell. Each section gives an outline, each class one
    multipolygon whose area is exactly that of its cells.
    """
    features = [
        _feature(f"Section {number}", _polygons(sections == number, factor), outline=True)
        for number in range(1, int(sections.max(initial=0)) + 1)
    ]
    named = {
        "Tissue": tissue,
        **compartments,
        **{f"Ignore: {name}*": mask for name, mask in artefacts.items()},
    }
    features += [_feature(name, _polygons(mask, factor)) for name, mask in named.items()]
    return {"type": "FeatureCollection", "features": [feature for feature in features if feature]}


def _feature(
    name: str, polygons: list[list[list[list[int]]]], *, outline: bool = False
) -> dict[str, Any] | None:
    if not polygons:
        return None
    single = len(polygons) == 1
    properties: dict[str, Any] = {"objectType": "annotation", "name": name, "isLocked": True}
    if not outline:
        properties["classification"] = {"name": name}
    geometry = {
        "type": "Polygon" if single else "MultiPolygon",
        "coordinates": polygons[0] if single else polygons,
    }
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def _polygons(mask: Mask, factor: int) -> list[list[list[list[int]]]]:
    """Outer ring and holes of each piece (joined by edges)."""
    pieces, n = ndimage.label(mask)
    if n == 0:
        return []
    outer = _rings(pieces, n, factor)
    gaps, n_gaps = ndimage.label(np.pad(~mask, 1, constant_values=True), structure=np.ones((3, 3), int))
    gaps = gaps[1:-1, 1:-1]
    inside = list(range(2, n_gaps + 1))  # gap 1 holds the padded corner: all that is outside
    polygons = [[ring] for ring in outer]
    for gap, ring in zip(
        inside, _rings(np.where(np.isin(gaps, inside), gaps, 0), n_gaps, factor, inside), strict=True
    ):
        row, col = np.argwhere(gaps == gap)[0]
        polygons[pieces[row - 1, col] - 1].append(ring)
    return polygons


def _rings(labels: NDArray[Any], n: int, factor: int, ids: list[int] | None = None) -> list[list[list[int]]]:
    wanted = np.arange(1, n + 1) if ids is None else np.array(ids, np.int64)
    traced = trace_contours(labels.astype(np.uint32), wanted, factor=factor)
    rings = [traced.ring(place).tolist() for place in range(len(traced))]
    return [[*ring, ring[0]] for ring in rings]
