"""What the finished nuclei give, block by block: labels, areas, outlines, and the nuclei near each dot.

The labels of a block are painted from the nuclei of the blocks around it, so that three rows of blocks are in
memory at most. What is needed again once every row was seen (nuclei near dots, outlines) waits on disk.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from ishcount.core import files, tables
from ishcount.core.geometry import Block, Region
from ishcount.core.tissue_map import RegionKind, TissueMap
from ishcount.outputs.contours import Contours, in_order, trace_contours
from ishcount.outputs.geojson import MOST_CELLS
from ishcount.outputs.labels import LabelWriter
from ishcount.quantify.job import Plan, SlideJob
from ishcount.quantify.merge import BlockRow, Dots, block_rows
from ishcount.steps.cells import N_NEAR, add_areas, grow, near_nuclei, paint

Array = npt.NDArray[Any]
Near = tuple[npt.NDArray[np.uint32], npt.NDArray[np.float32], npt.NDArray[np.float32]]
Item = TypeVar("Item")
Answer = TypeVar("Answer")
NUCLEUS_COLUMNS = ("x_um", "y_um", "flags", "section", "compartment", "depth_um")
DOT_COLUMNS = ("x_um", "y_um", "area_um2", "peak_od", "integrated_od", "score", "reason")
_HARD_REASONS = {RegionKind.FOLD: "fold", RegionKind.PEN: "ink", RegionKind.BLUR: "blur"}


@dataclass(frozen=True)
class DotPart:
    """The dots of one marker in one row of blocks: on disk but for their scores.

    columns: file of `DOT_COLUMNS`. near: file of the nuclei near them.
    """

    marker: int
    row: int
    columns: Path
    near: Path
    score: npt.NDArray[np.float32]


@dataclass
class Measured:
    """Columns of cells; where the dots are.

    nuclei: pieces of `NUCLEUS_COLUMNS` (compartment as its place in the map's names). dots: parts by row,
    then marker. areas: int32 pixels of nucleus and cell by cell id. outlines: files.
    """

    nuclei: list[dict[str, Array]] = field(default_factory=list)
    dots: list[DotPart] = field(default_factory=list)
    outlines: list[Path] = field(default_factory=list)
    nucleus_area_px: npt.NDArray[np.int32] = field(default_factory=lambda: np.zeros(1, np.int32))
    cell_area_px: npt.NDArray[np.int32] = field(default_factory=lambda: np.zeros(1, np.int32))

    def make_room(self, n_more: int) -> None:
        """Room for the areas of `n_more` cells."""
        more = np.zeros(n_more, np.int32)
        self.nucleus_area_px = np.concatenate([self.nucleus_area_px, more])
        self.cell_area_px = np.concatenate([self.cell_area_px, more])

    @property
    def n_cells(self) -> int:
        """How many cells there is room for."""
        return len(self.nucleus_area_px) - 1

    def dot_parts(self) -> list[DotPart]:
        """The dots in the order of their table: by marker, then from the top of the slide."""
        return sorted(self.dots, key=lambda part: (part.marker, part.row))

    def near_parts(self) -> Iterator[Near]:
        """Ids and distances (n, 6) of the nuclei near the dots and the dots' scores, part by part."""
        for part in self.dot_parts():
            ids, distances = files.map_array(part.near)
            yield np.array(ids), np.array(distances).view(np.float32), part.score

    def outline_parts(self) -> Iterator[Contours]:
        """Outlines of all nuclei in the order of their ids, piece by piece."""
        for path in self.outlines:
            arrays = files.read_arrays(path)
            yield Contours(arrays["offsets"], arrays["vertices"])


def measure(job: SlideJob, plan: Plan, tissue: TissueMap, *, n_threads: int = 1) -> Measured:
    """Go through the rows of blocks once; the label image is written unless only tables are wanted.

    The blocks of a row are shared among `n_threads`: the compiled steps let go of Python's lock.
    """
    measured = Measured()
    if job.outputs == "tables":
        _all_rows(job, plan, tissue, measured, None, n_threads)
        return measured
    height, width = plan.grid_shape

    def fill(folder: Path) -> None:
        writer = LabelWriter(folder, height=height, width=width, pixel_size=plan.grid_pixel_size)
        _all_rows(job, plan, tissue, measured, writer, n_threads)
        writer.close()

    files.write_folder(job.folder / "labels.ome.zarr", fill)
    return measured


def _all_rows(
    job: SlideJob,
    plan: Plan,
    tissue: TissueMap,
    measured: Measured,
    writer: LabelWriter | None,
    n_threads: int,
) -> None:
    with ThreadPoolExecutor(n_threads) as threads:
        rows_of_blocks = made_ahead(block_rows(job, plan, tissue), threads)
        for above, here, below in with_neighbours(rows_of_blocks):
            for row in (here, below):
                if row is not None and row.nuclei.first_id > measured.n_cells:
                    measured.make_room(len(row.nuclei.x_um))
            near = np.zeros((2, len(here.dots.marker), N_NEAR), np.uint32)
            near[1] = np.float32(np.inf).view(np.uint32)
            rows = [row for row in (above, here, below) if row is not None]
            outlines: list[tuple[Array, Contours]] = []
            measure_page = partial(_measure_page, job, plan, rows, here)
            for page in in_turn(measure_page, here.blocks, threads, n_threads):
                if page is not None:
                    _take_page(page, measured, near, outlines, writer)
            if writer is not None:
                writer.finish_rows(here.blocks[0].core.coarser(plan.grid_factor).y_end)
                _keep_outlines(job, here, outlines, measured)
            _keep_nuclei(here, tissue, measured)
            _keep_dots(job, here, near, tissue, measured)


def made_ahead(items: Iterator[Item], threads: ThreadPoolExecutor) -> Iterator[Item]:
    """The items, each made by a thread while the one before it is used."""
    coming = threads.submit(next, items, None)
    while (item := coming.result()) is not None:
        coming = threads.submit(next, items, None)
        yield item


def in_turn(
    call: Callable[[Block], Answer], blocks: Iterable[Block], threads: ThreadPoolExecutor, n_threads: int
) -> Iterator[Answer]:
    """The call's answers in the order of the blocks; no more than one beyond `n_threads` is held."""
    coming: deque[Future[Answer]] = deque()
    for block in blocks:
        coming.append(threads.submit(call, block))
        if len(coming) > n_threads:
            yield coming.popleft().result()
    while coming:
        yield coming.popleft().result()


def with_neighbours(
    rows: Iterable[BlockRow],
) -> Iterator[tuple[BlockRow | None, BlockRow, BlockRow | None]]:
    """Each row with the rows of blocks right above and below it, where they hold blocks."""
    above: BlockRow | None = None
    here: BlockRow | None = None
    for below in rows:
        if here is not None:
            touching = below.row == here.row + 1
            yield above, here, below if touching else None
            above = here if touching else None
        here = below
    if here is not None:
        yield above, here, None


class _Page:
    """The label image of one block and of what is read about it; `core` and `window` are on its grid."""

    def __init__(self, block: Block, plan: Plan, rows: list[BlockRow]) -> None:
        self.block, self.factor, self.grid = block, plan.grid_factor, plan.grid_pixel_size
        self.core, self.window = block.core.coarser(self.factor), block.read.coarser(self.factor)
        runs = [
            row.nuclei.runs[col]
            for row in rows
            for col in range(block.col - 1, block.col + 2)
            if col in row.nuclei.runs
        ]
        self.is_empty = not runs
        self.labels = np.zeros((self.window.height, self.window.width), np.uint32)
        for part in runs:
            label, row, start, stop = np.ascontiguousarray(part.T)
            paint(self.labels, self.window.y, label, row, start, stop, self.window.x)

    def cut(self, labels: Array, region: Region, frame: Region) -> Array:
        """The part of `labels`, an image of `frame`, that lies in `region`."""
        y, x = region.y - frame.y, region.x - frame.x
        return labels[y : y + region.height, x : x + region.width]

    @property
    def core_labels(self) -> Array:
        """Labels of the core alone."""
        return self.cut(self.labels, self.core, self.window)

    def cells(self, reach_x_px: float, reach_y_px: float) -> Array:
        """Cells in the core: nuclei grown."""
        frame = self.core.grow(int(max(reach_x_px, reach_y_px))).intersect(self.window)
        assert frame is not None
        grown = grow(np.ascontiguousarray(self.cut(self.labels, frame, self.window)), reach_x_px, reach_y_px)
        return self.cut(grown, self.core, frame)

    def outlines(self, row: BlockRow) -> tuple[Array, Contours]:
        """Ids of the block's own nuclei and their outlines in level-0 pixels."""
        ids = np.flatnonzero(row.nuclei.col == self.block.col) + row.nuclei.first_id
        found = trace_contours(
            self.labels, ids, factor=self.factor, origin_row=self.window.y, origin_col=self.window.x
        )
        return ids, found


@dataclass(frozen=True)
class _Found:
    """What one page gave: labels and cells of its core, nuclei near its dots, outlines of its nuclei."""

    core: Region
    labels: Array
    cells: Array
    dots: Array
    near: tuple[Array, Array]
    outlines: tuple[Array, Contours] | None


def _measure_page(
    job: SlideJob, plan: Plan, rows: list[BlockRow], here: BlockRow, block: Block
) -> _Found | None:
    """Paint and measure one block's page; None where there is no nucleus."""
    page = _Page(block, plan, rows)
    if page.is_empty:
        return None
    grid, cells = page.grid, job.params.cells
    reach = (max(cells.cell_expansion_um / edge, 0.5) for edge in (grid.x_um, grid.y_um))
    mine = np.flatnonzero(here.dots.col == block.col)
    x, y = (here.dots.columns[name][mine] for name in ("x_um", "y_um"))
    near = near_nuclei(page.labels, page.window.y, x, y, grid.x_um, grid.y_um, cells.reach_um, page.window.x)
    outlines = None if job.outputs == "tables" else page.outlines(here)
    return _Found(page.core, page.core_labels, page.cells(*reach), mine, near, outlines)


def _take_page(
    page: _Found,
    measured: Measured,
    near: npt.NDArray[np.uint32],
    outlines: list[tuple[Array, Contours]],
    writer: LabelWriter | None,
) -> None:
    """Add a page to what is known of the slide; one at a time, since a nucleus may lie on two pages."""
    add_areas(page.labels, measured.nucleus_area_px)
    add_areas(page.cells, measured.cell_area_px)
    ids, distances = page.near
    near[0, page.dots], near[1, page.dots] = ids, distances.view(np.uint32)
    if page.outlines is not None:
        outlines.append(page.outlines)
    if writer is not None:
        writer.write(page.core.y, page.core.x, page.labels)


def _keep_outlines(
    job: SlideJob, row: BlockRow, outlines: list[tuple[Array, Contours]], measured: Measured
) -> None:
    """Outlines of a row to disk, by id; none once there are too many cells for a file of outlines."""
    nuclei = row.nuclei
    if len(nuclei.x_um) == 0 or nuclei.first_id > MOST_CELLS:
        return
    joined = in_order(outlines, first_id=nuclei.first_id, n=len(nuclei.x_um))
    path = job.work / "outlines" / f"{row.row:05d}.npz"
    files.write_arrays(path, {"offsets": joined.offsets, "vertices": joined.vertices})
    measured.outlines.append(path)


def _keep_nuclei(row: BlockRow, tissue: TissueMap, measured: Measured) -> None:
    x, y = row.nuclei.x_um, row.nuclei.y_um
    measured.nuclei.append(
        {
            "x_um": x,
            "y_um": y,
            "flags": row.nuclei.flags.astype(np.uint32),
            "section": tissue.section_at(x, y),
            "compartment": tissue.compartment_code_at(x, y),
            "depth_um": tissue.depth_at(x, y),
        }
    )


def _keep_dots(
    job: SlideJob, row: BlockRow, near: npt.NDArray[np.uint32], tissue: TissueMap, measured: Measured
) -> None:
    columns = judge_place(row.dots, tissue, job)
    for place in range(len(job.markers)):
        mine = slice(*np.searchsorted(row.dots.marker, (place, place + 1)))
        name = f"{place}-{row.row:05d}"
        part = DotPart(
            place, row.row, job.work / "dots" / f"{name}.npz", job.work / "near" / f"{name}.npy",
            np.array(columns["score"][mine]),
        )  # fmt: skip
        files.write_array(part.near, near[:, mine], synced=False)
        files.write_arrays(part.columns, {name: columns[name][mine] for name in DOT_COLUMNS})
        measured.dots.append(part)


def judge_place(dots: Dots, tissue: TissueMap, job: SlideJob) -> dict[str, Array]:
    """The dots' columns; outside tissue they score 0 and say why; in tissue the counted have no reason."""
    kind = tissue.kind_at_px(dots.columns["x_px"], dots.columns["y_px"])
    score, reason = dots.columns["score"].copy(), dots.columns["reason"].copy()
    in_horn = tissue.compartment_at(dots.columns["x_um"], dots.columns["y_um"]) == "stratum_corneum"
    reason[in_horn & (reason == tables.DOT_REASONS.index("low_score"))] = tables.DOT_REASONS.index("diffuse")
    outside = kind != RegionKind.TISSUE
    score[outside] = 0
    reason[outside] = tables.DOT_REASONS.index("outside_tissue")
    for region, word in _HARD_REASONS.items():
        reason[kind == region] = tables.DOT_REASONS.index(word)
    reason[score >= np.float32(job.params.density.dot_cut)] = 0
    return dots.columns | {"score": score, "reason": reason}
