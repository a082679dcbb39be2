"""The only um <-> px and px -> mm2 arithmetic."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PixelSize:
    """Edge lengths of one pixel in micrometres."""

    x_um: float
    y_um: float

    @property
    def mean_um(self) -> float:
        """Mean edge length, for lengths that have no direction."""
        return (self.x_um + self.y_um) / 2

    def to_px(self, length_um: float) -> float:
        """A length without direction, in pixels."""
        return length_um / self.mean_um

    def to_um(self, length_px: float) -> float:
        """A length without direction, in micrometres."""
        return length_px * self.mean_um

    def area_um2(self, n_px: float) -> float:
        """The area of `n_px` pixels in um2."""
        return n_px * self.x_um * self.y_um

    def area_mm2(self, n_px: float) -> float:
        """The area of `n_px` pixels in mm2."""
        return n_px * self.x_um * self.y_um * 1e-6

    def scaled(self, factor: float) -> PixelSize:
        """The pixel size of a grid `factor` times coarser."""
        return PixelSize(self.x_um * factor, self.y_um * factor)
