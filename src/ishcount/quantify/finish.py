"""After the blocks: owners over the whole slide, copies, cells, ids, labels, tables, pictures and the
summary.

Partial files are read and labels painted by rows of blocks, so memory grows with the slide's tables only.
"""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ishcount.core import files, tables
from ishcount.core.flags import Flag
from ishcount.core.tissue_map import TissueMap
from ishcount.quantify.artefacts import without_artefacts
from ishcount.quantify.divide import divided
from ishcount.quantify.job import Plan, SlideJob, read_overview_picture, read_plan
from ishcount.quantify.measure import DOT_COLUMNS, NUCLEUS_COLUMNS, Measured, measure
from ishcount.quantify.merge import with_damage
from ishcount.quantify.summary import summarise
from ishcount.quantify.write import write_pictures
from ishcount.steps.cells import Ownership, find_owners
from ishcount.steps.clusters import count_copies, measure_single
from ishcount.steps.density import copy_score

Array = npt.NDArray[Any]
Owners = dict[Ownership, npt.NDArray[np.uint32]]
RULES: tuple[Ownership, ...] = ("expectation_maximisation", "nearest", "nuclear")


def finish(job: SlideJob, n_threads: int = 1) -> dict[str, Any]:
    """Merge the blocks of a slide into its result folder; returns the summary, written last."""
    plan, tissue = divided(job, read_plan(job))
    tissue = without_artefacts(job, plan, with_damage(job, plan, tissue))
    measured = measure(job, plan, tissue, n_threads=n_threads)
    with ThreadPoolExecutor(n_threads) as threads:
        owners: Owners = dict(zip(RULES, threads.map(partial(owners_by, job, measured), RULES), strict=True))
        dots = make_dots(job, measured, owners)
        writing = [threads.submit(files.write_parquet, job.folder / "dots.parquet", dots)]
        cells = make_cells(job, plan, tissue, measured, dots)
        writing.append(threads.submit(files.write_parquet, job.folder / "cells.parquet", cells))
        if n_threads == 1:
            wait(writing)
        summary = summarise(job, plan, tissue, cells, dots, owners)
        write_pictures(
            job, plan, tissue, read_overview_picture(job), cells, measured.outline_parts(), summary
        )
        for table in writing:
            table.result()  # raises what went wrong
    files.write_json(job.folder / "summary.json", summary)
    for name in ("near", "outlines"):
        shutil.rmtree(job.work / name, ignore_errors=True)
    return summary


def owners_by(job: SlideJob, measured: Measured, rule: Ownership) -> npt.NDArray[np.uint32]:
    """The cell of each dot by one rule, 0 for none."""
    params = job.params.cells.model_copy(update={"ownership": rule})
    return find_owners(measured.near_parts, measured.n_cells, params)


def joined(pieces: list[dict[str, Array]], names: tuple[str, ...]) -> dict[str, Array]:
    """Columns of consecutive pieces as one; the pieces are given up on the way."""
    return {
        name: np.concatenate([piece.pop(name) for piece in pieces]) if pieces else np.zeros(0)
        for name in names
    }


def text(codes: Array, words: tuple[str, ...] | list[str]) -> pd.Series[Any]:
    """A text column from the places of its words in a list."""
    return pd.Series(pd.array(list(words), dtype="string").take(codes.astype(np.intp)))


def make_dots(job: SlideJob, measured: Measured, owners: Owners) -> pd.DataFrame:
    """`dots.parquet`: every candidate with its owner, copies, score and reason. Empties `measured.dots`."""
    per_marker = [sum(len(p["score"]) for p in measured.dots.get(k, [])) for k in range(measured.n_markers)]
    found = joined([piece for place in sorted(measured.dots) for piece in measured.dots[place]], DOT_COLUMNS)
    n, marker = sum(per_marker), np.repeat(np.arange(len(per_marker)), per_marker)
    copies = np.ones((3, n), np.uint16)
    ends = np.cumsum(per_marker)
    for start, stop in zip(ends - per_marker, ends, strict=True):
        mine = slice(int(start), int(stop))
        isolated = found["reason"][mine] == 0
        isolated[isolated] = _alone(
            found["x_um"][mine][isolated], found["y_um"][mine][isolated], job.params.clusters.isolation_um
        )
        integrated, area = found["integrated_od"][mine], found["area_um2"][mine]
        single = measure_single(integrated, area, isolated, job.params.clusters)
        copies[:, mine] = count_copies(integrated, area, single, job.params.clusters)
    owner = owners[job.params.cells.ownership]
    table = {
        "dot_id": np.arange(1, n + 1, dtype=np.uint32),
        "marker": text(marker, [name for name, _ in job.markers]),
        "n_copies": copies[0],
        "copies_low": copies[1],
        "copies_high": copies[2],
        "cell_id": owner,
        "in_nucleus": (owners["nuclear"] == owner) & (owner > 0),
        "reason": text(found.pop("reason"), tables.DOT_REASONS),
        **found,
    }
    return tables.check(pd.DataFrame(table), tables.DOTS)


def _alone(x_um: Array, y_um: Array, distance_um: float) -> npt.NDArray[np.bool_]:
    from scipy.spatial import cKDTree

    if len(x_um) == 0:
        return np.zeros(0, np.bool_)
    points = np.column_stack([x_um, y_um])
    nearest = cKDTree(points).query(points, k=2)[0][:, 1]
    return np.asarray(nearest > distance_um)


def make_cells(
    job: SlideJob, plan: Plan, tissue: TissueMap, measured: Measured, dots: pd.DataFrame
) -> pd.DataFrame:
    """`cells.parquet`: every nucleus in tissue with what each marker says of it. Empties
    `measured.nuclei`."""
    n = measured.n_cells
    pixel_um2 = plan.grid_pixel_size.area_um2(1)
    columns: dict[str, Any] = joined(measured.nuclei, NUCLEUS_COLUMNS) | {
        "cell_id": np.arange(1, n + 1, dtype=np.uint32),
        "nucleus_area_um2": measured.nucleus_area_px[1:] * pixel_um2,
        "cell_area_um2": measured.cell_area_px[1:] * pixel_um2,
    }
    columns["compartment"] = text(
        columns["compartment"], [name or "tissue" for name in tissue.compartment_names]
    )
    flags = columns["flags"].astype(np.uint32)
    for marker, _ in job.markers:
        mine = dots.loc[dots["marker"] == marker, ["cell_id", "score", "n_copies", "in_nucleus"]]
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
