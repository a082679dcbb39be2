"""The user's annotations laid over the tissue map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from ishcount.core.annotations import Annotation
from ishcount.core.errors import SlideError
from ishcount.core.tissue_map import RegionKind, TissueMap

MAX_COMPARTMENTS = 255  # the raster is uint8


def annotate(tissue: TissueMap, annotations: Sequence[Annotation]) -> TissueMap:
    """The map limited to areas without a class, without what is excluded, with classes as compartments.

    A cell belongs to an area when its centre does. Where compartments overlap the smaller one (by its own
    area) wins; a compartment named by the user replaces one found automatically. Tissue outside the limits
    or under an exclusion becomes EXCLUDED.
    """
    kind = tissue.kind.copy()
    limits = [a.geometry for a in annotations if a.role == "limit"]
    taken_out = [a.geometry for a in annotations if a.role == "exclude"]
    outside = np.zeros(kind.shape, np.bool_)
    if limits:
        outside |= ~_cells_in(shapely.union_all(limits), tissue)
    if taken_out:
        outside |= _cells_in(shapely.union_all(taken_out), tissue)
    kind[outside & (tissue.section > 0)] = RegionKind.EXCLUDED
    names, places = _named(tissue, annotations)
    return replace(
        tissue,
        kind=kind,
        compartment=places,
        compartment_names=names,
        low=tissue.low & ~outside,
        high=tissue.high & ~outside,
    )


def _named(
    tissue: TissueMap, annotations: Sequence[Annotation]
) -> tuple[tuple[str, ...], npt.NDArray[np.uint8]]:
    """Compartment names and raster with the user's classes painted from the largest area to the smallest."""
    names, places = list(tissue.compartment_names), tissue.compartment.copy()
    classes = [a for a in annotations if a.role == "compartment"]
    for annotation in sorted(classes, key=lambda a: (-a.geometry.area, a.name)):
        if annotation.name not in names:
            if len(names) > MAX_COMPARTMENTS:
                raise SlideError(
                    f"the annotations name more than {MAX_COMPARTMENTS} classes; use fewer", "E_ANNOT"
                )
            names.append(annotation.name)
        places[_cells_in(annotation.geometry, tissue)] = names.index(annotation.name)
    return tuple(names), places


def _cells_in(geometry: BaseGeometry, tissue: TissueMap) -> npt.NDArray[np.bool_]:
    """Cells whose centre lies in `geometry` (level-0 pixels)."""
    inside = np.zeros(tissue.kind.shape, np.bool_)
    bounds: Any = np.array(geometry.bounds) / tissue.factor_px - 0.5
    rows, cols = inside.shape
    x0, y0 = (int(np.clip(np.ceil(bounds[i]), 0, n)) for i, n in ((0, cols), (1, rows)))
    x1, y1 = (int(np.clip(np.floor(bounds[i]) + 1, 0, n)) for i, n in ((2, cols), (3, rows)))
    if x0 >= x1 or y0 >= y1:
        return inside
    x = (np.arange(x0, x1) + 0.5) * tissue.factor_px
    y = (np.arange(y0, y1) + 0.5) * tissue.factor_px
    shapely.prepare(geometry)
    inside[y0:y1, x0:x1] = shapely.contains_xy(geometry, *np.meshgrid(x, y))
    return inside
