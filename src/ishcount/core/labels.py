"""Measurements of labelled objects in one pass."""

from __future__ import annotations

import numpy as np

from ishcount.core.compiled import njit

N_MOMENTS = 6  # area, x, y, xx, yy, xy


@njit
def moments(labels, n_labels):  # type: ignore[no-untyped-def]
    """Raw moments int64 (n_labels + 1, 6) of each label: area and sums of x, y, xx, yy, xy in pixels."""
    total = np.zeros((n_labels + 1, N_MOMENTS), np.int64)
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            label = labels[y, x]
            if label > 0:
                total[label, 0] += 1
                total[label, 1] += x
                total[label, 2] += y
                total[label, 3] += x * x
                total[label, 4] += y * y
                total[label, 5] += x * y
    return total


@njit
def ellipse_fill(moment):  # type: ignore[no-untyped-def]
    """Area over the area of the ellipse with the same second moments: 1 for a full ellipse, less for a
    waist."""
    area = moment[0]
    mx, my = moment[1] / area, moment[2] / area
    vxx = moment[3] / area - mx * mx + 1 / 12  # a pixel is a square, not a point
    vyy = moment[4] / area - my * my + 1 / 12
    vxy = moment[5] / area - mx * my
    return area / (4 * np.pi * np.sqrt(max(vxx * vyy - vxy * vxy, 1e-9)))


@njit
def borders(labels, n_labels, plane):  # type: ignore[no-untyped-def]
    """Pairs of touching labels: a < b, length of the border in pixels, and the sum of `plane` along it.

    int64 (n, 4), ordered by a then b.
    """
    height, width = labels.shape
    found = []
    for y in range(height):
        for x in range(width):
            a = labels[y, x]
            if a == 0:
                continue
            for dy, dx in ((0, 1), (1, 0)):
                if y + dy < height and x + dx < width:
                    b = labels[y + dy, x + dx]
                    if b != 0 and b != a:
                        low = min(plane[y, x], plane[y + dy, x + dx])
                        found.append((np.int64(min(a, b)) * (n_labels + 1) + max(a, b), np.int64(low)))
    keys = np.array([key for key, _ in found], np.int64)
    values = np.array([value for _, value in found], np.int64)
    order = np.argsort(keys, kind="mergesort")
    pairs = np.zeros((len(found), 4), np.int64)
    n = 0
    for i in order:
        a, b = keys[i] // (n_labels + 1), keys[i] % (n_labels + 1)
        if n == 0 or pairs[n - 1, 0] != a or pairs[n - 1, 1] != b:
            pairs[n, 0], pairs[n, 1] = a, b
            n += 1
        pairs[n - 1, 2] += 1
        pairs[n - 1, 3] += values[i]
    return pairs[:n]


@njit
def means(labels, n_labels, plane):  # type: ignore[no-untyped-def]
    """Sum int64 and maximum int64 of an integer plane under each label, (n_labels + 1,) each."""
    total = np.zeros(n_labels + 1, np.int64)
    top = np.zeros(n_labels + 1, np.int64)
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            label = labels[y, x]
            if label > 0:
                total[label] += plane[y, x]
                top[label] = max(top[label], plane[y, x])
    return total, top
