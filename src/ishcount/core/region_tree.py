"""A tree of ever larger pieces, and the best set of whole objects in it.

An image is cut into too many small pieces; touching pieces are joined two by two, best pair first, which
gives a binary tree. Every node is a candidate object with additive sums, so its shape and contrast cost
nothing to know. `choose` takes the set of nodes that do not overlap and whose values sum highest (dynamic
programming from the leaves up, as in Arteta et al., MICCAI 2012, there for extremal regions). Pairs are
joined only where each is the other's best neighbour, so the tree depends on the neighbourhood alone, not on
the order of labels or on far tiles.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ishcount.core.compiled import njit
from ishcount.core.pieces import (
    AREA,
    GRAD,
    GRADIENT,
    LENGTH,
    LEVELS,
    LOW,
    OPEN,
    PASS,
    PERIMETER,
    SQUARES,
    TOP,
    XX,
    XY,
    YY,
    A,
    B,
    Table,
    X,
    Y,
    axes_and_fill,
)

Row = npt.NDArray[np.int64]
ROUNDS = 40  # each round at least halves the pieces of a lump: enough for 2^40

FEATURES = (
    "log_area_um2", "fill", "aspect", "roundness", "open", "height", "flatness", "spread", "edge",
    "edge_share", "saddle", "pass", "worse_fill", "better_fill", "smaller_share", "evenness", "neck",
    "fill_gain", "union_fill", "union_saddle", "union_pass", "union_gain", "union_log_area", "union_neck",
    "union_height", "sibling_fill", "sibling_height", "sibling_edge",
)  # fmt: skip


@njit
def gather(sides: Table) -> Table:
    """Rows of the same pair added up (PASS: the highest), ordered by A then B."""
    if len(sides) == 0:
        return sides
    keys = sides[:, A] * (sides[:, B].max() + 1) + sides[:, B]
    pairs = np.zeros_like(sides)
    n = 0
    for i in np.argsort(keys, kind="mergesort"):
        if n == 0 or pairs[n - 1, A] != sides[i, A] or pairs[n - 1, B] != sides[i, B]:
            pairs[n] = sides[i]
            n += 1
        else:
            pairs[n - 1, LENGTH : GRAD + 1] += sides[i, LENGTH : GRAD + 1]
            pairs[n - 1, PASS] = max(pairs[n - 1, PASS], sides[i, PASS])
    return pairs[:n].copy()


@njit
def _affinity(nodes: Table, pair: Row, most_px: float) -> float:
    """How well two pieces fit into one: fill of the union plus the height of the pass between them; -1:
    too large.
    """
    a, b = nodes[pair[A]], nodes[pair[B]]
    if a[AREA] + b[AREA] > most_px:
        return -1.0
    fill = axes_and_fill(
        a[AREA] + b[AREA], a[X] + b[X], a[Y] + b[Y], a[XX] + b[XX], a[YY] + b[YY], a[XY] + b[XY]
    )[4]
    lower = min(a[LEVELS] / a[AREA], b[LEVELS] / b[AREA])
    return float(fill + min(pair[LOW] / pair[LENGTH] / max(lower, 1.0), 1.2))


@njit
def _join(nodes: Table, grown: int, pair: Row) -> None:
    """Node `grown` becomes the union of the pair."""
    a, b, union = nodes[pair[A]], nodes[pair[B]], nodes[grown]
    for column in range(len(union)):
        union[column] = a[column] + b[column]
    union[TOP] = max(a[TOP], b[TOP])
    union[PERIMETER] -= 2 * pair[LENGTH]
    union[GRADIENT] -= 2 * pair[GRAD]


@njit
def grow_tree(sums: Table, borders: Table, most_px: float) -> tuple[Table, Table, Table]:
    """Sums (m, 12), children (m, 2; 0 for a leaf) and inner border (m, 6) of all nodes; pieces come first."""
    n = len(sums)
    nodes, inner = np.zeros((2 * n, 12), np.int64), np.zeros((2 * n, 6), np.int64)
    children = np.zeros((2 * n, 2), np.int64)
    nodes[:n] = sums
    pairs = borders.copy()
    for _ in range(ROUNDS):
        affinity = np.full(len(pairs), -1.0)
        best, partner = np.zeros(n), np.full(n, -1)
        for i in range(len(pairs)):
            affinity[i] = _affinity(nodes, pairs[i], most_px)
            for side in (A, B):
                if affinity[i] > best[pairs[i, side]]:
                    best[pairs[i, side]], partner[pairs[i, side]] = affinity[i], i
        target, grown = np.arange(n), n
        for i in range(len(pairs)):
            a, b = pairs[i, A], pairs[i, B]
            if partner[a] == i and partner[b] == i:
                _join(nodes, grown, pairs[i])
                children[grown, 0], children[grown, 1], inner[grown] = a, b, pairs[i]
                target[a] = target[b] = grown
                grown += 1
        if grown == n:
            break
        kept = 0
        for i in range(len(pairs)):
            a, b = target[pairs[i, A]], target[pairs[i, B]]
            if a != b:
                pairs[kept] = pairs[i]
                pairs[kept, A], pairs[kept, B] = min(a, b), max(a, b)
                kept += 1
        pairs, n = gather(pairs[:kept].copy()), grown
    return nodes[:n], children[:n], inner[:n]


@njit
def node_features(
    nodes: Table, children: Table, inner: Table, pixel_um2: float, level: float
) -> npt.NDArray[np.float32]:
    """float32 (m, 28), columns `FEATURES`: shape, height in units of `level`, edge, and how it would split
    or join.

    -1 stands where a node has no children or no union above it.
    """
    n = len(nodes)
    out = np.full((n, 28), -1, np.float32)
    for i in range(1, n):
        row = nodes[i]
        if row[AREA] == 0:
            continue
        area, perimeter = float(row[AREA]), max(float(row[PERIMETER]), 1.0)
        along_x, along_y, longer, shorter, fill = axes_and_fill(
            row[AREA], row[X], row[Y], row[XX], row[YY], row[XY]
        )
        height = row[LEVELS] / area
        edge = row[GRADIENT] / (2 * perimeter)
        out[i, 0], out[i, 1], out[i, 2] = np.log(area * pixel_um2), fill, shorter / longer
        out[i, 3] = 8 * (along_x + along_y) / perimeter  # an ellipse's pixel sides: those of its bounding box
        out[i, 4], out[i, 5], out[i, 6] = row[OPEN] / perimeter, height / level, height / max(row[TOP], 1)
        out[i, 7] = np.sqrt(max(row[SQUARES] / area - height * height, 0.0)) / max(height, 1.0)
        out[i, 8], out[i, 9] = edge / level, edge / max(height, 1.0)
        a, b = children[i]
        if a == 0:
            continue
        first, second = nodes[a, LEVELS] / nodes[a, AREA], nodes[b, LEVELS] / nodes[b, AREA]
        smaller = float(min(nodes[a, AREA], nodes[b, AREA]))
        out[i, 10] = inner[i, LOW] / inner[i, LENGTH] / max(min(first, second), 1.0)
        out[i, 11] = inner[i, PASS] / max(min(nodes[a, TOP], nodes[b, TOP]), 1)
        out[i, 12], out[i, 13] = min(out[a, 1], out[b, 1]), max(out[a, 1], out[b, 1])
        out[i, 14], out[i, 15] = smaller / area, min(first, second) / max(first, second, 1.0)
        out[i, 16] = inner[i, LENGTH] / np.sqrt(smaller)
        out[i, 17] = fill - (out[a, 1] * nodes[a, AREA] + out[b, 1] * nodes[b, AREA]) / area
        for child, sibling in ((a, b), (b, a)):
            out[child, 18], out[child, 19] = fill, out[i, 10]
            out[child, 20], out[child, 21] = out[i, 11], out[i, 17]
            out[child, 22], out[child, 23] = out[child, 0] - out[i, 0], out[i, 16]
            out[child, 24] = out[i, 5] - out[child, 5]
            out[child, 25], out[child, 27] = out[sibling, 1], out[sibling, 8]
            out[child, 26] = out[sibling, 5] - out[child, 5]
    return out


@njit
def choose(children: Table, value: npt.NDArray[np.float64], n_pieces: int) -> npt.NDArray[np.int64]:
    """The chosen node over each piece (n_pieces + 1), 0 where none: the disjoint nodes of the highest total
    value.

    Nodes of value 0 or less are never taken; a node is taken only when it beats the best set below it.
    """
    n = len(children)
    best, owner = np.zeros(n), np.zeros(n, np.int64)
    taken = np.zeros(n, np.bool_)
    for i in range(1, n):
        below = best[children[i, 0]] + best[children[i, 1]]
        taken[i] = value[i] > below and value[i] > 0
        best[i] = value[i] if taken[i] else below
    for i in range(n - 1, 0, -1):
        if owner[i] == 0 and taken[i]:
            owner[i] = i
        for child in children[i]:
            if child:
                owner[child] = owner[i]
    return owner[: n_pieces + 1]
