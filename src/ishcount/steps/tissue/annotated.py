"""The user's annotations laid over the tissue map."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

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
    area) wins; a compartment named by the user replaces one found automatically. What lies outside the limits
    no longer belongs to the slide; what is excluded stays inside the outline as EXCLUDED.
    """
    limits = [a.geometry for a in annotations if a.role == "limit"]
    if limits:
        tissue = tissue.only_cells(_cells_in(shapely.union_all(limits), tissue))
    excluded = np.zeros(tissue.kind.shape, np.bool_)
    for annotation in annotations:
        if annotation.role == "exclude":
            excluded |= _cells_in(annotation.geometry, tissue)
    kind = np.where(excluded & (tissue.section > 0), RegionKind.EXCLUDED, tissue.kind).astype(np.uint8)
    names, places = _named(tissue, annotations)
    return replace(
        tissue,
        kind=kind,
        compartment=places,
        compartment_names=names,
        low=tissue.low & ~excluded,
        high=tissue.high & ~excluded,
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
    left, top, right, bottom = (value / tissue.factor_px - 0.5 for value in geometry.bounds)
    x0, x1 = max(0, math.ceil(left)), min(tissue.kind.shape[1], math.floor(right) + 1)
    y0, y1 = max(0, math.ceil(top)), min(tissue.kind.shape[0], math.floor(bottom) + 1)
    if x0 >= x1 or y0 >= y1:
        return inside
    x = (np.arange(x0, x1) + 0.5) * tissue.factor_px
    y = (np.arange(y0, y1) + 0.5) * tissue.factor_px
    shapely.prepare(geometry)
    inside[y0:y1, x0:x1] = shapely.contains_xy(geometry, *np.meshgrid(x, y))
    return inside
