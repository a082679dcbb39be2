"""Small Qt pieces that the panels of the dock share."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSizePolicy, QWidget

from ishcount.core.errors import IshcountError

DOCK_WIDTH_PX = 360
"""Widest the dock may be: leaves 1000 px of slide on a 1366 px wide screen."""


def text(words: str = "", *, big: bool = False, wrap: bool = True) -> QLabel:
    """A label; `big` for the number that matters. Text can be selected and copied."""
    label = QLabel(words)
    label.setWordWrap(wrap)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
    if big:
        label.setStyleSheet("font-size: 24px; font-weight: 600;")
    return label


def button(words: str, act: Callable[[], object], *, tip: str = "", name: str = "") -> QPushButton:
    """A push button that leaves the keyboard to the canvas."""
    found = QPushButton(words)
    found.setToolTip(tip)
    found.setObjectName(name)
    found.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    found.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    found.setStyleSheet("padding: 3px 2px;")
    found.clicked.connect(lambda *_: _try(found, act))
    return found


def _try(widget: QWidget, act: Callable[[], object]) -> None:
    """Act; what cannot be done is said by the nearest part of the dock that says things."""
    try:
        act()
    except IshcountError as error:
        above: QWidget | None = widget
        while above is not None and not hasattr(above, "say"):
            above = above.parentWidget()
        if above is None:
            raise
        above.say(str(error))


def row(*widgets: QWidget) -> QWidget:
    """Widgets beside each other, without margins."""
    holder = QWidget()
    layout = QHBoxLayout(holder)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(3)
    for widget in widgets:
        layout.addWidget(widget)
    return holder


def number(value: float, digits: int | None = None) -> str:
    """A number for people, by default with two decimals below 100, else one; a dash where there is none."""
    if digits is None:
        digits = 2 if abs(value) < 100 else 1
    return "\u2013" if value != value else f"{value:,.{digits}f}"


def shown_key(key: str) -> str:
    """A key as people know it: `Ctrl+Z` for napari's `Control-Z`."""
    return key.replace("Control", "Ctrl").replace("-", "+")
