"""Means and their differences: description, Student, Welch, paired t, Welch's analysis of variance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import special, stats

from ishcount.stats.entry import Entry, interval, mean, number, result, unavailable, variance

DIFFERENCE = "difference of means (case - control)"
PAIRED = "mean within-patient change"


def describe(values: Sequence[float], *, confidence: float = 0.95) -> Entry:
    """n, zeros, mean with t interval, SD, median and quartiles (R's type 7) of one group's densities."""
    n = len(values)
    if n == 0:
        return {"n": 0, "n_zero": 0, "reason": "no patient"}
    low, median, high = (float(q) for q in np.quantile(np.sort(values), [0.25, 0.5, 0.75]))
    found: Entry = {
        "n": n,
        "n_zero": sum(value == 0 for value in values),
        "mean": mean(values),
        "median": median,
    }
    found |= {"q1": low, "q3": high, "min": float(min(values)), "max": float(max(values))}
    if n == 1:
        return found | {"sd": None, "se": None, "ci": None, "reason": "one patient has no spread"}
    spread = math.sqrt(variance(values))
    half = t_quantile(confidence, n - 1) * spread / math.sqrt(n)
    return found | {
        "sd": spread,
        "se": spread / math.sqrt(n),
        "ci": [found["mean"] - half, found["mean"] + half],
        "reason": None,
    }


def t_quantile(confidence: float, df: float) -> float:
    """Two-sided t quantile: the factor of a standard error in an interval."""
    return float(special.stdtrit(df, 0.5 + confidence / 2))


def welch(
    x: Sequence[float], y: Sequence[float], *, confidence: float = 0.95, alternative: str = "two-sided"
) -> Entry:
    """Welch's t: difference of means of `x` and `y` with unequal variances."""
    refusal = _too_small(x, y, least=2)
    if refusal:
        return unavailable(DIFFERENCE, refusal)
    parts = variance(x) / len(x), variance(y) / len(y)
    error = math.sqrt(sum(parts))
    if _constant(error, x, y):
        return unavailable(DIFFERENCE, "zero variance in both groups")
    df = sum(parts) ** 2 / (parts[0] ** 2 / (len(x) - 1) + parts[1] ** 2 / (len(y) - 1))
    return _t_entry(DIFFERENCE, mean(x) - mean(y), error, df, confidence, alternative)


def student(
    x: Sequence[float], y: Sequence[float], *, confidence: float = 0.95, alternative: str = "two-sided"
) -> Entry:
    """Student's t with pooled variance, as the paper seems to have used; stands beside Welch."""
    refusal = _too_small(x, y, least=1)
    if refusal:
        return unavailable(DIFFERENCE, refusal)
    if len(x) + len(y) < 3:
        return unavailable(DIFFERENCE, "one patient in each group has no spread")
    error = pooled_deviation(x, y) * math.sqrt(1 / len(x) + 1 / len(y))
    if _constant(error, x, y):
        return unavailable(DIFFERENCE, "zero variance in both groups")
    found = _t_entry(DIFFERENCE, mean(x) - mean(y), error, len(x) + len(y) - 2, confidence, alternative)
    if min(len(x), len(y)) == 1:
        found["warning"] = "one patient in a group: the spread is the other group's alone"
    return found


def log_welch(x: Sequence[float], y: Sequence[float], *, confidence: float = 0.95) -> Entry:
    """Welch's t on log(1 + density): a difference of geometric means, another question than the means."""
    estimand = "difference of means of log(1 + density)"
    if min([*x, *y], default=0.0) < -1:
        return unavailable(estimand, "log(1 + density) needs densities above -1")
    return welch(np.log1p(x).tolist(), np.log1p(y).tolist(), confidence=confidence) | {"estimand": estimand}


def paired_t(x: Sequence[float], y: Sequence[float], *, confidence: float = 0.95) -> Entry:
    """Paired t of `x` - `y`, with dz = mean change / SD of the changes."""
    changes = [a - b for a, b in zip(x, y, strict=True)]
    if len(changes) < 2:
        return unavailable(PAIRED, f"{len(changes)} pair(s); at least 2 are needed")
    spread = math.sqrt(variance(changes))
    error = spread / math.sqrt(len(changes))
    if _constant(error, x, y):
        return unavailable(PAIRED, "every patient changed by the same amount", estimate=mean(changes))
    found = _t_entry(PAIRED, mean(changes), error, len(changes) - 1, confidence, "two-sided")
    return found | {"n_pairs": len(changes), "dz": mean(changes) / spread}


def welch_anova(groups: Sequence[Sequence[float]]) -> Entry:
    """Welch's analysis of variance of three or more group means (Welch 1951)."""
    estimand = "equality of all group means"
    if min(len(group) for group in groups) < 2:
        return unavailable(estimand, "a group has fewer than 2 patients")
    spreads = [variance(group) for group in groups]
    if min(spreads) == 0:
        return unavailable(estimand, "a group has zero variance")
    k = len(groups)
    weights = [len(group) / spread for group, spread in zip(groups, spreads, strict=True)]
    total = math.fsum(weights)
    means = [mean(group) for group in groups]
    centre = math.fsum(w * m for w, m in zip(weights, means, strict=True)) / total
    between = math.fsum(w * (m - centre) ** 2 for w, m in zip(weights, means, strict=True)) / (k - 1)
    lack = math.fsum((1 - w / total) ** 2 / (len(g) - 1) for w, g in zip(weights, groups, strict=True))
    statistic = between / (1 + 2 * (k - 2) / (k**2 - 1) * lack)
    df = (k**2 - 1) / (3 * lack)
    p = float(stats.f.sf(statistic, k - 1, df))
    return result(estimand, statistic=statistic, df=[k - 1, df], p=p)


def assumptions(x: Sequence[float], y: Sequence[float]) -> Entry:
    """Ratio of variances with its F test, and Shapiro-Wilk of each group: for reading, never for choosing a
    test.
    """
    found: Entry = {
        "variance_ratio": None,
        "variance_ratio_p": None,
        "shapiro_case_p": None,
        "shapiro_control_p": None,
    }
    if min(len(x), len(y)) >= 2 and min(variance(x), variance(y)) > 0:
        ratio = variance(x) / variance(y)
        tail = float(stats.f.cdf(ratio, len(x) - 1, len(y) - 1))
        found |= {
            "variance_ratio": ratio,
            "variance_ratio_p": 2 * min(tail, float(stats.f.sf(ratio, len(x) - 1, len(y) - 1))),
        }
    for name, values in (("case", x), ("control", y)):
        if len(values) >= 3 and min(values) < max(values):
            found[f"shapiro_{name}_p"] = number(float(stats.shapiro(np.sort(values)).pvalue))
    return found


def pooled_deviation(x: Sequence[float], y: Sequence[float]) -> float:
    """Pooled standard deviation; a group of one adds its mean but no spread."""
    squares = [variance(values) * (len(values) - 1) for values in (x, y) if len(values) > 1]
    return math.sqrt(math.fsum(squares) / (len(x) + len(y) - 2))


def t_interval(estimate: float, error: float, df: float, confidence: float) -> list[float]:
    """Estimate -/+ t quantile x standard error."""
    half = t_quantile(confidence, df) * error
    return [estimate - half, estimate + half]


def t_p_value(statistic: float, df: float) -> float:
    """Two-sided P of a t statistic."""
    return float(2 * special.stdtr(df, -abs(statistic)))


def _t_entry(
    estimand: str, estimate: float, error: float, df: float, confidence: float, alternative: str
) -> Entry:
    statistic = estimate / error
    numbers: dict[str, Any] = {
        "estimate": estimate,
        "standard_error": error,
        "statistic": statistic,
        "df": float(df),
    }
    if alternative == "greater":
        low = estimate - float(special.stdtrit(df, confidence)) * error
        return result(estimand, **numbers, **interval(low, math.inf), p=float(special.stdtr(df, -statistic)))
    if alternative == "less":
        high = estimate + float(special.stdtrit(df, confidence)) * error
        return result(estimand, **numbers, **interval(-math.inf, high), p=float(special.stdtr(df, statistic)))
    limits = t_interval(estimate, error, df, confidence)
    return result(estimand, **numbers, ci=limits, p=t_p_value(statistic, df))


def _too_small(x: Sequence[float], y: Sequence[float], *, least: int) -> str | None:
    for name, values in (("case", x), ("control", y)):
        if len(values) < least:
            return f"{len(values)} patient(s) in {name}; at least {least} are needed"
    return None


def _constant(error: float, x: Sequence[float], y: Sequence[float]) -> bool:
    """R's rule for "essentially constant": a standard error that is rounding alone."""
    largest = max(abs(mean(x)), abs(mean(y)))
    return error <= 10 * float(np.finfo(float).eps) * largest
