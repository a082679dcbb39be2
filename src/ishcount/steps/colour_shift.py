"""Red and blue laid over green where a scanner displaced them.

Lateral colour and line cameras move red and blue against green, in scans and in published images by up to
1.7 px. A pixel off, every dark nucleus has a red rim on one side that counts as a dot: on one drawn slide
without dots 250 cells. The displacement is measured once per slide and taken back when pixels are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ishcount.core.compiled import njit

Rgb = npt.NDArray[np.uint8]
Plane = npt.NDArray[np.float32]
POOLED = 2  # pixels are averaged 2 x 2 first: JPEG keeps fine detail for all colours alike, coarse for each
# Edges of nuclei lie between JPEG's detail (a sigma of 1.5 px finds a quarter less) and haze.
FINE_PX, COARSE_PX = 3.0, 8.0
ROUNDS = 2  # each takes back some nine tenths of what is left
SIDE_PX = 256  # of a window looked at: its middle
LEAST_PX = 0.1  # displacements on 16 drawn slides were found to within this
UNIT = 2048  # parts of a weight of a neighbouring pixel: 255 x 1.25**2 of its squares fit 32 bits
BITS, HALF = np.int32(22), np.int32(1 << 21)  # of two weights' product, and what rounds it
ZERO, MOST = np.int32(0), np.int32(255)
MOST_PX = 3.0  # more is no camera's displacement, and farther than edges of nuclei lead


@dataclass(frozen=True)
class ColourShift:
    """How far red and blue lie to the right of and below green, in px of the slide's own pixels."""

    red_x_px: float = 0.0
    red_y_px: float = 0.0
    blue_x_px: float = 0.0
    blue_y_px: float = 0.0

    @property
    def is_small(self) -> bool:
        """Too small to be told from none."""
        return max(abs(part) for part in astuple(self)) < LEAST_PX


def measure_colour_shift(windows: Sequence[Rgb]) -> ColourShift:
    """The displacement that fits edges in all windows (uint8, h x w x 3) best; none without an edge.

    Green's own gradient explains a displaced colour (Lucas and Kanade 1981), least squares over all pixels.
    """
    middles = [_middle(window) for window in windows]
    found = ColourShift()
    for _ in range(ROUNDS):
        sums = np.zeros((2, 3, 4))
        for middle in middles:
            sums += _normal_equations(_moved(middle, found))
        steps = np.concatenate([_solve(part) for part in sums]) * POOLED
        found = ColourShift(*(float(v) for v in np.array(astuple(found)) + steps))
        if not np.abs(astuple(found)).max() <= MOST_PX:  # nor is what is no number
            return ColourShift()
    return found


def registered(rgb: Rgb, shift: ColourShift) -> Rgb:
    """The image with red and blue moved back over green (cubic between pixels); itself for a small shift."""
    return rgb if shift.is_small else _moved(rgb, shift)


def in_register(windows: Sequence[Rgb]) -> tuple[list[Rgb], ColourShift]:
    """The windows of one slide with the displacement that they show taken back, and that displacement."""
    shift = measure_colour_shift(windows)
    return [registered(window, shift) for window in windows], shift


def _moved(rgb: Rgb, shift: ColourShift) -> Rgb:
    """Red and blue between their pixels, in whole numbers: exact wherever the array begins; rims go on."""
    parts = [_weights(part) for part in astuple(shift)]
    weights = np.array([part for part, _ in parts], np.int32)
    first = np.array([start for _, start in parts], np.int64)
    moved = np.empty(rgb.shape, np.uint8)
    if rgb.size:
        _move_rows(np.ascontiguousarray(rgb), weights, first, moved)
    return moved


def _middle(window: Rgb) -> Rgb:
    top, left = (max(0, (size - SIDE_PX) // 2) for size in window.shape[:2])
    return np.ascontiguousarray(window[top : top + SIDE_PX, left : left + SIDE_PX])


def _weights(shift_px: float) -> tuple[npt.NDArray[np.int32], int]:
    """Of four pixels in a row for the value `shift_px` farther on (Catmull and Rom's cubic), in parts of
    `UNIT`, and how far on the first of them lies."""
    whole = int(np.floor(shift_px))
    t = shift_px - whole
    exact = UNIT * np.array(
        (
            ((2 - t) * t - 1) * t / 2,
            ((3 * t - 5) * t * t + 2) / 2,
            ((4 - 3 * t) * t + 1) * t / 2,
            (t - 1) * t * t / 2,
        )
    )
    weights = np.rint(exact).astype(np.int32)
    weights[weights.argmax()] += UNIT - weights.sum()  # an even picture stays as it is
    return weights, whole - 1


@njit
def _move_rows(
    rgb: Rgb, weights: npt.NDArray[np.int32], first: npt.NDArray[np.int64], moved: Rgb
) -> None:  # pragma: no cover
    """Fill `moved`; `weights` (4 x 4) and `first` (4): of red along x and y, then of blue."""
    height, width, _ = rgb.shape
    above, below = min(first[1], first[3]), max(first[1], first[3]) + 3
    rows = np.empty((below - above + 1, 2, width), np.uint8)  # the last rows read: red, blue
    done = np.empty((2, width), np.uint8)
    rim = max(abs(first[0]), abs(first[2])) + 3
    sums = np.empty(width + 2 * rim, np.int32)
    for row in range(above, height + below):
        seen = rgb[min(max(row, 0), height - 1)]
        red, blue = rows[row % len(rows)]
        for x in range(width):
            red[x] = seen[x, 0]
            blue[x] = seen[x, 2]
        y = row - below
        if y < 0:
            continue
        for colour in range(2):
            _move_row(rows, y, colour, weights, first, rim, sums, done[colour])
        green, red, blue, out = rgb[y], done[0], done[1], moved[y]
        for x in range(width):
            out[x, 0] = red[x]
            out[x, 1] = green[x, 1]
            out[x, 2] = blue[x]


@njit
def _move_row(
    rows: Rgb,
    y: int,
    colour: int,
    weights: npt.NDArray[np.int32],
    first: npt.NDArray[np.int64],
    rim: int,
    sums: npt.NDArray[np.int32],
    done: npt.NDArray[np.uint8],
) -> None:  # pragma: no cover
    """One row of one colour: down the columns first, then along the row."""
    down0, down1, down2, down3 = weights[2 * colour + 1]
    top = y + first[2 * colour + 1]
    one, two = rows[top % len(rows), colour], rows[(top + 1) % len(rows), colour]
    three, four = rows[(top + 2) % len(rows), colour], rows[(top + 3) % len(rows), colour]
    width = len(done)
    seen = sums[rim : rim + width]
    for x in range(width):
        seen[x] = one[x] * down0 + two[x] * down1 + three[x] * down2 + four[x] * down3
    sums[:rim] = seen[0]
    sums[rim + width :] = seen[-1]
    along0, along1, along2, along3 = weights[2 * colour]
    start = sums[rim + first[2 * colour] :]
    for x in range(width):
        total = start[x] * along0 + start[x + 1] * along1 + start[x + 2] * along2 + start[x + 3] * along3
        level = np.int32(np.int32(total + HALF) >> BITS)  # numba counts in 64 bits unless told
        done[x] = min(max(level, ZERO), MOST)


def _normal_equations(rgb: Rgb) -> npt.NDArray[np.float64]:
    """Of red and of blue: products of green and its gradients among themselves and with the colour."""
    pooled = cv2.resize(rgb, None, fx=1 / POOLED, fy=1 / POOLED, interpolation=cv2.INTER_AREA)
    red, green, blue = (_edges(pooled[..., channel]) for channel in range(3))
    down, right = np.gradient(green)
    basis = np.stack([green.ravel(), right.ravel(), down.ravel()]).astype(np.float64)
    return np.stack([np.column_stack([basis @ basis.T, basis @ colour.ravel()]) for colour in (red, blue)])


def _edges(plane: npt.NDArray[Any]) -> Plane:
    """Optical density between the two smoothings."""
    density = -np.log(np.maximum(plane, 1).astype(np.float32))
    fine, coarse = (cv2.GaussianBlur(density, (0, 0), sigma / POOLED) for sigma in (FINE_PX, COARSE_PX))
    return np.asarray(fine - coarse)


def _solve(equations: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Displacement along x and y: minus the gradients' share over green's own; none without edges."""
    try:
        share, right, down = np.linalg.solve(equations[:, :3], equations[:, 3])
    except np.linalg.LinAlgError:
        return np.zeros(2)
    return -np.array([right, down]) / share if share > 0 else np.zeros(2)
