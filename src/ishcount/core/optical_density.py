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

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ishcount.core.compiled import njit

LEVELS_PER_OD = 4000
COARSE_LEVELS_PER_OD = 200
LARGEST_ENTRY = 2**18 - 1  # of an unmixing table: 65 OD, eight times what a plane can hold


def od_table(white: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Optical density of each grey level per channel: (3, 256); grey level 0 is taken as half a level."""
    levels = np.maximum(np.arange(256, dtype=np.float64), 0.5)
    return np.asarray(-np.log10(levels / np.asarray(white, dtype=np.float64).reshape(3, 1)))


def to_od(rgb: npt.NDArray[np.uint8], white: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Optical density of an RGB image (..., 3); brighter than white is negative."""
    if rgb.size == 0:
        return np.zeros(rgb.shape)
    flat = np.ascontiguousarray(rgb).reshape(-1, 1, 3)
    return np.asarray(cv2.LUT(flat, od_table(white).T[np.newaxis]), np.float64).reshape(rgb.shape)


def median_colour(rgb: npt.NDArray[np.uint8], mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Median of each channel (3,) over the pixels of a mask, without a copy of them; some must be there."""
    counts = np.zeros((3, 256), np.int64)
    for first in range(0, len(rgb), 1024):  # OpenCV counts in float32, exact up to 16 million
        rows = slice(first, first + 1024)
        part, wanted = np.ascontiguousarray(rgb[rows]), mask[rows].astype(np.uint8)
        for channel in range(3):
            found = cv2.calcHist([part], [channel], wanted, [256], [0, 256])
            counts[channel] += found.ravel().astype(np.int64)
    below, n = np.cumsum(counts, axis=1), int(counts[0].sum())
    middle = [np.argmax(below > place, axis=1) for place in ((n - 1) // 2, n // 2)]
    return np.asarray((middle[0] + middle[1]) / 2, np.float64)


def unmixing_tables(white: npt.ArrayLike, rows: npt.ArrayLike) -> npt.NDArray[np.int32]:
    """Tables (3 stains, 3 channels, 256) whose sum over channels is a stain's OD times `LEVELS_PER_OD`.

    `rows` (3, 3) holds one unit stain vector (R, G, B optical density) a row.
    """
    inverse = np.linalg.inv(np.asarray(rows, dtype=np.float64))
    tables = np.einsum("ci,cs->sci", od_table(white), inverse) * LEVELS_PER_OD
    return np.rint(np.clip(tables, -LARGEST_ENTRY, LARGEST_ENTRY)).astype(np.int32)


def separate(rgb: npt.NDArray[np.uint8], tables: npt.NDArray[np.int32]) -> npt.NDArray[np.int16]:
    """Stain planes int16 (3, h, w), `LEVELS_PER_OD` levels per OD, of an RGB image (h, w, 3)."""
    # Three stains in one 64-bit sum of 21 bits each, so that a pixel costs three look-ups and not nine.
    fields = tables.astype(np.int64) + LARGEST_ENTRY
    packed = fields[0] + (fields[1] << 21) + (fields[2] << 42)
    least, most = tables.min(axis=2).sum(axis=1), tables.max(axis=2).sum(axis=1)
    cut = least.min() < -32768 or most.max() > 32767  # with usual stains no pixel needs it: half the time
    planes = np.empty((3, *rgb.shape[:2]), np.int16)
    fill = _separate_cut if cut else _separate
    fill(np.ascontiguousarray(rgb).reshape(-1), packed, planes.reshape(3, -1))
    return planes


@njit
def _separate(values: Any, packed: Any, planes: Any) -> None:
    red, green, blue = packed[0], packed[1], packed[2]
    for i in range(planes.shape[1]):
        total = red[values[3 * i]] + green[values[3 * i + 1]] + blue[values[3 * i + 2]]
        planes[0, i] = np.int32((total & 0x1FFFFF) - 3 * LARGEST_ENTRY)
        planes[1, i] = np.int32(((total >> 21) & 0x1FFFFF) - 3 * LARGEST_ENTRY)
        planes[2, i] = np.int32((total >> 42) - 3 * LARGEST_ENTRY)


@njit
def _separate_cut(values: Any, packed: Any, planes: Any) -> None:
    """The same where sums may leave int16."""
    red, green, blue = packed[0], packed[1], packed[2]
    for i in range(planes.shape[1]):
        total = red[values[3 * i]] + green[values[3 * i + 1]] + blue[values[3 * i + 2]]
        for stain in range(3):
            level = np.int32(((total >> (21 * stain)) & 0x1FFFFF) - 3 * LARGEST_ENTRY)
            planes[stain, i] = min(max(level, -32768), 32767)


def block_mean(rgb: npt.NDArray[np.uint8], factor: int) -> npt.NDArray[np.uint8]:
    """Mean colour of each `factor` x `factor` cell, rounded half up; edge cells use the pixels there are."""
    height, width = rgb.shape[0], rgb.shape[1]
    if factor == 1:
        return rgb
    if factor == 2 and height > 1 and width > 1 and height % 2 == 0 and width % 2 == 0:
        return np.asarray(cv2.resize(rgb, (width // 2, height // 2), interpolation=cv2.INTER_AREA))
    return _block_mean(rgb, factor)


@njit
def _block_mean(rgb: Any, factor: Any) -> Any:
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
