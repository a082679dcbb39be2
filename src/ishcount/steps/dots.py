"""Dot candidates of one chromogen and the evidence about each.

A candidate is a fine local maximum of the chromogen plane where a difference of Gaussians of a dot's size
responds. Its evidence is measured only there: mean stain in rings about it (all three planes), shape,
texture, wider surroundings and its neighbours. Everything is local (within `REACH_UM`) and in integers
until the last division, so a dot has the same evidence in whatever block it is found.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field

from ishcount.core.compiled import njit
from ishcount.core.geometry import Region
from ishcount.core.neighbours import add_neighbours
from ishcount.core.optical_density import LEVELS_PER_OD
from ishcount.core.peaks import local_maxima, refined
from ishcount.core.rings import ring_sums, rings
from ishcount.core.settings import Settings
from ishcount.core.spots import inner_offsets, spot_shape
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
    fine_sigma_um: float = Field(
        0.20, gt=0, description="finest Gaussian: a third of a dot of 0.6 um, so that touching dots stay two"
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
    centre in pixels (-0.5..0.5); features float32 (n, n_features); area_um2, peak_od, integrated_od float32.
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


def _filters(
    chromogen: npt.NDArray[np.int16], pixel_size: PixelSize, params: DotParams
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int16]]:
    """The response that tells whether there is a dot, and a finer one that tells touching dots apart."""
    fine, inner, outer = (
        _blur(chromogen, sigma / pixel_size.mean_um)
        for sigma in (params.fine_sigma_um, params.inner_sigma_um, params.outer_sigma_um)
    )
    return np.asarray(cv2.subtract(inner, outer)), np.asarray(cv2.subtract(fine, inner))


def _blur(plane: npt.NDArray[np.int16], sigma_px: float) -> npt.NDArray[np.int16]:
    side = 2 * _half_side(sigma_px) + 1
    return np.asarray(cv2.GaussianBlur(plane, (side, side), sigma_px, borderType=cv2.BORDER_REPLICATE))


def _half_side(sigma_px: float) -> int:
    return max(1, int(np.ceil(3 * sigma_px)))


def measure_noise(
    chromogen_planes: list[npt.NDArray[np.int16]], pixel_size: PixelSize, params: DotParams
) -> DotNoise:
    """Noise of the filter response over sampled windows; 0 without windows."""
    if not chromogen_planes:
        return DotNoise(0.0)
    counts = np.zeros(2**16, np.int64)
    for plane in chromogen_planes:
        _count_levels(response(plane, pixel_size, params), counts)
    levels = np.arange(-(2**15), 2**15)
    away = np.abs(levels - int(_median(levels, counts)))
    order = np.argsort(away, kind="stable")
    return DotNoise(1.4826 * _median(away[order], counts[order]) / LEVELS_PER_OD)


@njit
def _count_levels(plane: Any, counts: Any) -> None:
    for value in plane.ravel():
        counts[np.int64(value) + 2**15] += 1


def _median(values: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]) -> float:
    """Median of rising `values` that occur `counts` times."""
    below = np.cumsum(counts)
    middle = np.searchsorted(below, [(below[-1] - 1) // 2, below[-1] // 2], side="right")
    return float(values[middle].mean())


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
    keep: Region | None = None,
) -> Candidates:
    """Dot candidates of plane 1 of `planes` with their evidence.

    planes: int16 (3, h, w): haematoxylin, this chromogen, and the residual (or other chromogen), 4000 levels
    per OD. grid_planes: the same stains of the block mean by `factor`, int16 (3, h / factor, w / factor); the
    array's corner lies on that grid. keep: the part of `planes` whose candidates are wanted (None: all).
    Candidates nearer than `REACH_UM` to the array's edge have evidence cut off there: read with that margin.
    """
    mpp = pixel_size.mean_um
    whole = Region(0, 0, planes.shape[2], planes.shape[1])
    keep = keep or whole
    level = round(noise.threshold_od(params) * LEVELS_PER_OD)
    seen = keep.grow(int(np.ceil(AROUND_UM / mpp))).clip(whole.width, whole.height)
    y, x, dx, dy, height = _maxima(planes[1], seen, level, pixel_size, params)
    around = rings(RING_EDGES_UM, pixel_size)
    features = np.zeros((len(y), len(FEATURE_NAMES)), np.float32)
    sizes = np.zeros((len(y), 3), np.float32)
    sums = ring_sums(planes, y, x, around, 4)
    _measure(planes[1], height, y, x, *sums, inner_offsets(around), mpp, features, sizes)
    add_neighbours(
        y, x, NEIGHBOUR_UM / mpp, AROUND_UM / mpp, DARK_OD, features,
        _columns(_NEIGHBOUR_COLUMNS), _columns(_AROUND_COLUMNS),
    )  # fmt: skip
    mine = (x >= keep.x) & (x < keep.x_end) & (y >= keep.y) & (y < keep.y_end)
    y, x, dx, dy, features, sizes = y[mine], x[mine], dx[mine], dy[mine], features[mine], sizes[mine]
    halves = np.array([max(1, round(side / 2 / (mpp * factor))) for side in WIDE_UM])
    _surroundings(grid_planes, factor, y, x, halves, features)
    features[:, -4:] = (mpp, noise.noise_od, stain_angle_deg, float(is_brown))
    return Candidates(x, y, dx, dy, features, sizes[:, 0], sizes[:, 1], sizes[:, 2])


def _maxima(
    chromogen: npt.NDArray[np.int16], seen: Region, level: int, pixel_size: PixelSize, params: DotParams
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], Float, Float, npt.NDArray[np.int16]]:
    """Candidates in `seen`: y, x, refinement along x and along y, filter response."""
    margin = 1 + _half_side(params.outer_sigma_um / pixel_size.mean_um)
    window = seen.grow(margin).clip(chromogen.shape[1], chromogen.shape[0])
    rows, cols = slice(window.y, window.y_end), slice(window.x, window.x_end)
    filtered, fine = _filters(chromogen[rows, cols], pixel_size, params)
    y, x = local_maxima(fine, filtered, level)
    inside = (x >= seen.x - window.x) & (x < seen.x_end - window.x)
    inside &= (y >= seen.y - window.y) & (y < seen.y_end - window.y)
    y, x = y[inside], x[inside]
    dx, dy = refined(fine, y, x)
    return y + np.int32(window.y), x + np.int32(window.x), dx, dy, filtered[y, x]


_NEIGHBOUR_COLUMNS = ("contrast_c", "share_h", "share_r", "colour_r", "n_within_1_5")
_AROUND_COLUMNS = ("contrast_total", "share_h", "share_r", "colour_r", "n_around")


def _columns(names: tuple[str, ...]) -> npt.NDArray[np.int64]:
    return np.array([FEATURE_NAMES.index(name) for name in names], np.int64)


@njit
def _measure(
    chromogen: Any,
    height: Any,
    ys: Any,
    xs: Any,
    total: Any,
    count: Any,
    square: Any,
    inner: Any,
    mpp: Any,
    features: Any,
    sizes: Any,
) -> Any:
    """Ring means, contrast, colour, shape and texture of each candidate; area, peak and integrated OD."""
    n_rings = N_RINGS
    mean = np.zeros((3, n_rings), np.float64)
    core, excess, background = np.zeros(3), np.zeros(3), np.zeros(3)
    room = np.zeros((2, len(inner.dy)))
    for i in range(len(ys)):
        sums, n = total[i], count[i]
        for plane in range(3):
            for ring in range(n_rings):
                if n[ring] > 0:
                    mean[plane, ring] = sums[plane, ring] / n[ring] / LEVELS_PER_OD
                else:
                    mean[plane, ring] = mean[plane, ring - 1] if ring > 0 else 0.0
                features[i, plane * n_rings + ring] = mean[plane, ring]
        column = 3 * n_rings
        inner_count = max(1, n[0] + n[1])
        outer_count = max(1, n[5] + n[6])
        for plane in range(3):
            core[plane] = (sums[plane, 0] + sums[plane, 1]) / inner_count / LEVELS_PER_OD
            background[plane] = (sums[plane, 5] + sums[plane, 6]) / outer_count / LEVELS_PER_OD
            excess[plane] = core[plane] - background[plane]
            features[i, column + plane] = excess[plane]
        length = np.sqrt(excess[0] ** 2 + excess[1] ** 2 + excess[2] ** 2) + 1e-6
        strength = np.sqrt(core[0] ** 2 + core[1] ** 2 + core[2] ** 2) + 1e-6
        features[i, column + 3] = length
        for plane in range(3):
            features[i, column + 4 + plane] = excess[plane] / length
            features[i, column + 7 + plane] = core[plane] / strength
        peak = mean[1, 0] - background[1]
        for k in range(3):
            features[i, column + 10 + k] = (mean[1, k + 1] - background[1]) / (abs(peak) + 0.01)
        spot_shape(
            chromogen, ys[i], xs[i], inner, room[0], room[1], mpp, background[1], peak,
            features[i], sizes[i], column,
        )  # fmt: skip
        texture_count = max(1, n[4] + n[5] + n[6] + n[7])
        for plane in range(3):
            ring_sum = sums[plane, 4] + sums[plane, 5] + sums[plane, 6] + sums[plane, 7]
            variance = (square[i, plane] - ring_sum / texture_count * ring_sum) / texture_count
            features[i, column + 15 + plane] = np.sqrt(max(0.0, variance)) / LEVELS_PER_OD
        features[i, column + 18] = height[i] / LEVELS_PER_OD


@njit
def _surroundings(grid_planes: Any, factor: Any, ys: Any, xs: Any, halves: Any, features: Any) -> Any:
    """Mean of each plane of the coarse grid in square boxes about each candidate, whose `ys` never fall.

    Sums down the columns go from one candidate's rows to the next's.
    """
    height, width = grid_planes.shape[1:]
    for plane in range(3):
        rows = grid_planes[plane]
        for box in range(len(halves)):
            half = halves[box]
            down = np.zeros(width, np.int32)
            top, bottom = 0, 0
            for i in range(len(ys)):
                row, col = ys[i] // factor, xs[i] // factor
                last = min(height, row + half + 1)
                while bottom < last:
                    entering = rows[bottom]
                    for x in range(width):
                        down[x] += entering[x]
                    bottom += 1
                while top < row - half:
                    leaving = rows[top]
                    for x in range(width):
                        down[x] -= leaving[x]
                    top += 1
                left, right = max(0, col - half), min(width, col + half + 1)
                total = np.int64(0)
                for value in down[left:right]:
                    total += value
                mean = total / ((bottom - top) * (right - left)) / LEVELS_PER_OD
                features[i, N_LOCAL + plane * len(halves) + box] = mean
