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

Rgb = npt.NDArray[np.uint8]
Plane = npt.NDArray[np.float32]
POOLED = 2  # pixels are averaged 2 x 2 first: JPEG keeps fine detail for all colours alike, coarse for each
# Edges of nuclei lie between JPEG's detail (a sigma of 1.5 px finds a quarter less) and haze.
FINE_PX, COARSE_PX = 3.0, 8.0
ROUNDS = 2  # each takes back some nine tenths of what is left
SIDE_PX = 256  # of a window looked at: its middle
LEAST_PX = 0.1  # displacements on 16 drawn slides were found to within this
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
    moved = rgb.copy()
    for channel, x, y in ((0, shift.red_x_px, shift.red_y_px), (2, shift.blue_x_px, shift.blue_y_px)):
        if x or y:
            plane = cv2.extractChannel(rgb, channel)
            weights = _weights(x), _weights(y)
            plane = cv2.sepFilter2D(plane, -1, *weights, borderType=cv2.BORDER_REPLICATE)
            cv2.insertChannel(plane, moved, channel)
    return moved


def _middle(window: Rgb) -> Rgb:
    top, left = (max(0, (size - SIDE_PX) // 2) for size in window.shape[:2])
    return np.ascontiguousarray(window[top : top + SIDE_PX, left : left + SIDE_PX])


def _weights(shift_px: float) -> npt.NDArray[np.float64]:
    """Weights of the pixels about one for its value `shift_px` farther on (Catmull and Rom's cubic)."""
    whole = int(np.floor(shift_px))
    t = shift_px - whole
    half = max(abs(whole - 1), abs(whole + 2))
    weights = np.zeros(2 * half + 1)
    weights[half + whole - 1 : half + whole + 3] = (
        ((2 - t) * t - 1) * t / 2,
        ((3 * t - 5) * t * t + 2) / 2,
        ((4 - 3 * t) * t + 1) * t / 2,
        (t - 1) * t * t / 2,
    )
    return weights


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
