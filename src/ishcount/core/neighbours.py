"""What the first opinion on the candidates around one says about it: dots and pigment both keep company."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ishcount.core.compiled import njit

REACHES_UM = (2.0, 4.0, 8.0, 12.0)  # a cluster, a nucleus, a cell, a clump of pigment
LIKELY, UNLIKELY = 0.7, 0.3  # a first opinion that leans one way
DARK_OD = 0.15  # contrast of half a usual single dot: weaker ones are texture
MAX_LOGIT = 9.2  # of a score of 0.0001 or 0.9999; beyond that scores only differ by chance

_NAMES = ("n", "mean_logit", "highest_logit", "n_likely", "n_dark_unlikely", "weighted_logit")
NEIGHBOUR_NAMES = ("first_logit", *(f"{name}_{reach:g}um" for reach in REACHES_UM for name in _NAMES))


def neighbour_evidence(
    x: npt.NDArray[np.int32],
    y: npt.NDArray[np.int32],
    contrast_od: npt.NDArray[np.float32],
    logit: npt.NDArray[np.float64],
    um_per_px: float,
) -> npt.NDArray[np.float32]:
    """Evidence (n, `NEIGHBOUR_NAMES`) from the first log-odds of all candidates within 12 um.

    x, y: pixels, ordered by row then column, so that sums are taken in the same order in every block.
    """
    reaches = np.array(REACHES_UM) / um_per_px
    out = np.zeros((len(x), len(NEIGHBOUR_NAMES)), np.float32)
    clipped = np.clip(logit, -MAX_LOGIT, MAX_LOGIT)
    out[:, 0] = clipped
    likely, unlikely = np.log(LIKELY / (1 - LIKELY)), np.log(UNLIKELY / (1 - UNLIKELY))
    _gather(x, y, contrast_od, clipped, reaches, likely, unlikely, out)
    return out


@njit
def strips(x: Any, reach: Any) -> Any:
    """Places (m,) of the points about each vertical strip of `reach` px, in order, and where each begins.

    Strip s holds the points with x // reach == s and, beside them, those of the strips left and right of it:
    all that lie within `reach` of one of its own.
    """
    n_strips = x.max() // reach + 1 if len(x) else 0
    bounds = np.zeros(n_strips + 1, np.int64)
    for i in range(len(x)):
        own = x[i] // reach
        for strip in range(max(0, own - 1), min(n_strips, own + 2)):
            bounds[strip + 1] += 1
    bounds = np.cumsum(bounds)
    room, places = bounds[:-1].copy(), np.empty(bounds[-1], np.int64)
    for i in range(len(x)):
        own = x[i] // reach
        for strip in range(max(0, own - 1), min(n_strips, own + 2)):
            places[room[strip]] = i
            room[strip] += 1
    return places, bounds


@njit
def _gather(
    x: Any, y: Any, contrast: Any, logit: Any, reaches: Any, likely: Any, unlikely: Any, out: Any
) -> Any:
    far = int(reaches[-1])  # distances squared are whole numbers
    limits = (reaches * reaches).astype(np.int64)
    n_reaches, limit, width = len(reaches), limits[-1], max(far, 1)
    sums = np.zeros((n_reaches, 7))  # n, sum, highest, likely, dark unlikely, weighted sum, weight
    places, bounds = strips(x, width)
    near_x, near_y, near_logit, near_contrast = x[places], y[places], logit[places], contrast[places]
    for strip in range(len(bounds) - 1):
        first = bounds[strip]
        for i in range(bounds[strip], bounds[strip + 1]):
            at_x, at_y = np.int64(near_x[i]), np.int64(near_y[i])
            if at_x // width != strip:
                continue
            sums[:] = 0
            sums[:, 2] = -MAX_LOGIT
            while near_y[first] < at_y - far:
                first += 1
            for j in range(first, bounds[strip + 1]):
                if near_y[j] > at_y + far:
                    break
                squared = (near_y[j] - at_y) ** 2 + (near_x[j] - at_x) ** 2
                if j == i or squared > limit:
                    continue
                odds, dark = near_logit[j], near_contrast[j]
                is_likely, is_unlikely = odds > likely, (odds < unlikely) & (dark >= DARK_OD)
                for k in range(n_reaches - 1, -1, -1):
                    if squared > limits[k]:
                        break
                    sums[k, 0] += 1
                    sums[k, 1] += odds
                    sums[k, 2] = max(sums[k, 2], odds)
                    sums[k, 3] += is_likely
                    sums[k, 4] += is_unlikely
                    sums[k, 5] += odds * dark
                    sums[k, 6] += dark
            _write(sums, out[places[i]])


@njit
def _write(sums: Any, row: Any) -> Any:
    """Counts and means of each reach as columns."""
    for k in range(len(sums)):
        column = 1 + 6 * k
        row[column] = sums[k, 0]
        row[column + 1] = sums[k, 1] / sums[k, 0] if sums[k, 0] else 0.0
        for m in range(2, 5):
            row[column + m] = sums[k, m]
        row[column + 5] = sums[k, 5] / sums[k, 6] if sums[k, 6] > 0 else 0.0


@njit
def add_neighbours(
    ys: Any,
    xs: Any,
    near_reach: Any,
    reach: Any,
    dark_od: Any,
    features: Any,
    near_columns: Any,
    around_columns: Any,
) -> None:
    """Counts and mean evidence of the points within `near_reach` px, and of the dark ones within `reach` px.

    Written into `features`. near_columns: four columns to average and where answers begin (how many within
    half of `near_reach`, how many, the means); around_columns: the same, the first being the contrast that
    makes a neighbour dark at `dark_od` (how many, how many dark, the other three means and that of contrast).
    Points are ordered by row and column, and added up in that order.
    """
    limits = np.array([near_reach**2 / 4, near_reach**2, reach**2]).astype(np.int64)  # of whole numbers
    far = max(int(reach), 1)
    places, bounds = strips(xs, far)
    near_x, near_y = xs[places], ys[places]
    values = _side_by_side(places, features, near_columns, around_columns)
    near, distance = np.empty(len(xs), np.int64), np.empty(len(xs), np.int64)
    means = np.zeros(8)
    for strip in range(len(bounds) - 1):
        first = bounds[strip]
        for i in range(bounds[strip], bounds[strip + 1]):
            if near_x[i] // far != strip:
                continue
            while near_y[first] < near_y[i] - far:
                first += 1
            around = _within(near_x, near_y, i, first, bounds[strip + 1], limits[2], near, distance)
            n_nearest = n_near = n_dark = 0
            means[:] = 0
            for k in range(around):
                j, squared = near[k], distance[k]
                if values[j, 7] >= dark_od:
                    n_dark += 1
                    for c in range(4, 8):
                        means[c] += values[j, c]
                if squared <= limits[1]:
                    n_near += 1
                    n_nearest += squared <= limits[0]
                    for c in range(4):
                        means[c] += values[j, c]
            row = features[places[i]]
            row[near_columns[4]], row[near_columns[4] + 1] = n_nearest, n_near
            row[around_columns[4]], row[around_columns[4] + 1] = around, n_dark
            for k in range(4):
                row[near_columns[4] + 2 + k] = means[k] / max(n_near, 1)
                row[around_columns[4] + 2 + k] = means[4 + k] / max(n_dark, 1)


@njit
def _within(
    near_x: Any, near_y: Any, i: Any, first: Any, last: Any, limit: Any, near: Any, distance: Any
) -> Any:
    """How many points lie within a squared distance of point i; `near`, `distance`: which and how far."""
    x, y, n = np.int64(near_x[i]), np.int64(near_y[i]), 0
    for j in range(first, last):
        down, across = near_y[j] - y, near_x[j] - x
        if down > 0 and down * down > limit:
            break
        squared = down * down + across * across
        near[n], distance[n] = j, squared
        n += (squared <= limit) & (j != i)
    return n


@njit
def _side_by_side(places: Any, features: Any, near_columns: Any, around_columns: Any) -> Any:
    """float32 (n, 8): four columns of what is near, four of what is around, contrast last."""
    values = np.empty((len(places), 8), np.float32)
    for i in range(len(places)):
        for k in range(4):
            values[i, k] = features[places[i], near_columns[k]]
            values[i, 4 + k] = features[places[i], around_columns[(k + 1) % 4]]
    return values
