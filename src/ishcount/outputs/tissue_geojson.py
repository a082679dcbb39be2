"""`tissue.geojson`: outlines, tissue with its holes, artefacts and compartments as QuPath annotations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    rows, cols = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if len(rows) == 0:
        return []
    corner = int(rows[0]), int(cols[0])
    mask = mask[corner[0] : rows[-1] + 1, corner[1] : cols[-1] + 1]
    pieces, n = ndimage.label(mask)
    polygons = [[ring] for ring in _rings(pieces, range(1, n + 1), factor, corner)]
    gaps, n_gaps = ndimage.label(np.pad(~mask, 1, constant_values=True), structure=np.ones((3, 3), int))
    gaps = np.ascontiguousarray(gaps[1:-1, 1:-1])
    gaps[gaps == 1] = 0  # gap 1 holds the padded corner: all that is outside
    within = np.flatnonzero(gaps)
    first = within[np.unique(gaps.ravel()[within], return_index=True)[1]]  # cell of each gap
    for place, ring in zip(first, _rings(gaps, range(2, n_gaps + 1), factor, corner), strict=True):
        row, col = divmod(int(place), mask.shape[1])
        polygons[pieces[row - 1, col] - 1].append(ring)
    return polygons


def _rings(
    labels: NDArray[np.int32], ids: Sequence[int], factor: int, corner: tuple[int, int]
) -> list[list[list[int]]]:
    """The outer ring of each label; `corner`: row and column of the labels' first cell."""
    traced = trace_contours(
        labels.view(np.uint32),
        np.array(ids, np.int64),
        factor=factor,
        origin_row=corner[0],
        origin_col=corner[1],
    )
    rings = [traced.ring(place).tolist() for place in range(len(traced))]
    return [[*ring, ring[0]] for ring in rings]
