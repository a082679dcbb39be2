"""What a person draws in the viewer becomes acts of the session: exclusions, outlines, added cells.

napari tells of every change of a layer's data, ours included; `paused` keeps ours from coming back as a
person's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from napari.layers import Shapes

from ishcount.core.errors import IshcountError
from ishcount.review.outlines import rings_of
from ishcount_napari.layers import SIMPLIFY_UM, ReviewLayers
from ishcount_napari.place import from_world, to_world

DRAFT = "outline draft"


class Drawing:
    """Listens to the drawable layers of a review."""

    def __init__(self, layers: ReviewLayers, reason: Callable[[], str], say: Callable[[str], None]) -> None:
        """reason: why an exclusion is drawn. say: shows one line when an act is refused."""
        self.layers, self.session = layers, layers.session
        self._reason, self._say = reason, say
        self._paused = False
        self.draft: Any = None
        self._exact: list[tuple[Any, Any]] = []  # rings of the draft as drawn and as counted
        layers.exclusions.events.data.connect(self._exclusions_changed)
        layers.added.events.data.connect(self._added_changed)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Layers change because the session did, not a person."""
        before, self._paused = self._paused, True
        try:
            yield
        finally:
            self._paused = before

    def draw_exclusion(self) -> None:
        """Let the person draw a polygon to leave out."""
        self._activate(self.layers.exclusions, "add_polygon")

    def add_cells(self) -> None:
        """Let the person click cells the detector missed."""
        self._activate(self.layers.added, "add")

    def look_around(self) -> None:
        """Back to moving and clicking."""
        for layer in self.layers.all:
            if layer.mode != "pan_zoom":
                layer.mode = "pan_zoom"
        self.layers.viewer.layers.selection.active = self.layers.cells

    def begin_outline(self, area: str) -> None:
        """Lay an editable copy of an outline over the slide: drag its corners, or delete it and draw anew."""
        self.drop_draft()
        self.draft = self.layers.viewer.add_layer(
            Shapes(None, name=DRAFT, ndim=2, edge_color="#ff00ff", face_color="#ff00ff18", units=("um", "um"))
        )
        self._exact = [simple_and_exact(ring) for ring in rings_of(self.session.areas.get(area))]
        rings = [to_world(simple) for simple, _ in self._exact]
        if rings:
            self.draft.add(rings, shape_type="polygon")
        zoom = float(self.layers.viewer.scene.camera.zoom)
        self.draft.edge_width = max(1.0, 2.0 / max(zoom, 1e-6))
        self.draft.mode = "direct" if rings else "add_polygon"

    def use_outline(self, area: str) -> None:
        """Make the draft the outline of an area (logged) and take the draft away."""
        if self.draft is None or self.draft.nshapes == 0:
            self._say("draw or edit the outline first (Redraw), then use it")
            return
        rings = [self._as_counted(from_world(ring)) for ring in self.draft.data]
        self._try(lambda: self.session.correct_outline(area, rings))
        self.drop_draft()

    def drop_draft(self) -> None:
        """Take the draft away unused."""
        if self.draft is not None and self.draft in self.layers.viewer.layers:
            self.layers.viewer.layers.remove(self.draft)
            self.layers.viewer.layers.selection.active = self.layers.cells
        self.draft = None

    def _as_counted(self, ring: Any) -> Any:
        """The ring as it was counted where nobody moved a corner of its simpler copy."""
        same = (
            exact for simple, exact in self._exact if np.array_equal(np.round(simple, 2), np.round(ring, 2))
        )
        return next(same, ring)

    def _activate(self, layer: Any, mode: str) -> None:
        self.layers.viewer.layers.selection.active = layer
        layer.mode = mode

    def _exclusions_changed(self, event: Any) -> None:
        if self._paused:
            return
        action = str(getattr(event, "action", ""))
        if action.endswith("added"):
            drawn = from_world(self.layers.exclusions.data[-1])
            self._try(lambda: self.session.exclude(drawn, reason=self._reason()))
        elif action.endswith(("removed", "changed")):
            self._take_shapes_over(removing=action.endswith("removed"))

    def _take_shapes_over(self, *, removing: bool) -> None:
        """Bring the session in step with polygons that were moved or deleted in the viewer."""
        known = self.session.exclusions
        drawn = [np.round(from_world(ring), 2) for ring in self.layers.exclusions.data]
        if removing:
            kept = [ring.tolist() for ring in drawn]
            for name, value in known.items():
                if np.round(np.array(value["polygon_um"]), 2).tolist() not in kept:
                    self._try(lambda name=name: self.session.remove_exclusion(name))  # type: ignore[misc]
            return
        for (name, value), ring in zip(known.items(), drawn, strict=False):
            if np.round(np.array(value["polygon_um"]), 2).tolist() != ring.tolist():
                reason = self._reason() or "moved"
                self._try(lambda n=name, r=ring, w=reason: self.session.exclude(r, reason=w, name=n))  # type: ignore[misc]

    def _added_changed(self, event: Any) -> None:
        if self._paused:
            return
        action = str(getattr(event, "action", ""))
        points = from_world(self.layers.added.data)
        if action.endswith("added") and len(points):
            x_um, y_um = points[-1]
            self._try(lambda: self.session.add_cell(float(x_um), float(y_um)))
        elif action.endswith("removed"):
            left = {(round(float(x), 2), round(float(y), 2)) for x, y in points}
            for cell in self.session.state.added():
                if (cell.x_um, cell.y_um) not in left:
                    self._try(lambda name=cell.id: self.session.remove_added(name))  # type: ignore[misc]

    def _try(self, act: Callable[[], object]) -> None:
        try:
            act()
            self._say("")
        except IshcountError as error:
            self._say(str(error))
            with self.paused():
                self.layers.refresh({"areas", "added"})


def simple_and_exact(ring: Any) -> tuple[Any, Any]:
    """A ring (k, 2) with no more corners than a person can drag, and as it was."""
    import shapely

    simple = shapely.simplify(shapely.Polygon(ring), SIMPLIFY_UM)
    corners = shapely.get_coordinates(simple.exterior)[:-1] if not simple.is_empty else ring
    return (corners if len(corners) >= 3 else ring), ring
