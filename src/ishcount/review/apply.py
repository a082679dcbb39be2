"""The way back into the study: what all readers of a slide decided, as `Decisions`.

`Decisions` go to `SlideResult.densities(decisions=...)`. One reader's word is taken as it is. Of several
readers only what they share counts (a cell in dispute keeps its automatic class, an exclusion is where all
excluded), until a consensus log, written by the reader named `consensus`, settles it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import shapely
from shapely.geometry.base import BaseGeometry

from ishcount.core.decisions import AddedCell, Call, Decisions
from ishcount.core.units import PixelSize
from ishcount.result import SlideResult
from ishcount.review.evidence import resolve
from ishcount.review.live import rows_within
from ishcount.review.log import log_paths, read_log
from ishcount.review.outlines import WHOLE, area_changes_mm2, compartments_at, polygon, read_outlines, redrawn
from ishcount.review.state import ReviewState

CONSENSUS = "consensus"
"""The reader whose log settles what the others dispute."""
SAME_CELL_UM = 5.0
"""Two readers' added cells closer than this are one cell: less than a nucleus (6-10 um) is wide."""


def pixel_size_of(result: SlideResult) -> PixelSize:
    """Level-0 pixel size a slide was counted with."""
    return PixelSize(float(result.summary["mpp_x_um"]), float(result.summary["mpp_y_um"]))


def reader_states(result: SlideResult) -> dict[str, ReviewState]:
    """State of every reader's log of this slide, by reader; readers without entries are left out.

    Raises SlideError when a log is damaged or belongs to another result.
    """
    states = {}
    digest = result.digest()
    for path in log_paths(result.folder):
        entries = read_log(path, result_digest=digest)
        if entries:
            states[entries[0].reviewer] = ReviewState(entries)
    return states


def apply_review(result: SlideResult, states: Mapping[str, ReviewState] | None = None) -> Decisions | None:
    """Decisions of all readers of a slide, None where nobody has decided anything.

    `result.densities(decisions=apply_review(result))` gives the reviewed counts.
    """
    states = reader_states(result) if states is None else states
    states = {reader: state for reader, state in states.items() if state.values}
    if not states:
        return None
    last_word = states.get(CONSENSUS)
    readers = [state for reader, state in states.items() if reader != CONSENSUS] or [states[CONSENSUS]]
    where = [last_word] if last_word is not None and len(readers) > 1 else readers
    areas = _Areas(result, where)
    return Decisions(
        calls=_calls(result, readers, last_word),
        excluded=areas.excluded(),
        area_change_mm2=areas.changes_mm2(),
        compartments=areas.moved_cells(),
        added=areas.placed(_shared_cells([state.added() for state in where])),
        cuts=_shared_cuts(where),
        reviewers=tuple(sorted(states)),
        result_digest=result.digest(),
    )


def _calls(
    result: SlideResult, readers: Sequence[ReviewState], last_word: ReviewState | None
) -> dict[str, dict[int, Call]]:
    calls = {}
    for marker in result.markers:
        by_reader = [state.calls(marker) for state in readers]
        settled = last_word.calls(marker) if last_word is not None else {}
        shared = dict(by_reader[0]) if len(by_reader) == 1 else resolve(by_reader)
        if len(by_reader) > 1:  # not a cell stays so only where all who looked said so
            shared |= {cell: Call.NOT_A_CELL for cell in shared if _all_say_no_cell(cell, by_reader)}
        found = shared | settled
        if found:
            calls[marker] = found
    return calls


def _all_say_no_cell(cell: int, by_reader: Sequence[Mapping[int, Call]]) -> bool:
    return all(calls[cell] == Call.NOT_A_CELL for calls in by_reader if cell in calls)


def _shared_cells(added: Sequence[Sequence[AddedCell]]) -> list[AddedCell]:
    """Added cells that every reader placed (within `SAME_CELL_UM`), as the first reader placed them."""
    first, *others = added
    return [
        cell
        for cell in first
        if all(any(_distance_um(cell, other) <= SAME_CELL_UM for other in cells) for cells in others)
    ]


def _distance_um(a: AddedCell, b: AddedCell) -> float:
    return float(((a.x_um - b.x_um) ** 2 + (a.y_um - b.y_um) ** 2) ** 0.5)


def _shared_cuts(states: Sequence[ReviewState]) -> dict[str, float]:
    first, *others = [state.cuts() for state in states]
    return {marker: cut for marker, cut in first.items() if all(other.get(marker) == cut for other in others)}


class _Areas:
    """Exclusions and outlines the readers share, and what they do to areas and cells."""

    def __init__(self, result: SlideResult, states: Sequence[ReviewState]) -> None:
        self._result = result
        per_reader = [
            shapely.union_all([polygon(found.value["polygon_um"]) for _, found in state.items("exclude")])
            for state in states
        ]
        self.left_out: BaseGeometry = shapely.intersection_all(per_reader)
        self.corrections = _shared_outlines(states)
        self._before: dict[str, BaseGeometry] | None = None

    def excluded(self) -> frozenset[int]:
        cells = self._result.cells
        rows = rows_within(cells["x_um"].to_numpy(), cells["y_um"].to_numpy(), self.left_out)
        return frozenset(int(cell) for cell in cells["cell_id"].to_numpy()[rows])

    def changes_mm2(self) -> dict[str, float]:
        if self.left_out.is_empty and not self.corrections:
            return {}
        return area_changes_mm2(self._outlines(), self._after(), self.left_out)

    def moved_cells(self) -> dict[int, str]:
        if not self.corrections:
            return {}
        cells = self._result.cells
        automatic = cells["compartment"].fillna(WHOLE).to_numpy(object)
        x_um, y_um = cells["x_um"].to_numpy(), cells["y_um"].to_numpy()
        names = compartments_at(x_um, y_um, automatic, self._after(), self.corrections)
        moved = names != automatic
        ids = cells["cell_id"].to_numpy()[moved].tolist()
        return dict(zip(ids, (str(name) for name in names[moved]), strict=True))

    def placed(self, added: Sequence[AddedCell]) -> tuple[AddedCell, ...]:
        """Added cells that lie in tissue and outside exclusions, each with its compartment."""
        if not added:
            return ()
        areas = self._after()
        cells = [place_cell(cell, areas, self.left_out) for cell in added]
        return tuple(cell for cell in cells if cell is not None)

    def _after(self) -> dict[str, BaseGeometry]:
        return redrawn(self._outlines(), self.corrections)

    def _outlines(self) -> dict[str, BaseGeometry]:
        if self._before is None:
            path = self._result.folder / "tissue.geojson"
            self._before = read_outlines(path, pixel_size_of(self._result))
        return self._before


def place_cell(
    cell: AddedCell, areas: Mapping[str, BaseGeometry], left_out: BaseGeometry
) -> AddedCell | None:
    """The cell with the compartment it lies in; None outside tissue and inside an exclusion."""
    point = shapely.Point(cell.x_um, cell.y_um)
    if left_out.covers(point) or not areas[WHOLE].covers(point):
        return None
    inside = [name for name, shape in areas.items() if name not in (WHOLE, "viable") and shape.covers(point)]
    smallest = min(inside, key=lambda name: areas[name].area, default=WHOLE)
    return AddedCell(id=cell.id, x_um=cell.x_um, y_um=cell.y_um, compartment=smallest, positive=cell.positive)


def _shared_outlines(states: Sequence[ReviewState]) -> dict[str, Any]:
    """Corrected outlines (area name -> polygons) that all readers drew alike."""
    first, *others = [
        {str(item.name): found.value["polygons_um"] for item, found in state.items("outline")}
        for state in states
    ]
    return {name: rings for name, rings in first.items() if all(other.get(name) == rings for other in others)}
