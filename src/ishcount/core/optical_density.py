"""Optical density in integers.

OD = -log10(I / white). Stain planes are int16 with 4000 levels per OD unit, made by summing three
256-entry tables per pixel. Integers make every later sum exact, so that a dot has the same features in
whatever block, order or process it is computed. One level is 0.00025 OD, a seventh of the step of an
8-bit camera near white, so nothing the camera saw is lost; the range is +-8 OD. With 200 levels (8 bit) 1
dot in 90 changes sides at the cut, with 1000 levels 1 in 400; filters cost about the same on int16 as on
float32 (`tests/benchmarks/bench_representation.py`). The coarse nuclei grid keeps haematoxylin as uint8
with 200 levels per OD (0 to 1.275).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ishcount.core.compiled import njit

LEVELS_PER_OD = 4000
COARSE_LEVELS_PER_OD = 200


def od_table(white: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Optical density of each grey level per channel: (3, 256); grey level 0 is taken as half a level."""
    levels = np.maximum(np.arange(256, dtype=np.float64), 0.5)
    return np.asarray(-np.log10(levels / np.asarray(white, dtype=np.float64).reshape(3, 1)))


def to_od(rgb: npt.NDArray[np.uint8], white: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Optical density of an RGB image (..., 3); brighter than white is negative."""
    table = od_table(white)
    return np.stack([table[channel][rgb[..., channel]] for channel in range(3)], axis=-1)


def unmixing_tables(white: npt.ArrayLike, rows: npt.ArrayLike) -> npt.NDArray[np.int32]:
    """Tables (3 stains, 3 channels, 256) whose sum over channels is a stain's OD times `LEVELS_PER_OD`.

    `rows` (3, 3) holds one unit stain vector (R, G, B optical density) a row.
    """
    inverse = np.linalg.inv(np.asarray(rows, dtype=np.float64))
    tables = np.einsum("ci,cs->sci", od_table(white), inverse) * LEVELS_PER_OD
    return np.rint(np.clip(tables, -2e6, 2e6)).astype(np.int32)


@njit
def separate(rgb: npt.NDArray[np.uint8], tables: npt.NDArray[np.int32]) -> npt.NDArray[np.int16]:
    """Stain planes int16 (3, h, w), `LEVELS_PER_OD` levels per OD, of an RGB image (h, w, 3)."""
    height, width = rgb.shape[0], rgb.shape[1]
    planes = np.empty((3, height, width), np.int16)
    for y in range(height):
        for x in range(width):
            red, green, blue = rgb[y, x, 0], rgb[y, x, 1], rgb[y, x, 2]
            for stain in range(3):
                value = tables[stain, 0, red] + tables[stain, 1, green] + tables[stain, 2, blue]
                planes[stain, y, x] = min(max(value, -32768), 32767)
    return planes


@njit
def block_mean(rgb: npt.NDArray[np.uint8], factor: int) -> npt.NDArray[np.uint8]:
    """Mean colour of each `factor` x `factor` cell, rounded half up; edge cells use the pixels there are."""
    height, width = rgb.shape[0], rgb.shape[1]
    rows, cols = (height + factor - 1) // factor, (width + factor - 1) // factor
    mean = np.empty((rows, cols, 3), np.uint8)
    for row in range(rows):
        y_end = min(height, (row + 1) * factor)
        for col in range(cols):
            x_end = min(width, (col + 1) * factor)
            red = green = blue = 0
            for y in range(row * factor, y_end):
                for x in range(col * factor, x_end):
                    red += rgb[y, x, 0]
                    green += rgb[y, x, 1]
                    blue += rgb[y, x, 2]
            n = (y_end - row * factor) * (x_end - col * factor)
            mean[row, col, 0] = (2 * red + n) // (2 * n)
            mean[row, col, 1] = (2 * green + n) // (2 * n)
            mean[row, col, 2] = (2 * blue + n) // (2 * n)
    return mean


def coarse(plane: npt.NDArray[np.int16]) -> npt.NDArray[np.uint8]:
    """A stain plane as uint8 with `COARSE_LEVELS_PER_OD` levels per OD, cut at 0 and 1.275 OD."""
    step = LEVELS_PER_OD // COARSE_LEVELS_PER_OD
    return np.clip((plane + step // 2) // step, 0, 255).astype(np.uint8)
