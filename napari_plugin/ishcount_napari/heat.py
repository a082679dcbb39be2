"""Positive cells per mm2 as a soft picture for the far view, where single cells are smaller than a pixel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

BIN_UM = 32.0
SMOOTH_UM = 100.0
"""Standard deviation of the smoothing: about the size of a focus of infiltrate."""


def density_picture(
    x_um: NDArray[np.float64], y_um: NDArray[np.float64], *, width_um: float, height_um: float
) -> tuple[NDArray[np.float32], float]:
    """RGBA picture (h, w, 4; 0-1) of points per mm2, one pixel per `BIN_UM`, and its largest density.

    Transparent where there is nothing, red and opaque at the largest density; shade grows with the square
    root, so that single cells stay visible.
    """
    shape = (max(1, int(np.ceil(height_um / BIN_UM))), max(1, int(np.ceil(width_um / BIN_UM))))
    counts = np.zeros(shape)
    np.add.at(
        counts,
        (
            np.clip((y_um / BIN_UM).astype(int), 0, shape[0] - 1),
            np.clip((x_um / BIN_UM).astype(int), 0, shape[1] - 1),
        ),
        1,
    )
    density = gaussian_filter(counts, SMOOTH_UM / BIN_UM) / (BIN_UM**2 * 1e-6)
    top = float(density.max(initial=0.0))
    shade = np.sqrt(density / top) if top > 0 else density
    picture = np.zeros((*shape, 4), np.float32)
    picture[..., 0] = 0.85
    picture[..., 1] = 0.10 + 0.45 * (1 - shade)
    picture[..., 3] = 0.75 * shade
    return picture, top
