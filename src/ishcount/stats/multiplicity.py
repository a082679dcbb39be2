"""Adjusting P values for how many were looked at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

METHODS = ("bonferroni", "holm", "hochberg", "bh", "by")


def adjust(p_values: Sequence[float | None], *, method: str = "holm") -> list[float | None]:
    """Adjusted P values in the order given; a missing P stays missing and does not count towards the family.

    `holm` (family-wise, the primary family) and `bh` (false discovery rate) are what ishcount uses;
    `bonferroni`, `hochberg` and `by` are there for comparison with other software.
    """
    if method not in METHODS:
        raise ValueError(f"unknown adjustment {method!r}; one of {', '.join(METHODS)}")
    places = [i for i, p in enumerate(p_values) if p is not None and not np.isnan(p)]
    adjusted: list[float | None] = [None] * len(p_values)
    p = np.array([p_values[i] for i in places], float)
    for i, value in zip(places, _adjusted(p, method), strict=True):
        adjusted[i] = float(value)
    return adjusted


def _adjusted(p: np.ndarray, method: str) -> np.ndarray:
    m = len(p)
    order = np.argsort(p, kind="stable")
    ordered, rank = p[order], np.arange(1, m + 1)
    if method == "bonferroni":
        return np.minimum(1, p * m)
    if method == "holm":
        stepped = np.maximum.accumulate(ordered * (m - rank + 1))
    else:
        factor = {
            "hochberg": m - rank + 1.0,
            "bh": m / rank,
            "by": m / rank * np.sum(1 / rank),
        }[method]
        stepped = np.minimum.accumulate((ordered * factor)[::-1])[::-1]
    back = np.empty(m)
    back[order] = np.minimum(1, stepped)
    return back
