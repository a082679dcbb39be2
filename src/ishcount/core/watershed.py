"""Marker-based watershed on 8-bit levels with a bucket queue."""

from __future__ import annotations

import numpy as np

from ishcount.core.compiled import njit


@njit
def flood(levels, markers, mask):  # type: ignore[no-untyped-def]
    """Labels int32 (h, w): `markers` grown over `mask` in order of rising `levels` (uint8).

    Pixels of one level are served first come, first served (4 neighbours: up, left, right, down), as in
    `skimage.segmentation.watershed`; its result differs only where floods of seeds of one level meet at once,
    since its heap serves equal seeds in an order of its own and this serves them in reading order.
    """
    height, width = levels.shape
    n = height * width
    labels = np.zeros(n, np.int32)
    level = levels.ravel()
    inside = mask.ravel()
    start = markers.ravel()
    following = np.full(n, -1, np.int64)
    head = np.full(256, -1, np.int64)
    tail = np.full(256, -1, np.int64)
    for i in range(n):
        if start[i] > 0 and inside[i]:
            labels[i] = start[i]
            value = level[i]
            if head[value] < 0:
                head[value] = i
            else:
                following[tail[value]] = i
            tail[value] = i
    steps = np.array([-width, -1, 1, width])
    value = 0
    while value < 256:
        i = head[value]
        if i < 0:
            value += 1
            continue
        head[value] = following[i]
        row, col = i // width, i % width
        for k in range(4):
            if (k == 0 and row == 0) or (k == 1 and col == 0):
                continue
            if (k == 2 and col == width - 1) or (k == 3 and row == height - 1):
                continue
            j = i + steps[k]
            if not inside[j] or labels[j] != 0:
                continue
            labels[j] = labels[i]
            bucket = max(np.int64(level[j]), value)
            following[j] = -1
            if head[bucket] < 0:
                head[bucket] = j
            else:
                following[tail[bucket]] = j
            tail[bucket] = j
    return labels.reshape(height, width)
