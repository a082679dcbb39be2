"""The interval of a slide's density, from how its positive cells vary between blocks of tissue.

Estimand: the density that another section of the same lesion would show. All cells of this section were
counted, so it is not about cells that were missed; and positive cells lie in foci, so that it is wider than a
Poisson interval, which covers 95 % only where cells lie at random and 30-50 % with foci (docs/coverage.md).
It says nothing about other lesions or patients, and nothing about the area's own uncertainty, which is a band
of its own (`area_low_mm2`, `area_high_mm2`).

Tissue is cut into half-millimetre squares; overlapping windows of 2 x 2 of them (1 mm blocks; 1.5 or 2 mm
where the tissue is large) are drawn with replacement (moving-block bootstrap; Kuensch 1989, in the plane
Politis and Romano 1993), the density is the ratio of sums, and the interval is studentised. With few blocks a
gamma interval stands in: its variance is that between blocks, widened by Student's t, and it is Garwood's
exact Poisson interval where cells lie at random and blocks are many (as Fay and Feuer 1997 for weighted
counts). With very few blocks or foci nothing honest can be said, and nothing is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

Floats = npt.NDArray[np.float64]
BLOCK_UM = 500.0  # side of a square
WINDOWS = (
    4,
    3,
    2,
)  # squares a window is wide: the widest that leaves `MANY_BLOCKS`, since foci reach over seams
MANY_BLOCKS = 10.0
DRAWS = 1999
SEED = 20261123
# Least numbers of blocks and of independent foci: below these, coverage on simulated foci falls under 90 %
# (gamma) or the bootstrap's upper limit is often infinite (docs/coverage.md).
LEAST_BLOCKS, LEAST_FOCI = 3.0, 5.0
BOOTSTRAP_BLOCKS, BOOTSTRAP_FOCI = 8.0, 8.0


@dataclass(frozen=True)
class Blocks:
    """Tissue by squares of `BLOCK_UM`: row, column (from the image's corner, int) and mm2 of each, (n,)."""

    row: npt.NDArray[np.int64]
    column: npt.NDArray[np.int64]
    area_mm2: Floats


@dataclass(frozen=True)
class BlockInterval:
    """95 % limits in cells per mm2 (NaN where not estimable), how they were made, and what they rest on."""

    low: float
    high: float
    method: str
    n_blocks: float  # independent windows that the tissue amounts to
    n_foci: float  # independent positives that the counts amount to: all of them where they lie at random


def block_interval(x_um: npt.ArrayLike, y_um: npt.ArrayLike, blocks: Blocks) -> BlockInterval:
    """Interval of the density of the positive cells at x, y (um, (n,)) in the tissue of `blocks`.

    Equal input gives equal limits: the bootstrap's seed is fixed. A cell counts in the square it lies in.
    """
    counts, areas = _grids(np.asarray(x_um, np.float64), np.asarray(y_um, np.float64), blocks)
    n, area = int(counts.sum()), float(areas.sum())
    if n == 0 or area == 0:
        return BlockInterval(np.nan, np.nan, "not estimable: no positive cell", 0.0, 0.0)
    width, n_blocks = _width(areas)
    window_counts, window_areas = _windows(counts, width), _windows(areas, width)
    if n_blocks < LEAST_BLOCKS:
        reason = f"not estimable: the tissue amounts to {n_blocks:.1f} blocks of 1 mm"
        return BlockInterval(np.nan, np.nan, reason, n_blocks, 0.0)
    squares = np.flatnonzero(areas.ravel() > 0)
    spread = _spread(counts.ravel()[squares], areas.ravel()[squares], n / area)
    wide_spread = _spread(window_counts, window_areas, n / area) / width**2 * n_blocks / (n_blocks - 1)
    variance = max(float(n), spread, wide_spread)
    n_foci = n * n / variance
    if n_foci < LEAST_FOCI:
        reason = f"not estimable: the positive cells amount to {n_foci:.1f} foci"
        return BlockInterval(np.nan, np.nan, reason, n_blocks, n_foci)
    if n_blocks >= BOOTSTRAP_BLOCKS and n_foci >= BOOTSTRAP_FOCI:
        low, high = _bootstrap(window_counts, window_areas, n / area, np.sqrt(wide_spread) / area, n_blocks)
        if np.isfinite(high):
            method = f"moving-block bootstrap, {width * BLOCK_UM / 1000:g} mm blocks"
            return BlockInterval(low, high, method, n_blocks, n_foci)
    low, high = _gamma(n, area, variance, n_blocks)
    return BlockInterval(low, high, "gamma, variance between blocks", n_blocks, n_foci)


def _grids(x_um: Floats, y_um: Floats, blocks: Blocks) -> tuple[Floats, Floats]:
    """Counts and mm2 on the squares that span the tissue; cells on a square without tissue go uncounted."""
    if len(blocks.row) == 0:
        return np.zeros((1, 1)), np.zeros((1, 1))
    top, left = int(blocks.row.min()), int(blocks.column.min())
    areas = np.zeros((int(blocks.row.max()) - top + 1, int(blocks.column.max()) - left + 1))
    np.add.at(areas, (blocks.row - top, blocks.column - left), blocks.area_mm2)
    row = np.floor(y_um / BLOCK_UM).astype(np.int64) - top
    column = np.floor(x_um / BLOCK_UM).astype(np.int64) - left
    inside = (row >= 0) & (row < areas.shape[0]) & (column >= 0) & (column < areas.shape[1])
    counts = np.zeros_like(areas)
    np.add.at(counts, (row[inside], column[inside]), 1.0)
    return counts * (areas > 0), areas


def _width(areas: Floats) -> tuple[int, float]:
    """How many squares a window is wide, and to how many independent windows the tissue amounts."""
    for width in WINDOWS:
        windows = _windows(areas, width)
        n_blocks = float(areas.sum() * windows.sum() / (windows**2).sum())
        if n_blocks >= MANY_BLOCKS:
            break
    return width, n_blocks


def _windows(grid: Floats, width: int) -> Floats:
    """Sums over all windows that touch the grid, so that each square is in `width` squared of them: (n,)."""
    padded = np.pad(grid, width - 1)
    sums = np.lib.stride_tricks.sliding_window_view(padded, (width, width)).sum(axis=(2, 3))
    return np.asarray(sums.ravel(), np.float64)


def _spread(counts: Floats, areas: Floats, density: float) -> float:
    """Sum of squared differences between counts and what their areas lead to expect."""
    return float(((counts - density * areas) ** 2).sum())


def _bootstrap(
    counts: Floats, areas: Floats, density: float, error: float, n_blocks: float
) -> tuple[float, float]:
    """Studentised limits; a resample without a positive cell has no error and counts as far low."""
    held = np.flatnonzero(areas > 0)
    counts, areas = counts[held], areas[held]
    n = round(n_blocks)
    drawn = np.random.default_rng(SEED).integers(len(held), size=(DRAWS, n))
    c, a = counts[drawn], areas[drawn]
    total = a.sum(axis=1)
    ratio = c.sum(axis=1) / total
    errors = np.sqrt(((c - ratio[:, None] * a) ** 2).sum(axis=1) * n / (n - 1)) / total
    t = np.full(DRAWS, -np.inf)
    np.divide(ratio - density, errors, out=t, where=errors > 0)
    low, high = np.quantile(t, [0.025, 0.975], method="nearest")
    return max(0.0, density - float(high) * error), density - float(low) * error


def _gamma(n: int, area_mm2: float, variance: float, n_blocks: float) -> tuple[float, float]:
    """Gamma limits of a count whose variance was estimated from few blocks."""
    variance *= (stats.t.ppf(0.975, n_blocks - 1) / stats.norm.ppf(0.975)) ** 2
    per_focus = variance / n
    low = per_focus / 2 * stats.chi2.ppf(0.025, 2 * n / per_focus)
    more, more_variance = n + per_focus, variance + per_focus**2
    ratio = more_variance / more
    high = ratio / 2 * stats.chi2.ppf(0.975, 2 * more / ratio)
    return float(low / area_mm2), float(high / area_mm2)
