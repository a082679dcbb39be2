"""One slide under review: its panels in the dock, its layers in the viewer, and what keeps them in step.

Numbers first: a decision is logged, counted and shown before anything is painted; colours, panels and the
jump to the next cell follow when Qt is idle, several changes at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from napari.layers import Points
from qtpy.QtCore import QEvent, QObject, QTimer
from qtpy.QtWidgets import QTabWidget, QVBoxLayout, QWidget

from ishcount.core.decisions import Call
from ishcount.core.errors import IshcountError
from ishcount.slide.open import open_slide
from ishcount.slide.protocol import Slide
from ishcount_napari.crops import CLOSE_UM, WIDE_UM, CropLoader
from ishcount_napari.drawing import Drawing
from ishcount_napari.keys import bind, from_qt, unbind
from ishcount_napari.layers import NEAR_PX_PER_UM, ReviewLayers
from ishcount_napari.place import cursor_um, to_world
from ishcount_napari.preview import Preview
from ishcount_napari.pyramid import LevelArray, pyramid
from ishcount_napari.session import Session
from ishcount_napari.study import Study
from ishcount_napari.widget_areas import AreasPanel
from ishcount_napari.widget_audit import AuditPanel
from ishcount_napari.widget_cell import CROP_PX, CellPanel
from ishcount_napari.widget_gallery import GalleryPanel
from ishcount_napari.widget_head import Head
from ishcount_napari.widget_session import SessionPanel
from ishcount_napari.widget_table import TablePanel

CALLS = {
    "positive": Call.POSITIVE,
    "negative": Call.NEGATIVE,
    "unsure": Call.UNSURE,
    "not_a_cell": Call.NOT_A_CELL,
}
SETTLE_MS = 120
"""Dots in view are marked once the view has come to rest."""


class ReviewPanel(QWidget):
    """Panels and layers of one session."""

    def __init__(
        self,
        viewer: Any,
        session: Session,
        study: Study,
        *,
        keys: dict[str, str],
        open_slide_id: Callable[[str], None],
    ) -> None:
        """keys: action -> key. open_slide_id: goes to another slide."""
        super().__init__()
        self.viewer, self.session, self.keys = viewer, session, keys
        self._slide, no_image = _open_image(session.image)
        levels: list[LevelArray] | None = pyramid(self._slide) if self._slide is not None else None
        self.layers = ReviewLayers(viewer, session, levels)
        self.crops = CropLoader(levels, session.pixel_size.mean_um) if levels else None
        self.head = Head(session)
        self.cell = CellPanel(session, self.crops, keys, self.act)
        self.gallery = GalleryPanel(session, self.crops)
        self.table = TablePanel(session)
        self.areas = AreasPanel(session)
        self.audit = AuditPanel(session, study, self.layers.look_at_field)
        self.settings = SessionPanel(
            session,
            study,
            keys=keys,
            open_slide=open_slide_id,
            view_um=self.view_um,
            show_preview=self.show_preview,
        )
        self.drawing = Drawing(self.layers, self.areas.reason.currentText, self.head.say)
        self.areas.connect_drawing(self.drawing)
        self._preview: Any = None
        self._waiting: set[str] = set()
        self._touched: list[int] | None = []
        self._later, self._settled = QTimer(self), QTimer(self)
        self._arrange()
        self._connect()
        self._first_look()
        if no_image or self.layers.damage:
            self.say(" ".join(filter(None, (no_image, self.layers.damage))))

    def say(self, words: str) -> None:
        """One line about what did not work; "" clears it."""
        self.head.say(words)

    def _arrange(self) -> None:
        self.tabs = QTabWidget()
        self.tabs.setUsesScrollButtons(True)
        self.tabs.setDocumentMode(True)
        for words, panel in (
            ("Cell", self.cell),
            ("Gallery", self.gallery),
            ("Table", self.table),
            ("Areas", self.areas),
            ("Audit", self.audit),
            ("Session", self.settings),
        ):
            self.tabs.addTab(panel, words)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.head)
        layout.addWidget(self.tabs, 1)

    def _connect(self) -> None:
        for timer, wait, act in ((self._later, 0, self._paint), (self._settled, SETTLE_MS, self._show_dots)):
            timer.setSingleShot(True)
            timer.setInterval(wait)
            timer.timeout.connect(act)
        self.session.listeners.append(self._changed)
        self.tabs.currentChanged.connect(lambda _: self._refresh_tab())
        for target in (self.viewer, *self.viewer.layers):
            bind(target, self.keys, self.act)
        self.viewer.layers.events.inserted.connect(self._layer_came)
        self.viewer.mouse_drag_callbacks.append(self._clicked)
        for event in (self.viewer.scene.camera.events.center, self.viewer.scene.camera.events.zoom):
            event.connect(self._view_moved)
        for view in (self.gallery.view, self.table.view, self.tabs.tabBar()):
            view.installEventFilter(self)

    def close_review(self) -> None:
        """Give everything back: keys, callbacks, layers, threads, the slide. All decisions are on disk
        already.
        """
        if self._changed in self.session.listeners:
            self.session.listeners.remove(self._changed)
        self._later.stop()
        self._settled.stop()
        self.settings.work.stop()
        self.audit.work.stop()
        for event in (self.viewer.scene.camera.events.center, self.viewer.scene.camera.events.zoom):
            event.disconnect(self._view_moved)
        self.viewer.layers.events.inserted.disconnect(self._layer_came)
        if self._clicked in self.viewer.mouse_drag_callbacks:
            self.viewer.mouse_drag_callbacks.remove(self._clicked)
        for target in (self.viewer, *self.viewer.layers):
            unbind(target, self.keys)
        self.drawing.drop_draft()
        self._drop_preview()
        with self.drawing.paused():
            self.layers.close()
        if self.crops is not None:
            self.crops.close()
        if self._slide is not None:
            self._slide.close()

    # -- acts -------------------------------------------------------------------------------------------

    def act(self, action: str) -> None:
        """Do a named action (see `keys.DEFAULT_KEYS`); what cannot be done is said in the dock."""
        try:
            self._do(action)
            self.head.say("")
        except IshcountError as error:
            self.head.say(str(error))

    def _do(self, action: str) -> None:
        session = self.session
        if action in CALLS:
            session.decide(CALLS[action], self._chosen_cells())
        elif action in ("next", "previous"):
            session.step(1 if action == "next" else -1)
        elif action == "undo":
            session.undo()
        elif action == "redo":
            session.redo()
        elif action == "overlay":
            self.layers.toggle_overlay()
        elif action == "next_queue":
            self.cell.next_queue()
        elif action == "centre":
            self.layers.centre(zoom=max(2.0, NEAR_PX_PER_UM))

    def _chosen_cells(self) -> list[int] | None:
        """Cells selected in gallery or table while that is in view; None: the cell in view."""
        shown = self.tabs.currentWidget()
        chosen = shown.selected() if shown in (self.gallery, self.table) else []
        return chosen or None

    def view_um(self) -> tuple[float, float, float, float]:
        """What is in view: x, y, width, height in micrometres, inside the slide."""
        camera = self.viewer.scene.camera
        height, width = (side / camera.zoom for side in self.viewer.canvas.size)
        y, x = camera.center[-2] - height / 2, camera.center[-1] - width / 2
        summary, size = self.session.result.summary, self.session.pixel_size
        right = min(x + width, summary["width_px"] * size.x_um)
        bottom = min(y + height, summary["height_px"] * size.y_um)
        x, y = max(x, 0.0), max(y, 0.0)
        return x, y, max(right - x, 1.0), max(bottom - y, 1.0)

    def show_preview(self, found: Preview) -> None:
        """Lay the preview's positive cells over the slide."""
        self._drop_preview()
        layer = Points(
            to_world(found.xy_um) if len(found.xy_um) else np.zeros((0, 2)),
            name="preview: positive",
            size=14,
            border_color="#e0c000",
            face_color="transparent",
            border_width=0.12,
            units=("um", "um"),
        )
        self._preview = self.viewer.add_layer(layer)
        self.viewer.layers.selection.active = self.layers.cells

    def _drop_preview(self) -> None:
        if self._preview is not None and self._preview in self.viewer.layers:
            self.viewer.layers.remove(self._preview)
        self._preview = None

    # -- keeping in step --------------------------------------------------------------------------------

    def _changed(self, aspects: set[str]) -> None:
        if aspects & {"counts", "areas", "verdict", "blind"}:
            self.head.refresh()
        if "cells" in aspects and self._touched is not None:
            touched = self.session.touched
            self._touched = None if touched is None else self._touched + touched
        self._waiting |= aspects
        if not self._later.isActive():
            self._later.start()

    def _paint(self) -> None:
        aspects, self._waiting = self._waiting, set()
        touched, self._touched = self._touched, []
        with self.drawing.paused():
            if "cells" in aspects and touched is not None:
                self.layers.refresh_cells(touched)
                aspects = aspects - {"cells"}
                self._refresh_queue_views(anew=False)
            self.layers.refresh(aspects)
        if "cut" in aspects:
            self.head.show_cut()
        if aspects & {"queue", "cells"}:
            self._refresh_queue_views(anew=True)
        if "queue" in aspects:
            self.cell.show_queue()
        if "current" in aspects:
            self._jump()
        self._refresh_tab()

    def _refresh_queue_views(self, *, anew: bool) -> None:
        if anew:
            self.gallery.model.start_anew()
        else:
            self.gallery.model.repaint_calls()

    def _refresh_tab(self) -> None:
        """Bring the tab in view up to date; the others follow when they are shown."""
        panel = self.tabs.currentWidget()
        if panel in (self.cell, self.table, self.areas, self.audit, self.settings):
            panel.refresh()

    def _jump(self) -> None:
        self.layers.centre()
        self._prefetch()

    def _prefetch(self) -> None:
        """Read the next cells' crops, so that deciding does not wait for the disk."""
        session = self.session
        if self.crops is None or session.current is None:
            return
        ahead = session.queue.ids[session.queue.place + 1 : session.queue.place + 4].tolist()
        for cell, row in zip(ahead, session.live.rows(ahead), strict=True):
            place = float(session.live.x_um[row]), float(session.live.y_um[row])
            for side_um in (CLOSE_UM, WIDE_UM):
                self.crops.get(cell, *place, side_um=side_um, side_px=CROP_PX)

    def _first_look(self) -> None:
        self.viewer.reset_view()
        self.layers.show_for_zoom()
        self._paint()

    def _view_moved(self, event: Any = None) -> None:
        self._settled.start()

    def _show_dots(self) -> None:
        self.layers.show_dots()

    def _layer_came(self, event: Any) -> None:
        bind(event.value, self.keys, self.act)

    def _clicked(self, viewer: Any, event: Any) -> Any:
        """A click (no drag) outside drawing modes goes to the nearest cell."""
        active = viewer.layers.selection.active
        if event.button != 1 or (active is not None and getattr(active, "mode", "pan_zoom") != "pan_zoom"):
            return
        start = np.asarray(event.pos)
        yield
        while event.type == "mouse_move":
            yield
        if np.abs(np.asarray(event.pos) - start).max() > 3:
            return
        cell = self.session.nearest(*cursor_um(event.position))
        if cell is not None:
            self.session.go_to(cell)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Keys of the review work while gallery or table have the focus."""
        if event.type() == QEvent.Type.KeyPress and self._pressed(event):
            return True
        return super().eventFilter(watched, event)

    def keyPressEvent(self, event: Any) -> None:
        """Keys of the review work while the dock has the focus."""
        if not self._pressed(event):
            super().keyPressEvent(event)

    def _pressed(self, event: Any) -> bool:
        key = from_qt(event)
        action = next((action for action, bound in self.keys.items() if bound.upper() == key.upper()), None)
        if action is None:
            return False
        self.act(action)
        return True


def _open_image(path: str) -> tuple[Slide | None, str]:
    """The slide's pixels, or None and why cells and numbers must do without."""
    if not path:
        return None, "The slide's image is not where it was counted: cells and numbers only."
    try:
        return open_slide(path), ""
    except IshcountError as error:
        return None, f"No image, cells and numbers only: {error}."
