"""Top of the dock: which slide, can it be evaluated, the number, and the cut."""

from __future__ import annotations

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QComboBox, QLabel, QLineEdit, QSlider, QVBoxLayout, QWidget

from ishcount.core.errors import IshcountError
from ishcount_napari.session import VERDICTS, Session
from ishcount_napari.widget_parts import button, number, row, text

SLIDER_STEPS = 1000
PREVIEW_MS = 30
"""The slider counts at most this often: about every second frame."""


class Head(QWidget):
    """Slide, verdict, reviewed count and density beside the automatic ones, cut slider."""

    def __init__(self, session: Session) -> None:
        """Show a session."""
        super().__init__()
        self.session = session
        self.title = text(wrap=False)
        self.title.setStyleSheet("font-weight: 600;")
        self.compartment = QComboBox()
        self.compartment.addItems(list(session.result.summary["compartments"]))
        self.compartment.setCurrentText(session.result.summary["counting"].get("primary_area", "tissue"))
        self.compartment.currentTextChanged.connect(lambda _: self.refresh())
        self.marker = QComboBox()
        self.marker.addItems(list(session.result.markers))
        self.marker.currentTextChanged.connect(self._choose_marker)
        self.verdict = QComboBox()
        self.verdict.addItem("no verdict yet", "")
        for word in VERDICTS:
            self.verdict.addItem(word.replace("_", " "), word)
        self.verdict.activated.connect(lambda _: self._give_verdict())
        self.reason = QLineEdit()
        self.reason.setPlaceholderText("reason (Enter)")
        self.reason.returnPressed.connect(self._give_verdict)
        self.density, self.detail = text(big=True, wrap=False), text()
        self.message = text()
        self.message.setStyleSheet("color: #ff8060;")
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(1, SLIDER_STEPS)
        self.slider.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.slider.valueChanged.connect(self._slid)
        self.cut_label: QLabel = text()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(PREVIEW_MS)
        self._timer.timeout.connect(self._preview)
        self._arrange()
        self.refresh()
        self.show_cut()

    def _arrange(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2, 2, 2, 2)
        layout.setSpacing(3)
        choose = button(
            "Use cut", self._choose_cut, tip="Count at this cut from now on (logged)", name="use_cut"
        )
        back = button("Back", self._reset_cut, tip="Back to the result's cut", name="reset_cut")
        for widget in (
            row(self.title, self.marker, self.compartment),
            row(self.verdict, self.reason),
            self.density,
            self.detail,
            self.slider,
            row(self.cut_label, choose, back),
            self.message,
        ):
            layout.addWidget(widget)

    @property
    def cut(self) -> float:
        """Where the slider stands."""
        return self.slider.value() / SLIDER_STEPS

    def refresh(self) -> None:
        """Show the numbers as they are now."""
        session = self.session
        self.title.setText(session.title)
        compartment = self.compartment.currentText() or "tissue"
        found = session.numbers(compartment)
        self.density.setText(f"{number(found.per_mm2)} /mm\u00b2")
        n = session.n_decisions
        saved = f"{n} decision{'s' * (n != 1)}, saved" if n else "nothing decided yet"
        self.detail.setText(
            f"95% {number(found.low)} to {number(found.high)} &nbsp;&middot;&nbsp; "
            f"{number(found.area_mm2, 3)} mm\u00b2, {found.tally.n_cells:,} cells<br>"
            f"reviewed <b>{found.tally.n_positive:,}</b> positive &nbsp;&middot;&nbsp; {saved}<br>"
            f"automatic {found.tally.n_positive_automatic:,} positive &nbsp;&middot;&nbsp; "
            f"{number(found.automatic_per_mm2)} /mm\u00b2"
        )
        self.detail.setToolTip(
            "Exact Poisson interval of this section. The report's is about another section of the lesion: "
            "wider, or not estimable."
        )
        verdict, reason = session.verdict
        self.verdict.setCurrentIndex(max(0, self.verdict.findData(verdict)))
        if reason:
            self.reason.setText(reason)

    def show_cut(self) -> None:
        """Put the slider where the cut is, without counting again."""
        cut = self.session.live.cut(self.session.marker)
        self.slider.blockSignals(True)
        self.slider.setValue(round(cut * SLIDER_STEPS))
        self.slider.blockSignals(False)
        self._label_cut()

    def say(self, words: str) -> None:
        """Show one line about what did not work; "" clears it."""
        self.message.setText(words)

    def _label_cut(self) -> None:
        session = self.session
        chosen = session.state.value("cut", "", session.marker)
        in_force = session.cut if chosen is None else chosen
        preview = "" if abs(self.cut - in_force) < 0.5 / SLIDER_STEPS else "  PREVIEW"
        self.cut_label.setText(f"cut {self.cut:.3f} (result {session.cut:.3f}){preview}")

    def _slid(self) -> None:
        self._label_cut()
        if not self._timer.isActive():
            self._timer.start()

    def _preview(self) -> None:
        self.session.preview_cut(self.cut)

    def _choose_cut(self) -> None:
        self._timer.stop()
        self.session.choose_cut(self.cut)
        self.show_cut()

    def _reset_cut(self) -> None:
        self._timer.stop()
        if self.session.state.value("cut", "", self.session.marker) is None:
            self.session.preview_cut(self.session.cut)
        else:
            self.session.choose_cut(None)
        self.show_cut()

    def _choose_marker(self, marker: str) -> None:
        self.session.choose_marker(marker)
        self.show_cut()

    def _give_verdict(self) -> None:
        verdict = self.verdict.currentData()
        try:
            if verdict:
                self.session.give_verdict(verdict, reason=self.reason.text())
            self.say("")
        except IshcountError as error:
            self.say(str(error))
