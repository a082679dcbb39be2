"""What a cell of the overview and its surroundings look like, in units of the slide itself.

Optical densities are divided by that of the section's own nuclei or compared with its median, so that stain,
scanner and thickness of the section drop out. Surroundings are looked up along the direction inwards from
the outline, because skin is layered.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ishcount.core.colours import mean_of_colours
from ishcount.core.distance import distance_cells

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]

NUCLEI_QUANTILE = 0.97  # of what stands out over 9 um of the red channel: haematoxylin of nuclei
MIN_NUCLEAR_OD = 0.02
DEEPEST_UM = 500.0
STEPS_UM = (-90, -45, -25, 25, 50, 90, 150)  # outwards is negative
CONTEXT = ("r12", "n16", "t16", "tm", "in", "cg", "gap")
NEAR_UM = 50  # farther away only the first five of CONTEXT are looked up


def smoothed(values: Array, mask: Mask, sigma_cells: float) -> Array:
    """Gaussian mean of `values` over the cells of `mask` alone, float32 (h, w); 0 far from the mask."""
    weight = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), sigma_cells)
    total = cv2.GaussianBlur(np.where(mask, values, 0).astype(np.float32), (0, 0), sigma_cells)
    return np.where(weight > 1e-3, total / np.maximum(weight, 1e-3), 0).astype(np.float32)


def section_features(
    od: Array, solid: Mask, outline: Mask, cell_um: float, step: int = 1, rim_um: float = 0.0
) -> tuple[dict[str, Array], Mask]:
    """Features by name, float32 (n,), of every `step`-th cell of `solid` each way, and their mask (h, w).

    od: float32 (h, w, 3) of one section; solid: its tissue; outline: the same filled. Of the `rim_um` along
    the outline every cell is chosen.
    """
    chosen = np.zeros_like(solid)
    chosen[::step, ::step] = solid[::step, ::step]
    if rim_um > 0:
        inward = distance_cells(np.pad(outline, 1, mode="edge"))[1:-1, 1:-1]
        chosen |= solid & (inward * cell_um <= rim_um)
    planes = _Planes(chosen)
    turn = _fill(planes, np.maximum(od, 0), solid, outline, cell_um)
    found = planes.values
    row, col = (index.astype(np.float32) for index in np.nonzero(chosen))
    across, down = turn[0][chosen], turn[1][chosen]
    for distance in STEPS_UM:
        x, y = col + across * (distance / cell_um), row + down * (distance / cell_um)
        for name in CONTEXT if abs(distance) <= NEAR_UM else CONTEXT[:5]:
            found[f"{name}@{distance}"] = _looked_up(planes.whole[name], x, y)
    return found, chosen


def _looked_up(plane: Array, x: Array, y: Array) -> Array:
    """Values at places, in rows of 10,000 because cv2 takes no longer side than 32,767."""
    parts = [
        cv2.remap(
            plane, x[None, first : first + 10_000], y[None, first : first + 10_000], cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )[0]
        for first in range(0, len(x), 10_000)
    ]  # fmt: skip
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


class _Planes:
    """What is kept of each plane: float32 values at the chosen cells, all of it only where it is CONTEXT."""

    def __init__(self, chosen: Mask) -> None:
        self.chosen = chosen
        self.values: dict[str, Array] = {}
        self.whole: dict[str, Array] = {}

    def __setitem__(self, name: str, plane: Array) -> None:
        plane = plane.astype(np.float32)
        self.values[name] = plane[self.chosen]
        if name in CONTEXT:
            self.whole[name] = plane


def _fill(planes: _Planes, od: Array, solid: Mask, outline: Mask, um: float) -> tuple[Array, Array]:
    """Add the features that need no context; the unit vector inwards (across, down) of each cell (h, w)."""
    red, mean = od[..., 0], mean_of_colours(od)
    tint_red, tint = (_between_nuclei(plane, solid, um) for plane in (red, mean))
    nuclear = np.where(solid, np.maximum(red - tint_red, 0), 0)
    unit = max(float(np.quantile(nuclear[solid], NUCLEI_QUANTILE)), MIN_NUCLEAR_OD)
    usual = float(np.median(tint_red[solid]))
    for sigma in (6, 12, 24, 48):
        planes[f"r{sigma}"] = smoothed(red, solid, sigma / um) / unit
    for sigma in (8, 16, 32):
        planes[f"n{sigma}"] = smoothed(nuclear, solid, sigma / um) / unit
    for sigma in (6, 16):
        planes[f"t{sigma}"] = (smoothed(tint_red, solid, sigma / um) - usual) / unit
    planes["tt"] = smoothed(tint_red, solid, 12 / um) / unit
    planes["tm"] = _against_median(smoothed(tint, solid, 10 / um), solid)
    planes["m"] = _against_median(smoothed(mean, solid, 10 / um), solid)
    for name, plane in _texture(red, mean, tint, solid, unit, um):
        planes[name] = plane
    shares = [smoothed(od[..., k], solid, 12 / um) for k in range(3)]
    total = shares[0] + shares[1] + shares[2] + 0.02
    for k, name in ((1, "cg"), (2, "cb")):
        share = (shares[k] - shares[0]) / total
        planes[name] = share - float(np.median(share[solid]))
    for sigma in (12, 30, 80, 200):
        planes[f"s{sigma}"] = cv2.GaussianBlur(solid.astype(np.float32), (0, 0), sigma / um)
    inward = distance_cells(np.pad(outline, 1))[1:-1, 1:-1] * um
    planes["in"] = np.minimum(inward, DEEPEST_UM)
    planes["coh"] = _coherence(mean, solid, um)
    return _inwards(inward, um)


def _between_nuclei(plane: Array, solid: Mask, um: float) -> Array:
    """Grey opening over 18 um: takes off what is smaller, leaves edges of layers where they are."""
    side = 2 * max(1, round(9 / um)) + 1
    window = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    low = cv2.erode(np.where(solid, smoothed(plane, solid, 2.5 / um), 9).astype(np.float32), window)
    low[low > 8] = 0
    return np.asarray(cv2.dilate(np.where(solid, low, 0).astype(np.float32), window))


def _against_median(plane: Array, solid: Mask) -> Array:
    return np.asarray(np.log((plane + 0.01) / (np.median(plane[solid]) + 0.01)))


def _texture(
    red: Array, mean: Array, tint: Array, solid: Mask, unit: float, um: float
) -> Iterator[tuple[str, Array]]:
    """How much nuclei and gaps stand out, how rough all is, how rough the tint alone."""
    around = smoothed(mean, solid, 10 / um)
    wide = smoothed(mean, solid, 12 / um)

    def spread(plane: Array, sigma: float) -> Array:
        square = smoothed(plane * plane, solid, sigma / um)
        return np.asarray(np.sqrt(np.maximum(square - smoothed(plane, solid, sigma / um) ** 2, 0)))

    yield "gap", (wide - smoothed(tint, solid, 10 / um)) / (wide + 0.02)
    yield "sr", spread(red, 10) / unit
    yield "sm", spread(mean, 10) / (around + 0.02)
    yield "ut", spread(tint, 16) / (smoothed(tint, solid, 16 / um) + 0.02)


def _coherence(mean: Array, solid: Mask, um: float) -> Array:
    """0 where texture has no direction, 1 where all fibres are parallel."""
    fine = smoothed(mean, solid, 3 / um)
    inner = ndimage.binary_erosion(solid, iterations=2)
    across, down = (cv2.Sobel(fine, cv2.CV_32F, *order) * inner for order in ((1, 0), (0, 1)))
    xx, yy, xy = (
        cv2.GaussianBlur(product, (0, 0), 16 / um)
        for product in (across * across, down * down, across * down)
    )
    return np.asarray(np.sqrt((xx - yy) ** 2 + 4 * xy**2) / (xx + yy + 1e-6))


def _inwards(inward: Array, um: float) -> tuple[Array, Array]:
    soft = cv2.GaussianBlur(np.minimum(inward, 600), (0, 0), 24 / um)
    across, down = (cv2.Sobel(soft, cv2.CV_32F, *order) for order in ((1, 0), (0, 1)))
    length = np.hypot(across, down) + 1e-6
    return across / length, down / length
