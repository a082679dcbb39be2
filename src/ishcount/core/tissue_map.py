"""The one raster (about 4 um) that decides every area and where things count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from ishcount.core.decisions import VIABLE
from ishcount.core.memory import let_go
from ishcount.core.units import PixelSize

Array = npt.NDArray[Any]


class RegionKind(IntEnum):
    """What a cell of the raster is. Only TISSUE is area; HOLE lies inside an outline, the rest in neither."""

    GLASS = 0
    TISSUE = 1
    HOLE = 2
    PEN = 3
    DUST = 4
    BUBBLE = 5
    FOLD = 6
    BLUR = 7
    EDGE_DRYING = 8
    DAMAGED = 9
    EXCLUDED = 10


BAND_ROWS = 512  # of the raster looked at together where masks of all of it would add up
ARTEFACTS = tuple(kind for kind in RegionKind if kind > RegionKind.HOLE)


@dataclass(frozen=True, kw_only=True)
class TissueMap:
    """Kinds, sections and compartments of one slide on a raster of `factor_px` level-0 pixels a cell.

    kind: uint8 (h, w) of `RegionKind`. section: uint16 (h, w), 0 outside every outline, else its number
    from 1 in reading order (rows from the top, each from the left). compartment: uint8 (h, w), place in
    `compartment_names` ("" where none). depth_um: float32 (h, w) below the dermo-epidermal junction, negative
    above, NaN where there is none. low, high: bool (h, w), tissue with the threshold moved either way.
    """

    kind: npt.NDArray[np.uint8]
    section: npt.NDArray[np.uint16]
    compartment: npt.NDArray[np.uint8]
    compartment_names: tuple[str, ...]
    low: npt.NDArray[np.bool_]
    high: npt.NDArray[np.bool_]
    depth_um: npt.NDArray[np.float32] | None
    factor_px: int
    width_px: int
    height_px: int
    pixel_size: PixelSize
    epidermis_mm: float | None = None
    flags: int = 0

    def n_px(self, mask: Array, first_row: int = 0) -> int:
        """Level-0 pixels under a mask, exactly: cells at the right and lower edge may cover fewer.

        mask: (h, w) of the raster, or its rows from `first_row` on.
        """
        if mask.size == 0:
            return 0
        above = (first_row + mask.shape[0] - 1) * self.factor_px
        last_row = min(self.factor_px, self.height_px - above)
        last_col = self.width_px - (mask.shape[1] - 1) * self.factor_px
        in_row = np.count_nonzero(mask[:, :-1], axis=1) * self.factor_px + mask[:, -1] * last_col
        return int(in_row[:-1].sum() * self.factor_px + in_row[-1] * last_row)

    def area_mm2(self, mask: Array) -> float:
        """Area under a mask in mm2."""
        return self.pixel_size.area_mm2(self.n_px(mask))

    def _cell(self, x_um: Array, y_um: Array) -> tuple[Array, Array]:
        return self._cell_px(np.floor(x_um / self.pixel_size.x_um), np.floor(y_um / self.pixel_size.y_um))

    def _cell_px(self, x_px: Array, y_px: Array) -> tuple[Array, Array]:
        row = np.clip(np.asarray(y_px).astype(np.int64) // self.factor_px, 0, self.kind.shape[0] - 1)
        col = np.clip(np.asarray(x_px).astype(np.int64) // self.factor_px, 0, self.kind.shape[1] - 1)
        return row, col

    def kind_at(self, x_um: Array, y_um: Array) -> Array:
        """`RegionKind` at positions in um."""
        return self.kind[self._cell(x_um, y_um)]

    def kind_at_px(self, x_px: Array, y_px: Array) -> Array:
        """`RegionKind` at level-0 pixels."""
        return self.kind[self._cell_px(x_px, y_px)]

    def section_at(self, x_um: Array, y_um: Array) -> Array:
        """Section numbers at positions in um."""
        return self.section[self._cell(x_um, y_um)]

    def compartment_code_at(self, x_um: Array, y_um: Array) -> Array:
        """Places in `compartment_names` at positions in um."""
        return self.compartment[self._cell(x_um, y_um)]

    def compartment_at(self, x_um: Array, y_um: Array) -> Array:
        """Names of compartments at positions in um; `tissue` where none was found."""
        names = np.array([name or "tissue" for name in self.compartment_names], dtype=object)
        return names[self.compartment_code_at(x_um, y_um)]

    def depth_at(self, x_um: Array, y_um: Array) -> Array:
        """Depth below the dermo-epidermal junction in um, NaN where there is none."""
        if self.depth_um is None:
            return np.full(len(x_um), np.nan, np.float32)
        return self.depth_um[self._cell(x_um, y_um)]

    def without(self, cells: Array, kind: RegionKind) -> TissueMap:
        """The map with flat cell indices turned from tissue into `kind`."""
        changed = self.kind.copy()
        flat = changed.ravel()
        flat[cells[flat[cells] == RegionKind.TISSUE]] = kind
        return replace(self, kind=changed)

    def only_sections(self, numbers: Sequence[int]) -> TissueMap:
        """Only the named sections count; the others become glass."""
        return self.only_cells(np.isin(self.section, list(numbers)))

    def only_region(self, region_um: tuple[float, float, float, float]) -> TissueMap:
        """Only what lies in a rectangle (x, y, width, height in um) counts."""
        x, y, width, height = region_um
        step_x, step_y = self.pixel_size.x_um * self.factor_px, self.pixel_size.y_um * self.factor_px
        rows = (np.arange(self.kind.shape[0]) + 0.5) * step_y
        cols = (np.arange(self.kind.shape[1]) + 0.5) * step_x
        return self.only_cells(
            ((rows >= y) & (rows < y + height))[:, None] & ((cols >= x) & (cols < x + width))[None, :]
        )

    def only_cells(self, inside: npt.NDArray[np.bool_]) -> TissueMap:
        """Only cells where `inside` (h, w) is True belong to the slide; the others become glass."""
        return replace(
            self,
            kind=np.where(inside, self.kind, RegionKind.GLASS).astype(np.uint8),
            section=np.where(inside, self.section, 0).astype(np.uint16),
            low=self.low & inside,
            high=self.high & inside,
        )

    def areas(self) -> dict[str, dict[str, float]]:
        """compartment -> area_mm2, area_low_mm2, area_high_mm2, outline_mm2; `tissue` first."""
        n_names = len(self.compartment_names)
        pixels = np.zeros((n_names + 2, 4), np.int64)  # of each compartment, of `viable` and of all tissue
        for first in range(0, len(self.kind), BAND_ROWS):  # masks of a large slide take 40 MB each
            band = slice(first, first + BAND_ROWS)
            for place, members in enumerate([[name] for name in self.compartment_names] + [VIABLE, None]):
                pixels[place] += self._n_px_of(members, band)
            self.let_go()
        own = [place for place in range(n_names) if self.compartment_names[place] and pixels[place, 0]]
        named = {"tissue": n_names + 1} | {self.compartment_names[place]: place for place in own}
        if set(named) & set(VIABLE):
            named["viable"] = n_names
        kinds = ("area_mm2", "area_low_mm2", "area_high_mm2", "outline_mm2")
        return {
            name: {
                kind: self.pixel_size.area_mm2(int(n)) for kind, n in zip(kinds, pixels[place], strict=True)
            }
            for name, place in named.items()
        }

    def _n_px_of(self, members: Sequence[str] | None, band: slice) -> list[int]:
        """Level-0 pixels of tissue in some rows, with the threshold moved either way, and of the outline.

        members: names of the compartments they lie in (None: any).
        """
        kind, outline = self.kind[band], self.section[band] > 0
        tissue = kind == RegionKind.TISSUE
        may_be = self.high[band] & outline & (tissue | (kind <= RegionKind.HOLE))
        if members is not None:
            here = np.isin(
                self.compartment[band],
                [place for place, name in enumerate(self.compartment_names) if name in members],
            )
            tissue, outline, may_be = tissue & here, outline & here, may_be & here
        masks = (tissue, tissue & self.low[band], tissue | may_be, outline)
        return [self.n_px(mask, band.start) for mask in masks]

    def let_go(self) -> None:
        """Take rasters that lie on disk out of memory; they come back where they are looked at again."""
        for raster in self.arrays().values():
            let_go(raster)

    def sections(self) -> list[dict[str, Any]]:
        """Number, areas and centre of each section."""
        found = []
        for number in range(1, int(self.section.max(initial=0)) + 1):
            here = self.section == number
            if not here.any():
                continue
            row, col = (
                float(np.arange(len(n)) @ n / n.sum()) + 0.5
                for n in (np.count_nonzero(here, axis=axis) for axis in (1, 0))
            )
            found.append(
                {
                    "section": number,
                    "area_mm2": self.area_mm2(here & (self.kind == RegionKind.TISSUE)),
                    "outline_mm2": self.area_mm2(here),
                    "x_um": col * self.factor_px * self.pixel_size.x_um,
                    "y_um": row * self.factor_px * self.pixel_size.y_um,
                }
            )
        return found

    def artefact_masks(self) -> dict[str, npt.NDArray[np.bool_]]:
        """Name -> mask of each kind of artefact that is there."""
        masks = {}
        for kind in ARTEFACTS:  # one after the other: masks of a large slide take 40 MB each
            if np.any(mask := self.kind == kind):
                masks[kind.name.lower()] = mask
        return masks

    def artefact_areas_mm2(self) -> dict[str, float]:
        """Name -> area in mm2 of each kind of artefact that is there."""
        return {name: self.area_mm2(mask) for name, mask in self.artefact_masks().items()}

    def arrays(self) -> dict[str, Array]:
        """The map as plain arrays, for a file."""
        header = [self.factor_px, self.width_px, self.height_px, self.flags]
        sizes = [
            self.pixel_size.x_um,
            self.pixel_size.y_um,
            np.nan if self.epidermis_mm is None else self.epidermis_mm,
        ]
        return {
            "kind": self.kind,
            "section": self.section,
            "compartment": self.compartment,
            "names": np.array(self.compartment_names, dtype="<U64"),
            "low": self.low,
            "high": self.high,
            "depth": np.zeros((0, 0), np.float32) if self.depth_um is None else self.depth_um,
            "header": np.array(header, np.int64),
            "sizes": np.array(sizes, np.float64),
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, Array]) -> TissueMap:
        """The map back from `arrays`."""
        factor, width, height, flags = (int(value) for value in arrays["header"])
        x_um, y_um, epidermis = (float(value) for value in arrays["sizes"])
        return cls(
            kind=arrays["kind"],
            section=arrays["section"],
            compartment=arrays["compartment"],
            compartment_names=tuple(str(name) for name in arrays["names"]),
            low=arrays["low"],
            high=arrays["high"],
            depth_um=arrays["depth"] if arrays["depth"].size else None,
            factor_px=factor,
            width_px=width,
            height_px=height,
            pixel_size=PixelSize(x_um, y_um),
            epidermis_mm=None if np.isnan(epidermis) else epidermis,
            flags=flags,
        )
