"""One block: read once, separate stains, nuclei and dot candidates; keep what the block owns.

A block owns what has its deciding pixel (dot peak, rounded nucleus centroid) in its core; cores partition the
slide. The partial file holds plain arrays; positions are already those of the whole slide.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ishcount.core import files
from ishcount.core.geometry import Block, Region
from ishcount.core.optical_density import block_mean, separate
from ishcount.core.stain_model import angle_deg
from ishcount.core.tables import DOT_REASONS
from ishcount.core.tissue_map import TissueMap
from ishcount.quantify.focus import block_focus
from ishcount.quantify.job import Plan, SlideJob, read_plan, read_tissue
from ishcount.quantify.network import nuclei_of_block
from ishcount.slide.open import open_slide
from ishcount.slide.protocol import Slide
from ishcount.steps.cells import runs_of
from ishcount.steps.colour_shift import registered
from ishcount.steps.dots import FEATURE_NAMES, Candidates, find_candidates
from ishcount.steps.evidence import CONTEXT_UM, reject_reasons, score_candidates
from ishcount.steps.nuclei import Nuclei

Arrays = dict[str, npt.NDArray[Any]]
BROWN = ("dab",)


@dataclass(frozen=True)
class BlockDone:
    """What a worker reports of a finished block."""

    key: str
    megapixels: float


@lru_cache(maxsize=1)
def _slide(path: str, _process_slot: int = 0) -> Slide:
    """The slide this process is reading, kept open from block to block."""
    return open_slide(path)


def close_slide() -> None:
    """Give back the slide that this process keeps open."""
    if _slide.cache_info().currsize:
        _slide.cache_clear()


def block_path(job: SlideJob, key: str) -> Path:
    """Where a block's partial file lies."""
    return job.work / "blocks" / f"{key}.npz"


def count_block(job: SlideJob, key: str) -> BlockDone:
    """Count one block of a prepared slide and write its partial file."""
    plan, tissue = read_plan(job), read_tissue(job)
    block = plan.blocks[key]
    rgb, valid = _slide(job.slide).read_masked(block.read)
    arrays = damaged_cells(valid, block, tissue)
    rgb = registered(rgb, plan.colour_shift)
    tables = plan.stains.tables()
    grid_rgb = block_mean(rgb, plan.grid_factor)
    arrays["focus"] = block_focus(grid_rgb, block, plan, tissue.factor_px)
    planes, grid_planes = separate(rgb, tables), separate(grid_rgb, tables)
    arrays |= block_nuclei(nuclei_of_block(rgb, grid_planes, block, plan, job), block, plan)
    for place, (marker, _) in enumerate(job.markers):
        found = _candidates(planes, grid_planes, block, place, plan, job)
        arrays |= {
            f"{marker}/{name}": value for name, value in _owned_dots(found, block, plan, tissue, job).items()
        }
    files.write_arrays(block_path(job, key), arrays)
    return BlockDone(key, block.core.width * block.core.height / 1e6)


def damaged_cells(valid: npt.NDArray[np.bool_], block: Block, tissue: TissueMap) -> Arrays:
    """Cells of the tissue raster, flat indices, with an unreadable pixel in the block's core."""
    if valid.all():
        return {"damaged": np.zeros(0, np.int64)}
    y, x = np.nonzero(~valid)
    y, x = y + block.read.y, x + block.read.x
    inside = (x >= block.core.x) & (x < block.core.x_end) & (y >= block.core.y) & (y < block.core.y_end)
    cells = (y[inside] // tissue.factor_px) * tissue.kind.shape[1] + x[inside] // tissue.factor_px
    return {"damaged": np.unique(cells)}


def block_nuclei(found: Nuclei, block: Block, plan: Plan) -> Arrays:
    """Nuclei owned by the block: place (um), size, flags, and their pixels as runs on the whole nuclei
    grid."""
    factor, grid = plan.grid_factor, plan.grid_pixel_size
    origin = Region(block.read.x // factor, block.read.y // factor, 0, 0)
    core = block.core.coarser(factor)
    x, y = found.x_px + origin.x, found.y_px + origin.y  # pixel centres are at whole numbers of the grid
    col, row = np.rint(x).astype(np.int64), np.rint(y).astype(np.int64)
    owned = (col >= core.x) & (col < core.x_end) & (row >= core.y) & (row < core.y_end)
    keep = np.zeros(int(found.labels.max(initial=0)) + 1, np.bool_)
    keep[found.label[owned]] = True
    runs = runs_of(found.labels, keep)
    runs[:, 0] = np.searchsorted(found.label[owned], runs[:, 0])
    runs[:, 1] += origin.y
    runs[:, 2:] += origin.x
    order = np.argsort(runs[:, 0], kind="stable")
    return {
        "nucleus_x_um": (x[owned] + 0.5) * grid.x_um,
        "nucleus_y_um": (y[owned] + 0.5) * grid.y_um,
        "nucleus_area_px": found.area_px[owned].astype(np.int64),
        "nucleus_flags": found.flags[owned].astype(np.uint32),
        "runs": runs[order],
    }


def _candidates(
    planes: npt.NDArray[np.int16],
    grid_planes: npt.NDArray[np.int16],
    block: Block,
    place: int,
    plan: Plan,
    job: SlideJob,
) -> Candidates:
    """Candidates of marker `place` in the core and as far around it as scores depend on each other."""
    stain = 1 + place  # stains follow haematoxylin in the order of the markers
    if stain != 1:
        planes, grid_planes = (
            np.ascontiguousarray(stack[[0, stain, 3 - stain]]) for stack in (planes, grid_planes)
        )
    return find_candidates(
        planes,
        grid_planes,
        plan.grid_factor,
        plan.pixel_size,
        plan.noise[place],
        job.params.dots,
        stain_angle_deg=angle_deg(plan.stains.vectors[0], plan.stains.vectors[stain]),
        is_brown=plan.stains.names[stain] in BROWN,
        keep=_core(block).grow(int(np.ceil(plan.pixel_size.to_px(CONTEXT_UM)))),
    )


def _core(block: Block) -> Region:
    """The block's core in the pixels that were read."""
    return Region(
        block.core.x - block.read.x, block.core.y - block.read.y, block.core.width, block.core.height
    )


def _owned_dots(found: Candidates, block: Block, plan: Plan, tissue: TissueMap, job: SlideJob) -> Arrays:
    """Candidates of the core inside a section's outline, as columns."""
    scores = score_candidates(
        found.features, FEATURE_NAMES, found.x, found.y, plan.pixel_size.mean_um, job.params.evidence
    )
    x, y = found.x + block.read.x, found.y + block.read.y
    owned = tissue.section[y // tissue.factor_px, x // tissue.factor_px] > 0
    owned &= (x >= block.core.x) & (x < block.core.x_end) & (y >= block.core.y) & (y < block.core.y_end)
    score = scores[owned]
    reasons = reject_reasons(found.features[owned], FEATURE_NAMES, job.params.evidence)
    wide = found.area_um2[owned] > job.params.evidence.max_candidate_area_um2
    score[wide], reasons[wide] = 0, DOT_REASONS.index("size")
    return {
        "x_px": x[owned].astype(np.int32),
        "y_px": y[owned].astype(np.int32),
        "x_um": (x[owned] + found.dx[owned].astype(np.float64) + 0.5) * plan.pixel_size.x_um,
        "y_um": (y[owned] + found.dy[owned].astype(np.float64) + 0.5) * plan.pixel_size.y_um,
        "area_um2": found.area_um2[owned],
        "peak_od": found.peak_od[owned],
        "integrated_od": found.integrated_od[owned],
        "score": score,
        "reason": reasons,
    }
