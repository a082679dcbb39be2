"""Outlines of labelled cells, traced along pixel edges: a polygon has exactly the area of its pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ishcount.core.compiled import njit

# Rows of the label image held at once, and the rows beyond them that a cell may reach. A cell of skin
# is under 60 um across, so its half is well inside 128 px of 0.5 um.
BAND_ROWS = 2048
MARGIN_ROWS = 128


@dataclass(frozen=True, slots=True)
class Contours:
    """Outer outlines of n cells, in level-0 pixels from the corner of pixel (0, 0).

    offsets: int64 (n + 1,); outline i is ``vertices[offsets[i]:offsets[i + 1]]``, not closed, clockwise
    on the screen, corners only. vertices: int32 (m, 2), x then y. A cell without pixels has no vertices.
    """

    offsets: NDArray[np.int64]
    vertices: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def ring(self, index: int) -> NDArray[np.int32]:
        """Vertices (k, 2) of outline `index`, x then y; k is 0 where the cell has no pixels."""
        return self.vertices[self.offsets[index] : self.offsets[index + 1]]

    def part(self, first: int, stop: int) -> Contours:
        """Outlines `first` to `stop` - 1."""
        offsets = self.offsets[first : stop + 1]
        return Contours(offsets - offsets[0], self.vertices[offsets[0] : offsets[-1]])


def trace_contours(
    labels: NDArray[np.uint32],
    ids: NDArray[np.int64],
    *,
    factor: int,
    origin_row: int = 0,
    origin_col: int = 0,
) -> Contours:
    """Outlines of the cells `ids` in one window of a label image.

    labels: (h, w), 0 is background. ids: wanted labels, rising. factor: level-0 pixels per label pixel.
    origin_row, origin_col: place of the window in the label image, in its pixels. Of a label in several
    pieces (joined by edges, not corners) that of its topmost, leftmost pixel is traced; holes are filled.
    """
    ids = np.asarray(ids, dtype=np.int64)
    if len(ids) == 0 or labels.size == 0:
        return Contours(np.zeros(len(ids) + 1, np.int64), np.zeros((0, 2), np.int32))
    first_pixels, follow = _compiled()
    window = np.ascontiguousarray(labels, dtype=np.uint32)
    starts = first_pixels(window, int(ids[0]), int(ids[-1]))[ids - ids[0]]
    nothing = np.zeros((0, 2), np.int32)
    counts = np.array([follow(window, start, nothing) for start in starts], dtype=np.int64)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    vertices = np.zeros((int(offsets[-1]), 2), np.int32)
    for i, start in enumerate(starts):
        follow(window, start, vertices[offsets[i] : offsets[i + 1]])
    vertices += np.array([origin_col, origin_row], np.int32)
    vertices *= np.int32(factor)
    return Contours(offsets, vertices)


def trace_by_bands(
    labels: Any, centroid_rows: NDArray[np.float64], *, factor: int, band_rows: int = BAND_ROWS
) -> Contours:
    """Outlines of cells 1..n of a whole slide, holding one band of rows at a time.

    labels: anything sliced like a (h, w) array (numpy, zarr). centroid_rows: (n,) row of each cell's
    centroid in label pixels, rising, as cell ids are numbered by y.
    """
    height = int(labels.shape[0])
    pieces = []
    band_of_cell = np.clip(centroid_rows, 0, max(height - 1, 0)).astype(np.int64) // band_rows
    for band in np.unique(band_of_cell):
        first = max(0, int(band) * band_rows - MARGIN_ROWS)
        last = min(height, (int(band) + 1) * band_rows + MARGIN_ROWS)
        ids = np.flatnonzero(band_of_cell == band) + 1
        pieces.append(trace_contours(np.asarray(labels[first:last]), ids, factor=factor, origin_row=first))
    counts = [np.diff(piece.offsets) for piece in pieces]
    offsets = np.concatenate([[0], np.cumsum(np.concatenate(counts))]) if counts else np.zeros(1)
    vertices = np.concatenate([piece.vertices for piece in pieces]) if pieces else np.zeros((0, 2), np.int32)
    return Contours(offsets.astype(np.int64), vertices)


def in_order(pieces: Sequence[tuple[NDArray[np.int64], Contours]], *, first_id: int, n: int) -> Contours:
    """Outlines of `n` cells from `first_id` on by id, from pieces of (rising ids, their outlines)."""
    lengths, starts = np.zeros(n, np.int64), np.zeros(n, np.int64)
    n_before = 0
    for ids, contours in pieces:
        lengths[ids - first_id] = np.diff(contours.offsets)
        starts[ids - first_id] = contours.offsets[:-1] + n_before
        n_before += len(contours.vertices)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    vertices = [contours.vertices for _, contours in pieces] or [np.zeros((0, 2), np.int32)]
    taken = np.repeat(starts - offsets[:-1], lengths) + np.arange(offsets[-1])
    return Contours(offsets, np.concatenate(vertices)[taken])


@cache
def _compiled() -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The two inner loops; compiled on first use so that importing this file stays cheap."""
    return njit(_first_pixels), njit(_follow)


def _first_pixels(labels: Any, low: int, high: int) -> Any:
    """Flat index of the topmost, leftmost pixel of each label from low to high; -1 where there is none."""
    first = np.full(high - low + 1, -1, np.int64)
    height, width = labels.shape
    for row in range(height):
        for col in range(width):
            label = int(labels[row, col])
            if low <= label <= high and first[label - low] < 0:
                first[label - low] = row * width + col
    return first


def _follow(labels: Any, start: int, out: Any) -> int:
    """Walk the pixel edges with the cell on the right hand; fill `out` if it has room; count the corners."""
    if start < 0:
        return 0
    height, width = labels.shape
    y, x = start // width, start % width
    label = labels[y, x]
    step_y = (0, 1, 0, -1)  # east, south, west, north
    step_x = (1, 0, -1, 0)
    left_y, left_x = (-1, 0, 0, -1), (0, 0, -1, -1)  # pixel ahead on the left of a corner, by heading
    start_y, start_x = y, x
    heading, n = 0, 0
    if len(out) > 0:
        out[0, 0], out[0, 1] = x, y
    n = 1
    while True:
        y += step_y[heading]
        x += step_x[heading]
        right = (heading + 1) % 4  # the pixel ahead on the right is the left one of the next heading
        ay, ax = y + left_y[right], x + left_x[right]
        by, bx = y + left_y[heading], x + left_x[heading]
        ahead_right = 0 <= ay < height and 0 <= ax < width and labels[ay, ax] == label
        ahead_left = 0 <= by < height and 0 <= bx < width and labels[by, bx] == label
        turned = True
        if not ahead_right:
            heading = right
        elif ahead_left:
            heading = (heading + 3) % 4
        else:
            turned = False
        if y == start_y and x == start_x:
            return n
        if turned:
            if len(out) > 0:
                out[n, 0], out[n, 1] = x, y
            n += 1
