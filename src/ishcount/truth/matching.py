"""One-to-one matching of points, and the counts that come from it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

Points = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]


def match_points(found: Points, true: Points, within: float) -> tuple[Places, Places]:
    """Places of matched points in `found` (n, 2) and `true` (m, 2): nearest pairs first, each point once."""
    if len(found) == 0 or len(true) == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    pairs = cKDTree(found).sparse_distance_matrix(cKDTree(true), within, output_type="ndarray")
    free_found, free_true = np.ones(len(found), bool), np.ones(len(true), bool)
    chosen = []
    for pair in pairs[np.lexsort((pairs["j"], pairs["i"], pairs["v"]))]:
        if free_found[pair["i"]] and free_true[pair["j"]]:
            free_found[pair["i"]] = free_true[pair["j"]] = False
            chosen.append((pair["i"], pair["j"]))
    matched = np.array(chosen, np.int64).reshape(-1, 2)
    return matched[:, 0], matched[:, 1]


def scores(n_matched: int, n_found: int, n_true: int) -> dict[str, Any]:
    """Precision, recall and F1 with the counts behind them; None where nothing could be counted."""
    return {
        "n_found": n_found,
        "n_true": n_true,
        "n_matched": n_matched,
        "precision": n_matched / n_found if n_found else None,
        "recall": n_matched / n_true if n_true else None,
        "f1": 2 * n_matched / (n_found + n_true) if n_found + n_true else None,
    }


def overlap_matches(found: npt.NDArray[Any], true: npt.NDArray[Any], least_iou: float = 0.5) -> int:
    """How many labelled objects of two images (h, w) overlap by more than `least_iou` (one-to-one above
    0.5)."""
    n_true = int(true.max(initial=0)) + 1
    pairs, shared = np.unique(found.astype(np.int64).ravel() * n_true + true.ravel(), return_counts=True)
    a, b = pairs // n_true, pairs % n_true
    area_found = np.bincount(found.ravel().astype(np.int64))
    area_true = np.bincount(true.ravel().astype(np.int64))
    both = (a > 0) & (b > 0)
    union = area_found[a[both]] + area_true[b[both]] - shared[both]
    return int(np.count_nonzero(shared[both] > least_iou * union))
