"""The dock "ISH review": asks for a result folder and a reviewer, then shows one slide at a time."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import QFileDialog, QLineEdit, QScrollArea, QVBoxLayout, QWidget

from ishcount.core.errors import IshcountError
from ishcount_napari.keys import read_keys
from ishcount_napari.review_panel import ReviewPanel
from ishcount_napari.session import Session
from ishcount_napari.study import Study, damage_said, open_study
from ishcount_napari.widget_parts import DOCK_WIDTH_PX, button, row, text

if TYPE_CHECKING:
    import napari.viewer


class ReviewDock(QWidget):
    """Start page, and the panels of the slide that is open: narrow, and scrolling when the screen is low."""

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        """An empty dock in a viewer."""
        super().__init__()
        self.viewer = napari_viewer
        self.study: Study | None = None
        self.panel: ReviewPanel | None = None
        self.setMaximumWidth(DOCK_WIDTH_PX)
        self.reviewer = QLineEdit(_user_name())
        self.reviewer.setPlaceholderText("your initials")
        self.message = text()
        self._start = QWidget()
        start = QVBoxLayout(self._start)
        start.addWidget(text("<b>ISH review</b>"))
        start.addWidget(row(text("reviewer"), self.reviewer))
        start.addWidget(button("Open result folder ...", self._ask_folder, name="open_result"))
        start.addWidget(self.message)
        start.addStretch(1)
        self._scroll = QScrollArea()
        self._scroll.setWidgetResizable(True)
        self._scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._scroll.setWidget(self._start)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._scroll)

    def sizeHint(self) -> QSize:
        """As wide as allowed; low enough for a small screen."""
        return QSize(DOCK_WIDTH_PX, 560)

    def minimumSizeHint(self) -> QSize:
        """Never asks for more than a small screen has."""
        return QSize(300, 200)

    def open_result(
        self, out: Path | str, slide_id: str | None = None, *, reviewer: str | None = None
    ) -> None:
        """Open a result folder at a slide (default: the first). Raises UsageError or SlideError."""
        if reviewer:
            self.reviewer.setText(reviewer)
        self.study = open_study(out)
        self.open_slide(slide_id)

    def open_slide(self, slide_id: str | None) -> None:
        """Go to another slide of the study; raises UsageError or SlideError."""
        if self.study is None:
            return
        result = self.study.slide(slide_id)
        with damage_said(result.folder):
            session = Session(
                result,
                reviewer=self.reviewer.text(),
                alias=self.study.alias(result.slide_id),
                image=self.study.image(result.slide_id),
            )
        if self.study.blinded and session.state.blinded is None:
            session.set_blinded(True, reason="the study is read blinded")
        self.close_slide()
        if session.blinded != self.study.blinded:
            self.study = Study(self.study.result, blinded=session.blinded)
        self.panel = ReviewPanel(
            self.viewer, session, self.study, keys=read_keys(), open_slide_id=self._try_slide
        )
        session.listeners.append(self._blinding_changed)
        self._scroll.takeWidget()
        self._scroll.setWidget(self.panel)

    def say(self, words: str) -> None:
        """One line on the start page."""
        self.message.setText(words)

    def close_slide(self) -> None:
        """Close the slide in view; every decision is on disk already."""
        if self.panel is not None:
            self.panel.close_review()
            self._scroll.takeWidget()
            self.panel.deleteLater()
            self.panel = None
            self._scroll.setWidget(self._start)

    def closeEvent(self, event: object) -> None:
        """Closing the dock closes the slide."""
        self.close_slide()
        super().closeEvent(event)  # type: ignore[arg-type]

    def _blinding_changed(self, aspects: set[str]) -> None:
        if "blind" in aspects and self.study is not None and self.panel is not None:
            self.study = Study(self.study.result, blinded=self.panel.session.blinded)
            self.panel.settings.study = self.study
            self.panel.settings.refresh()

    def _ask_folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Result folder of ishcount")
        if folder:
            self._try_open(folder)

    def _try_open(self, folder: str) -> None:
        try:
            self.open_result(folder)
        except IshcountError as error:
            self.message.setText(str(error))

    def _try_slide(self, slide_id: str) -> None:
        try:
            self.open_slide(slide_id)
        except IshcountError as error:
            (self.panel.head.say if self.panel else self.message.setText)(str(error))


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""
