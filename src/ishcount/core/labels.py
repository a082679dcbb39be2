"""Label images put in order."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ishcount.core.compiled import njit

Labels = npt.NDArray[np.int32]
Row = npt.NDArray[np.int64]
SEVERAL = -1  # labels round a hole, or the array's edge


def tidy(labels: Labels) -> None:
    """Leave each label (int32 (h, w)), in place, one part without holes.

    Of parts that touch by no pixel side the largest stays, of equal ones the first; a hole that lies within
    one label alone is filled.
    """
    first, start, label = _runs(labels)
    part = _parts(first, start, label, labels.shape[1])
    around = _around(first, start, label, part, labels.shape[1])
    _repaint(labels, first, start, label, part, around)


@njit
def _runs(labels: Labels) -> tuple[Row, Labels, Labels]:
    """Stretches of one label (also of 0) in reading order: the first of each row, their first column, label.

    A last one beyond the array ends the others.
    """
    height, width = labels.shape
    first = np.empty(height + 1, np.int64)
    start, label = np.empty(height * width + 1, np.int32), np.empty(height * width + 1, np.int32)
    n = 0
    for y in range(height):
        first[y] = n
        for x in range(width):
            if x == 0 or labels[y, x] != labels[y, x - 1]:
                start[n], label[n] = x, labels[y, x]
                n += 1
    first[height] = n
    start[n] = 0
    return first, start[: n + 1], label[:n]


@njit
def _parts(first: Row, start: Labels, label: Labels, width: int) -> Labels:
    """For each run the first of those of its label that hang together with it (4 neighbours)."""
    parent = np.arange(len(label)).astype(np.int32)
    for y in range(1, len(first) - 1):
        above = first[y - 1]
        for run in range(first[y], first[y + 1]):
            end = start[run + 1] if start[run + 1] > 0 else width
            while above + 1 < first[y] and start[above + 1] <= start[run]:
                above += 1
            other = above
            while other < first[y] and start[other] < end:
                if label[other] == label[run]:
                    a, b = np.int64(parent[other]), np.int64(parent[run])
                    while parent[a] != a:
                        a = np.int64(parent[a])
                    while parent[b] != b:
                        b = np.int64(parent[b])
                    parent[max(a, b)] = min(a, b)
                other += 1
    for run in range(len(label)):
        parent[run] = parent[parent[run]]  # a parent comes before its children
    return parent


@njit
def _around(first: Row, start: Labels, label: Labels, part: Labels, width: int) -> Labels:
    """The one label that each part of label 0 touches, at its first run; `SEVERAL` also at the array's
    edge.
    """
    around = np.zeros(len(label), np.int32)
    for y in range(len(first) - 1):
        above = first[max(y - 1, 0)]
        for run in range(first[y], first[y + 1]):
            end = start[run + 1] if start[run + 1] > 0 else width
            at_edge = y == 0 or y == len(first) - 2 or start[run] == 0 or end == width
            if label[run] == 0 and at_edge:
                around[part[run]] = SEVERAL
            while above + 1 < first[y] and start[above + 1] <= start[run]:
                above += 1
            other = above - 1  # stands for the run on the left; then those above
            while other < above or (other < first[y] and start[other] < end):
                near = other if other >= above else run - 1 if start[run] > 0 else run
                if (label[run] == 0) != (label[near] == 0):
                    hole = part[run] if label[run] == 0 else part[near]
                    touched = max(label[run], label[near])
                    alone = around[hole] == 0 or around[hole] == touched
                    around[hole] = touched if alone else SEVERAL
                other += 1
    return around


@njit
def _repaint(labels: Labels, first: Row, start: Labels, label: Labels, part: Labels, around: Labels) -> None:
    """Write into `labels` what changes: holes of one label, and all parts of a label but its largest."""
    width = labels.shape[1]
    area, largest = np.zeros(len(label), np.int64), np.full(label.max() + 1, -1)
    for run in range(len(label)):
        area[part[run]] += (start[run + 1] if start[run + 1] > 0 else width) - start[run]
    for run in range(len(label)):
        if part[run] == run and (largest[label[run]] < 0 or area[run] > area[largest[label[run]]]):
            largest[label[run]] = run
    for y in range(len(first) - 1):
        for run in range(first[y], first[y + 1]):
            old = label[run]
            new = old if largest[old] == part[run] else 0
            if old == 0:
                new = max(around[part[run]], 0)
            if new != old:
                labels[y, start[run] : (start[run + 1] if start[run + 1] > 0 else width)] = new
