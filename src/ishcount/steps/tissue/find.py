"""Sections, tissue, holes, pen, dust, bubbles and dried edges of one slide as one raster."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from ishcount.core.colours import mean_of_colours
from ishcount.core.flags import Flag
from ishcount.core.settings import Settings
from ishcount.core.tissue_map import RegionKind, TissueMap
from ishcount.core.units import PixelSize
from ishcount.steps.tissue.crumbs import DOUBTFUL_SHARE, between_crumbs
from ishcount.steps.tissue.debris import find_bubbles, find_dust
from ishcount.steps.tissue.drying import find_dried_edge
from ishcount.steps.tissue.extent import fill_pinholes, find_extent
from ishcount.steps.tissue.glass import Glass, find_glass, matter_window, overview_od
from ishcount.steps.tissue.ink import find_ink, find_ink_rim
from ishcount.steps.tissue.sections import fill_outlines, number_sections
from ishcount.steps.tissue.stroke import find_strokes

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]


class TissueParams(Settings):
    """How tissue is told from glass, and sections from debris."""

    smooth_um: float = Field(
        3.0,
        gt=0,
        le=20,
        description="standard deviation of the smoothing of mean optical density, um: over gaps between "
        "fibres, not over clefts",
    )
    edge_height: float = Field(
        0.5,
        gt=0,
        lt=1,
        description="tissue ends where optical density falls to this share of that of the tissue beside it",
    )
    edge_height_spread: float = Field(
        0.15,
        ge=0,
        lt=0.5,
        description="area_low and area_high move that share up and down by this: what readers of a blurred "
        "edge differ by",
    )
    rim_um: float = Field(
        6.0, gt=0, le=100, description="width of the edge zone that is trimmed, um: how far smoothing reaches"
    )
    min_od: float = Field(
        0.008,
        gt=0,
        lt=1,
        description="mean optical density under which nothing is tissue: empty glass stays under .006 "
        "(99 % of its cells on 18 real fields), the palest cytoplasm reaches .014",
    )
    pinhole_um2: float = Field(
        120.0, ge=0, description="enclosed gaps up to this area are filled: the shrinkage round one nucleus"
    )
    section_gap_um: float = Field(
        150.0, ge=0, description="pieces nearer than this belong to one section; serial levels lie farther"
    )
    cleft_mouth_um: float = Field(
        40.0, ge=0, description="clefts open to the outside by less than this lie inside the outline"
    )
    min_section_um2: float = Field(
        150.0,
        ge=0,
        description="a section has a piece of at least this area, um2: one or two cells; the smallest true "
        "fleck seen covers 230",
    )
    min_section_share: float = Field(
        0.01, ge=0, le=1, description="a section under this share of the largest is debris, not a level"
    )
    min_ink_um2: float = Field(
        2000.0, ge=0, description="pen marks hold at least this much solid ink, um2: 50 um across"
    )


def find_tissue(
    overview: npt.NDArray[np.uint8],
    valid: Mask,
    pixel_size: PixelSize,
    factor: int,
    params: TissueParams = TissueParams(),
    *,
    width_px: int,
    height_px: int,
) -> TissueMap:
    """The tissue map of one slide, without annotations or compartments.

    overview: uint8 (h, w, 3), block means of `factor` level-0 pixels; valid: bool (h, w), False where pixels
    are missing. pixel_size, width_px, height_px: of level 0. A slide without glass is tissue all over; one
    without tissue has no section. Mean optical density is cut at half height between glass and the tissue
    beside it (docs/methods.md). AREA_DOUBTFUL is set where nuclei lie in what looks like glass.
    """
    cell = pixel_size.scaled(factor)
    glass = find_glass(overview, valid)
    window = matter_window(glass)
    part = replace(glass, cells=glass.cells[window])
    found = _judged(np.ascontiguousarray(overview[window]), valid[window], part, cell, params)
    kind, outline, low, high = (np.zeros(valid.shape, plane.dtype) for plane in found)
    for whole, plane in zip((kind, outline, low, high), found, strict=True):
        whole[window] = plane
    kind[~valid] = RegionKind.DAMAGED
    held = kind[window]
    free = (held == RegionKind.GLASS) | (held == RegionKind.HOLE)
    doubtful = between_crumbs(held == RegionKind.TISSUE, free, cell_um=cell.mean_um) > DOUBTFUL_SHARE
    return TissueMap(
        kind=kind,
        section=outline,
        compartment=np.zeros(kind.shape, np.uint8),
        compartment_names=("",),
        low=low,
        high=high,
        depth_um=None,
        factor_px=factor,
        width_px=width_px,
        height_px=height_px,
        pixel_size=pixel_size,
        flags=int(Flag.AREA_DOUBTFUL) if doubtful else 0,
    )


def _judged(
    overview: npt.NDArray[np.uint8], valid: Mask, glass: Glass, cell: PixelSize, params: TissueParams
) -> tuple[Array, Array, Mask, Mask]:
    """`kind`, `section`, `low` and `high` of the map."""
    cell_um2 = cell.area_um2(1)
    od = overview_od(overview, glass)
    od[~valid] = 0
    kind = np.zeros(valid.shape, np.uint8)
    kind[find_ink(od, cell_um=cell.mean_um, min_area_um2=params.min_ink_um2)] = RegionKind.PEN
    kind[find_strokes(od, cell_um=cell.mean_um)] = RegionKind.PEN
    kind[find_bubbles(od, cell_um=cell.mean_um)] = RegionKind.BUBBLE
    spread = params.edge_height_spread
    extent = find_extent(
        np.where(kind > RegionKind.GLASS, 0, mean_of_colours(od)).astype(np.float32),
        glass,
        smooth_cells=cell.to_px(params.smooth_um),
        rim_cells=cell.to_px(params.rim_um),
        cell_um2=cell_um2,
        min_od=params.min_od,
        pinhole_um2=params.pinhole_um2,
        heights=(params.edge_height, params.edge_height + spread, params.edge_height - spread),
    )
    free = valid & (kind == RegionKind.GLASS)
    tissue = fill_pinholes(extent.middle & free, params.pinhole_um2 / cell_um2) & free
    kind[find_ink_rim(tissue, kind == RegionKind.PEN, cell_um=cell.mean_um)] = RegionKind.PEN
    tissue &= kind == RegionKind.GLASS
    kind[find_dust(od, tissue, cell_um=cell.mean_um)] = RegionKind.DUST
    tissue &= kind == RegionKind.GLASS
    section = number_sections(
        tissue,
        gap_cells=cell.to_px(params.section_gap_um),
        min_cells=params.min_section_um2 / cell_um2,
        min_share=params.min_section_share,
    )
    kind[tissue] = np.where(section[tissue] > 0, RegionKind.TISSUE, RegionKind.DUST)
    outline = fill_outlines(section, mouth_cells=cell.to_px(params.cleft_mouth_um))
    kind[(outline > 0) & (kind == RegionKind.GLASS)] = RegionKind.HOLE
    dried = find_dried_edge(od, kind == RegionKind.TISSUE, outline > 0, cell_um=cell.mean_um)
    kind[dried] = RegionKind.EDGE_DRYING
    holes = params.pinhole_um2 / cell_um2
    return kind, outline, fill_pinholes(extent.inner & free, holes), fill_pinholes(extent.outer & free, holes)
