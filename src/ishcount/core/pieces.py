"""A height cut into the basins of its hilltops, and what is known of each piece.

Every pixel belongs to the hilltop that is reached by always stepping to the highest of its eight
neighbours. That needs no queue, and a pixel's piece depends on its own hill alone, never on the order in
which an array is worked through.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ishcount.core.compiled import njit

Labels = npt.NDArray[np.int32]
Plane = npt.NDArray[np.int16]
Table = npt.NDArray[np.int64]
# Columns of the sums. PERIMETER counts pixel sides to any other label, OPEN those to no label; GRADIENT
# sums the gradient on both sides of them; SQUARES and LEVELS sum the plane, TOP is its maximum.
AREA, X, Y, XX, YY, XY, LEVELS, SQUARES, TOP, PERIMETER, OPEN, GRADIENT = range(12)
# Columns of borders between a < b: length in pixel sides, sum and maximum of the plane's lower side,
# gradient.
A, B, LENGTH, LOW, GRAD, PASS = range(6)
OUTSIDE = np.float32(-1e9)  # height of what belongs to no piece


def basins(height: npt.NDArray[np.float32], radius: int) -> tuple[Labels, int]:
    """Labels int32 (h, w) of hills, numbered by hilltop in reading order, and how many there are.

    height: float32 (h + 2 radius, w + 2 radius), `OUTSIDE` where there is no piece and in the frame.
    A hilltop with a higher pixel within `radius` px belongs to the hill of the highest of them.
    """
    up = np.empty(height.size, np.int32)
    n = _steps(height, up, radius)
    labels = np.zeros((height.shape[0] - 2 * radius, height.shape[1] - 2 * radius), np.int32)
    _follow(height, up, radius, labels)
    return labels, n


@njit
def _steps(height: Any, up: Labels, radius: int) -> int:
    """Fill `up` with the flat place of the pixel one step higher, on hilltops with minus their label; their
    number. Of equal neighbours the first in reading order is taken. What is outside is left alone.
    """
    level, wide, n = height.ravel(), height.shape[1], 0
    for y in range(radius, height.shape[0] - radius):
        above, same, below = height[y - 1], height[y], height[y + 1]
        for x in range(radius, wide - radius):
            if same[x] == OUTSIDE:
                continue
            first = max(max(above[x - 1], above[x]), max(above[x + 1], same[x - 1]))
            best = max(first, max(max(same[x + 1], below[x - 1]), max(below[x], below[x + 1])))
            i = y * wide + x
            if best > same[x]:  # written so that the machine need not guess which it is
                step = wide + 1
                step = wide if below[x] == best else step
                step = wide - 1 if below[x - 1] == best else step
                step = 1 if same[x + 1] == best else step
                step = -1 if same[x - 1] == best else step
                step = 1 - wide if above[x + 1] == best else step
                step = -wide if above[x] == best else step
                step = -1 - wide if above[x - 1] == best else step
                up[i] = i + step
                continue
            up[i] = _higher_near(level, i, wide, radius)
            if up[i] == i:
                n += 1
                up[i] = -n
    return n


@njit
def _follow(height: Any, up: Labels, radius: int, labels: Labels) -> None:
    """Fill `labels`; every pixel on the way is given its label too, so that no way is gone twice."""
    wide = height.shape[1]
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            if height[y + radius, x + radius] == OUTSIDE:
                continue
            i = (y + radius) * wide + x + radius
            top = i
            while up[top] >= 0:
                top = np.int64(up[top])
            label = up[top]
            while up[i] >= 0:
                following = np.int64(up[i])
                up[i] = label
                i = following
            labels[y, x] = -label


@njit
def _higher_near(level: npt.NDArray[np.float32], i: int, wide: int, radius: int) -> int:
    """The highest pixel within a disc; of equal ones the first in reading order."""
    best, at = level[i], i
    for dy in range(-radius, radius + 1):
        for dx in range(-radius, radius + 1):
            j = i + dy * wide + dx
            if dy * dy + dx * dx <= radius * radius + 1 and (
                level[j] > best or (level[j] == best and j < at)
            ):
                best, at = level[j], j
    return at


@njit
def trim(labels: Labels, n_labels: int, plane: Plane, share: float) -> None:
    """Take from each label, in place, the pixels where `plane` is below `share` of its maximum there."""
    height, width = labels.shape
    least = np.zeros(n_labels + 1, np.int16)
    for y in range(height):
        for x in range(width):
            label = labels[y, x]
            if label > 0 and plane[y, x] > least[label]:
                least[label] = plane[y, x]
    for label in range(n_labels + 1):
        least[label] = np.ceil(least[label] * share)
    for y in range(height):
        for x in range(width):
            if plane[y, x] < least[labels[y, x]]:
                labels[y, x] = 0


@njit
def shape_sums(labels: Labels, n_labels: int, plane: Plane) -> Table:
    """Sums (n_labels + 1, 12) in pixels and levels, without those of the border; row 0 stays 0."""
    height, width = labels.shape
    sums = np.zeros((n_labels + 1, 12), np.int64)
    for y in range(height):
        x = 0
        while x < width:
            label, start = labels[y, x], x
            if label == 0:
                x += 1
                continue
            levels = squares = top = np.int64(0)
            while x < width and labels[y, x] == label:
                level = np.int64(plane[y, x])
                levels += level
                squares += level * level
                top = max(top, level)
                x += 1
            n, last = x - start, x - 1
            along = (start + last) * n // 2  # sums of start ... last and of their squares
            row = sums[label]
            row[AREA] += n
            row[X] += along
            row[Y] += y * n
            row[XX] += (last * x * (last + x) - (start - 1) * start * (2 * start - 1)) // 6
            row[YY] += y * y * n
            row[XY] += y * along
            row[LEVELS] += levels
            row[SQUARES] += squares
            row[TOP] = max(row[TOP], top)
    return sums


def measure_pieces(labels: Labels, n_labels: int, plane: Plane, gradient: Plane) -> tuple[Table, Table]:
    """All sums (n_labels + 1, 12; row 0 stays 0), in pixels and levels, and borders (n, 6) by A then B."""
    shape = shape_sums(labels, n_labels, plane)
    n, room = (
        -1,
        4 * n_labels + 16,
    )  # whole pieces have fewer than three borders each, fragments may have more
    while n < 0:
        sums, borders = shape.copy(), np.zeros((room, 6), np.int64)
        n, room = _add_borders(labels, plane, gradient, sums, borders), 2 * room
    order = np.lexsort((borders[:n, B], borders[:n, A]))
    return sums, borders[order]


@njit
def _add_borders(labels: Labels, plane: Plane, gradient: Plane, sums: Table, borders: Table) -> int:
    """Add perimeters to `sums`, fill `borders` in the order of their first pixel; how many there are, or -1
    when they have no room.

    Borders of one label A hang together: the newest is `first[A]`, the one before it `following` that.
    """
    first, following = np.full(len(sums), -1), np.empty(len(borders), np.int64)
    height, width = labels.shape
    n = 0
    for y in range(height):
        for x in range(width):
            a = labels[y, x]
            for down in range(2):
                v, u = y + down, x + 1 - down
                if v >= height or u >= width or labels[v, u] == a:
                    continue
                b = labels[v, u]
                edge = np.int64(gradient[y, x]) + gradient[v, u]
                is_open = np.int64(a == 0 or b == 0)
                for label in (a, b):
                    sums[label, PERIMETER] += 1
                    sums[label, OPEN] += is_open
                    sums[label, GRADIENT] += edge
                if is_open:
                    continue
                lower, upper = min(a, b), max(a, b)
                k = first[lower]
                while k >= 0 and borders[k, B] != upper:
                    k = following[k]
                if k < 0:
                    if n == len(borders):
                        return -1
                    k, n = n, n + 1
                    borders[k, A], borders[k, B] = lower, upper
                    following[k], first[lower] = first[lower], k
                low = np.int64(min(plane[y, x], plane[v, u]))
                borders[k, LENGTH] += 1
                borders[k, LOW] += low
                borders[k, GRAD] += edge
                borders[k, PASS] = max(borders[k, PASS], low)
    sums[0] = 0
    return n


@njit
def axes_and_fill(
    area: int, x: int, y: int, xx: int, yy: int, xy: int
) -> tuple[float, float, float, float, float]:
    """Spread along x and y, longer and shorter axis (standard deviations, px), and the fill of the ellipse.

    Fill is the area over that of the ellipse with the same second moments: 1 for a full ellipse, less for a
    waist. Given are the sums of a piece: its pixels, their x, y, x^2, y^2 and x y. Differences are taken in
    integers, so that a piece has the same shape wherever it lies in the array.
    """
    square = float(area) * area
    var_x = (area * xx - x * x) / square + 1 / 12  # a pixel is a square, not a point
    var_y = (area * yy - y * y) / square + 1 / 12
    both = (area * xy - x * y) / square
    root = np.sqrt((var_x - var_y) ** 2 + 4 * both * both)
    longer = np.sqrt((var_x + var_y + root) / 2)
    shorter = np.sqrt(max((var_x + var_y - root) / 2, 1e-6))
    return np.sqrt(var_x), np.sqrt(var_y), longer, shorter, area / (4 * np.pi * longer * shorter)


@njit
def aspect_and_fill(sums: Table) -> npt.NDArray[np.float64]:
    """Shorter over longer axis and fill, (n, 2), of rows of sums with an area."""
    out = np.zeros((len(sums), 2))
    for i in range(len(sums)):
        row = sums[i]
        shape = axes_and_fill(row[AREA], row[X], row[Y], row[XX], row[YY], row[XY])
        out[i, 0], out[i, 1] = shape[3] / shape[2], shape[4]
    return out
