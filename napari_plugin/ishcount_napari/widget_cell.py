"""The card of the cell in view, the buttons that decide it, and the queue it comes from."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QLabel, QVBoxLayout, QWidget

from ishcount.core.decisions import NO_CALL, Call
from ishcount.core.flags import names
from ishcount.core.tables import DOT_REASONS
from ishcount.review.queues import QUEUES
from ishcount_napari.crops import CLOSE_UM, WIDE_UM, CropLoader, to_pixmap, with_square
from ishcount_napari.session import Session
from ishcount_napari.widget_parts import button, row, shown_key, text

CROP_PX = 150
MOST_DOTS_LISTED = 6
QUEUE_WORDS = {
    "audit": "random audit",
    "positives": "called positive",
    "uncertain": "most uncertain",
    "rejected": "rejected for ...",
    "compartment": "in compartment ...",
    "unsure": "unsure",
    "disagreements": "readers disagree",
    "unreviewed": "not yet decided",
}


class CellPanel(QWidget):
    """Queue, crops at two scales, dots and why, and buttons."""

    def __init__(
        self, session: Session, crops: CropLoader | None, keys: dict[str, str], act: Callable[[str], None]
    ) -> None:
        """crops: None where the slide's image is not at hand. act: does a named action (see `keys`)."""
        super().__init__()
        self.session, self._crops = session, crops
        self.queue, self.detail = QComboBox(), QComboBox()
        for name in QUEUES:
            self.queue.addItem(QUEUE_WORDS[name], name)
        self.queue.setCurrentIndex(self.queue.findData(session.queue.name))
        self.queue.activated.connect(lambda _: self._chosen())
        self.detail.activated.connect(lambda _: self._fill())
        self.detail.setVisible(False)
        self.progress, self.facts, self.dots = text(), text(), text()
        self.close_crop, self.wide_crop = _frame(), _frame()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2, 2, 2, 2)
        layout.setSpacing(3)

        def key_button(words: str, action: str, colour: str = "") -> QWidget:
            found = button(f"{words}  {shown_key(keys[action])}", lambda: act(action), name=action)
            found.setStyleSheet(f"padding: 4px 2px; {f'border: 1px solid {colour};' if colour else ''}")
            return found

        for widget in (
            row(self.queue, self.detail),
            self.progress,
            row(self.close_crop, self.wide_crop),
            row(key_button("Positive", "positive", "#e0301a"), key_button("Negative", "negative", "#3a70d8")),
            row(key_button("Unsure", "unsure", "#ffb300"), key_button("Not a cell", "not_a_cell", "#888888")),
            row(key_button("Previous", "previous"), key_button("Next", "next"), key_button("Undo", "undo")),
            self.facts,
            self.dots,
        ):
            layout.addWidget(widget)
        layout.addStretch(1)
        if crops is not None:
            crops.loaded.connect(lambda cell, _: self._show_crops() if cell == session.current else None)
        self.refresh()

    def refresh(self) -> None:
        """Show the cell in view."""
        session = self.session
        done, total = session.progress
        place = session.queue.place + 1 if total else 0
        self.progress.setText(
            f"{place} of {total} in this queue, {done} decided" if total else "this queue is empty"
        )
        self._show_crops()
        cell = session.current
        if cell is None:
            self.facts.setText(self._why_empty())
            self.dots.setText("")
            return
        self._show_facts(cell)
        self._show_dots(cell)

    def next_queue(self) -> None:
        """Go to the next queue that has cells."""
        for _ in range(self.queue.count()):
            self.queue.setCurrentIndex((self.queue.currentIndex() + 1) % self.queue.count())
            self._chosen()
            if len(self.session.queue.ids):
                return

    def show_queue(self) -> None:
        """Show which queue the session works through."""
        self.queue.setCurrentIndex(self.queue.findData(self.session.queue.name))

    def _why_empty(self) -> str:
        name = self.session.queue.name
        if name == "audit" and self.session.plan is None:
            return "Draw an audit first (tab Audit)."
        return "No cell here. Choose another queue, or click a cell in the slide."

    def _chosen(self) -> None:
        name = self.queue.currentData()
        options = {
            "rejected": [reason for reason in DOT_REASONS if reason],
            "compartment": self.session.live.compartments,
        }.get(name, [])
        self.detail.clear()
        self.detail.addItems(options)
        self.detail.setVisible(bool(options))
        self._fill()

    def _fill(self) -> None:
        if self._crops is not None:
            self._crops.forget_waiting()
        self.session.choose_queue(self.queue.currentData(), self.detail.currentText())

    def _show_facts(self, cell: int) -> None:
        session = self.session
        live, marker = session.live, session.marker
        at = int(live.rows([cell])[0])
        found = session.result.cells.iloc[at]
        automatic = "positive" if live.automatic[marker][at] else "negative"
        call = int(live.call[marker][at])
        word = "undecided" if call == NO_CALL else Call(call).word.replace("_", " ")
        if session.hides_automatic and call == NO_CALL:
            self.facts.setText(
                f"<b>cell {cell}</b>: what ishcount found stays hidden until you decide, so that you check it"
            )
            return
        doubts = (names(int(found["flags"])) or "none").lower().replace("_", " ").replace(";", ", ")
        out = (
            "" if live.counted()[at] else "<br><b>does not count</b> (excluded, outside tissue or not a cell)"
        )
        self.facts.setText(
            f"<b>cell {cell}</b>: automatic <b>{automatic}</b>, you: <b>{word}</b>{out}<br>"
            f"score {live.score[marker][at]:.3f} (cut {live.cut(marker):.3f}), "
            f"{int(found[f'{marker}_copies'])} copies, {found['compartment']}, "
            f"nucleus {found['nucleus_area_um2']:.0f} \u00b5m\u00b2<br>doubts: {doubts}{self._others(cell)}"
        )

    def _others(self, cell: int) -> str:
        """What the other readers say, where the queue is about that."""
        session = self.session
        if session.queue.name != "disagreements":
            return ""
        said = [
            f"{reader}: <b>{calls[cell].word.replace('_', ' ')}</b>"
            for reader, calls in session.other_calls.items()
            if cell in calls and reader != session.reviewer
        ]
        return "<br>" + ", ".join(said)

    def _show_dots(self, cell: int) -> None:
        session = self.session
        if (
            session.hides_automatic
            and session.live.call[session.marker][session.live.rows([cell])[0]] == NO_CALL
        ):
            self.dots.setText("")
            return
        dots = session.dots_of(cell)
        lines = "".join(
            f"<tr><td>{'in nucleus' if dot.in_nucleus else 'beside it'}</td><td>{dot.score:.3f}</td>"
            f"<td>{dot.peak_od:.2f}</td><td>{dot.n_copies}</td>"
            f"<td>{(dot.reason or 'counts').replace('_', ' ')}</td></tr>"
            for dot in dots.head(MOST_DOTS_LISTED).itertuples()
        )
        more = len(dots) - MOST_DOTS_LISTED
        self.dots.setText(
            f"<table cellspacing=6><tr><td><b>dots</b></td><td>score</td><td>peak OD</td><td>copies</td>"
            f"<td></td></tr>{lines}</table>{f'and {more} more' if more > 0 else ''}"
            if len(dots)
            else "no candidate dots"
        )

    def _show_crops(self) -> None:
        session, cell = self.session, self.session.current
        for frame, side_um in ((self.close_crop, CLOSE_UM), (self.wide_crop, WIDE_UM)):
            if cell is None or self._crops is None:
                frame.setText("" if cell is None else "no image")
                continue
            at = int(session.live.rows([cell])[0])
            x_um, y_um = float(session.live.x_um[at]), float(session.live.y_um[at])
            crop = self._crops.get(cell, x_um, y_um, side_um=side_um, side_px=CROP_PX)
            if crop is None:
                frame.setText("...")
            else:
                share = CLOSE_UM / WIDE_UM if side_um == WIDE_UM else 0.0
                frame.setPixmap(with_square(to_pixmap(crop), share))


def _frame() -> QLabel:
    label = QLabel()
    label.setFixedSize(CROP_PX, CROP_PX)
    label.setAlignment(Qt.AlignmentFlag.AlignCenter)
    label.setStyleSheet("background: #202020;")
    return label
