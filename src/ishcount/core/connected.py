"""Sizes of connected pieces on a raster, and how much of each a mask covers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.int32]
AT_ONCE = 1_000_000  # cells; NumPy counts in a copy of 8 bytes a cell


def sizes_of_pieces(labels: Labels, n: int) -> npt.NDArray[np.int64]:
    """Number of cells of each label, (n + 1,), of a raster with labels 0 to n."""
    size, flat = np.zeros(n + 1, np.int64), labels.ravel()
    for first in range(0, len(flat), AT_ONCE):
        size += np.bincount(flat[first : first + AT_ONCE], minlength=n + 1)
    return size


def share_of_pieces(mask: npt.NDArray[np.bool_], labels: Labels, n: int) -> npt.NDArray[Any]:
    """Share of the cells of each label that lie in `mask`, float64 (n + 1,); 0 of a label without cells."""
    inside = np.bincount(labels[mask], minlength=n + 1)
    return np.asarray(inside / np.maximum(sizes_of_pieces(labels, n), 1))
