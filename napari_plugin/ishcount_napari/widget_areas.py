"""Areas: exclusions with their reasons, corrected outlines, added cells."""

from __future__ import annotations

from qtpy.QtWidgets import QComboBox, QLabel, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from ishcount.review.outlines import UM2_PER_MM2, polygon
from ishcount_napari.drawing import Drawing
from ishcount_napari.session import Session
from ishcount_napari.widget_parts import button, number, row, text

REASONS = (
    "fold",
    "ink",
    "crush artefact",
    "out of focus",
    "tear",
    "haemorrhage",
    "hair follicle",
    "necrosis",
    "scar",
)


class AreasPanel(QWidget):
    """Buttons that put the viewer into a drawing mode, and what was drawn."""

    def __init__(self, session: Session) -> None:
        """`connect_drawing` must follow before a button is pressed."""
        super().__init__()
        self.session = session
        self._drawing: Drawing | None = None
        self.reason = QComboBox()
        self.reason.setEditable(True)
        self.reason.addItems(REASONS)
        self.list = QListWidget()
        self.list.setMaximumHeight(110)
        self.outline = QComboBox()
        names = [name for name in session.outlines if name != "viable"]
        self.outline.addItems(names or ["tissue"])
        self.areas: QLabel = text()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2, 2, 2, 2)
        layout.setSpacing(4)
        for widget in (
            text("<b>Exclusions</b>: their cells and their area do not count."),
            row(text("reason"), self.reason),
            row(
                button("Draw exclusion", self._draw, tip="Click corners, double-click to end", name="draw"),
                button("Remove selected", self._remove, name="remove_exclusion"),
            ),
            self.list,
            text("<b>Cells the detector missed</b>"),
            row(
                button(
                    "Add positive cells", self._add, tip="Click each; Done when finished", name="add_cells"
                ),
                button("Done", self._done, tip="Back to moving and clicking", name="done"),
            ),
            text("<b>Outlines</b>: densities follow a corrected outline."),
            self.outline,
            row(
                button("Redraw", self._begin, tip="Drag corners, or delete and draw anew", name="redraw"),
                button("Use", self._use, name="use_outline"),
                button("Automatic", self._automatic, tip="Back to the automatic outline", name="automatic"),
            ),
            self.areas,
        ):
            layout.addWidget(widget)
        layout.addStretch(1)
        self.refresh()

    def connect_drawing(self, drawing: Drawing) -> None:
        """Say what the buttons work on."""
        self._drawing = drawing

    def refresh(self) -> None:
        """Show exclusions and areas as they are now."""
        session = self.session
        self.list.clear()
        for name, value in session.exclusions.items():
            area_mm2 = polygon(value["polygon_um"]).area / UM2_PER_MM2
            self.list.addItem(QListWidgetItem(f"{_reason_of(session, name)}, {area_mm2:.4f} mm\u00b2"))
        lines = []
        for name in session.result.summary["compartments"]:
            change = session.area_change_mm2.get(name, 0.0)
            note = f" ({change:+.4f})" if change else ""
            lines.append(f"{name}: {number(session.area_mm2(name), 4)} mm\u00b2{note}")
        if session.live.added or session.state.added():
            outside = len(session.state.added()) - len(session.live.added)
            lines.append(
                f"{len(session.live.added)} added cells" + (f", {outside} outside tissue" * bool(outside))
            )
        self.areas.setText("<br>".join(lines))

    def _draw(self) -> None:
        if self._drawing:
            self._drawing.draw_exclusion()

    def _remove(self) -> None:
        row_number = self.list.currentRow()
        names = list(self.session.exclusions)
        if 0 <= row_number < len(names):
            self.session.remove_exclusion(names[row_number])

    def _add(self) -> None:
        if self._drawing:
            self._drawing.add_cells()

    def _done(self) -> None:
        if self._drawing:
            self._drawing.look_around()

    def _begin(self) -> None:
        if self._drawing:
            self._drawing.begin_outline(self.outline.currentText())

    def _use(self) -> None:
        if self._drawing:
            self._drawing.use_outline(self.outline.currentText())

    def _automatic(self) -> None:
        if self._drawing:
            self._drawing.drop_draft()
        self.session.correct_outline(self.outline.currentText(), None)


def _reason_of(session: Session, name: str) -> str:
    for item, (entry, _) in session.state.items("exclude"):
        if item.name == name:
            return entry.reason
    return ""
