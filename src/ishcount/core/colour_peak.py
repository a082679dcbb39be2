"""The pure stain among its mixtures: the colour nearest to one stain that many pixels have.

Where a positive control fills its cells with chromogen, most dark pixels are mixtures of chromogen and
haematoxylin, spread between the two colours; a median over them lay 11-16 degrees off the true haematoxylin
(drawn slides with 8 to 70 dots a cell; a real field of brown nuclei: 25). Pixels of haematoxylin alone still
stand out as a peak at its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ishcount.core.stain_model import unit

Array = npt.NDArray[Any]

BIN_DEG = 0.5
SMOOTH_DEG = (
    1.0  # standard deviation: under the half-width that noise and JPEG give one stain (1.5-5 degrees)
)
LEAST_OF_HIGHEST = 0.5  # a peak half as high as the highest is no ripple
CLEAR_OD = 1.5  # length over the three channels; darker pixels are glare and gamma more than stain
MIXED = 0.10  # share of the darkest pixels that lean to the other stain: 0-.07 with 12 % of cells positive
MIN_PIXELS = 500


def beyond_surroundings(
    grids: Sequence[Array], stain: Array, reach_deg: float, radius: int, *, paler: bool
) -> Array:
    """What pixels absorb beyond the mean about them, float64 (n, 3), where it is near the colour of `stain`.

    grids: optical density (h, w, 3). radius: of the square, pixels. At least .15 OD over the three channels.
    paler: beyond the mean of what is paler than that mean, which a chromogen all about does not tint.
    """
    side = 2 * max(1, radius) + 1
    least, kept = np.cos(np.radians(reach_deg)), [np.empty((0, 3))]
    for grid in grids:
        ground = cv2.blur(np.ascontiguousarray(grid), (side, side))
        if paler:
            pale = (grid.sum(axis=-1) < ground.sum(axis=-1)).astype(np.float64)
            share = np.maximum(cv2.blur(pale, (side, side)), 1e-9)
            ground = cv2.blur(grid * pale[..., None], (side, side)) / share[..., None]
        beyond = (grid - ground).reshape(-1, 3)
        strength = np.sqrt(beyond[:, 0] ** 2 + beyond[:, 1] ** 2 + beyond[:, 2] ** 2)
        kept.append(beyond[(strength > 0.15) & (beyond @ stain > least * strength)])
    return np.concatenate(kept)


def pure_pixels(
    od: Array, stain: npt.ArrayLike, other: npt.ArrayLike, reach_deg: float, darkest_share: float
) -> npt.NDArray[np.bool_]:
    """Which rows of optical density (n, 3) are of `stain` alone, bool (n,).

    All are, unless more than `MIXED` of the darkest lean to `other` or fewer than `MIN_PIXELS` would be left.
    reach_deg: how far `od` lies from `stain` at most. darkest_share: of the rows, those that are judged.
    """
    tilt, strength = tilt_deg(od, stain, other), np.sqrt((od * od).sum(axis=1))
    clear = strength < CLEAR_OD
    peak, half_width = first_peak(tilt[clear], reach_deg)
    lean = tilt[strength >= np.quantile(strength, 1 - darkest_share)] - peak
    mixed = np.mean(lean > 2 * half_width) - np.mean(lean < -2 * half_width)
    pure = clear & (np.abs(tilt - peak) <= 2 * half_width)
    enough = mixed > MIXED and np.count_nonzero(pure) >= MIN_PIXELS
    return np.asarray(pure if enough else np.ones(len(od), np.bool_))


def tilt_deg(od: Array, stain: npt.ArrayLike, other: npt.ArrayLike) -> Array:
    """How far each row of optical density (n, 3) leans from `stain` towards `other`, degrees (n,)."""
    own, beyond = unit(stain), unit(other)
    across = unit(beyond - (own @ beyond) * own)
    return np.asarray(np.degrees(np.arctan2(od @ across, od @ own)))


def first_peak(tilt: Array, reach_deg: float) -> tuple[float, float]:
    """The peak farthest from the other stain, and the half-width of its free flank: both in degrees.

    tilt: as `tilt_deg` gives it (n,), looked at within `reach_deg` of 0. NaN, NaN where there is no peak.
    """
    edges = np.arange(-reach_deg, reach_deg + BIN_DEG / 2, BIN_DEG)
    counts = np.histogram(tilt, edges)[0].astype(np.float64)
    offsets = np.arange(-6, 7) * BIN_DEG
    smooth = np.convolve(counts, np.exp(-0.5 * (offsets / SMOOTH_DEG) ** 2), mode="same")
    inner = smooth[1:-1]
    peaks = (inner >= smooth[:-2]) & (inner > smooth[2:]) & (inner >= LEAST_OF_HIGHEST * smooth.max())
    if not peaks.any():
        return float("nan"), float("nan")
    place = int(np.flatnonzero(peaks)[0]) + 1
    lower = np.flatnonzero(smooth[:place] <= smooth[place] / 2)
    foot = int(lower[-1]) if len(lower) else 0
    return float(edges[place] + BIN_DEG / 2), (place - foot) * BIN_DEG
