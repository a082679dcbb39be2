"""The one converter between micrometres (corner origin: tables) and napari's world (the same micrometres).

napari puts the centre of pixel (0, 0) at world (0, 0) before scale and translate, so an image of pixel size
s gets scale s and translate s / 2: then the world is the tables' micrometres, rows first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ishcount.core.units import PixelSize


def image_place(pixel_size: PixelSize) -> dict[str, Any]:
    """`scale`, `translate` and `units` of an image layer whose level-0 pixels have this size."""
    return {
        "scale": (pixel_size.y_um, pixel_size.x_um),
        "translate": (pixel_size.y_um / 2, pixel_size.x_um / 2),
        "units": ("um", "um"),
    }


def to_world(xy_um: ArrayLike) -> NDArray[np.float64]:
    """Positions (n, 2: x, y in micrometres) as napari's (n, 2: row, column)."""
    return np.asarray(xy_um, dtype=np.float64).reshape(-1, 2)[:, ::-1]


def from_world(row_col: ArrayLike) -> NDArray[np.float64]:
    """napari's positions (n, 2: row, column) as (n, 2: x, y in micrometres)."""
    return np.asarray(row_col, dtype=np.float64).reshape(-1, 2)[:, ::-1]


def box_in_world(x_um: float, y_um: float, width_um: float, height_um: float) -> NDArray[np.float64]:
    """Corners (4, 2: row, column) of an upright rectangle."""
    x = (x_um, x_um + width_um, x_um + width_um, x_um)
    y = (y_um, y_um, y_um + height_um, y_um + height_um)
    return np.column_stack([y, x])


def cursor_um(position: Sequence[float]) -> tuple[float, float]:
    """x and y in micrometres of a cursor position (last two world axes)."""
    return float(position[-1]), float(position[-2])
