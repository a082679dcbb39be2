"""Cells as classes: the label image seen through a look-up table, so that one edit changes one number.

A value is look * 8 + cell number modulo 8: neighbours of one class keep an outline between them, and 56
colours do for a million cells. No Qt, no napari.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ishcount.review.live import LOOKS

SHADES = 8

# Red, green, blue, alpha of each look of `review.live.LOOKS`. Positive and negative differ in hue and
# lightness (readable with red-green blindness); what a reader decided is opaque, what the tool found less so.
COLOURS: dict[str, tuple[float, float, float, float]] = {
    "none": (0.0, 0.0, 0.0, 0.0),
    "negative": (0.20, 0.45, 0.85, 0.45),
    "positive": (0.95, 0.15, 0.10, 0.95),
    "unsure": (1.00, 0.70, 0.00, 1.00),
    "reviewed_negative": (0.00, 0.35, 1.00, 1.00),
    "reviewed_positive": (0.85, 0.00, 0.60, 1.00),
    "not_counted": (0.35, 0.35, 0.35, 0.60),
}


class LookUpTable:
    """Value of every cell id, shared by all levels."""

    def __init__(self, looks: NDArray[np.uint8]) -> None:
        """looks: index into `LOOKS` by cell id (id 0 is background)."""
        self._shade = (np.arange(len(looks)) % SHADES).astype(np.uint8)
        self.values = np.zeros(len(looks), np.uint8)
        self.is_damaged = False  # whether a part of the label image could not be read
        self.set_all(looks)

    def set_all(self, looks: NDArray[np.uint8]) -> None:
        """Take all looks anew."""
        np.multiply(looks, SHADES, out=self.values)
        self.values += self._shade
        self.values[looks == 0] = 0

    def set_one(self, cell_id: int, look: int) -> None:
        """Change one cell."""
        self.values[cell_id] = look * SHADES + self._shade[cell_id] if look else 0


class LookUpView:
    """One level of the label image with every cell number replaced by its value."""

    dtype = np.dtype(np.uint8)
    ndim = 2

    def __init__(self, labels: Any, table: LookUpTable) -> None:
        """labels: a (h, w) array of cell ids, read when indexed."""
        self._labels, self._table = labels, table
        self.shape = tuple(labels.shape)
        self.chunks = tuple(getattr(labels, "chunks", self.shape))

    @property
    def size(self) -> int:
        """Number of values."""
        return int(np.prod(self.shape))

    def __getitem__(self, index: Any) -> NDArray[np.uint8]:
        try:
            return self._table.values[np.asarray(self._labels[index])]
        except (OSError, ValueError, RuntimeError, IndexError):  # painting must go on; the dock says it
            self._table.is_damaged = True
            return np.broadcast_to(np.zeros(1, np.uint8), self.shape)[index].copy()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        whole = self[:, :]
        return whole if dtype is None else whole.astype(dtype)


def colours_of_values() -> NDArray[np.float32]:
    """Colour (n, 4: red, green, blue, alpha) of every value a `LookUpTable` can hold; row 0 is no colour."""
    return np.repeat(np.array([COLOURS[name] for name in LOOKS], np.float32), SHADES, axis=0)


def open_labels(folder: Path) -> tuple[list[Any], float]:
    """Levels of `labels.ome.zarr` and the size of a level-0 pixel in micrometres (y = x)."""
    import zarr

    group = zarr.open_group(str(folder), mode="r")
    datasets = group.attrs["multiscales"][0]["datasets"]
    scale = datasets[0]["coordinateTransformations"][0]["scale"]
    return [group[entry["path"]] for entry in datasets], float(scale[0])
