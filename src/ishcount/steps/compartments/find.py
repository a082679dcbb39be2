"""Compartments of skin on the tissue map: epidermis, stratum corneum, dermis."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import ndimage

from ishcount.core.flags import Flag
from ishcount.core.optical_density import to_od
from ishcount.core.settings import Settings
from ishcount.core.tissue_map import RegionKind, TissueMap
from ishcount.steps.compartments.junction import (
    depth_below,
    detached_share,
    epidermis_length_um,
    surface_length_um,
)
from ishcount.steps.compartments.layers import NAMES, find_layers, outside, without_strip

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]

MIN_SURFACE_UM = 200.0  # a band without so much free surface is a fold or a rim, not epidermis


class CompartmentParams(Settings):
    """How skin is divided."""

    automatic: bool = Field(
        True, description="find the epidermis and what follows from it; else annotations only"
    )
    detached_share: float = Field(
        0.15, gt=0, lt=1, description="share of the junction over a gap from which the length is flagged"
    )
    papillary_um: float = Field(
        0.0, ge=0, description="a band of this depth below the junction is its own compartment; 0: none"
    )


def find_compartments(
    tissue: TissueMap,
    overview: npt.NDArray[np.uint8],
    white: npt.ArrayLike,
    params: CompartmentParams = CompartmentParams(),
) -> TissueMap:
    """The map with `compartment`, `depth_um`, `epidermis_mm` and its flags filled in.

    overview: uint8 (h, w, 3), the picture the map was made from; white: (R, G, B) of glass. A section
    without epidermis has no compartment and no depth; when no section has one, `epidermis_mm` is None and
    NO_EPIDERMIS is set. Holes belong to the compartment nearest to them. Depth is signed, negative above
    the junction.
    """
    if not params.automatic:
        return tissue
    cell = tissue.pixel_size.scaled(tissue.factor_px)
    place = np.zeros(tissue.kind.shape, np.uint8)
    depth = np.full(tissue.kind.shape, np.nan, np.float32)
    length, detached = 0.0, 0.0
    margin = int(np.ceil(60 / cell.mean_um))
    for number, box in enumerate(ndimage.find_objects(tissue.section.astype(np.int32)), start=1):
        if box is None:
            continue
        window = tuple(slice(max(0, part.start - margin), part.stop + margin) for part in box)
        outline = tissue.section[window] == number
        solid = outline & (tissue.kind[window] == RegionKind.TISSUE)
        hole = outline & (tissue.kind[window] == RegionKind.HOLE)
        od = np.maximum(to_od(overview[window], white), 0).astype(np.float32)
        codes = find_layers(od, solid, outline, cell.mean_um)
        size = (cell.y_um, cell.x_um)
        surface = _surface_um(codes, solid, hole, outline, size, cell.mean_um)
        if (codes > 0).any() and surface < MIN_SURFACE_UM:
            codes = without_strip(codes, outline, cell.mean_um)
            surface = _surface_um(codes, solid, hole, outline, size, cell.mean_um)
            surface = surface if surface >= 2 * MIN_SURFACE_UM else 0.0  # surer than where nothing was mended
        if surface < MIN_SURFACE_UM:
            continue
        epidermis, horn = (codes == NAMES.index(name) for name in ("epidermis", "stratum_corneum"))
        dermis = solid & ~epidermis & ~horn  # all that lies below the junction
        below = depth_below(epidermis | horn, dermis, size)
        length += _length_um(codes, solid, hole, outline, size, cell.mean_um)
        detached = max(detached, detached_share(epidermis, dermis, hole))
        codes = _papillary(codes, below, params.papillary_um)
        nearest = ndimage.distance_transform_edt(codes == 0, return_distances=False, return_indices=True)
        place[window] = np.where(outline, codes[tuple(nearest)], place[window])
        depth[window] = np.where(solid, below, depth[window])
    found = bool(place.any())
    flags = Flag(tissue.flags) | (Flag(0) if found else Flag.NO_EPIDERMIS)
    if detached > params.detached_share:
        flags |= Flag.EPIDERMIS_DETACHED
    names = (*NAMES, "papillary_dermis") if params.papillary_um > 0 else NAMES
    return replace(
        tissue,
        compartment=place,
        compartment_names=names if found else tissue.compartment_names,
        depth_um=depth if found else None,
        epidermis_mm=length / 1000 if found else None,
        flags=int(flags),
    )


def _surface_um(
    codes: Array, solid: Mask, hole: Mask, outline: Mask, size: tuple[float, float], cell_um: float
) -> float:
    """Length of the free face, by which an epidermis is told from a fold or a rim."""
    epidermis, _, inner = _faces(codes, solid, outline, cell_um)
    return surface_length_um(epidermis, inner, hole, size) if epidermis.any() else 0.0


def _length_um(
    codes: Array, solid: Mask, hole: Mask, outline: Mask, size: tuple[float, float], cell_um: float
) -> float:
    epidermis, horn, inner = _faces(codes, solid, outline, cell_um)
    return epidermis_length_um(epidermis, horn, inner, hole, size)


def _faces(codes: Array, solid: Mask, outline: Mask, cell_um: float) -> tuple[Mask, Mask, Mask]:
    """Epidermis, horn, and what lies under them: what was called dermis but lies outside hides no surface."""
    epidermis, horn = (codes == NAMES.index(name) for name in ("epidermis", "stratum_corneum"))
    return epidermis, horn, solid & ~epidermis & ~horn & ~outside(epidermis, outline, cell_um)


def _papillary(codes: Array, depth: Array, band_um: float) -> Array:
    band = (codes == NAMES.index("dermis")) & (depth <= band_um)
    return np.where(band & (band_um > 0), len(NAMES), codes).astype(np.uint8)
