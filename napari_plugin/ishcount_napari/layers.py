"""The layers of a review in a napari viewer, kept in step with its session. Knows napari, not Qt widgets.

Everything that can be a million (cells) is one look-up-table image; points and shapes stay small.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from napari.layers import Image, Labels, Points, Shapes
from napari.utils.colormaps import CyclicLabelColormap
from numpy.typing import NDArray

from ishcount.core.units import PixelSize
from ishcount.review.live import LOOKS
from ishcount.review.outlines import WHOLE
from ishcount_napari.heat import BIN_UM, density_picture
from ishcount_napari.lut import LookUpTable, LookUpView, colours_of_values, open_labels
from ishcount_napari.place import box_in_world, image_place, to_world
from ishcount_napari.pyramid import LevelArray
from ishcount_napari.session import Session

NAMES = {
    "slide": "slide",
    "heat": "density",
    "outlines": "tissue and compartments",
    "cells": "cells",
    "dots": "dots",
    "fields": "audit fields",
    "exclusions": "exclusions",
    "added": "added cells",
    "current": "current cell",
}
FAR_PX_PER_UM = 0.25
"""Below this many screen pixels per um a nucleus is under 2 px: density instead of cells."""
NEAR_PX_PER_UM = 1.0
"""From here on dots (1 um) are visible: those in view are marked."""
MOST_DOTS = 400
DOT_UM, DOT_PX = 1.6, 7.0
"""Least size of a dot's ring: the dot itself, and what shows a colour on the screen."""
SIMPLIFY_UM = 4.0
"""Outlines are drawn a pixel of the tissue raster coarser than they count."""
OUTLINE_COLOURS = {WHOLE: "#00804a", "epidermis": "#b35900", "dermis": "#5d6d7e"}
AUTOMATIC_LOOKS = {LOOKS.index("positive"): LOOKS.index("negative")}
"""What is shown instead while automatic calls are hidden."""
REASON_COLOURS = {
    "": "#00c800", "low_score": "#ffffff", "melanin": "#c08040", "red_cell": "#ff9090",
    "precipitate": "#404040", "haematoxylin": "#4040ff", "diffuse": "#ff80ff", "blur": "#80c0ff",
    "fold": "#a0a0a0", "ink": "#202020", "size": "#ffff00", "outside_tissue": "#a0ffff",
}  # fmt: skip


class ReviewLayers:
    """Layers of one session in one viewer."""

    def __init__(self, viewer: Any, session: Session, levels: list[LevelArray] | None) -> None:
        """Add the layers; `levels` is the slide's pyramid, None when its image is not at hand."""
        self.viewer, self.session = viewer, session
        self.overlay = True
        self._last_current: int | None = None
        self._hides = session.hides_automatic
        self.table = LookUpTable(self._looks())
        self._levels = levels
        self.slide = self._add_slide(levels) if levels else None
        half = (BIN_UM / 2, BIN_UM / 2)
        clear: dict[str, Any] = {"face_color": "transparent"}
        none, shapes = np.zeros((0, 2)), {"ndim": 2, "edge_width": 2}
        blank = np.zeros((1, 1, 4), np.float32)
        self.heat = self._add(
            Image, blank, "heat", rgb=True, scale=(BIN_UM, BIN_UM), translate=half, visible=False
        )
        self.outlines = self._add(Shapes, None, "outlines", **shapes, **clear)
        self.cells = self._add_cells()
        self.dots = self._add(Points, none, "dots", size=DOT_UM, border_width=0.25, **clear)
        self.fields = self._add(Shapes, None, "fields", edge_color="#6a3de8", **shapes, **clear)
        self.exclusions = self._add(
            Shapes, None, "exclusions", face_color="#60606070", edge_color="#303030", **shapes
        )
        self.added = self._add(
            Points,
            none,
            "added",
            size=9,
            symbol="diamond",
            border_color="#d800a0",
            border_width=0.12,
            **clear,
        )
        self.current = self._add(
            Points,
            none,
            "current",
            size=16,
            symbol="square",
            border_color="#00e5ff",
            border_width=0.07,
            **clear,
        )
        viewer.canvas.overlays.scale_bar.visible = True
        viewer.scene.camera.events.zoom.connect(self.show_for_zoom)
        self.refresh({"cells", "areas", "added", "current", "plan"})
        viewer.layers.selection.active = self.cells

    def close(self) -> None:
        """Take the layers out of the viewer and stop listening."""
        self.viewer.scene.camera.events.zoom.disconnect(self.show_for_zoom)
        for layer in self.all:
            if layer in self.viewer.layers:
                self.viewer.layers.remove(layer)

    @property
    def damage(self) -> str:
        """One line where the picture of the cells cannot be read; "" where it can."""
        words = "The picture of the cells is damaged: numbers are right, outlines of cells are missing."
        return words if self.table.is_damaged else ""

    @property
    def all(self) -> list[Any]:
        """All layers of this review, from the bottom."""
        found = [self.slide, self.heat, self.outlines, self.cells, self.dots, self.fields, self.exclusions,
                 self.added, self.current]  # fmt: skip
        return [layer for layer in found if layer is not None]

    def refresh(self, aspects: set[str]) -> None:
        """Bring the layers up to date with what changed."""
        if "cells" in aspects or self._hides != self.session.hides_automatic:
            self._hides = self.session.hides_automatic
            self.table.set_all(self._looks())
            self.cells.refresh(extent=False, thumbnail=False)
            self.show_for_zoom()
        if "areas" in aspects:
            self._show_outlines()
            self._show_exclusions()
        if "added" in aspects:
            self.added.data = to_world([(cell.x_um, cell.y_um) for cell in self.session.state.added()])
        if "plan" in aspects:
            self._show_fields()
        if "current" in aspects:
            self._show_current()
        if aspects & {"counts", "cells"} and self.heat.visible:
            self.show_heat()

    def refresh_cells(self, cell_ids: list[int]) -> None:
        """Recolour a few cells: 0.1 ms of numbers, then one repaint."""
        live, marker = self.session.live, self.session.marker
        for cell_id, row in zip(cell_ids, live.rows(cell_ids), strict=True):
            look = live.look(marker, int(row))
            self.table.set_one(cell_id, AUTOMATIC_LOOKS.get(look, look) if self._hides else look)
        self.cells.refresh(extent=False, thumbnail=False)

    def _looks(self) -> NDArray[np.uint8]:
        looks = self.session.live.looks(self.session.marker)
        if self._hides:
            for automatic, instead in AUTOMATIC_LOOKS.items():
                looks[looks == automatic] = instead
        return looks

    def centre(self, *, zoom: float | None = None) -> None:
        """Bring the current cell to the middle of the view."""
        place = self._current_place()
        if place is not None:
            self.viewer.scene.camera.center = tuple(place)
            if zoom is not None:
                self.viewer.scene.camera.zoom = zoom

    def look_at_field(self, x_um: float, y_um: float, side_um: float) -> None:
        """Show a whole field."""
        self.viewer.scene.camera.center = (y_um + side_um / 2, x_um + side_um / 2)
        self.viewer.scene.camera.zoom = 0.8 * min(self.viewer.canvas.size) / side_um

    def toggle_overlay(self) -> None:
        """Show the bare slide, or everything again."""
        self.overlay = not self.overlay
        self.show_for_zoom()
        for layer in (self.outlines, self.exclusions, self.added, self.current, self.fields):
            layer.visible = self.overlay

    def show_for_zoom(self, event: Any = None) -> None:
        """Density from afar, cells from near, dots from very near."""
        zoom = float(self.viewer.scene.camera.zoom)
        far = zoom < FAR_PX_PER_UM
        self.cells.visible = self.overlay and not far
        if self.heat.visible != (self.overlay and far):
            self.heat.visible = self.overlay and far
            if self.heat.visible:
                self.show_heat()
        self.dots.visible = self.overlay and zoom >= NEAR_PX_PER_UM and not self._hides
        line = self._line_um()
        for layer in (self.outlines, self.exclusions, self.fields):
            if layer.nshapes and abs(layer.edge_width[0] - line) > 0.3 * line:
                layer.edge_width = [line] * layer.nshapes

    def _line_um(self) -> float:
        """Width of outlines: two screen pixels, at least half a um."""
        return max(0.5, 2.0 / max(float(self.viewer.scene.camera.zoom), 1e-6))

    def show_heat(self) -> None:
        """Density of the positive cells as they are now."""
        live, summary = self.session.live, self.session.result.summary
        rows = np.flatnonzero(live.effective(self.session.marker) & live.counted())
        width = float(summary["width_px"]) * self.session.pixel_size.x_um
        height = float(summary["height_px"]) * self.session.pixel_size.y_um
        picture, top = density_picture(live.x_um[rows], live.y_um[rows], width_um=width, height_um=height)
        self.heat.data = picture
        self.heat.metadata["largest_per_mm2"] = top

    def show_dots(self) -> None:
        """Mark the candidate dots in view; green counts, other colours say why not."""
        if not self.dots.visible:
            return
        session = self.session
        height, width = self.viewer.canvas.size
        zoom = float(self.viewer.scene.camera.zoom)
        cy, cx = self.viewer.scene.camera.center[-2:]
        table = session.dots
        near = (
            (np.abs(table["x_um"].to_numpy() - cx) < width / zoom / 2)
            & (np.abs(table["y_um"].to_numpy() - cy) < height / zoom / 2)
            & (table["marker"].to_numpy() == session.marker)
        )
        mine = table[near].nlargest(MOST_DOTS, "score")
        reasons = mine["reason"].fillna("").tolist()
        self.dots.data = np.zeros((0, 2))
        self.dots.features = {}
        if len(mine):
            self.dots.current_size = max(DOT_UM, DOT_PX / zoom)
            self.dots.add(to_world(mine[["x_um", "y_um"]].to_numpy()))
            self.dots.border_color = [REASON_COLOURS.get(reason, "#ffffff") for reason in reasons]
            self.dots.features = {
                "score": mine["score"].to_numpy(),
                "reason": [reason or "counts" for reason in reasons],
            }
        self.dots.selected_data = set()

    def _add(self, kind: Any, data: Any, role: str, **options: Any) -> Any:
        layer = kind(data, name=NAMES[role], units=("um", "um"), **options)
        return self.viewer.add_layer(layer)

    def _add_slide(self, levels: list[LevelArray]) -> Any:
        place = image_place(self.session.pixel_size)
        return self.viewer.add_layer(
            Image(levels, name=NAMES["slide"], rgb=True, multiscale=True, contrast_limits=(0, 255), **place)
        )

    def _add_cells(self) -> Any:
        path = self.session.result.folder / "labels.ome.zarr"
        # Results without pictures have tables only. Two levels, as napari takes a list of one for rows.
        levels: list[Any] = [np.zeros((2, 2), np.uint32), np.zeros((1, 1), np.uint32)]
        size_um = 1.0
        if path.exists():
            try:
                levels, size_um = open_labels(path)
                levels = levels if len(levels) > 1 else [levels[0], np.asarray(levels[0][::2, ::2])]
            except (OSError, ValueError, KeyError, IndexError, TypeError, RuntimeError):
                self.table.is_damaged = True
        layer = Labels(
            [LookUpView(level, self.table) for level in levels],
            name=NAMES["cells"],
            multiscale=True,
            colormap=CyclicLabelColormap(colors=colours_of_values()),  # a direct one compiles for 2 s first
            opacity=0.9,
            **image_place(PixelSize(size_um, size_um)),
        )
        layer.contour = 2
        layer.editable = False
        return self.viewer.add_layer(layer)

    def _show_outlines(self) -> None:
        rings, colours = [], []
        for name, area in self.session.areas.items():
            simple = shapely.simplify(area, SIMPLIFY_UM)
            for part in shapely.get_parts(shapely.boundary(simple)):
                if shapely.get_num_coordinates(part) >= 3:
                    rings.append(to_world(shapely.get_coordinates(part)))
                    colours.append(OUTLINE_COLOURS.get(name, "#7a3db8"))
        self.outlines.data = []
        if rings:
            self.outlines.add(rings, shape_type="path", edge_color=colours, edge_width=self._line_um(),
                              face_color="transparent")  # fmt: skip

    def _show_exclusions(self) -> None:
        found = self.session.exclusions
        self.exclusions.data = []
        if found:
            polygons = [to_world(value["polygon_um"]) for value in found.values()]
            self.exclusions.add(polygons, shape_type="polygon", edge_width=self._line_um())
        self.exclusions.features = {"id": list(found)}

    def _show_fields(self) -> None:
        fields = self.session.plan.fields if self.session.plan else ()
        self.fields.data = []
        if fields:
            boxes = [box_in_world(f.x_um, f.y_um, f.side_um, f.side_um) for f in fields]
            self.fields.add(boxes, shape_type="polygon", edge_width=self._line_um())

    def _current_place(self) -> Any:
        cell = self.session.current
        if cell is None:
            return None
        row = int(self.session.live.rows([cell])[0])
        return to_world([(self.session.live.x_um[row], self.session.live.y_um[row])])[0]

    def _show_current(self) -> None:
        place = self._current_place()
        self.current.data = np.zeros((0, 2)) if place is None else place[np.newaxis]
        self.current.selected_data = set()
