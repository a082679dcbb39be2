"""Marker-based watershed on 8-bit levels with a bucket queue."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ishcount.core.compiled import njit


@njit
def flood(  # noqa: C901 - one queue, written out: a call per pixel costs a fifth
    levels: npt.NDArray[np.uint8], markers: npt.NDArray[np.int32], mask: npt.NDArray[np.uint8]
) -> npt.NDArray[np.int32]:
    """Labels int32 (h, w): `markers` grown over `mask` in order of rising `levels` (uint8).

    Pixels of one level are served first come, first served (4 neighbours: up, left, right, down), as in
    `skimage.segmentation.watershed`; its result differs only where floods of seeds of one level meet at once,
    since its heap serves equal seeds in an order of its own and this serves them in reading order.
    """
    height, width = levels.shape
    wide = width + 2  # a frame outside the mask spares every test for the array's edge
    labels = np.full((height + 2) * wide, -1, np.int32)  # -1: not to be flooded
    level = np.zeros((height + 2) * wide, np.uint8)
    following = np.empty((height + 2) * wide, np.int32)
    head, tail = np.full(256, -1, np.int32), np.full(256, -1, np.int32)
    for y in range(height):
        for x in range(width):
            if not mask[y, x]:
                continue
            i = (y + 1) * wide + x + 1
            labels[i], level[i] = markers[y, x], levels[y, x]
            if markers[y, x]:
                value = level[i]
                following[i] = -1
                if head[value] < 0:
                    head[value] = i
                else:
                    following[tail[value]] = i
                tail[value] = i
    for value in range(256):
        i = np.int64(head[value])
        while i >= 0:
            label = labels[i]
            for k in range(4):
                j = i + (-wide if k == 0 else -1 if k == 1 else 1 if k == 2 else wide)
                if labels[j] == 0:
                    labels[j] = label
                    bucket = int(level[j]) if level[j] > value else value
                    following[j] = -1
                    if head[bucket] < 0:
                        head[bucket] = j
                    else:
                        following[tail[bucket]] = j
                    tail[bucket] = j
            i = np.int64(following[i])
    result = np.empty((height, width), np.int32)
    for y in range(height):
        for x in range(width):
            result[y, x] = max(labels[(y + 1) * wide + x + 1], 0)
    return result
