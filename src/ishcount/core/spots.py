"""Shape and size of one spot about its peak, with a neighbouring spot kept out."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ishcount.core.compiled import njit
from ishcount.core.optical_density import LEVELS_PER_OD
from ishcount.core.rings import Rings


class Inner(NamedTuple):
    """Offsets (m,) of the pixels within ring 4, in reading order.

    near: place in this list of the pixel one step nearer to the middle; slack: infinite beside the middle,
    where
    that pixel sets no limit, else 0; moment: 1 within ring 3, which the moments use, else 0.
    """

    dy: npt.NDArray[np.int64]
    dx: npt.NDArray[np.int64]
    near: npt.NDArray[np.int64]
    slack: npt.NDArray[np.float64]
    moment: npt.NDArray[np.float64]


def inner_offsets(around: Rings) -> Inner:
    """The pixels of the five innermost rings as `spot_shape` wants them."""
    inner = around.inner(5)
    order = np.lexsort((inner.dx, inner.dy))
    dy, dx = inner.dy[order], inner.dx[order]
    ring = np.repeat(np.arange(5), np.diff(inner.first))[order]
    step = np.maximum(np.abs(dy), np.abs(dx))
    near_y, near_x = (np.where(step > 1, np.rint(d * (step - 1) / np.maximum(step, 1)), d) for d in (dy, dx))
    place = {where: k for k, where in enumerate(zip(dy.tolist(), dx.tolist(), strict=True))}
    near = np.array([place[where] for where in zip(near_y.tolist(), near_x.tolist(), strict=True)], np.int64)
    return Inner(dy, dx, near, np.where(step > 1, 0.0, np.inf), (ring <= 3).astype(np.float64))


@njit
def spot_shape(
    chromogen: Any,
    y0: Any,
    x0: Any,
    inner: Any,
    excess: Any,
    kept: Any,
    mpp: Any,
    background: Any,
    peak: Any,
    features: Any,
    sizes: Any,
    column: Any,
) -> Any:
    """Second moments of the chromogen's excess within 1.5 um; area at half height and integrated excess.

    A pixel counts as long as it is not brighter than its neighbour one step nearer to the peak by more than a
    tenth of the peak, which keeps a second dot out. excess, kept: room for as many numbers as `inner` has
    pixels.
    """
    height, width = chromogen.shape
    for k in range(len(excess)):
        y, x = y0 + inner.dy[k], x0 + inner.dx[k]
        inside = 0 <= y < height and 0 <= x < width
        excess[k] = chromogen[y, x] / LEVELS_PER_OD - background if inside else 0.0
    # Without branches: a pixel that does not count adds exactly 0.
    for k in range(len(excess)):
        value = excess[k]
        limit = excess[np.uint64(inner.near[k])] + 0.1 * peak + inner.slack[k]
        kept[k] = value if (value > 0) & (value <= limit) else 0.0
    n_half = 0
    integrated = weight = sx = sy = sxx = syy = sxy = 0.0
    for k in range(len(kept)):
        integrated += kept[k]
        n_half += (kept[k] > 0) & (kept[k] >= 0.5 * peak)
        value = kept[k] * inner.moment[k]
        along_x, along_y = value * inner.dx[k], value * inner.dy[k]
        weight += value
        sx += along_x
        sy += along_y
        sxx += along_x * inner.dx[k]
        syy += along_y * inner.dy[k]
        sxy += along_x * inner.dy[k]
    sizes[0] = n_half * mpp * mpp
    sizes[1] = max(peak, 0.0)
    sizes[2] = integrated * mpp * mpp
    if weight > 0:
        mx, my = sx / weight, sy / weight
        vxx, vyy, vxy = sxx / weight - mx * mx, syy / weight - my * my, sxy / weight - mx * my
        half_trace = 0.5 * (vxx + vyy)
        root = np.sqrt(max(0.0, 0.25 * (vxx - vyy) ** 2 + vxy * vxy))
        features[column + 13] = np.sqrt(max(0.0, half_trace)) * mpp
        features[column + 14] = np.sqrt(max(half_trace - root, 0.0) / (half_trace + root + 1e-9))
        features[column + 19] = np.sqrt(mx * mx + my * my) * mpp
