"""Small operations on label images."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from ishcount.core.compiled import njit

Labels = npt.NDArray[np.int32]


@njit
def trim(labels: Labels, n_labels: int, plane: npt.NDArray[np.int16], share: float) -> Labels:
    """Each label without the pixels where `plane` is below `share` of its maximum under that label."""
    height, width = labels.shape
    top = np.zeros(n_labels + 1, np.int16)
    for y in range(height):
        for x in range(width):
            if labels[y, x] > 0:
                top[labels[y, x]] = max(top[labels[y, x]], plane[y, x])
    trimmed = np.zeros((height, width), np.int32)
    for y in range(height):
        for x in range(width):
            if labels[y, x] > 0 and plane[y, x] >= share * top[labels[y, x]]:
                trimmed[y, x] = labels[y, x]
    return trimmed


@njit
def flat_parts(labels: Labels) -> Labels:
    """Connected parts (4 neighbours) of equal label, numbered from 1 in reading order; label 0 stays 0."""
    height, width = labels.shape
    parts = np.zeros((height, width), np.int32)
    stack = np.empty(height * width, np.int64)
    n = 0
    for y in range(height):
        for x in range(width):
            if labels[y, x] == 0 or parts[y, x] != 0:
                continue
            n += 1
            parts[y, x], stack[0], depth = n, y * width + x, 1
            while depth:
                depth -= 1
                row, col = stack[depth] // width, stack[depth] % width
                for k in range(4):
                    v, u = row + (k == 3) - (k == 0), col + (k == 2) - (k == 1)
                    if v < 0 or u < 0 or v >= height or u >= width:
                        continue
                    if parts[v, u] == 0 and labels[v, u] == labels[y, x]:
                        parts[v, u] = n
                        stack[depth] = v * width + u
                        depth += 1
    return parts


@njit
def _hole_owners(holes: Labels, labels: Labels, n_holes: int) -> Labels:
    """The one label round each hole, -1 where there are several or the hole meets the edge of the array."""
    owner = np.zeros(n_holes, np.int32)
    height, width = labels.shape
    for y in range(height):
        for x in range(width):
            hole = holes[y, x]
            if labels[y, x] > 0:
                continue
            if y == 0 or x == 0 or y == height - 1 or x == width - 1:
                owner[hole] = -1
                continue
            for v, u in ((y - 1, x), (y, x - 1), (y, x + 1), (y + 1, x)):
                label = labels[v, u]
                if label > 0 and owner[hole] != label:
                    owner[hole] = label if owner[hole] == 0 else -1
    return owner


def fill_holes(labels: Labels) -> Labels:
    """Labels with every hole that lies within one label filled."""
    n_holes, holes = cv2.connectedComponents((labels == 0).astype(np.uint8), connectivity=4)
    owner = np.maximum(_hole_owners(holes.astype(np.int32), labels, n_holes), 0)
    return np.where(labels > 0, labels, owner[holes]).astype(np.int32)
