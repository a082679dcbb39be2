"""What one reader's log makes of one slide: counts, areas and calls, kept up to date. No Qt, no napari.

Every act is written and synced to the log first and only then shown. Whoever wants to know about changes adds
a function to `listeners`; it is called with the names of what changed (`ASPECTS`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from ishcount.core.decisions import NO_CALL, AddedCell, Call
from ishcount.core.units import PixelSize
from ishcount.result import SlideResult
from ishcount.review.apply import pixel_size_of, place_cell
from ishcount.review.live import LiveCounts, Tally
from ishcount.review.log import Change, ReviewLog
from ishcount.review.outlines import WHOLE, area_changes_mm2, compartments_at, polygon, read_outlines, redrawn
from ishcount.review.state import Item, ReviewState
from ishcount.steps.density import garwood

ASPECTS = ("cells", "counts", "queue", "current", "areas", "added", "verdict", "blind", "cut", "plan")


@dataclass(frozen=True, slots=True)
class Numbers:
    """What the dock shows in big: counts, area and density of one compartment, with the exact Poisson
    interval.
    """

    tally: Tally
    area_mm2: float
    per_mm2: float
    low: float
    high: float
    automatic_per_mm2: float


class SlideReview:
    """One slide as one reader sees it now."""

    def __init__(self, result: SlideResult, *, reviewer: str, alias: str = "", image: str = "") -> None:
        """Open the reader's log of this slide; SlideError when it belongs to another result.

        alias: the name shown while blinded. image: path of the slide file, for what needs pixels.
        """
        self.result, self.reviewer, self.alias, self.image = result, reviewer, alias, image
        self.pixel_size: PixelSize = pixel_size_of(result)
        self.log = ReviewLog(
            result.folder, reviewer=reviewer, slide_id=result.slide_id, result_digest=result.digest()
        )
        self.cut = float(result.summary["counting"]["dot_cut"])
        self.live = LiveCounts(result.cells, dict.fromkeys(result.markers, self.cut))
        self.state = ReviewState(self.log.entries)
        self.marker = next(iter(result.markers))
        self.listeners: list[Callable[[set[str]], None]] = []
        self.area_change_mm2: dict[str, float] = {}
        self._areas: dict[str, BaseGeometry] | None = None  # None: to be worked out anew
        self.touched: list[int] | None = None  # cells whose colour changed last; None: all
        self._show_everything()

    @property
    def title(self) -> str:
        """The slide's id, or its alias while blinded."""
        return (self.alias or "blinded slide") if self.blinded else self.result.slide_id

    @property
    def blinded(self) -> bool:
        """Whether slide id, patient and group are hidden."""
        return bool(self.state.blinded)

    @cached_property
    def outlines(self) -> dict[str, BaseGeometry]:
        """Outlines as counted, in micrometres; empty when the result has none."""
        path = self.result.folder / "tissue.geojson"
        return read_outlines(path, self.pixel_size) if path.exists() else {}

    @cached_property
    def dots(self) -> pd.DataFrame:
        """`dots.parquet`, by owner."""
        return self.result.dots.sort_values("cell_id", kind="stable").reset_index(drop=True)

    @cached_property
    def _dot_owner(self) -> NDArray[np.int64]:
        return self.dots["cell_id"].to_numpy(np.int64)

    def dots_of(self, cell_id: int) -> pd.DataFrame:
        """Candidate dots of a cell for the marker in view, best first."""
        low, high = np.searchsorted(self._dot_owner, [cell_id, cell_id + 1])
        mine = self.dots.iloc[low:high]
        return mine[mine["marker"] == self.marker].sort_values("score", ascending=False, kind="stable")

    @property
    def areas(self) -> dict[str, BaseGeometry]:
        """Outlines after corrections, in micrometres."""
        if self._areas is None:
            self._areas = redrawn(self.outlines, self.corrections)
        return self._areas

    @property
    def corrections(self) -> dict[str, list[Any]]:
        """Corrected outlines: area name -> polygons in micrometres."""
        return {str(item.name): found.value["polygons_um"] for item, found in self.state.items("outline")}

    @property
    def exclusions(self) -> dict[str, dict[str, Any]]:
        """Exclusions in force: id -> polygon_um, reason."""
        return {str(item.name): found.value for item, found in self.state.items("exclude")}

    @property
    def n_decisions(self) -> int:
        """Cells this reader has decided for the marker in view."""
        return int(np.count_nonzero(self.live.call[self.marker] != NO_CALL))

    @property
    def verdict(self) -> tuple[str, str]:
        """The reader's word on the slide and its reason; empty while there is none."""
        value = self.state.value("verdict", "") or {}
        return value.get("verdict", ""), value.get("reason", "")

    def area_mm2(self, compartment: str = WHOLE) -> float:
        """Area of a compartment after review."""
        known = self.result.summary["compartments"].get(compartment) or {}
        return max(0.0, float(known.get("area_mm2") or 0.0) + self.area_change_mm2.get(compartment, 0.0))

    def numbers(self, compartment: str = WHOLE) -> Numbers:
        """Counts and density of a compartment now, beside the automatic density."""
        tally, area = self.live.tally(self.marker, compartment), self.area_mm2(compartment)
        before = float((self.result.summary["compartments"].get(compartment) or {}).get("area_mm2") or 0.0)
        low, high = garwood(tally.n_positive, area) if area > 0 else (np.nan, np.nan)
        return Numbers(
            tally,
            area,
            tally.n_positive / area if area > 0 else np.nan,
            low,
            high,
            tally.n_positive_automatic / before if before > 0 else np.nan,
        )

    def write(self, changes: Sequence[Change]) -> None:
        """Log changes as one act, then show them. Nothing is shown that is not on disk."""
        changes = [change for change in changes if change.old != change.new]
        if not changes:
            return
        items: list[Item] = []
        for entry in self.log.append(changes):
            items += self.state.fold(entry)
        self._tell(self._show(items) | {change.operation for change in changes} & {"blind", "plan"})

    def _show(self, items: Iterable[Item]) -> set[str]:
        """Bring the live counts up to date with changed items; the aspects that changed."""
        aspects: set[str] = set()
        items = list(items)
        only_calls = all(item.operation == "call" for item in items)
        self.touched = [int(item.name) for item in items] if only_calls else None
        for item in items:
            value = self.state.value(item.operation, item.name, item.marker)
            if item.operation == "call":
                call = None if value is None else Call.from_word(value)
                self.live.set_call(item.marker, int(item.name), call)
                aspects |= {"cells", "counts"}
            elif item.operation == "cut":
                self.live.set_cut(item.marker, value)
                aspects |= {"cells", "counts", "cut"}
            elif item.operation == "exclude":
                self.live.exclude(str(item.name), None if value is None else np.array(value["polygon_um"]))
                aspects |= {"cells", "counts", "areas"}
            elif item.operation == "outline":
                self._areas = None
                aspects |= {"cells", "counts", "areas"}
            elif item.operation in ("add", "field"):
                aspects |= {"counts", "added"}
            else:
                aspects.add("verdict")
        if "areas" in aspects:
            self._show_areas()
        if aspects & {"areas", "added"}:
            self._show_added()
        return aspects

    def _show_everything(self) -> None:
        for marker in self.live.cuts:
            calls = self.state.calls(marker)
            if calls:
                self.live.set_calls(marker, calls)
        self._show([item for item in self.state.values if item.operation != "call"])
        _ = self.outlines, self.dots  # read now, where damage can be said, not when first needed

    def _show_areas(self) -> None:
        corrected = self.corrections
        cells = self.result.cells
        names: NDArray[np.object_] | None = None
        if corrected:
            automatic = cells["compartment"].fillna(WHOLE).to_numpy(object)
            names = compartments_at(self.live.x_um, self.live.y_um, automatic, self.areas, corrected)
        self.live.set_compartments(names)
        self.area_change_mm2 = area_changes_mm2(self.outlines, self.areas, self.left_out)

    @property
    def left_out(self) -> BaseGeometry:
        """All exclusions as one shape, in micrometres."""
        return shapely.union_all([polygon(found["polygon_um"]) for found in self.exclusions.values()])

    def _show_added(self) -> None:
        placed: Mapping[str, AddedCell | None] = {
            cell.id: place_cell(cell, self.areas, self.left_out) if self.outlines else cell
            for cell in self.state.added()
        }
        self.live.added = {name: cell for name, cell in placed.items() if cell is not None}

    def _tell(self, aspects: set[str]) -> None:
        for listener in list(self.listeners):
            listener(aspects)
