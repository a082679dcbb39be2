"""Local maxima of a filter response and where between pixels they lie."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ishcount.core.compiled import njit

Float = npt.NDArray[np.float32]
Places = npt.NDArray[np.int32]


@njit
def local_maxima(fine: Any, filtered: Any, level: Any) -> Any:
    """Rows and columns of the maxima of `fine` (h, w) over 8 neighbours, edges left out, where `filtered` is
    at least `level`; of equals the first read."""
    height, width = fine.shape
    ys, xs = [], []
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            if filtered[y, x] < level:
                continue
            value = fine[y, x]
            earlier = max(fine[y - 1, x - 1], fine[y - 1, x], fine[y - 1, x + 1], fine[y, x - 1])
            later = max(fine[y, x + 1], fine[y + 1, x - 1], fine[y + 1, x], fine[y + 1, x + 1])
            if value > earlier and value >= later:
                ys.append(y)
                xs.append(x)
    return np.array(ys, np.int32), np.array(xs, np.int32)


def refined(filtered: npt.NDArray[np.int16], y: Places, x: Places) -> tuple[Float, Float]:
    """Where between pixels peaks lie, along x and along y (-0.5..0.5): the top of a parabola on each axis."""
    centre = filtered[y, x].astype(np.float64)

    def offset(before: npt.NDArray[np.int16], after: npt.NDArray[np.int16]) -> Float:
        left, right = before.astype(np.float64), after.astype(np.float64)
        curvature = left - 2 * centre + right
        shift = np.divide(left - right, 2 * curvature, out=np.zeros_like(centre), where=curvature < 0)
        return np.clip(shift, -0.5, 0.5).astype(np.float32)

    return offset(filtered[y, x - 1], filtered[y, x + 1]), offset(filtered[y - 1, x], filtered[y + 1, x])
