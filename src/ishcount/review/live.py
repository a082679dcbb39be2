"""Counts of a slide under review, kept up to date decision by decision, for a million cells.

A decision moves a few integers; a new cut or an exclusion recounts with numpy. The same numbers come out of
`steps.density.densities_from_tables` when the decisions are handed to it; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from ishcount.core.decisions import NO_CALL, AddedCell, Call, lies_in
from ishcount.review.outlines import polygon

OUTSIDE = -1  # compartment code of a cell that a corrected outline puts outside tissue

# Codes of the look-up table that colours cells: one per look.
LOOKS = ("none", "negative", "positive", "unsure", "reviewed_negative", "reviewed_positive", "not_counted")


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of one compartment: cells that count, positives found automatically, positives after review."""

    n_cells: int
    n_positive_automatic: int
    n_positive: int


class LiveCounts:
    """Automatic classes, calls, exclusions and outlines of one slide as arrays, row i being the i-th cell.

    cells: as `cells.parquet`. cuts: marker -> the result's own cut. Positions in micrometres.
    """

    def __init__(self, cells: pd.DataFrame, cuts: Mapping[str, float]) -> None:
        """Set up for the markers in `cuts`; nothing decided yet."""
        self.cell_id = cells["cell_id"].to_numpy(np.int64)
        self.x_um = cells["x_um"].to_numpy(np.float64)
        self.y_um = cells["y_um"].to_numpy(np.float64)
        self._rises = bool(np.all(self.y_um[1:] >= self.y_um[:-1]))
        self._automatic_compartment, self.compartments = _compartment_codes(cells["compartment"])
        self.compartment = self._automatic_compartment.copy()
        self._is_automatic = True  # whether compartments are the result's own
        self.cuts = dict(cuts)
        self.score = {marker: cells[f"{marker}_score"].to_numpy(np.float32) for marker in cuts}
        self.automatic = {marker: cells[f"{marker}_positive"].to_numpy(bool) for marker in cuts}
        self.call = {marker: np.full(len(cells), NO_CALL, np.int8) for marker in cuts}
        self.cover = np.zeros(len(cells), np.int16)  # exclusion polygons over each cell
        self.added: dict[str, AddedCell] = {}
        self._not_cells = np.zeros(len(cells), np.int8)  # markers under which it is called not a cell
        self._inside: dict[str, NDArray[np.intp]] = {}
        self._at_cut = {marker: found.copy() for marker, found in self.automatic.items()}
        self._cut = dict(cuts)
        self._n_cells = np.zeros(0, np.int64)
        self._automatic_count = {
            marker: self._by_compartment(found & (self.compartment != OUTSIDE))
            for marker, found in self.automatic.items()
        }
        self._n_positive: dict[str, NDArray[np.int64]] = {}
        self.recount()

    def rows(self, cell_ids: Sequence[int]) -> NDArray[np.intp]:
        """Row of each cell id; KeyError for an id that is not in the table."""
        place = np.searchsorted(self.cell_id, cell_ids)
        place = np.minimum(place, len(self.cell_id) - 1)
        if len(self.cell_id) == 0 or np.any(self.cell_id[place] != cell_ids):
            raise KeyError(f"no cell {list(cell_ids)} in this result")
        return np.asarray(place, dtype=np.intp)

    def cut(self, marker: str) -> float:
        """The cut in force: the reader's, else the result's."""
        return self._cut[marker]

    def counted(self) -> NDArray[np.bool_]:
        """True for cells that count at all: in tissue, not excluded, not called `not a cell`."""
        return (self.compartment != OUTSIDE) & (self.cover == 0) & (self._not_cells == 0)

    def effective(self, marker: str) -> NDArray[np.bool_]:
        """Effective class of every cell, counted or not: the reader's call, else the score at the cut."""
        return _effective(self._at_cut[marker], self.call[marker])

    def set_call(self, marker: str, cell_id: int, call: Call | None) -> int:
        """Set or clear (None) the call of one cell; its row. Counts follow in microseconds."""
        row = int(self.rows([cell_id])[0])
        self._count(row, -1)
        old, new = self.call[marker][row], NO_CALL if call is None else int(call)
        self._not_cells[row] += int(new == Call.NOT_A_CELL) - int(old == Call.NOT_A_CELL)
        self.call[marker][row] = new
        self._count(row, +1)
        return row

    def set_calls(self, marker: str, calls: Mapping[int, Call]) -> None:
        """Set the calls of many cells at once and recount: for opening a log."""
        rows = self.rows(list(calls))
        new = np.fromiter((int(call) for call in calls.values()), np.int8, len(calls))
        self._not_cells[rows] += (new == Call.NOT_A_CELL).astype(np.int8)
        self._not_cells[rows] -= (self.call[marker][rows] == Call.NOT_A_CELL).astype(np.int8)
        self.call[marker][rows] = new
        self.recount()

    def set_cut(self, marker: str, cut: float | None) -> None:
        """Choose another cut, or go back (None) to the result's; recounts."""
        self._cut[marker] = self.cuts[marker] if cut is None else float(cut)
        same = cut is None or cut == self.cuts[marker]
        at_cut = self.automatic[marker].copy() if same else self.score[marker] >= np.float32(cut)
        self._at_cut[marker] = at_cut
        self._recount_marker(marker)

    def exclude(self, name: str, polygon_um: NDArray[np.float64] | None) -> None:
        """Put an exclusion polygon (k, 2: x, y) in place, or take it away (None)."""
        old = self._inside.pop(name, np.zeros(0, np.intp))
        new = old[:0] if polygon_um is None else self._rows_inside(polygon_um)
        changed = np.union1d(old, new) if len(old) and len(new) else np.concatenate([old, new])
        self._count_rows(changed, -1)
        self.cover[old] -= 1
        self.cover[new] += 1
        self._count_rows(changed, +1)
        if polygon_um is not None:
            self._inside[name] = new

    def set_compartments(self, names: NDArray[np.object_] | None) -> None:
        """Compartments of all cells after corrections ("": outside tissue), or None for the result's."""
        if names is None and self._is_automatic:
            return
        self._is_automatic = names is None
        if names is None:
            self.compartment = self._automatic_compartment.copy()
        else:
            present = [str(name) for name in pd.unique(pd.Series(names)) if name]
            new = [name for name in sorted(present) if name not in self.compartments]
            self.compartments += new
            for marker, found in self._automatic_count.items():
                self._automatic_count[marker] = np.pad(found, (0, len(new)))
            code = {name: place for place, name in enumerate(self.compartments)} | {"": OUTSIDE}
            self.compartment = np.array([code[str(name)] for name in names], dtype=np.int16)
        self.recount()

    def recount(self) -> None:
        """Count all cells again."""
        self._n_cells = self._by_compartment(self.counted())
        for marker in self.cuts:
            self._recount_marker(marker)

    def tally(self, marker: str, compartment: str = "tissue") -> Tally:
        """Counts in `tissue` (all compartments together) or in one compartment, added cells included."""
        added = [cell for cell in self.added.values() if lies_in(cell.compartment, compartment)]
        n_added_positive = sum(marker in cell.positive for cell in added)
        where = [code for code, name in enumerate(self.compartments) if lies_in(name, compartment)]
        automatic = int(self._automatic_count[marker][where].sum())
        return Tally(
            int(self._n_cells[where].sum()) + len(added),
            automatic,
            int(self._n_positive[marker][where].sum()) + n_added_positive,
        )

    def looks(self, marker: str) -> NDArray[np.uint8]:
        """Index into `LOOKS` for label values 0 .. largest cell id: the look-up table that colours cells."""
        call = self.call[marker]
        code = np.where(self.effective(marker), 2, 1).astype(np.uint8)
        code[call == Call.POSITIVE] = 5
        code[call == Call.NEGATIVE] = 4
        code[call == Call.UNSURE] = 3
        code[~self.counted()] = 6
        table = np.zeros(int(self.cell_id.max(initial=0)) + 1, np.uint8)
        table[self.cell_id] = code
        return table

    def look(self, marker: str, row: int) -> int:
        """Index into `LOOKS` of one cell."""
        if self.compartment[row] == OUTSIDE or self.cover[row] or self._not_cells[row]:
            return 6
        call = int(self.call[marker][row])
        if call == NO_CALL:
            return 2 if self._at_cut[marker][row] else 1
        return {int(Call.POSITIVE): 5, int(Call.NEGATIVE): 4}.get(call, 3)

    def _rows_inside(self, polygon_um: NDArray[np.float64]) -> NDArray[np.intp]:
        """Rows inside a polygon. Tables are sorted by y, so that only a band of rows is looked at."""
        first, last = 0, len(self.y_um)
        if self._rises and len(polygon_um):
            top, bottom = np.min(polygon_um[:, 1]), np.max(polygon_um[:, 1])
            first = int(np.searchsorted(self.y_um, top))
            last = int(np.searchsorted(self.y_um, bottom, side="right"))
        return first + rows_inside(self.x_um[first:last], self.y_um[first:last], polygon_um)

    def _count_rows(self, rows: NDArray[np.intp], sign: int) -> None:
        """Add (+1) or take off (-1) what many cells contribute."""
        place = self.compartment[rows]
        rows = rows[(place != OUTSIDE) & (self.cover[rows] == 0) & (self._not_cells[rows] == 0)]
        place, n = self.compartment[rows].astype(np.int64), len(self.compartments)
        self._n_cells += sign * np.bincount(place, minlength=n)
        for marker, call in self.call.items():
            positive = _effective(self._at_cut[marker][rows], call[rows])
            self._n_positive[marker] += sign * np.bincount(place[positive], minlength=n)

    def _by_compartment(self, chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
        codes = self.compartment[chosen].astype(np.int64)
        return np.bincount(codes, minlength=len(self.compartments)).astype(np.int64)

    def _recount_marker(self, marker: str) -> None:
        self._n_positive[marker] = self._by_compartment(self.effective(marker) & self.counted())

    def _count(self, row: int, sign: int) -> None:
        """Add (+1) or take off (-1) what one cell contributes."""
        place = self.compartment[row]
        if place == OUTSIDE or self.cover[row] or self._not_cells[row]:
            return
        self._n_cells[place] += sign
        for marker, call in self.call.items():
            decided = int(call[row])
            is_open = decided in (NO_CALL, Call.UNSURE)
            positive = self._at_cut[marker][row] if is_open else decided == Call.POSITIVE
            self._n_positive[marker][place] += sign * int(positive)


def _effective(at_cut: NDArray[np.bool_], call: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Class of each cell: the call where one decides it, else the class at the cut."""
    is_open = (call == NO_CALL) | (call == Call.UNSURE)
    return np.where(is_open, at_cut, call == Call.POSITIVE)


def _compartment_codes(names: pd.Series) -> tuple[NDArray[np.int16], list[str]]:
    """Code of each cell's compartment (missing: tissue; "": `OUTSIDE`), and the names, sorted."""
    codes, found = pd.factorize(names)  # on the column as it is: 1,000,000 Python strings would take 0.2 s
    present = ["" if pd.isna(name) else str(name) for name in found]
    known = sorted({name for name in present if name} | ({"tissue"} if (codes < 0).any() else set()))
    code_of = [known.index(name) if name else OUTSIDE for name in present]
    missing = known.index("tissue") if "tissue" in known else OUTSIDE
    return np.array([*code_of, missing], dtype=np.int16)[codes], known


def rows_inside(
    x_um: NDArray[np.float64], y_um: NDArray[np.float64], polygon_um: NDArray[np.float64]
) -> NDArray[np.intp]:
    """Indices of the points inside a polygon (k, 2: x, y), self-crossing polygons by the even-odd rule."""
    return rows_within(x_um, y_um, polygon(polygon_um))


def rows_within(
    x_um: NDArray[np.float64], y_um: NDArray[np.float64], shape: BaseGeometry
) -> NDArray[np.intp]:
    """Indices of the points inside a shape."""
    if shape.is_empty:
        return np.zeros(0, np.intp)
    left, top, right, bottom = shape.bounds
    near = np.flatnonzero((x_um >= left) & (x_um <= right) & (y_um >= top) & (y_um <= bottom))
    shapely.prepare(shape)
    return near[shapely.contains_xy(shape, x_um[near], y_um[near])]
