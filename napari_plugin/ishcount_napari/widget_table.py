"""Table of the queue's cells: what was found, what was decided."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt
from qtpy.QtWidgets import QAbstractItemView, QComboBox, QTableView, QVBoxLayout, QWidget

from ishcount.core.decisions import NO_CALL, Call
from ishcount_napari.session import Session

COLUMNS = ("cell", "score", "automatic", "reader", "compartment", "x um", "y um")
FILTERS = ("this queue", "undecided", "decided", "changed by the reader")


class CellTable(QAbstractTableModel):
    """Rows of the queue on numpy arrays; nothing is copied per cell."""

    def __init__(self, session: Session) -> None:
        """Show the session's queue."""
        super().__init__()
        self._session = session
        self.filter = FILTERS[0]
        self.ids: NDArray[np.int64] = np.zeros(0, np.int64)
        self.start_anew()

    def start_anew(self) -> None:
        """The queue, the filter or calls changed."""
        self.beginResetModel()
        self.ids = self._filtered()
        self.endResetModel()

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:
        """Cells shown."""
        return 0 if parent.isValid() else len(self.ids)

    def columnCount(self, parent: QModelIndex = QModelIndex()) -> int:
        """Columns shown."""
        return 0 if parent.isValid() else len(COLUMNS)

    def headerData(self, section: int, orientation: Any, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Names of the columns."""
        if role != Qt.ItemDataRole.DisplayRole:
            return None
        return COLUMNS[section] if orientation == Qt.Orientation.Horizontal else section + 1

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """One field as text."""
        if role != Qt.ItemDataRole.DisplayRole:
            return None
        live, marker = self._session.live, self._session.marker
        cell = int(self.ids[index.row()])
        at = int(live.rows([cell])[0])
        call = int(live.call[marker][at])
        code = int(live.compartment[at])
        hidden = self._session.hides_automatic and call == NO_CALL
        values = (
            str(cell),
            "hidden" if hidden else f"{live.score[marker][at]:.3f}",
            "hidden" if hidden else ("positive" if live.automatic[marker][at] else "negative"),
            "" if call == NO_CALL else Call(call).word.replace("_", " "),
            live.compartments[code] if code >= 0 else "outside",
            f"{live.x_um[at]:.1f}",
            f"{live.y_um[at]:.1f}",
        )
        return values[index.column()]

    def _filtered(self) -> NDArray[np.int64]:
        live, marker = self._session.live, self._session.marker
        ids = self._session.queue.ids
        if self.filter == FILTERS[0] or len(ids) == 0:
            return ids
        rows = live.rows(ids.tolist())
        call = live.call[marker][rows]
        if self.filter == "undecided":
            return ids[call == NO_CALL]
        if self.filter == "decided":
            return ids[call != NO_CALL]
        changed = (call == Call.POSITIVE) != live.automatic[marker][rows]
        return ids[changed & np.isin(call, (Call.POSITIVE, Call.NEGATIVE, Call.NOT_A_CELL))]


class TablePanel(QWidget):
    """The table with its filter; a double click goes to the cell."""

    def __init__(self, session: Session) -> None:
        """Show the session's queue."""
        super().__init__()
        self.session = session
        self.model = CellTable(session)
        self.filter = QComboBox()
        self.filter.addItems(FILTERS)
        self.filter.currentTextChanged.connect(self._filter)
        self.view = QTableView()
        self.view.setModel(self.model)
        self.view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.view.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.view.verticalHeader().setVisible(False)
        self.view.doubleClicked.connect(lambda index: session.go_to(int(self.model.ids[index.row()])))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2, 2, 2, 2)
        layout.addWidget(self.filter)
        layout.addWidget(self.view)

    def refresh(self) -> None:
        """Show the queue as it is now."""
        self.model.start_anew()

    def selected(self) -> list[int]:
        """Cell ids of the selected rows."""
        rows = sorted({index.row() for index in self.view.selectedIndexes()})
        return [int(self.model.ids[row]) for row in rows]

    def _filter(self, words: str) -> None:
        self.model.filter = words
        self.model.start_anew()
