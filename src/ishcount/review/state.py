"""What a review log amounts to: every item's present value, and what can be undone or redone.

An act is what one key press or one bulk labelling did: one or more assignments with the same number. Undo
puts the old values back, redo the new ones; a new act empties the list of what could be redone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from ishcount.core.decisions import AddedCell, Call
from ishcount.review.log import ASSIGNING, Entry


class Item(NamedTuple):
    """What an assignment is about: operation, marker ("" where none applies) and the item's name."""

    operation: str
    marker: str
    name: int | str


class Assigned(NamedTuple):
    """The entry a value came from, and the value."""

    entry: Entry
    value: Any


class ReviewState:
    """Present values of all items, folded from log entries one at a time."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        """Fold `entries` in their order."""
        self.values: dict[Item, Assigned] = {}
        self.blinded: bool | None = None
        self.plans: dict[str, Any] = {}
        self._acts: dict[int, list[Entry]] = {}
        self._done: list[int] = []
        self._undone: list[int] = []
        for entry in entries:
            self.fold(entry)

    def fold(self, entry: Entry) -> list[Item]:
        """Take one more entry in; the items whose value it changed."""
        if entry.operation in ASSIGNING:
            return self._assign(entry)
        if entry.operation == "undo":
            return self._undo(int(entry.new))
        if entry.operation == "redo":
            return self._redo(int(entry.new))
        if entry.operation == "blind":
            self.blinded = bool(entry.new)
        elif entry.operation == "plan":
            self.plans[entry.marker] = entry.new
        return []

    @property
    def can_undo(self) -> int | None:
        """Number of the act that undo would take back, None when there is none."""
        return self._done[-1] if self._done else None

    @property
    def can_redo(self) -> int | None:
        """Number of the act that redo would do again, None when there is none."""
        return self._undone[-1] if self._undone else None

    def value(self, operation: str, name: int | str, marker: str = "") -> Any:
        """Present value of an item, None when it has none."""
        assigned = self.values.get(Item(operation, marker, name))
        return None if assigned is None else assigned.value

    def items(self, operation: str) -> Iterator[tuple[Item, Assigned]]:
        """Items of one operation that have a value, oldest assignment first."""
        return ((item, found) for item, found in self.values.items() if item.operation == operation)

    def calls(self, marker: str) -> dict[int, Call]:
        """Calls in force for one marker, by cell id."""
        return {
            int(item.name): Call.from_word(found.value)
            for item, found in self.items("call")
            if item.marker == marker
        }

    def cuts(self) -> dict[str, float]:
        """Score cuts a reader chose, by marker."""
        return {item.marker: float(found.value) for item, found in self.items("cut")}

    def added(self) -> tuple[AddedCell, ...]:
        """Cells a reader added, in the order in which they were added."""
        return tuple(
            AddedCell(
                id=str(item.name),
                x_um=value["x_um"],
                y_um=value["y_um"],
                positive=frozenset(value["positive"]),
            )
            for item, (_, value) in self.items("add")
        )

    def _assign(self, entry: Entry) -> list[Item]:
        if not self._done or self._done[-1] != entry.act:
            self._done.append(entry.act)
            for act in self._undone:
                del self._acts[act]
            self._undone.clear()
        self._acts.setdefault(entry.act, []).append(entry)
        return [self._put(entry, entry.new)]

    def _undo(self, act: int) -> list[Item]:
        if self.can_undo != act:
            return []
        self._undone.append(self._done.pop())
        return [self._put(entry, entry.old) for entry in reversed(self._acts[act])]

    def _redo(self, act: int) -> list[Item]:
        if self.can_redo != act:
            return []
        self._done.append(self._undone.pop())
        return [self._put(entry, entry.new) for entry in self._acts[act]]

    def _put(self, entry: Entry, value: Any) -> Item:
        item = Item(entry.operation, entry.marker, entry.item)
        if value is None:
            self.values.pop(item, None)
        else:
            self.values[item] = Assigned(entry, value)
        return item
