"""A reviewer's decisions about one result, in the one form every counter reads.

Nothing here reads a log or draws a window: `ishcount.review` turns logs into a `Decisions`, and
`steps.density.densities_from_tables` (and the live review) lays it over the automatic tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

VIABLE = ("epidermis", "dermis", "papillary_dermis", "adnexa")
"""The compartments that make up `viable`: no horn, hair or fat."""
NO_CALL = -1
"""In an int8 array of calls: nobody has decided this cell."""


class Call(IntEnum):
    """What a reader says of one cell and one marker.

    `UNSURE` leaves the automatic class in force (and is listed for a second look).
    `NOT_A_CELL` takes the cell out of every count, for every marker.
    """

    NEGATIVE = 0
    POSITIVE = 1
    UNSURE = 2
    NOT_A_CELL = 3

    @property
    def word(self) -> str:
        """How the call is written in logs and tables: `negative`, `positive`, `unsure`, `not_a_cell`."""
        return self.name.lower()

    @classmethod
    def from_word(cls, word: str) -> Call:
        """The call written as `word`; KeyError for any other text."""
        return cls[word.upper()]


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedCell:
    """A cell the detector never proposed, placed by a reader (corner-origin micrometres)."""

    id: str
    x_um: float
    y_um: float
    compartment: str = ""
    section: int = 0
    positive: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Decisions:
    """Everything readers changed about one slide's result. Empty: the automatic result stands.

    `calls`: marker -> {cell_id: Call}. `excluded`: cell ids inside an exclusion polygon.
    `area_change_mm2`: compartment (`tissue` included) -> signed change of its area: exclusions are
    negative, a widened outline is positive. `compartments`: cell_id -> compartment, only for cells that a
    corrected outline moved; "" puts a cell outside tissue. `cuts`: marker -> score cut chosen by the reader.
    """

    calls: Mapping[str, Mapping[int, Call]] = field(default_factory=dict)
    excluded: frozenset[int] = frozenset()
    area_change_mm2: Mapping[str, float] = field(default_factory=dict)
    compartments: Mapping[int, str] = field(default_factory=dict)
    added: tuple[AddedCell, ...] = ()
    cuts: Mapping[str, float] = field(default_factory=dict)
    reviewers: tuple[str, ...] = ()
    result_digest: str = ""

    def positive(self, marker: str, cell_id: ArrayLike, automatic: ArrayLike) -> NDArray[np.bool_]:
        """Effective class of each cell: the reader's, else `automatic` (bool, same shape)."""
        effective = np.array(automatic, dtype=bool)
        calls = self.calls.get(marker, {})
        if calls:
            index, call = _find(cell_id, {cell: int(call) for cell, call in calls.items()})
            decided = call != Call.UNSURE
            effective[index[decided]] = call[decided] == Call.POSITIVE
        return effective

    def counted(self, cell_id: ArrayLike) -> NDArray[np.bool_]:
        """True for cells that still count: not excluded, not called `NOT_A_CELL` under any marker."""
        gone = dict.fromkeys(self.excluded, 1)
        for calls in self.calls.values():
            gone.update({cell: 1 for cell, call in calls.items() if call == Call.NOT_A_CELL})
        kept = np.ones(np.shape(np.asarray(cell_id)), dtype=bool)
        if gone:
            kept[_find(cell_id, gone)[0]] = False
        return kept

    def compartment(self, cell_id: ArrayLike, automatic: ArrayLike) -> NDArray[np.object_]:
        """Compartment of each cell after outline corrections; "" means outside tissue: do not count it."""
        names = np.array(automatic, dtype=object)
        if self.compartments:
            order = {cell: place for place, cell in enumerate(self.compartments)}
            index, place = _find(cell_id, order)
            names[index] = np.array(list(self.compartments.values()), dtype=object)[place]
        return names

    def area_mm2(self, compartment: str, area_mm2: float) -> float:
        """Area of a compartment after review, never below 0."""
        return max(0.0, area_mm2 + self.area_change_mm2.get(compartment, 0.0))

    def added_in(self, compartment: str) -> tuple[AddedCell, ...]:
        """Cells added in a compartment; `tissue` holds all, `viable` those of epidermis and dermis."""
        return tuple(cell for cell in self.added if lies_in(cell.compartment, compartment))

    def n_added(self, compartment: str, marker: str | None = None) -> int:
        """How many cells were added in a compartment, or how many of them are positive for `marker`."""
        cells = self.added_in(compartment)
        return len(cells) if marker is None else sum(marker in cell.positive for cell in cells)


def lies_in(place: str, compartment: str) -> bool:
    """Whether what lies in `place` counts in `compartment`: in itself, in `tissue`, maybe in `viable`."""
    return compartment in ("tissue", place) or (compartment == "viable" and place in VIABLE)


def _find(cell_id: ArrayLike, value_of: Mapping[int, int]) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """Places in `cell_id` whose id is a key of `value_of`, and the value at each."""
    ids = np.fromiter(value_of.keys(), dtype=np.int64, count=len(value_of))
    values = np.fromiter(value_of.values(), dtype=np.int64, count=len(value_of))
    order = np.argsort(ids, kind="stable")
    ids, values = ids[order], values[order]
    cells = np.asarray(cell_id, dtype=np.int64)
    place = np.minimum(np.searchsorted(ids, cells), len(ids) - 1)
    hit = np.flatnonzero(ids[place] == cells)
    return hit, values[place[hit]]
