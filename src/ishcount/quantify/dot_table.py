"""The table of dots, written part by part, and the little of it that the rest of a slide is made from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ishcount.core import files, tables
from ishcount.quantify.job import SlideJob
from ishcount.quantify.measure import DotPart, Measured
from ishcount.steps.cells import Ownership
from ishcount.steps.clusters import SingleDot, count_copies, measure_single

Array = npt.NDArray[Any]
Owners = dict[Ownership, npt.NDArray[np.uint32]]
Copies = npt.NDArray[np.uint16]


def text(codes: Array, words: tuple[str, ...] | list[str]) -> pd.Series[Any]:
    """A text column from the places of its words in a list."""
    return pd.Series(pd.array(list(words), dtype="string").take(codes.astype(np.intp)))


def copies_of_dots(job: SlideJob, measured: Measured) -> Copies:
    """How many copies each dot stands for, and their limits: (3, n) in the order of the table."""
    copies = np.ones((3, sum(len(part.score) for part in measured.dots)), np.uint16)
    first = 0
    for marker in range(len(job.markers)):
        parts = [part for part in measured.dot_parts() if part.marker == marker]
        single = _single_dot(job, parts)
        for part in parts:
            found = files.read_arrays(part.columns, {"integrated_od", "area_um2"})
            mine = slice(first, first + len(part.score))
            copies[:, mine] = count_copies(
                found["integrated_od"], found["area_um2"], single, job.params.clusters
            )
            first = mine.stop
    return copies


def _single_dot(job: SlideJob, parts: list[DotPart]) -> SingleDot | None:
    """A single dot of one marker, measured on the counted dots of the slide that lie alone."""
    names = ("x_um", "y_um", "integrated_od", "area_um2")
    counted: list[list[Array]] = []
    for part in parts:
        found = files.read_arrays(part.columns, {*names, "reason"})
        counted.append([found[name][found["reason"] == 0] for name in names])
    if not counted:
        return None
    x_um, y_um, integrated, area = (np.concatenate(column) for column in zip(*counted, strict=True))
    isolated = _alone(x_um, y_um, job.params.clusters.isolation_um)
    return measure_single(integrated, area, isolated, job.params.clusters)


def _alone(x_um: Array, y_um: Array, distance_um: float) -> npt.NDArray[np.bool_]:
    from scipy.spatial import cKDTree

    if len(x_um) == 0:
        return np.zeros(0, np.bool_)
    points = np.column_stack([x_um, y_um])
    nearest = cKDTree(points).query(points, k=2)[0][:, 1]
    return np.asarray(nearest > distance_um)


def write_dots(job: SlideJob, measured: Measured, owners: Owners, copies: Copies) -> None:
    """`dots.parquet`: every candidate with its owner, copies, score and reason."""
    parts = _tables(job, measured, owners, copies) if measured.dots else [tables.empty(tables.DOTS)]
    files.write_parquet_parts(job.folder / "dots.parquet", parts)


def _tables(job: SlideJob, measured: Measured, owners: Owners, copies: Copies) -> Iterator[pd.DataFrame]:
    names, first = [name for name, _ in job.markers], 0
    for part, found in _row_groups_of(measured):
        n = len(found["score"])
        mine = slice(first, first + n)
        owner, own_nucleus = (owners[rule][mine] for rule in (job.params.cells.ownership, "nuclear"))
        table = {
            "dot_id": np.arange(mine.start + 1, mine.stop + 1, dtype=np.uint32),
            "marker": text(np.full(n, part.marker), names),
            "n_copies": copies[0, mine],
            "copies_low": copies[1, mine],
            "copies_high": copies[2, mine],
            "cell_id": owner,
            "in_nucleus": (own_nucleus == owner) & (owner > 0),
            "reason": text(found.pop("reason"), tables.DOT_REASONS),
            **found,
        }
        yield tables.check(pd.DataFrame(table), tables.DOTS)
        first = mine.stop


def _row_groups_of(measured: Measured) -> Iterator[tuple[DotPart, dict[str, Array]]]:
    """Parts with their columns, no more rows of them at a time than a row group has: text takes much room."""
    for part in measured.dot_parts():
        columns = files.read_arrays(part.columns)
        for start in range(0, len(part.score) or 1, files.ROW_GROUP_ROWS):
            stop = start + files.ROW_GROUP_ROWS
            yield part, {name: column[start:stop] for name, column in columns.items()}


def known_of_dots(job: SlideJob, measured: Measured, owners: Owners, copies: Copies) -> pd.DataFrame:
    """What cells and summary ask of the dots: columns of `dots.parquet` in few bytes, words as categories."""
    parts = measured.dot_parts()
    owner = owners[job.params.cells.ownership]
    found = {"score": np.zeros(len(owner), np.float32), "peak_od": np.zeros(len(owner), np.float32)}
    codes: dict[str, Any] = {"marker": np.zeros(len(owner), np.int8), "reason": np.zeros(len(owner), np.int8)}
    first = 0
    for part in parts:
        columns = files.read_arrays(part.columns, {"peak_od", "reason"})
        mine = slice(first, first + len(part.score))
        found["score"][mine], found["peak_od"][mine] = part.score, columns["peak_od"]
        codes["marker"][mine], codes["reason"][mine] = part.marker, columns["reason"]
        first = mine.stop
    words: dict[str, Any] = {"marker": [name for name, _ in job.markers], "reason": list(tables.DOT_REASONS)}
    return pd.DataFrame(
        {
            **{name: pd.Categorical.from_codes(codes[name], words[name]) for name in words},
            **found,
            "n_copies": copies[0],
            "cell_id": owner,
            "in_nucleus": (owners["nuclear"] == owner) & (owner > 0),
        },
        copy=False,
    )
