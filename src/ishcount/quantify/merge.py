"""Partial files of all blocks as the nuclei and dots of a slide, one row of blocks at a time.

A row of blocks owns a range of y, so rows follow each other in the order of the slide's tables and no more
than a few of them are ever in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from ishcount.core import files
from ishcount.core.errors import SlideError
from ishcount.core.geometry import Block
from ishcount.core.tissue_map import RegionKind, TissueMap
from ishcount.quantify.block import block_path
from ishcount.quantify.job import Plan, SlideJob

Array = npt.NDArray[Any]
Partial = dict[str, Array]
SAME_NUCLEUS_UM = 6.0  # centroids of two outlines of one nucleus lie nearer than its own radius
SAME_NUCLEUS_OVERLAP = 0.5  # share of the smaller outline
DOT_COLUMNS = ("x_px", "y_px", "x_um", "y_um", "area_um2", "peak_od", "integrated_od", "score", "reason")


@dataclass(frozen=True)
class Nuclei:
    """The nuclei in tissue of one row of blocks, by y then x: nucleus i is cell `first_id` + i.

    runs: for each column of blocks int32 (m, 4) of cell id, grid row, first and last-but-one grid column.
    """

    first_id: int
    x_um: Array
    y_um: Array
    flags: Array
    col: Array
    runs: dict[int, npt.NDArray[np.int32]]


@dataclass(frozen=True)
class Dots:
    """Candidates within outlines, by marker, y and x; `marker` is the place in the job's list.

    columns: `DOT_COLUMNS` by name, equally long. col: the column of blocks that owns the dot.
    """

    marker: Array
    col: Array
    columns: dict[str, Array]


@dataclass(frozen=True)
class BlockRow:
    """What the partial files of one row of blocks hold together."""

    row: int
    blocks: tuple[Block, ...]
    nuclei: Nuclei
    dots: Dots


def with_damage(job: SlideJob, plan: Plan, tissue: TissueMap) -> TissueMap:
    """The tissue map with unreadable cells taken out of the area."""
    damaged = [_read(job, key, only="damaged")["damaged"] for key in sorted(plan.keys)]
    cells = np.concatenate(damaged) if damaged else np.zeros(0, np.int64)
    return tissue.without(cells, RegionKind.DAMAGED) if len(cells) else tissue


def _read(job: SlideJob, key: str, only: str | None = None) -> Partial:
    try:
        return files.read_arrays(block_path(job, key), None if only is None else {only})
    except (OSError, ValueError) as error:
        raise SlideError(
            f"block {key} was not finished ({error}); run the same command again", "E_IO"
        ) from error


def block_rows(job: SlideJob, plan: Plan, tissue: TissueMap) -> Iterator[BlockRow]:
    """The rows of blocks from the top; SlideError when a partial file is missing or damaged."""
    ordered = [plan.blocks[key] for key in sorted(plan.keys)]
    above, next_id = _Kept.nothing(-1), 1
    for row, group in groupby(ordered, key=lambda block: block.row):
        blocks = tuple(group)
        partials = [_read(job, block.key) for block in blocks]
        kept = _kept(row, blocks, partials, tissue)
        twice = _twice(above if above.row == row - 1 else _Kept.nothing(-1), kept, plan)
        nuclei = _numbered(kept, twice, next_id)
        next_id += len(nuclei.x_um)
        yield BlockRow(row, blocks, nuclei, _dots(job, blocks, partials))
        above = kept


@dataclass(frozen=True)
class _Kept:
    """Nuclei in tissue of one row in the order of their blocks; runs carry the place in this list."""

    row: int
    x_um: Array
    y_um: Array
    flags: Array
    col: Array
    runs: Array
    bounds: Array

    @staticmethod
    def nothing(row: int) -> _Kept:
        none = np.zeros(0)
        return _Kept(row, none, none, none, none, np.zeros((0, 4), np.int32), np.zeros(1, np.int64))

    def pixels(self, place: int, grid_width: int) -> Array:
        """Flat grid indices of one nucleus, rising."""
        runs = self.runs[self.bounds[place] : self.bounds[place + 1]].astype(np.int64)
        return np.concatenate([row * grid_width + np.arange(start, stop) for _, row, start, stop in runs])


def _kept(row: int, blocks: tuple[Block, ...], partials: list[Partial], tissue: TissueMap) -> _Kept:
    counts = [len(partial["nucleus_x_um"]) for partial in partials]
    first = np.r_[0, np.cumsum(counts)].astype(np.int64)
    x, y, flags = (
        np.concatenate([partial[name] for partial in partials])
        for name in ("nucleus_x_um", "nucleus_y_um", "nucleus_flags")
    )
    col = np.repeat([block.col for block in blocks], counts)
    runs = np.concatenate(
        [partial["runs"] + np.array([first[i], 0, 0, 0], np.int32) for i, partial in enumerate(partials)]
    )
    keep = tissue.kind_at(x, y) == RegionKind.TISSUE
    place = np.cumsum(keep) - 1
    runs = runs[keep[runs[:, 0]]]
    runs[:, 0] = place[runs[:, 0]]
    bounds = np.searchsorted(runs[:, 0], np.arange(np.count_nonzero(keep) + 1))
    return _Kept(row, x[keep], y[keep], flags[keep], col[keep], runs, bounds)


def _twice(above: _Kept, here: _Kept, plan: Plan) -> Array:
    """Nuclei of this row that another block outlined too (a watershed near a border may differ): the one of
    the later block goes."""
    x, y = np.r_[above.x_um, here.x_um], np.r_[above.y_um, here.y_um]
    block = np.r_[-1 - above.col, here.col]
    side_x, side_y = plan.block_px * plan.pixel_size.x_um, plan.block_px * plan.pixel_size.y_um
    near = np.zeros(len(x), np.bool_)  # to a border between blocks, as two of different blocks must be
    for position, side in ((x, side_x), (y, side_y)):
        within = np.mod(position, side)
        near |= np.minimum(within, side - within) < SAME_NUCLEUS_UM + 1
    places = np.flatnonzero(near)
    gone = np.zeros(len(here.x_um), np.bool_)
    if len(places) == 0:
        return gone
    tree = cKDTree(np.column_stack([x[places], y[places]]))
    pairs = np.sort(places[tree.query_pairs(SAME_NUCLEUS_UM, output_type="ndarray")], axis=1)
    n_above, width = len(above.x_um), plan.grid_shape[1]
    for a, b in pairs[(block[pairs[:, 0]] != block[pairs[:, 1]]) & (pairs[:, 1] >= n_above)]:
        pixels_a = above.pixels(a, width) if a < n_above else here.pixels(a - n_above, width)
        pixels_b = here.pixels(b - n_above, width)
        shared = len(np.intersect1d(pixels_a, pixels_b, assume_unique=True))
        if shared > SAME_NUCLEUS_OVERLAP * min(len(pixels_a), len(pixels_b)):
            gone[b - n_above] = True
    return gone


def _numbered(kept: _Kept, gone: Array, first_id: int) -> Nuclei:
    left = np.flatnonzero(~gone)
    order = left[np.lexsort((kept.x_um[left], kept.y_um[left]))]
    number = np.zeros(len(gone), np.int32)
    number[order] = np.arange(first_id, first_id + len(order))
    runs = kept.runs[~gone[kept.runs[:, 0]]]
    col = kept.col[runs[:, 0]]
    runs[:, 0] = number[runs[:, 0]]
    return Nuclei(
        first_id, kept.x_um[order], kept.y_um[order], kept.flags[order], kept.col[order],
        {int(c): runs[col == c] for c in np.unique(col)},
    )  # fmt: skip


def _dots(job: SlideJob, blocks: tuple[Block, ...], partials: list[Partial]) -> Dots:
    found = [
        (place, block.col, {name: partial[f"{marker}/{name}"] for name in DOT_COLUMNS})
        for place, (marker, _) in enumerate(job.markers)
        for block, partial in zip(blocks, partials, strict=True)
    ]
    counts = [len(columns["x_px"]) for _, _, columns in found]
    marker = np.repeat(np.array([place for place, _, _ in found], np.uint8), counts)
    col = np.repeat(np.array([col for _, col, _ in found], np.int32), counts)
    joined = {name: np.concatenate([columns[name] for _, _, columns in found]) for name in DOT_COLUMNS}
    order = np.lexsort((joined["x_px"], joined["y_px"], marker))
    return Dots(marker[order], col[order], {name: value[order] for name, value in joined.items()})
