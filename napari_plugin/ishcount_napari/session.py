"""A reader at work on one slide: acts, undo, and the queue of cells to look at. No Qt, no napari."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ishcount.core.decisions import NO_CALL, Call
from ishcount.core.errors import UsageError
from ishcount.result import SlideResult
from ishcount.review import queues
from ishcount.review.apply import CONSENSUS, reader_states
from ishcount.review.audit import Plan, plan_from
from ishcount.review.audited import logged_plan
from ishcount.review.log import Change
from ishcount.review.outlines import polygon
from ishcount.review.readers import disputes
from ishcount.review.state import Item, ReviewState
from ishcount_napari.slide_review import SlideReview

VERDICTS = ("evaluable", "not_evaluable", "signed_off")


@dataclass
class Queue:
    """Cells to look at, in order; `name` is one of `queues.QUEUES`, `detail` the reason or compartment."""

    name: str = "positives"
    detail: str = ""
    ids: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    place: int = -1


class Session(SlideReview):
    """One reader at one slide."""

    def __init__(self, result: SlideResult, *, reviewer: str, alias: str = "", image: str = "") -> None:
        """As `SlideReview`; begins with the cells called positive."""
        super().__init__(result, reviewer=reviewer, alias=alias, image=image)
        self.queue = Queue()
        self._plans_of_others: dict[str, Plan | None] = {}
        self.other_calls: dict[str, dict[int, Call]] = {}  # what the others say, in the queue of disputes
        self.choose_queue("positives")

    @property
    def current(self) -> int | None:
        """The cell in view, None when the queue is empty."""
        inside = 0 <= self.queue.place < len(self.queue.ids)
        return int(self.queue.ids[self.queue.place]) if inside else None

    @property
    def hides_automatic(self) -> bool:
        """Whether automatic calls and scores stay hidden: a reader who sees them is no check on them."""
        return self.queue.name == "audit"

    def decide(self, call: Call | None, cells: Sequence[int] | None = None, *, reason: str = "") -> None:
        """Call the cell in view, or `cells` together; deciding the cell in view goes on to the next one."""
        alone = cells is None
        chosen = [self.current] if cells is None else list(cells)
        changes = [
            self._change("call", cell, None if call is None else call.word, self.marker, reason)
            for cell in chosen
            if cell is not None
        ]
        self.write(changes)
        if alone and changes:
            self.step_undecided()

    def undo(self) -> bool:
        """Take the last act back; False when there is none."""
        return self._again("undo", self.state.can_undo)

    def redo(self) -> bool:
        """Do the last undone act again; False when there is none."""
        return self._again("redo", self.state.can_redo)

    def preview_cut(self, cut: float) -> None:
        """Count at another cut without deciding for it."""
        self.live.set_cut(self.marker, cut)
        self.touched = None
        self._tell({"counts", "cells", "cut"})

    def choose_cut(self, cut: float | None, *, reason: str = "") -> None:
        """Decide for another cut, or (None) for the result's."""
        self.write([self._change("cut", "", cut, self.marker, reason)])

    def exclude(self, polygon_um: Any, *, reason: str, name: str = "") -> str:
        """Leave the inside of a polygon out of cells and area; the exclusion's id."""
        if not reason.strip():
            raise UsageError("an exclusion needs a reason (for example: fold, ink, crush artefact)")
        if polygon(polygon_um).area <= 0:
            raise UsageError("an exclusion needs a polygon with an area: at least three corners not in line")
        name = name or f"X:{uuid.uuid4().hex[:8]}"
        corners = np.round(np.asarray(polygon_um, float), 2).tolist()
        self.write([self._change("exclude", name, {"polygon_um": corners}, reason=reason)])
        return name

    def remove_exclusion(self, name: str) -> None:
        """Take an exclusion away."""
        self.write([self._change("exclude", name, None)])

    def correct_outline(self, area: str, polygons_um: Iterable[Any] | None, *, reason: str = "") -> None:
        """Redraw tissue or a compartment, or (None) go back to the automatic outline."""
        rings = None
        if polygons_um is not None:
            rings = {"polygons_um": [np.round(np.asarray(ring, float), 2).tolist() for ring in polygons_um]}
        self.write([self._change("outline", area, rings, reason=reason)])

    def add_cell(self, x_um: float, y_um: float, *, positive: bool = True, reason: str = "") -> str:
        """Add a cell the detector never proposed; its id."""
        name = f"M:{uuid.uuid4().hex[:12]}"
        value = {"x_um": round(x_um, 2), "y_um": round(y_um, 2), "positive": [self.marker] * positive}
        self.write([self._change("add", name, value, reason=reason)])
        return name

    def remove_added(self, name: str) -> None:
        """Take an added cell away."""
        self.write([self._change("add", name, None)])

    def give_verdict(self, verdict: str, *, reason: str = "") -> None:
        """Say whether the slide can be evaluated, or sign it off."""
        if verdict == "not_evaluable" and not reason.strip():
            raise UsageError("a slide that cannot be evaluated needs a reason (for example: RNA degraded)")
        self.write([self._change("verdict", "", {"verdict": verdict, "reason": reason}, reason=reason)])

    def set_blinded(self, blinded: bool, *, reason: str = "") -> None:
        """Hide or show who and what this slide is. Both are logged; neither can be undone."""
        self.write([Change(operation="blind", old=self.state.blinded, new=blinded, reason=reason)])

    def choose_marker(self, marker: str) -> None:
        """Look at another marker."""
        self.marker, self.touched = marker, None
        self.choose_queue(self.queue.name, self.queue.detail)
        self._tell({"cells", "counts", "current", "cut"})

    def _change(
        self, operation: str, item: int | str, new: Any, marker: str = "", reason: str = ""
    ) -> Change:
        return Change(
            operation=operation,
            marker=marker,
            item=item,
            old=self.state.value(operation, item, marker),
            new=new,
            reason=reason,
            queue=self.queue.name if operation == "call" else "",
        )

    def _again(self, operation: str, act: int | None) -> bool:
        if act is None:
            return False
        items: list[Item] = []
        for entry in self.log.append([Change(operation=operation, new=act)]):
            items += self.state.fold(entry)
        self._tell(self._show(items))
        called = [int(item.name) for item in items if item.operation == "call"]
        if called:
            self.go_to(called[0])
        return True

    def choose_queue(self, name: str, detail: str = "") -> None:
        """Fill the queue and go to its first undecided cell (its first cell when all are decided)."""
        ids = self._queue_ids(name, detail)
        self.queue = Queue(name, detail, ids, -1 if len(ids) == 0 else 0)
        if self.current is not None and not self._is_open(self.current):
            self.queue.place = queues.next_undecided(ids, 0, self._is_open) or 0
        self._tell({"queue", "current"})

    def step(self, by: int) -> None:
        """Go forwards or backwards in the queue, round its ends."""
        if len(self.queue.ids):
            self.queue.place = (self.queue.place + by) % len(self.queue.ids)
            self._tell({"current"})

    def step_undecided(self) -> None:
        """Go to the next undecided cell; stay where all are decided."""
        place = queues.next_undecided(self.queue.ids, self.queue.place, self._is_open)
        if place is not None:
            self.queue.place = place
        self._tell({"current"})

    def go_to(self, cell_id: int) -> None:
        """Look at a cell, wherever it is; the queue goes on from it if it holds it, else begins with it."""
        self.live.rows([cell_id])
        found = np.flatnonzero(self.queue.ids == cell_id)
        if len(found):
            self.queue.place = int(found[0])
        else:
            place = max(self.queue.place, 0)
            self.queue.ids = np.insert(self.queue.ids, place, cell_id)
            self.queue.place = place
        self._tell({"current"})

    def nearest(self, x_um: float, y_um: float, *, within_um: float = 12.0) -> int | None:
        """The cell whose nucleus is nearest a place, None when none is near (default: about one cell)."""
        live = self.live
        box = np.flatnonzero((np.abs(live.x_um - x_um) < within_um) & (np.abs(live.y_um - y_um) < within_um))
        if len(box) == 0:
            return None
        away = (live.x_um[box] - x_um) ** 2 + (live.y_um[box] - y_um) ** 2
        return int(live.cell_id[box[np.argmin(away)]])

    @property
    def plan(self) -> Plan | None:
        """The audit plan of the marker in view: this reader's, else the one another reader drew."""
        own = self.state.plans.get(self.marker)
        if own is not None:
            return plan_from(own)
        if self.marker not in self._plans_of_others:
            self._plans_of_others[self.marker] = logged_plan(self.others(), self.marker)
        return self._plans_of_others[self.marker]

    @property
    def progress(self) -> tuple[int, int]:
        """Decided and all cells of the queue."""
        if len(self.queue.ids) == 0:
            return 0, 0
        rows = self.live.rows(self.queue.ids.tolist())
        return int(np.count_nonzero(self.live.call[self.marker][rows] != NO_CALL)), len(rows)

    def others(self) -> dict[str, ReviewState]:
        """States of the other readers of this slide."""
        return {name: state for name, state in reader_states(self.result).items() if name != self.reviewer}

    def _queue_ids(self, name: str, detail: str) -> NDArray[np.int64]:
        live, marker = self.live, self.marker
        if name == "audit":
            return np.array(self.plan.cell_ids if self.plan else [], np.int64)
        if name == "rejected":
            return queues.rejected(live, self.dots, marker, detail)
        if name == "compartment":
            return queues.in_compartment(live, marker, detail)
        if name == "unsure":
            return queues.called(live, marker, Call.UNSURE)
        if name == "disagreements":
            return np.array(self._disputes(), np.int64)
        simple = {
            "positives": queues.positives,
            "uncertain": queues.most_uncertain,
            "unreviewed": queues.unreviewed,
        }
        return simple[name](live, marker)

    def _disputes(self) -> list[int]:
        others = self.others().items()
        readers = {name: state.calls(self.marker) for name, state in others if name != CONSENSUS}
        self.other_calls = dict(readers)
        if self.reviewer != CONSENSUS:
            readers[self.reviewer] = self.state.calls(self.marker)
        settled = self.state.calls(self.marker) if self.reviewer == CONSENSUS else None
        names = sorted(readers)
        pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
        return sorted({cell for a, b in pairs for cell in disputes(readers[a], readers[b], settled)})

    def _is_open(self, cell_id: int) -> bool:
        return bool(self.live.call[self.marker][self.live.rows([cell_id])[0]] == NO_CALL)
