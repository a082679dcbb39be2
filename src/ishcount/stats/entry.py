"""One shape for every estimate in `statistics.json`: what it estimates, numbers, why one is missing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

Entry = dict[str, Any]


def number(value: float | None) -> float | None:
    """A plain float, or None for what is not finite: JSON knows neither NaN nor infinity."""
    if value is None or not math.isfinite(value):
        return None
    return float(value)


def interval(low: float, high: float) -> Entry:
    """`{"ci": [low, high]}`, with `"unbounded"` naming the side that is infinite and null there."""
    found: Entry = {"ci": [number(low), number(high)]}
    sides = [name for name, limit in (("low", low), ("high", high)) if math.isinf(limit)]
    if sides:
        found["unbounded"] = sides[0] if len(sides) == 1 else "both"
    return found


def result(estimand: str, **numbers: Any) -> Entry:
    """An entry that could be computed; `reason` is null unless one of its numbers is missing."""
    return {"estimand": estimand, "estimate": None, "ci": None, "p": None, "reason": None} | numbers


def unavailable(estimand: str, reason: str, **numbers: Any) -> Entry:
    """An entry whose numbers are null, and the sentence that says why."""
    return result(estimand, **numbers) | {"reason": reason}


def mean(values: Sequence[float]) -> float:
    """Mean, correctly rounded, so that the order of the values cannot matter."""
    return math.fsum(values) / len(values)


def variance(values: Sequence[float]) -> float:
    """Sample variance (n - 1), by two exact sums; needs two values."""
    centre = mean(values)
    return math.fsum((value - centre) ** 2 for value in values) / (len(values) - 1)
