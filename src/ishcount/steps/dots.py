"""Dot candidates of one chromogen and the evidence about each.

A candidate is a local maximum of a difference of Gaussians on the chromogen plane. Its evidence is measured
only
there: mean stain in rings about it (all three planes), shape, texture, wider surroundings and its neighbours.
Everything is local (within `REACH_UM`) and in integers until the last division, so a dot has the same
evidence
in whatever block it is found.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field

from ishcount.core.compiled import njit
from ishcount.core.optical_density import LEVELS_PER_OD
from ishcount.core.settings import Settings
from ishcount.core.units import PixelSize

Float = npt.NDArray[np.float32]

RING_EDGES_UM = (0.3, 0.55, 0.8, 1.1, 1.5, 2.0, 2.6, 3.2)
N_RINGS = len(RING_EDGES_UM)
WIDE_UM = (6.0, 15.0)  # sides of the boxes that describe the surroundings
NEIGHBOUR_UM = 3.0
REACH_UM = 16.0  # nothing farther than this changes a candidate
PLANES = ("h", "c", "r")

_RING_NAMES = tuple(f"{plane}_ring{ring}" for plane in PLANES for ring in range(N_RINGS))
_SHAPE_NAMES = (
    "contrast_h", "contrast_c", "contrast_r", "contrast_total", "share_h", "share_c", "share_r",
    "colour_h", "colour_c", "colour_r", "profile_1", "profile_2", "profile_3", "size_um", "elongation",
    "texture_h", "texture_c", "texture_r", "dog", "asymmetry",
)  # fmt: skip
_WIDE_NAMES = tuple(f"{plane}_wide{box}" for plane in PLANES for box in range(len(WIDE_UM)))
_NEIGHBOUR_NAMES = (
    "n_within_1_5",
    "n_within_3",
    "near_contrast_c",
    "near_share_h",
    "near_share_r",
    "near_colour_r",
)
AROUND_UM = 12.0  # pigment lies in clumps and rows this wide; single transcripts do not
DARK_OD = 0.15  # a neighbour counts as dark above this contrast: half of a usual single dot
_AROUND_NAMES = (
    "n_around",
    "n_dark_around",
    "around_share_h",
    "around_share_r",
    "around_colour_r",
    "around_contrast",
)
_SLIDE_NAMES = ("mpp_um", "noise_od", "stain_angle_deg", "is_brown")
FEATURE_NAMES = (*_RING_NAMES, *_SHAPE_NAMES, *_WIDE_NAMES, *_NEIGHBOUR_NAMES, *_AROUND_NAMES, *_SLIDE_NAMES)
N_LOCAL = len(_RING_NAMES) + len(_SHAPE_NAMES)
N_WIDE = len(_WIDE_NAMES)


class DotParams(Settings):
    """How dot candidates are found."""

    inner_sigma_um: float = Field(
        0.30, gt=0, description="inner Gaussian, near the width of a dot of 0.6-1.4 um (docs/methods.md)"
    )
    outer_sigma_um: float = Field(
        0.55,
        gt=0,
        description="outer Gaussian; above 0.6 um it takes colour from neighbours (docs/methods.md)",
    )
    min_contrast_od: float = Field(
        0.03, gt=0, description="least filter response of a candidate, OD (docs/methods.md)"
    )
    noise_factor: float = Field(
        3.5, ge=0, description="least filter response in units of the slide's noise (docs/methods.md)"
    )


@dataclass(frozen=True)
class DotNoise:
    """Frozen per slide: noise of the filter response in OD (1.4826 x median absolute deviation)."""

    noise_od: float

    def threshold_od(self, params: DotParams) -> float:
        """The least filter response of a candidate."""
        return max(params.min_contrast_od, params.noise_factor * self.noise_od)


@dataclass(frozen=True)
class Candidates:
    """Candidates of one block, ordered by row then column.

    x, y: int32 peak pixel in the block; dx, dy: float32 offset of the refined place from the peak pixel's
    centre
    in pixels (-0.5..0.5); features float32 (n, n_features); area_um2, peak_od, integrated_od float32.
    """

    x: npt.NDArray[np.int32]
    y: npt.NDArray[np.int32]
    dx: Float
    dy: Float
    features: Float
    area_um2: Float
    peak_od: Float
    integrated_od: Float


def response(
    chromogen: npt.NDArray[np.int16], pixel_size: PixelSize, params: DotParams
) -> npt.NDArray[np.int16]:
    """Difference of Gaussians of a chromogen plane, in its own levels: int16 (h, w)."""
    inner, outer = (
        _blur(chromogen, sigma / pixel_size.mean_um)
        for sigma in (params.inner_sigma_um, params.outer_sigma_um)
    )
    return np.asarray(cv2.subtract(inner, outer))


def _blur(plane: npt.NDArray[np.int16], sigma_px: float) -> npt.NDArray[np.int16]:
    side = 2 * max(1, int(np.ceil(3 * sigma_px))) + 1
    return np.asarray(cv2.GaussianBlur(plane, (side, side), sigma_px, borderType=cv2.BORDER_REPLICATE))


def measure_noise(
    chromogen_planes: list[npt.NDArray[np.int16]], pixel_size: PixelSize, params: DotParams
) -> DotNoise:
    """Noise of the filter response over sampled windows; 0 without windows."""
    if not chromogen_planes:
        return DotNoise(0.0)
    values = np.concatenate([response(plane, pixel_size, params).ravel() for plane in chromogen_planes])
    deviation = float(np.median(np.abs(values.astype(np.int32) - int(np.median(values)))))
    return DotNoise(1.4826 * deviation / LEVELS_PER_OD)


def find_candidates(
    planes: npt.NDArray[np.int16],
    grid_planes: npt.NDArray[np.int16],
    factor: int,
    pixel_size: PixelSize,
    noise: DotNoise,
    params: DotParams = DotParams(),
    *,
    stain_angle_deg: float,
    is_brown: bool,
) -> Candidates:
    """Dot candidates of plane 1 of `planes` with their evidence.

    planes: int16 (3, h, w): haematoxylin, this chromogen, and the residual (or other chromogen), 4000
    levels per
    OD. grid_planes: the same stains of the block mean by `factor`, int16 (3, h / factor, w / factor); the
    array's
    corner lies on that grid. Candidates nearer than `REACH_UM` to the array's edge have evidence cut off
    there: read with that margin.
    """
    filtered = response(planes[1], pixel_size, params)
    level = round(noise.threshold_od(params) * LEVELS_PER_OD)
    y, x = _peaks(filtered, level)
    dx, dy = _refine(filtered, y, x)
    ring_of, radius_px = _ring_patch(pixel_size)
    n = len(y)
    features = np.zeros((n, len(FEATURE_NAMES)), np.float32)
    sizes = np.zeros((n, 3), np.float32)
    _measure(planes, filtered, y, x, ring_of, radius_px, pixel_size.mean_um, features, sizes)
    halves = np.array([max(1, round(side / 2 / (pixel_size.mean_um * factor))) for side in WIDE_UM])
    _surroundings(grid_planes, factor, y, x, halves, features)
    _neighbours(y, x, pixel_size.mean_um, features, np.array(_neighbour_columns(), np.int64))
    _around(y, x, pixel_size.mean_um, features, np.array(_around_columns(), np.int64))
    features[:, -4:] = (pixel_size.mean_um, noise.noise_od, stain_angle_deg, float(is_brown))
    return Candidates(x, y, dx, dy, features, sizes[:, 0], sizes[:, 1], sizes[:, 2])


def _neighbour_columns() -> list[int]:
    wanted = ("contrast_c", "share_h", "share_r", "colour_r", "n_within_1_5")
    return [FEATURE_NAMES.index(name) for name in wanted]


def _around_columns() -> list[int]:
    wanted = ("contrast_total", "share_h", "share_r", "colour_r", "n_around")
    return [FEATURE_NAMES.index(name) for name in wanted]


def _ring_patch(pixel_size: PixelSize) -> tuple[npt.NDArray[np.int8], int]:
    """Ring of each pixel of the patch about a candidate (-1: outside all rings), and the patch's radius."""
    radius = int(np.ceil(RING_EDGES_UM[-1] / pixel_size.mean_um))
    offset = np.arange(-radius, radius + 1)
    distance_um = np.hypot(offset[:, None] * pixel_size.y_um, offset[None, :] * pixel_size.x_um)
    ring = np.searchsorted(np.array(RING_EDGES_UM), distance_um, side="left").astype(np.int8)
    ring[ring == N_RINGS] = -1
    return ring, radius


@njit
def _peaks(filtered: Any, level: Any) -> Any:
    """Local maxima of at least `level` over 8 neighbours; of equal neighbours the first in reading order."""
    height, width = filtered.shape
    ys, xs = [], []
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            value = filtered[y, x]
            if value < level:
                continue
            earlier = max(
                filtered[y - 1, x - 1], filtered[y - 1, x], filtered[y - 1, x + 1], filtered[y, x - 1]
            )
            later = max(
                filtered[y, x + 1], filtered[y + 1, x - 1], filtered[y + 1, x], filtered[y + 1, x + 1]
            )
            if value > earlier and value >= later:
                ys.append(y)
                xs.append(x)
    return np.array(ys, np.int32), np.array(xs, np.int32)


def _refine(
    filtered: npt.NDArray[np.int16], y: npt.NDArray[np.int32], x: npt.NDArray[np.int32]
) -> tuple[Float, Float]:
    """Parabola through the peak and its neighbours along each axis."""
    centre = filtered[y, x].astype(np.float64)

    def offset(before: npt.NDArray[np.int16], after: npt.NDArray[np.int16]) -> Float:
        left, right = before.astype(np.float64), after.astype(np.float64)
        curvature = left - 2 * centre + right
        shift = np.divide(left - right, 2 * curvature, out=np.zeros_like(centre), where=curvature < 0)
        return np.clip(shift, -0.5, 0.5).astype(np.float32)

    return offset(filtered[y, x - 1], filtered[y, x + 1]), offset(filtered[y - 1, x], filtered[y + 1, x])


@njit
def _measure(  # noqa: C901 - one pass over each patch
    planes: Any,
    filtered: Any,
    ys: Any,
    xs: Any,
    ring_of: Any,
    radius: Any,
    mpp: Any,
    features: Any,
    sizes: Any,
) -> Any:
    """Rings, contrast, colour, shape and texture of each candidate; area, peak and integrated OD."""
    height, width = filtered.shape
    n_rings = N_RINGS
    total = np.zeros((3, n_rings), np.int64)
    square = np.zeros(3, np.int64)
    count = np.zeros(n_rings, np.int64)
    mean = np.zeros((3, n_rings), np.float64)
    for i in range(len(ys)):
        total[:] = 0
        square[:] = 0
        count[:] = 0
        for dy in range(-radius, radius + 1):
            y = ys[i] + dy
            if y < 0 or y >= height:
                continue
            for dx in range(-radius, radius + 1):
                x = xs[i] + dx
                ring = ring_of[dy + radius, dx + radius]
                if ring < 0 or x < 0 or x >= width:
                    continue
                count[ring] += 1
                for plane in range(3):
                    value = np.int64(planes[plane, y, x])
                    total[plane, ring] += value
                    if ring >= 4:
                        square[plane] += value * value
        for plane in range(3):
            for ring in range(n_rings):
                if count[ring] > 0:
                    mean[plane, ring] = total[plane, ring] / count[ring] / LEVELS_PER_OD
                else:
                    mean[plane, ring] = mean[plane, ring - 1] if ring > 0 else 0.0
                features[i, plane * n_rings + ring] = mean[plane, ring]
        column = 3 * n_rings
        inner_count = max(1, count[0] + count[1])
        outer_count = max(1, count[5] + count[6])
        inner = np.zeros(3)
        excess = np.zeros(3)
        background = np.zeros(3)
        for plane in range(3):
            inner[plane] = (total[plane, 0] + total[plane, 1]) / inner_count / LEVELS_PER_OD
            background[plane] = (total[plane, 5] + total[plane, 6]) / outer_count / LEVELS_PER_OD
            excess[plane] = inner[plane] - background[plane]
            features[i, column + plane] = excess[plane]
        length = np.sqrt(excess[0] ** 2 + excess[1] ** 2 + excess[2] ** 2) + 1e-6
        strength = np.sqrt(inner[0] ** 2 + inner[1] ** 2 + inner[2] ** 2) + 1e-6
        features[i, column + 3] = length
        for plane in range(3):
            features[i, column + 4 + plane] = excess[plane] / length
            features[i, column + 7 + plane] = inner[plane] / strength
        peak = mean[1, 0] - background[1]
        for k in range(3):
            features[i, column + 10 + k] = (mean[1, k + 1] - background[1]) / (abs(peak) + 0.01)
        _shape(planes[1], ys[i], xs[i], ring_of, radius, mpp, background[1], peak, features, sizes, i, column)
        texture_count = max(1, count[4] + count[5] + count[6] + count[7])
        for plane in range(3):
            ring_sum = total[plane, 4] + total[plane, 5] + total[plane, 6] + total[plane, 7]
            variance = (square[plane] - ring_sum / texture_count * ring_sum) / texture_count
            features[i, column + 15 + plane] = np.sqrt(max(0.0, variance)) / LEVELS_PER_OD
        features[i, column + 18] = filtered[ys[i], xs[i]] / LEVELS_PER_OD


@njit
def _shape(
    chromogen: Any,
    y0: Any,
    x0: Any,
    ring_of: Any,
    radius: Any,
    mpp: Any,
    background: Any,
    peak: Any,
    features: Any,
    sizes: Any,
    i: Any,
    column: Any,
) -> Any:
    """Second moments of the chromogen's excess within 1.5 um; area at half height and integrated excess.

    A pixel counts as long as it is not brighter than its neighbour one step nearer to the peak by more than a
    tenth of the peak, which keeps a second dot out.
    """
    height, width = chromogen.shape
    weight = sx = sy = sxx = syy = sxy = 0.0
    n_half = 0
    integrated = 0.0
    for dy in range(-radius, radius + 1):
        y = y0 + dy
        if y < 0 or y >= height:
            continue
        for dx in range(-radius, radius + 1):
            x = x0 + dx
            ring = ring_of[dy + radius, dx + radius]
            if ring < 0 or ring > 4 or x < 0 or x >= width:
                continue
            value = chromogen[y, x] / LEVELS_PER_OD - background
            if value <= 0:
                continue
            step = max(abs(dx), abs(dy))
            if step > 1:
                near_y = y0 + round(dy * (step - 1) / step)
                near_x = x0 + round(dx * (step - 1) / step)
                nearer = chromogen[near_y, near_x] / LEVELS_PER_OD - background
                if value > nearer + 0.1 * peak:
                    continue
            integrated += value
            if value >= 0.5 * peak:
                n_half += 1
            if ring <= 3:
                weight += value
                sx += value * dx
                sy += value * dy
                sxx += value * dx * dx
                syy += value * dy * dy
                sxy += value * dx * dy
    sizes[i, 0] = n_half * mpp * mpp
    sizes[i, 1] = max(peak, 0.0)
    sizes[i, 2] = integrated * mpp * mpp
    if weight > 0:
        mx, my = sx / weight, sy / weight
        vxx, vyy, vxy = sxx / weight - mx * mx, syy / weight - my * my, sxy / weight - mx * my
        half_trace = 0.5 * (vxx + vyy)
        root = np.sqrt(max(0.0, 0.25 * (vxx - vyy) ** 2 + vxy * vxy))
        features[i, column + 13] = np.sqrt(max(0.0, half_trace)) * mpp
        features[i, column + 14] = np.sqrt(max(half_trace - root, 0.0) / (half_trace + root + 1e-9))
        features[i, column + 19] = np.sqrt(mx * mx + my * my) * mpp


@njit
def _surroundings(grid_planes: Any, factor: Any, ys: Any, xs: Any, halves: Any, features: Any) -> Any:
    """Mean of each plane of the coarse grid in square boxes about each candidate."""
    height, width = grid_planes.shape[1:]
    for i in range(len(ys)):
        row, col = ys[i] // factor, xs[i] // factor
        for box in range(len(halves)):
            top, bottom = max(0, row - halves[box]), min(height, row + halves[box] + 1)
            left, right = max(0, col - halves[box]), min(width, col + halves[box] + 1)
            for plane in range(3):
                total = np.int64(0)
                for y in range(top, bottom):
                    for x in range(left, right):
                        total += grid_planes[plane, y, x]
                mean = total / ((bottom - top) * (right - left)) / LEVELS_PER_OD
                features[i, N_LOCAL + plane * len(halves) + box] = mean


@njit
def _neighbours(ys: Any, xs: Any, mpp: Any, features: Any, columns: Any) -> Any:
    """Counts and mean evidence of candidates within 3 um (candidates are ordered by row)."""
    reach = NEIGHBOUR_UM / mpp
    n = len(ys)
    contrast, share_h, share_r, colour_r, first = columns
    start = 0
    for i in range(n):
        while start < n and ys[start] < ys[i] - reach:
            start += 1
        near = nearest = 0
        sums = np.zeros(4)
        for j in range(start, n):
            if ys[j] > ys[i] + reach:
                break
            squared = float(ys[j] - ys[i]) ** 2 + float(xs[j] - xs[i]) ** 2
            if j == i or squared > reach * reach:
                continue
            near += 1
            nearest += squared <= reach * reach / 4
            sums[0] += features[j, contrast]
            sums[1] += features[j, share_h]
            sums[2] += features[j, share_r]
            sums[3] += features[j, colour_r]
        features[i, first] = nearest
        features[i, first + 1] = near
        for k in range(4):
            features[i, first + 2 + k] = sums[k] / near if near else 0.0


@njit
def _around(ys: Any, xs: Any, mpp: Any, features: Any, columns: Any) -> Any:
    """What lies within 12 um: how many candidates, how many dark ones, and the dark ones' mean colour."""
    reach = AROUND_UM / mpp
    n = len(ys)
    contrast, share_h, share_r, colour_r, first = columns
    start = 0
    for i in range(n):
        while start < n and ys[start] < ys[i] - reach:
            start += 1
        near = dark = 0
        sums = np.zeros(4)
        for j in range(start, n):
            if ys[j] > ys[i] + reach:
                break
            squared = float(ys[j] - ys[i]) ** 2 + float(xs[j] - xs[i]) ** 2
            if j == i or squared > reach * reach:
                continue
            near += 1
            if features[j, contrast] < DARK_OD:
                continue
            dark += 1
            sums[0] += features[j, share_h]
            sums[1] += features[j, share_r]
            sums[2] += features[j, colour_r]
            sums[3] += features[j, contrast]
        features[i, first] = near
        features[i, first + 1] = dark
        for k in range(4):
            features[i, first + 2 + k] = sums[k] / dark if dark else 0.0
