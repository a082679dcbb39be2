"""After the blocks: owners over the whole slide, copies, cells, ids, labels, tables, pictures and the
summary.

The label image is painted band by band, so memory does not grow with the slide but with its tables.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ishcount.core import files, tables
from ishcount.core.flags import Flag
from ishcount.core.tissue_map import RegionKind, TissueMap
from ishcount.outputs.contours import Contours, trace_contours
from ishcount.quantify.job import Plan, SlideJob, read_plan
from ishcount.quantify.merge import Dots, Nuclei, merge_dots, merge_nuclei, read_partials, with_damage
from ishcount.quantify.summary import summarise
from ishcount.quantify.write import write_pictures
from ishcount.steps.cells import N_NEAR, CellParams, add_areas, assign_owners, grow, near_nuclei, paint
from ishcount.steps.clusters import count_copies, measure_single
from ishcount.steps.density import copy_score

Array = npt.NDArray[Any]
BAND_ROWS = 512  # of the nuclei grid: 100 MB of uint32 for a slide 50,000 grid pixels wide
BAND_MARGIN = 128  # rows beyond a band that a nucleus or a cell may reach: 64 um


@dataclass(frozen=True)
class Painted:
    """What the bands of the label image gave."""

    nucleus_area_px: Array
    cell_area_px: Array
    near_ids: npt.NDArray[np.uint32]
    near_um: npt.NDArray[np.float32]
    contours: list[Contours]


def finish(job: SlideJob) -> dict[str, Any]:
    """Merge the blocks of a slide into its result folder; returns the summary, written last."""
    plan, tissue, overview = read_plan(job)
    partials = read_partials(job, plan)
    tissue = with_damage(tissue, partials)
    nuclei = merge_nuclei(partials, tissue, plan.grid_shape[1])
    dots = judge_place(merge_dots(partials, job), tissue, job)
    del partials
    painted = _paint_all(job, plan, nuclei, dots)
    owners = assign_owners(painted.near_ids, painted.near_um, dots.score, job.params.cells)
    dot_table = make_dots(job, dots, owners, painted)
    cell_table = make_cells(job, plan, tissue, nuclei, painted, dot_table)
    files.write_parquet(job.folder / "cells.parquet", cell_table)
    files.write_parquet(job.folder / "dots.parquet", dot_table)
    alternatives = {
        rule: assign_owners(
            painted.near_ids, painted.near_um, dots.score, replace_ownership(job.params.cells, rule)
        )
        for rule in ("expectation_maximisation", "nearest", "nuclear")
    }
    summary = summarise(job, plan, tissue, cell_table, dot_table, alternatives)
    write_pictures(job, plan, tissue, overview, cell_table, painted.contours, summary)
    files.write_json(job.folder / "summary.json", summary)
    return summary


def replace_ownership(params: CellParams, rule: str) -> CellParams:
    """The same parameters under another ownership rule."""
    return params.model_copy(update={"ownership": rule})


_HARD_REASONS = {
    RegionKind.FOLD: "fold",
    RegionKind.PEN: "ink",
    RegionKind.BLUR: "blur",
}


def judge_place(dots: Dots, tissue: TissueMap, job: SlideJob) -> Dots:
    """Dots outside tissue score 0 and say why; dots in tissue that count have no reason."""
    kind = tissue.kind_at_px(dots.x_px, dots.y_px)
    score, reason = dots.score.copy(), dots.reason.copy()
    outside = kind != RegionKind.TISSUE
    score[outside] = 0
    reason[outside] = tables.DOT_REASONS.index("outside_tissue")
    for region, word in _HARD_REASONS.items():
        reason[kind == region] = tables.DOT_REASONS.index(word)
    reason[score >= np.float32(job.params.density.dot_cut)] = 0
    return replace(dots, score=score, reason=reason)


def _paint_all(job: SlideJob, plan: Plan, nuclei: Nuclei, dots: Dots) -> Painted:
    """Paint every band, measuring as it goes; the label image goes to disk unless only tables are wanted."""
    n = len(nuclei.x_um)
    painted = Painted(
        np.zeros(n + 1, np.int64),
        np.zeros(n + 1, np.int64),
        np.zeros((len(dots.x_um), N_NEAR), np.uint32),
        np.full((len(dots.x_um), N_NEAR), np.inf, np.float32),
        [],
    )
    if job.outputs == "tables":
        _bands(job, plan, nuclei, dots, painted, lambda core: None)
        return painted
    from ishcount.outputs.labels import LabelWriter

    height, width = plan.grid_shape

    def fill(folder: Any) -> None:
        writer = LabelWriter(folder, height=height, width=width, pixel_size=plan.grid_pixel_size)
        _bands(job, plan, nuclei, dots, painted, writer.write)
        writer.close()

    files.write_folder(job.folder / "labels.ome.zarr", fill)
    return painted


def _bands(
    job: SlideJob, plan: Plan, nuclei: Nuclei, dots: Dots, painted: Painted, write: Callable[[Array], None]
) -> None:
    height, width = plan.grid_shape
    grid = plan.grid_pixel_size
    reach = (grid_reach(job, grid.x_um), grid_reach(job, grid.y_um))
    row_of_dot = (dots.y_um / grid.y_um).astype(np.int64)
    row_of_nucleus = (nuclei.y_um / grid.y_um).astype(np.int64)
    by_row = np.argsort(nuclei.runs[:, 1], kind="stable")
    run_rows = nuclei.runs[by_row, 1]
    for first in range(0, height, BAND_ROWS):
        stop = min(height, first + BAND_ROWS)
        top, bottom = max(0, first - BAND_MARGIN), min(height, stop + BAND_MARGIN)
        labels = np.zeros((bottom - top, width), np.uint32)
        mine = np.sort(by_row[slice(*np.searchsorted(run_rows, (top, bottom)))])
        paint(labels, top, *np.ascontiguousarray(nuclei.runs[mine].T))
        core = labels[first - top : stop - top]
        write(core)
        if len(mine) == 0:
            continue
        add_areas(core, painted.nucleus_area_px)
        add_areas(grow(labels, *reach)[first - top : stop - top], painted.cell_area_px)
        here = np.flatnonzero((row_of_dot >= first) & (row_of_dot < stop))
        painted.near_ids[here], painted.near_um[here] = near_nuclei(
            labels, top, dots.x_um[here], dots.y_um[here], grid.x_um, grid.y_um, job.params.cells.reach_um
        )
        if job.outputs == "all":
            ids = np.flatnonzero((row_of_nucleus >= first) & (row_of_nucleus < stop)) + 1
            painted.contours.append(trace_contours(labels, ids, factor=plan.grid_factor, origin_row=top))


def grid_reach(job: SlideJob, edge_um: float) -> float:
    """Cell expansion in grid pixels along an axis; a nucleus that may not grow keeps its outline."""
    return max(job.params.cells.cell_expansion_um / edge_um, 0.5)


def make_dots(job: SlideJob, dots: Dots, owners: npt.NDArray[np.uint32], painted: Painted) -> pd.DataFrame:
    """`dots.parquet`: every candidate with its owner, copies, score and reason."""
    n = len(owners)
    copies = np.ones((3, n), np.uint16)
    for place in range(len(job.markers)):
        mine = np.flatnonzero(dots.marker == place)
        counted = mine[dots.reason[mine] == 0]
        isolated = np.zeros(n, np.bool_)
        isolated[counted] = _alone(dots.x_um[counted], dots.y_um[counted], job.params.clusters.isolation_um)
        single = measure_single(dots.integrated_od, dots.area_um2, isolated, job.params.clusters)
        copies[:, mine] = count_copies(
            dots.integrated_od[mine], dots.area_um2[mine], single, job.params.clusters
        )
    names = np.array([name for name, _ in job.markers], dtype=object)
    table = pd.DataFrame(
        {
            "dot_id": np.arange(1, n + 1, dtype=np.uint32),
            "marker": names[dots.marker.astype(np.int64)],
            "x_um": dots.x_um,
            "y_um": dots.y_um,
            "area_um2": dots.area_um2,
            "peak_od": dots.peak_od,
            "integrated_od": dots.integrated_od,
            "n_copies": copies[0],
            "copies_low": copies[1],
            "copies_high": copies[2],
            "cell_id": owners,
            "in_nucleus": (painted.near_um[:, 0] == 0) & (painted.near_ids[:, 0] == owners) & (owners > 0),
            "score": dots.score,
            "reason": np.array(tables.DOT_REASONS, dtype=object)[dots.reason.astype(np.int64)],
        }
    )
    return tables.check(table, tables.DOTS)


def _alone(x_um: Array, y_um: Array, distance_um: float) -> npt.NDArray[np.bool_]:
    from scipy.spatial import cKDTree

    if len(x_um) == 0:
        return np.zeros(0, np.bool_)
    points = np.column_stack([x_um, y_um])
    nearest = cKDTree(points).query(points, k=2)[0][:, 1]
    return np.asarray(nearest > distance_um)


def make_cells(
    job: SlideJob, plan: Plan, tissue: TissueMap, nuclei: Nuclei, painted: Painted, dots: pd.DataFrame
) -> pd.DataFrame:
    """`cells.parquet`: every nucleus in tissue with what each marker says of it."""
    n = len(nuclei.x_um)
    pixel_um2 = plan.grid_pixel_size.area_um2(1)
    columns: dict[str, Any] = {
        "cell_id": np.arange(1, n + 1, dtype=np.uint32),
        "x_um": nuclei.x_um,
        "y_um": nuclei.y_um,
        "nucleus_area_um2": painted.nucleus_area_px[1:] * pixel_um2,
        "cell_area_um2": painted.cell_area_px[1:] * pixel_um2,
        "section": tissue.section_at(nuclei.x_um, nuclei.y_um),
        "compartment": tissue.compartment_at(nuclei.x_um, nuclei.y_um),
        "depth_um": tissue.depth_at(nuclei.x_um, nuclei.y_um),
    }
    flags = nuclei.flags.astype(np.uint32)
    for marker, _ in job.markers:
        mine = dots[dots["marker"] == marker]
        owner = mine["cell_id"].to_numpy().astype(np.int64)
        score, copies = mine["score"].to_numpy(), mine["n_copies"].to_numpy().astype(np.int64)
        counted = score >= np.float32(job.params.density.dot_cut)
        best = copy_score(owner, score, copies, n, job.params.density.min_dots)
        per_cell = {
            "dots": np.bincount(owner[counted], minlength=n + 1)[1:],
            "dots_nucleus": np.bincount(owner[counted & mine["in_nucleus"].to_numpy()], minlength=n + 1)[1:],
            "copies": np.bincount(owner[counted], copies[counted], minlength=n + 1)[1:],
            "score": best,
            "positive": best >= np.float32(job.params.density.dot_cut),
        }
        columns |= {f"{marker}_{name}": value for name, value in per_cell.items()}
        clustered = np.bincount(owner[counted & (copies > 1)], minlength=n + 1)[1:] > 0
        flags |= np.where(clustered, np.uint32(Flag.CLUSTERED_DOTS), np.uint32(0))
    columns["flags"] = flags
    return tables.check(pd.DataFrame(columns), tables.cells_schema([marker for marker, _ in job.markers]))
