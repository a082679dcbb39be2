"""Sums over rings about points, in whole numbers: the same in whatever array, order or machine word."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ishcount.core.compiled import njit
from ishcount.core.units import PixelSize


@dataclass(frozen=True, eq=False)
class Rings:
    """The pixels about a point, ring by ring from the inside.

    dy, dx: int64 (m,) offsets in pixels; ring k holds offsets first[k]:first[k + 1]; reach: the largest
    offset.
    """

    dy: npt.NDArray[np.int64]
    dx: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]
    reach: int

    def inner(self, n_rings: int) -> Rings:
        """The innermost rings alone."""
        n = int(self.first[n_rings])
        reach = int(np.abs(np.r_[self.dy[:n], self.dx[:n], 0]).max())
        return Rings(self.dy[:n], self.dx[:n], self.first[: n_rings + 1], reach)


@lru_cache(maxsize=8)
def rings(edges_um: tuple[float, ...], pixel_size: PixelSize) -> Rings:
    """Rings whose outer edges lie at `edges_um`; a pixel on an edge belongs to the inner ring. Within a ring
    in reading order."""
    reach = int(np.ceil(edges_um[-1] / pixel_size.mean_um))
    offset = np.arange(-reach, reach + 1)
    distance_um = np.hypot(offset[:, None] * pixel_size.y_um, offset[None, :] * pixel_size.x_um)
    ring = np.searchsorted(np.array(edges_um), distance_um, side="left").ravel()
    order = np.argsort(ring, kind="stable")
    order = order[ring[order] < len(edges_um)]
    dy, dx = np.divmod(order, 2 * reach + 1)
    first = np.searchsorted(ring[order], np.arange(len(edges_um) + 1))
    return Rings(dy - reach, dx - reach, first.astype(np.int64), reach)


def ring_sums(
    planes: npt.NDArray[np.int16],
    y: npt.NDArray[np.int32],
    x: npt.NDArray[np.int32],
    around: Rings,
    squares_from: int,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Sums about each point (y, x) of `planes` (p, h, w), pixels beyond the edge left out.

    Gives the sum per plane and ring (n, p, r), the pixels per ring (n, r), and the sum of squares per plane
    over rings `squares_from` and wider (n, p).
    """
    return _ring_sums(
        np.ascontiguousarray(planes), y, x, around.dy, around.dx, around.first, around.reach, squares_from
    )


@njit
def _ring_sums(
    planes: Any, ys: Any, xs: Any, dy: Any, dx: Any, first: Any, reach: Any, squares_from: Any
) -> Any:
    n_planes, height, width = planes.shape
    n, n_rings = len(ys), len(first) - 1
    total = np.zeros((n, n_planes, n_rings), np.int64)
    count = np.zeros((n, n_rings), np.int64)
    square = np.zeros((n, n_planes), np.int64)
    step = dy * width + dx
    flat = planes.reshape(n_planes, height * width)
    for i in range(n):
        y, x = np.int64(ys[i]), np.int64(xs[i])
        if reach <= y < height - reach and reach <= x < width - reach:
            place = y * width + x
            for plane in range(n_planes):
                values = flat[plane]
                for ring in range(n_rings):
                    plain, squared = np.int32(0), np.int64(0)  # a ring holds far fewer than 65,536 pixels
                    for k in range(first[ring], first[ring + 1]):
                        # Unsigned: numba then leaves out its check for indices from the end (half the time).
                        value = np.int32(values[np.uint64(place + step[np.uint64(k)])])
                        plain += value
                        squared += np.int64(value * value)
                    total[i, plane, ring] = plain
                    if ring >= squares_from:
                        square[i, plane] += squared
            for ring in range(n_rings):
                count[i, ring] = first[ring + 1] - first[ring]
            continue
        _sums_at_edge(planes, y, x, dy, dx, first, squares_from, total[i], count[i], square[i])
    return total, count, square


@njit
def _sums_at_edge(
    planes: Any,
    y: Any,
    x: Any,
    dy: Any,
    dx: Any,
    first: Any,
    squares_from: Any,
    total: Any,
    count: Any,
    square: Any,
) -> Any:
    n_planes, height, width = planes.shape
    for ring in range(len(count)):
        for k in range(first[ring], first[ring + 1]):
            v, u = y + dy[k], x + dx[k]
            if v < 0 or u < 0 or v >= height or u >= width:
                continue
            count[ring] += 1
            for plane in range(n_planes):
                value = np.int64(planes[plane, v, u])
                total[plane, ring] += value
                if ring >= squares_from:
                    square[plane] += value * value
