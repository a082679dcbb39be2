"""Before counting: pixel size, tissue map, and what is learned once from sampled windows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ishcount.core.errors import SlideError
from ishcount.core.flags import Flag, names
from ishcount.core.geometry import Region
from ishcount.core.optical_density import block_mean, coarse, separate
from ishcount.core.stain_model import StainModel
from ishcount.core.tissue_map import RegionKind, TissueMap
from ishcount.core.units import PixelSize
from ishcount.quantify.divide import as_asked
from ishcount.quantify.job import (
    Plan,
    SlideJob,
    block_px,
    grid,
    grid_factor,
    overview_factor,
    write_maps,
    write_plan,
)
from ishcount.slide.calibration import pixel_size_conflict, resolve_pixel_size
from ishcount.slide.open import open_slide
from ishcount.slide.overview import read_overview
from ishcount.slide.protocol import Slide
from ishcount.steps.colour_shift import ColourShift, in_register
from ishcount.steps.dense_stain import dense_share
from ishcount.steps.dots import measure_noise
from ishcount.steps.evidence import COARSE_UM
from ishcount.steps.nuclei import calibrate_nuclei
from ishcount.steps.stains import estimate_white, learn_stains, refuse_dark_field
from ishcount.steps.tissue import find_tissue

Rgb = npt.NDArray[np.uint8]


def prepare(job: SlideJob) -> Plan:
    """Open the slide, find its tissue, learn its colours and thresholds, list its blocks; keep all of it.

    Compartments wait: no block asks for them, so they are found while blocks are counted (`divide`).
    """
    with open_slide(job.slide) as slide:
        pixel_size, source = resolve_pixel_size(slide, sheet_mpp=job.sheet_mpp, option_mpp=job.option_mpp)
        factor = overview_factor(pixel_size)
        overview, valid, overview_source = read_overview(slide, factor)
        refuse_unreadable(valid)
        refuse_dark_field(overview)
        tissue = find_tissue(
            overview,
            valid,
            pixel_size,
            factor,
            job.params.tissue,
            width_px=slide.width,
            height_px=slide.height,
        )
        white, white_source = estimate_white(overview, (tissue.kind == RegionKind.GLASS) & valid)
        whole, tissue = tissue, as_asked(tissue, job)
        windows, shift = in_register(read_windows(slide, tissue, pixel_size, job))
        stains = learn_stains(
            windows, white, [chromogen for _, chromogen in job.markers], pixel_size, job.params.stains,
            white_source=white_source,
        )  # fmt: skip
        plan = _learn(job, slide, tissue, stains, shift, windows, pixel_size, source, overview_source)
    write_maps(job, tissue, whole, overview)
    write_plan(job, plan)
    return plan


def refuse_unreadable(valid: npt.NDArray[np.bool_]) -> None:
    """SlideError E_TILE when less than half of the slide can be read: what is left is no slide."""
    readable = float(valid.mean()) if valid.size else 0.0
    if readable < 0.5:
        raise SlideError(
            f"only {readable:.0%} of the slide can be read; scan or copy the file again", "E_TILE"
        )


def read_windows(slide: Slide, tissue: TissueMap, pixel_size: PixelSize, job: SlideJob) -> list[Rgb]:
    """Level-0 squares at least half of which is tissue, in reading order; fixed by the slide alone.

    They lie on a lattice about the slide's centre, and of a small section all are read, so that turning it
    does not move what is learned; of a larger one as many as asked, spread evenly.
    """
    step = grid_factor(pixel_size)
    side = step * max(1, round(pixel_size.to_px(job.params.blocks.window_um) / step))
    left, top = (size // 2 // step * step % side - side for size in (slide.width, slide.height))
    (row, first_row), (col, first_col) = (
        np.unique(((np.arange(n) + 0.5) * tissue.factor_px - origin) // side, return_index=True)
        for n, origin in zip(tissue.kind.shape, (top, left), strict=True)
    )
    inside = np.add.reduceat(tissue.kind == RegionKind.TISSUE, first_row, axis=0, dtype=np.int32)
    inside = np.add.reduceat(inside, first_col, axis=1) * tissue.factor_px**2
    squares = np.argwhere(inside >= min(side**2 / 2, max(1, inside.max(initial=0))))
    n = job.params.blocks.n_windows
    if len(squares) > n:
        squares = squares[(2 * np.arange(n) + 1) * len(squares) // (2 * n)]
    windows = []
    for i, j in squares:
        square = Region(left + int(col[j]) * side, top + int(row[i]) * side, side, side)
        rgb, valid = slide.read_masked(square.clip(slide.width, slide.height))
        if valid.all():
            windows.append(rgb)
    return windows


def _learn(
    job: SlideJob,
    slide: Slide,
    tissue: TissueMap,
    stains: StainModel,
    shift: ColourShift,
    windows: Sequence[Rgb],
    pixel_size: PixelSize,
    source: str,
    overview_source: str,
) -> Plan:
    tables = stains.tables()
    planes = [separate(window, tables) for window in windows]
    factor = grid_factor(pixel_size)
    grid_planes = [separate(block_mean(window, factor), tables) for window in windows]
    side = block_px(pixel_size, job.params.blocks.block_um)
    blocks = [
        block for block in grid(slide.width, slide.height, pixel_size, side)
        if tissue.section[_cells(block.core, tissue.factor_px)].any()
    ]  # fmt: skip
    conflict = pixel_size_conflict(slide, pixel_size)
    return Plan(
        width=slide.width,
        height=slide.height,
        pixel_size=pixel_size,
        mpp_source=source,
        grid_factor=factor,
        block_px=side,
        stains=stains,
        colour_shift=shift,
        noise=tuple(
            measure_noise([np.ascontiguousarray(p[1 + k]) for p in planes], pixel_size, job.params.dots)
            for k in range(len(job.markers))
        ),
        nuclei=calibrate_nuclei(
            [coarse(p[0]) for p in grid_planes], pixel_size.scaled(factor), job.params.nuclei
        ),
        keys=tuple(block.key for block in blocks),
        megapixels=sum(block.core.width * block.core.height for block in blocks) / 1e6,
        flags=tuple(
            names(_flags(job, slide, tissue, stains, pixel_size, overview_source, conflict)).split(";")
        ),
        about={
            "format": slide.format,
            "reader": slide.reader,
            "levels": len(slide.levels),
            "icc_profile_ignored": slide.icc,
            "chroma_subsampling": slide.chroma_subsampling,
            "overview": overview_source,
            "dense_share": [
                dense_share([p[[0, k]] for p in grid_planes], factor * pixel_size.mean_um, diffuse_od)
                for k, diffuse_od in enumerate(stains.diffuse_od[1:], start=1)
            ],
            "warnings": [*slide.warnings, *([conflict] if conflict else [])],
        },
    )


def _cells(region: Region, factor: int) -> tuple[slice, slice]:
    cells = region.coarser(factor)
    return slice(cells.y, cells.y_end), slice(cells.x, cells.x_end)


def _flags(
    job: SlideJob,
    slide: Slide,
    tissue: TissueMap,
    stains: StainModel,
    pixel_size: PixelSize,
    overview_source: str,
    conflict: str,
) -> Flag:
    coarse_pixels = pixel_size.mean_um > COARSE_UM
    doubts = {
        Flag.NO_TISSUE: not np.any(tissue.kind == RegionKind.TISSUE),
        Flag.NO_GLASS: stains.white_source != "glass",
        Flag.STAIN_MISMATCH: bool(stains.mismatch),
        Flag.STAIN_ILL_CONDITIONED: bool(stains.ill_conditioned),
        Flag.STAIN_PRIOR_ONLY: "reference" in stains.sources[1:],
        Flag.COARSE_PIXELS: coarse_pixels,
        Flag.CHROMA_SUBSAMPLED: coarse_pixels and slide.chroma_subsampling == (2, 2),
        Flag.OVERVIEW_FROM_LEVEL_0: overview_source == "level 0" and len(slide.levels) > 1,
        Flag.REGION_ONLY: job.region_um is not None,
        Flag.PIXEL_SIZE_DOUBTFUL: bool(conflict),
    }
    flags = Flag(0)
    for flag, raised in doubts.items():
        flags |= flag if raised else Flag(0)
    return flags | Flag(tissue.flags)
