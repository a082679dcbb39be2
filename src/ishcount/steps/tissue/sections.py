"""Pieces of tissue: which belong together, which are only debris, and their outlines."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ishcount.core.connected import sizes_of_pieces
from ishcount.core.distance import distance_cells

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]


def number_sections(tissue: Mask, *, gap_cells: float, min_cells: float, min_share: float) -> Array:
    """Section of each tissue cell, uint16 (h, w), numbered in reading order; 0 for debris.

    Pieces less than `gap_cells` apart belong together. A section has a piece of at least `min_cells` cells
    and is at least `min_share` of the largest section; what is smaller is debris.
    """
    near = distance_cells(~tissue) <= gap_cells / 2 if tissue.any() else tissue
    labels, n = ndimage.label(near, structure=np.ones((3, 3), int))
    labels = np.where(tissue, labels, 0)
    size = sizes_of_pieces(labels, n)
    size[0] = 0
    large = np.zeros(n + 1, np.bool_)
    large[labels[_pieces_of(tissue, min_cells)]] = True
    kept = np.flatnonzero(large & (size >= max(1.0, min_share * size.max(initial=0))))
    number = np.zeros(n + 1, np.uint16)
    number[reading_order(labels, kept)] = np.arange(1, len(kept) + 1)
    return number[labels]


def _pieces_of(tissue: Mask, min_cells: float) -> Mask:
    """Pieces of at least `min_cells` cells: specks near each other make no section."""
    pieces, n = ndimage.label(tissue, structure=np.ones((3, 3), int))
    return np.asarray((sizes_of_pieces(pieces, n) >= min_cells)[pieces] & tissue)


def reading_order(labels: Array, kept: Array) -> Array:
    """`kept` labels row by row: a centre within the height of a row's first piece is in that row."""
    if len(kept) == 0:
        return kept
    boxes = ndimage.find_objects(labels)
    centres = np.array(ndimage.center_of_mass(labels > 0, labels, kept)).reshape(-1, 2)
    rows: list[list[int]] = []
    for place in np.lexsort((centres[:, 1], centres[:, 0])):
        first = boxes[kept[rows[-1][0]] - 1][0] if rows else None
        if first is not None and first.start <= centres[place, 0] < first.stop:
            rows[-1].append(int(place))
        else:
            rows.append([int(place)])
    return np.array([kept[i] for row in rows for i in sorted(row, key=lambda i: (centres[i, 1], i))])


def fill_outlines(section: Array, *, mouth_cells: float) -> Array:
    """Outline of each section filled, uint16 (h, w): holes, and clefts with a mouth under `mouth_cells`."""
    outline = section.copy()
    margin = int(np.ceil(mouth_cells)) + 1
    for number, box in enumerate(ndimage.find_objects(section.astype(np.int32)), start=1):
        if box is None:
            continue
        rows, cols = (
            slice(max(0, part.start - margin), min(size, part.stop + margin))
            for part, size in zip(box, section.shape, strict=True)
        )
        here = np.pad(section[rows, cols] == number, margin)
        reach = distance_cells(~here) <= mouth_cells / 2
        closed = distance_cells(np.pad(reach, 1))[1:-1, 1:-1] > mouth_cells / 2
        filled = ndimage.binary_fill_holes(closed | here)[margin:-margin, margin:-margin]
        part = outline[rows, cols]
        part[filled & (part == 0)] = number
    return outline
