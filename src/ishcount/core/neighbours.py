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
def _gather(
    x: Any, y: Any, contrast: Any, logit: Any, reaches: Any, likely: Any, unlikely: Any, out: Any
) -> Any:
    n, far = len(x), reaches[-1]
    n_reaches = len(reaches)
    sums = np.zeros((n_reaches, 7))  # n, sum, highest, likely, dark unlikely, weighted sum, weight
    first = 0
    for i in range(n):
        sums[:] = 0
        sums[:, 2] = -MAX_LOGIT
        while y[first] < y[i] - far:
            first += 1
        for j in range(first, n):
            if y[j] > y[i] + far:
                break
            squared = float(y[j] - y[i]) ** 2 + float(x[j] - x[i]) ** 2
            if j == i or squared > far * far:
                continue
            for k in range(n_reaches):
                if squared <= reaches[k] * reaches[k]:
                    sums[k, 0] += 1
                    sums[k, 1] += logit[j]
                    sums[k, 2] = max(sums[k, 2], logit[j])
                    sums[k, 3] += logit[j] > likely
                    sums[k, 4] += (logit[j] < unlikely) & (contrast[j] >= DARK_OD)
                    sums[k, 5] += logit[j] * contrast[j]
                    sums[k, 6] += contrast[j]
        for k in range(n_reaches):
            column = 1 + 6 * k
            out[i, column] = sums[k, 0]
            out[i, column + 1] = sums[k, 1] / sums[k, 0] if sums[k, 0] else 0.0
            for m in range(2, 5):
                out[i, column + m] = sums[k, m]
            out[i, column + 5] = sums[k, 5] / sums[k, 6] if sums[k, 6] > 0 else 0.0
