"""After the blocks: owners over the whole slide, cells, ids, labels, tables, pictures and the summary.

Partial files are read, labels painted and dots written by rows of blocks. What grows with the slide is the
table of cells and some 30 bytes of each dot (`quantify.dot_table`).
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
from ishcount.core.memory import give_back
from ishcount.core.tissue_map import TissueMap
from ishcount.quantify.artefacts import without_artefacts
from ishcount.quantify.divide import divided
from ishcount.quantify.dot_table import Owners, copies_of_dots, known_of_dots, text, write_dots
from ishcount.quantify.job import Plan, SlideJob, read_overview_picture, read_plan
from ishcount.quantify.measure import NUCLEUS_COLUMNS, Measured, measure
from ishcount.quantify.merge import with_damage
from ishcount.quantify.summary import summarise
from ishcount.quantify.write import write_pictures
from ishcount.steps.cells import Ownership, find_owners
from ishcount.steps.density import copy_score

Array = npt.NDArray[Any]
RULES: tuple[Ownership, ...] = ("expectation_maximisation", "nearest", "nuclear")


def finish(job: SlideJob, n_threads: int = 1) -> dict[str, Any]:
    """Merge the blocks of a slide into its result folder; returns the summary, written last."""
    plan, tissue = divided(job, read_plan(job))
    tissue = without_artefacts(job, plan, with_damage(job, plan, tissue))
    _rest(tissue)
    measured = measure(job, plan, tissue, n_threads=n_threads)
    cells, summary = write_tables(job, plan, tissue, measured, n_threads)
    _rest(tissue)
    write_pictures(job, plan, tissue, read_overview_picture(job), cells, measured.outline_parts(), summary)
    files.write_json(job.folder / "summary.json", summary)
    for name in ("near", "dots", "outlines"):
        shutil.rmtree(job.work / name, ignore_errors=True)
    return summary


def write_tables(
    job: SlideJob, plan: Plan, tissue: TissueMap, measured: Measured, n_threads: int
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Write `dots.parquet` and `cells.parquet`; the cells and the summary."""
    _rest(tissue)
    with ThreadPoolExecutor(n_threads) as threads:
        owners: Owners = dict(zip(RULES, threads.map(partial(owners_by, job, measured), RULES), strict=True))
        copies = copies_of_dots(job, measured)
        writing = [threads.submit(write_dots, job, measured, owners, copies)]
        dots = known_of_dots(job, measured, owners, copies)
        cells = make_cells(job, plan, tissue, measured, dots)
        writing.append(threads.submit(files.write_parquet, job.folder / "cells.parquet", cells))
        if n_threads == 1:
            wait(writing)
        give_back()
        summary = summarise(job, plan, tissue, cells, dots, owners)
        for table in writing:
            table.result()  # raises what went wrong
    return cells, summary


def _rest(tissue: TissueMap) -> None:
    """Between stages: what they left behind is given back, hundreds of megabytes on a large slide."""
    tissue.let_go()
    give_back()


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
        owner, score, copies, in_nucleus = (mine[name].to_numpy() for name in mine.columns)
        counted = score >= np.float32(job.params.density.dot_cut)
        best = copy_score(owner, score, copies, n, job.params.density.min_dots)
        per_cell = {
            "dots": np.bincount(owner[counted], minlength=n + 1)[1:],
            "dots_nucleus": np.bincount(owner[counted & in_nucleus], minlength=n + 1)[1:],
            "copies": np.bincount(owner[counted], copies[counted], minlength=n + 1)[1:],
            "score": best,
            "positive": best >= np.float32(job.params.density.dot_cut),
        }
        columns |= {f"{marker}_{name}": value for name, value in per_cell.items()}
        clustered = np.bincount(owner[counted & (copies > 1)], minlength=n + 1)[1:] > 0
        flags |= np.where(clustered, np.uint32(Flag.CLUSTERED_DOTS), np.uint32(0))
    columns["flags"] = flags
    return tables.check(pd.DataFrame(columns), tables.cells_schema([marker for marker, _ in job.markers]))
