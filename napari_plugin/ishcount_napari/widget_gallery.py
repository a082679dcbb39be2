"""Gallery of the queue's cells: choose several, then one key labels them all."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QAbstractListModel, QModelIndex, QSize, Qt
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import QAbstractItemView, QListView, QVBoxLayout, QWidget

from ishcount.core.decisions import NO_CALL, Call
from ishcount_napari.crops import CLOSE_UM, CropLoader, to_pixmap
from ishcount_napari.session import Session
from ishcount_napari.widget_parts import text

THUMB_PX = 72
# Light enough to be read on a dark dock; the sign says it again without colour.
CALL_COLOURS = {
    Call.POSITIVE: "#ff8ad0",
    Call.NEGATIVE: "#9dbdff",
    Call.UNSURE: "#ffc84a",
    Call.NOT_A_CELL: "#c0c0c0",
}
CALL_SIGNS = {Call.POSITIVE: "+", Call.NEGATIVE: "\u2212", Call.UNSURE: "?", Call.NOT_A_CELL: "\u00d7"}


class GalleryModel(QAbstractListModel):
    """The queue's cells in order, crops loaded when they come into view."""

    def __init__(self, session: Session, crops: CropLoader | None) -> None:
        """crops: None where the slide's image is not at hand."""
        super().__init__()
        self._session, self._crops = session, crops
        if crops is not None:
            crops.loaded.connect(self._loaded)

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:
        """Cells in the queue."""
        return 0 if parent.isValid() else len(self._session.queue.ids)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Crop, score and the colour of the call."""
        cell = self.cell(index)
        live, marker = self._session.live, self._session.marker
        at = int(live.rows([cell])[0])
        if role == Qt.ItemDataRole.DisplayRole:
            call = int(live.call[marker][at])
            if call == NO_CALL and self._session.hides_automatic:
                return ""
            return f"{live.score[marker][at]:.2f} {'' if call == NO_CALL else CALL_SIGNS[Call(call)]}"
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"cell {cell}"
        if role == Qt.ItemDataRole.ForegroundRole:
            call = int(live.call[marker][at])
            return None if call == NO_CALL else QColor(CALL_COLOURS[Call(call)])
        if role == Qt.ItemDataRole.DecorationRole:
            return self._icon(cell, at)
        return None

    def cell(self, index: QModelIndex) -> int:
        """Cell id at a place."""
        return int(self._session.queue.ids[index.row()])

    def start_anew(self) -> None:
        """The queue is another one."""
        self.beginResetModel()
        self.endResetModel()

    def repaint_calls(self) -> None:
        """Calls changed."""
        if self.rowCount():
            self.dataChanged.emit(self.index(0), self.index(self.rowCount() - 1))

    def _icon(self, cell: int, at: int) -> QIcon:
        live = self._session.live
        crop = None
        if self._crops is not None:
            place = float(live.x_um[at]), float(live.y_um[at])
            crop = self._crops.get(cell, *place, side_um=CLOSE_UM, side_px=THUMB_PX)
        if crop is not None:
            return QIcon(to_pixmap(crop))
        blank = QPixmap(THUMB_PX, THUMB_PX)
        blank.fill(QColor("#303030"))
        return QIcon(blank)

    def _loaded(self, cell: int, _: float) -> None:
        found = (self._session.queue.ids == cell).nonzero()[0]
        if len(found):
            place = self.index(int(found[0]))
            self.dataChanged.emit(place, place, [Qt.ItemDataRole.DecorationRole])


class GalleryPanel(QWidget):
    """The gallery with its hint."""

    def __init__(self, session: Session, crops: CropLoader | None) -> None:
        """Show the session's queue."""
        super().__init__()
        self.session = session
        self.model = GalleryModel(session, crops)
        self.view = QListView()
        self.view.setModel(self.model)
        self.view.setViewMode(QListView.ViewMode.IconMode)
        self.view.setResizeMode(QListView.ResizeMode.Adjust)
        self.view.setMovement(QListView.Movement.Static)
        self.view.setUniformItemSizes(True)
        self.view.setIconSize(QSize(THUMB_PX, THUMB_PX))
        self.view.setGridSize(QSize(THUMB_PX + 8, THUMB_PX + 22))
        self.view.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.view.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.view.doubleClicked.connect(lambda index: session.go_to(self.model.cell(index)))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2, 2, 2, 2)
        layout.addWidget(text("Select with Ctrl or Shift, then one key labels all. Double-click: go there."))
        layout.addWidget(self.view)

    def selected(self) -> list[int]:
        """Cell ids selected, in the queue's order."""
        return [
            self.model.cell(index) for index in sorted(self.view.selectedIndexes(), key=lambda i: i.row())
        ]
