"""Do two readers, or tool and reader, agree? Numbers (Bland-Altman, CCC, ICC) and calls (kappa and its
companions).

Agreement over EM and normal skin together is flattered by the range between the groups: `within_groups` gives
the same answers inside each. R-squared is not agreement and is not offered.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy import special, stats

from ishcount.stats.entry import Entry, mean, number, result, unavailable, variance
from ishcount.stats.means import t_interval, t_p_value, t_quantile

SCALES = ("raw", "square_root", "ratio")


def bland_altman(
    a: Sequence[float],
    b: Sequence[float],
    *,
    scale: str = "raw",
    offset: float = 0.0,
    confidence: float = 0.95,
) -> Entry:
    """Bias of `a` - `b`, limits of agreement (mean -/+ 1.96 SD) and intervals of all three.

    `scale`: `raw`; `square_root` (steadies the variance of counts); `ratio` (a / b by logarithms; `offset` is
    added to both first and stated, because log 0 is not a number). Intervals: Bland and Altman 1999, t with n
    - 1. `slope` is the proportional bias: difference regressed on mean, with its P.
    """
    estimand = {"raw": "a - b", "square_root": "sqrt(a) - sqrt(b)", "ratio": "a / b"}[scale]
    x, y = (_scaled(values, scale, offset) for values in (a, b))
    if x is None or y is None:
        return unavailable(estimand, "a value has no place on this scale (negative, or 0 without an offset)")
    if len(x) < 3:
        return unavailable(estimand, f"{len(x)} pair(s); at least 3 are needed")
    differences = (x - y).tolist()
    n, bias, spread = len(differences), mean(differences), math.sqrt(variance(differences))
    back = math.exp if scale == "ratio" else float
    z = float(special.ndtri(0.975))  # 95 % limits by definition, whatever the confidence of their intervals
    error = spread * math.sqrt(1 / n + z**2 / (2 * (n - 1)))
    low, high = bias - z * spread, bias + z * spread

    def limits(centre: float, standard_error: float) -> list[float]:
        return [back(limit) for limit in t_interval(centre, standard_error, n - 1, confidence)]

    return result(
        estimand,
        estimate=back(bias),
        ci=limits(bias, spread / math.sqrt(n)),
        sd=spread,
        lower_limit=back(low),
        lower_limit_ci=limits(low, error),
        upper_limit=back(high),
        upper_limit_ci=limits(high, error),
        **_proportional_bias((x + y) / 2, np.array(differences)),
        n=n,
        scale=scale,
        offset=offset,
        limits="mean -/+ 1.96 SD",
    )


def lin_ccc(a: Sequence[float], b: Sequence[float], *, confidence: float = 0.95) -> Entry:
    """Lin's concordance correlation (population variances) with Fisher-z interval (variance of Lin 1989,
    2000, n - 2).
    """
    estimand = "concordance correlation coefficient"
    x, y = np.asarray(a, float), np.asarray(b, float)
    n = len(x)
    if n < 4:
        return unavailable(estimand, f"{n} pair(s); at least 4 are needed")
    variances = float(x.var()), float(y.var())
    if min(variances) == 0:
        return unavailable(estimand, "one reader's values are all equal")
    product = math.sqrt(variances[0] * variances[1])
    r = float(((x - x.mean()) * (y - y.mean())).mean()) / product
    away = float(y.mean() - x.mean())
    ccc = 2 * r * product / (sum(variances) + away**2)
    found = result(estimand, estimate=ccc, pearson_r=r, bias_correction=ccc / r if r else None, n=n)
    if r == 0 or abs(ccc) >= 1 - 1e-12:
        return found | {"reason": "no interval: perfect agreement, or no correlation at all"}
    shift = away**2 / product
    spread = (
        (1 - r**2) * ccc**2 * (1 - ccc**2) / r**2
        + 2 * ccc**3 * (1 - ccc) * shift / r
        - ccc**4 * shift**2 / (2 * r**2)
    )
    half = float(special.ndtri(0.5 + confidence / 2)) * math.sqrt(max(spread, 0.0) / (n - 2)) / (1 - ccc**2)
    return found | {"ci": [math.tanh(math.atanh(ccc) - half), math.tanh(math.atanh(ccc) + half)]}


def icc_2_1(ratings: Sequence[Sequence[float]], *, confidence: float = 0.95) -> Entry:
    """ICC(2,1), absolute agreement of single ratings; rows are subjects, columns readers (Shrout and Fleiss
    1979).

    May be negative. F and P test whether subjects differ at all.
    """
    estimand = "intraclass correlation ICC(2,1), absolute agreement of a single reading"
    table = np.asarray(ratings, float)
    n, k = table.shape if table.ndim == 2 else (0, 0)
    if n < 3 or k < 2:
        return unavailable(estimand, f"{n} subject(s) and {k} reader(s); at least 3 and 2 are needed")
    subjects, readers, rest = _mean_squares(table)
    bottom = subjects + (k - 1) * rest + k * (readers - rest) / n
    if bottom <= 0:
        return unavailable(estimand, "the subjects do not differ")
    icc = (subjects - rest) / bottom
    found = result(estimand, estimate=icc, n_subjects=n, n_readers=k)
    if rest == 0:
        return found | {"reason": "no interval: readers differ by a constant at most"}
    statistic = subjects / rest
    p = float(stats.f.sf(statistic, n - 1, (n - 1) * (k - 1)))
    return found | {
        "statistic": statistic,
        "p": p,
        "ci": _icc_interval(icc, subjects, readers, rest, n, k, confidence),
    }


def cohen_kappa(
    table: Sequence[Sequence[float]], *, weights: str = "unweighted", confidence: float = 0.95
) -> Entry:
    """Cohen's kappa of a square table (rows reader a, columns b), `unweighted`, `linear` or `quadratic`.

    Standard error of Fleiss, Cohen and Everitt 1969. At low prevalence read `binary_agreement` beside it.
    """
    estimand = f"agreement beyond chance (Cohen's kappa, {weights})"
    counts = np.asarray(table, float)
    total = counts.sum()
    if total == 0:
        return unavailable(estimand, "no pair of calls")
    shares = counts / total
    rows, columns = shares.sum(axis=1), shares.sum(axis=0)
    credit = _credit(len(counts), weights)
    seen, chance = float((credit * shares).sum()), float(rows @ credit @ columns)
    if math.isclose(chance, 1.0):
        return unavailable(estimand, "both readers gave every call the same class: chance alone explains it")
    kappa = (seen - chance) / (1 - chance)
    adjusted = credit - ((credit @ columns)[:, None] + (rows @ credit)[None, :]) * (1 - kappa)
    spread = float((shares * adjusted**2).sum()) - (kappa - chance * (1 - kappa)) ** 2
    error = math.sqrt(max(spread, 0.0)) / (1 - chance) / math.sqrt(total)
    half = float(special.ndtri(0.5 + confidence / 2)) * error
    return result(
        estimand,
        estimate=kappa,
        standard_error=error,
        ci=[max(-1.0, kappa - half), min(1.0, kappa + half)],
        n=int(total),
    )


def fleiss_kappa(counts: Sequence[Sequence[int]], *, confidence: float = 0.95) -> Entry:
    """Fleiss' kappa; rows are subjects, columns how many readers chose each class. Interval by jackknife over
    subjects.
    """
    estimand = "agreement beyond chance of several readers (Fleiss' kappa)"
    table = np.asarray(counts, float)
    if len(table) < 3 or len(set(table.sum(axis=1).tolist())) != 1 or table[0].sum() < 2:
        return unavailable(
            estimand, "at least 3 subjects, each read by the same 2 or more readers, are needed"
        )

    def kappa(rows: np.ndarray) -> float:
        readers = rows[0].sum()
        seen = float(((rows**2).sum(axis=1) - readers).mean() / (readers * (readers - 1)))
        chance = float(((rows.sum(axis=0) / rows.sum()) ** 2).sum())
        return (seen - chance) / (1 - chance) if chance < 1 else math.nan

    estimate = kappa(table)
    if math.isnan(estimate):
        return unavailable(estimand, "every reader gave every subject the same class")
    left_out = np.array([kappa(np.delete(table, i, axis=0)) for i in range(len(table))])
    return result(
        estimand,
        estimate=estimate,
        n=len(table),
        **_jackknife(estimate, left_out, np.ones(len(table)), confidence),
    )


def binary_agreement(table: Sequence[Sequence[int]], *, confidence: float = 0.95) -> Entry:
    """Positive and negative agreement and Gwet's AC1 of a 2 x 2 table [[both +, a only], [b only, both -]].

    Kappa is paradoxical when 0.2 % of cells are positive; positive agreement 2a / (2a + b + c) is what a
    reader means. Intervals by jackknife over the calls.
    """
    counts = np.asarray(table, float)
    found: Entry = {"n": int(counts.sum()), "prevalence": None}
    if counts.sum() > 0:
        found["prevalence"] = float((2 * counts[0, 0] + counts[0, 1] + counts[1, 0]) / (2 * counts.sum()))
    for name, measure in (
        ("positive_agreement", _positive),
        ("negative_agreement", _negative),
        ("gwet_ac1", _ac1),
    ):
        found[name] = _with_jackknife(name.replace("_", " "), counts, measure, confidence)
    found["cohen_kappa"] = cohen_kappa(counts.tolist(), confidence=confidence)
    return found


def call_table(a: Sequence[Any], b: Sequence[Any], classes: Sequence[Any]) -> list[list[int]]:
    """Square table of two readers' calls; `classes` in order (for a 2 x 2 table: positive first)."""
    place = {label: i for i, label in enumerate(classes)}
    table = [[0] * len(classes) for _ in classes]
    for first, second in zip(a, b, strict=True):
        table[place[first]][place[second]] += 1
    return table


def agree(a: Sequence[float], b: Sequence[float], *, confidence: float = 0.95) -> Entry:
    """Everything for two series of densities: Bland-Altman on three scales, CCC, ICC(2,1). Ratio offset: half
    the smallest density above 0 when a 0 occurs, and stated.
    """
    positive = [value for value in [*a, *b] if value > 0]
    offset = min(positive) / 2 if positive and min([*a, *b]) == 0 else 0.0
    found: Entry = {"n": len(a)}
    for scale in SCALES:
        shift = offset if scale == "ratio" else 0.0
        found[f"bland_altman_{scale}"] = bland_altman(a, b, scale=scale, offset=shift, confidence=confidence)
    found["lin_ccc"] = lin_ccc(a, b, confidence=confidence)
    found["icc_2_1"] = icc_2_1(list(zip(a, b, strict=True)), confidence=confidence)
    return found


def within_groups(
    a: Sequence[float], b: Sequence[float], groups: Sequence[str], *, confidence: float = 0.95
) -> dict[str, Entry]:
    """`agree` inside each group, by the group's name in sorted order."""
    found = {}
    for name in sorted(set(groups)):
        members = [i for i, group in enumerate(groups) if group == name]
        found[name] = agree([a[i] for i in members], [b[i] for i in members], confidence=confidence)
    return found


def _scaled(values: Sequence[float], scale: str, offset: float) -> np.ndarray | None:
    array = np.asarray(values, float) + (offset if scale == "ratio" else 0.0)
    if scale == "square_root":
        return np.sqrt(array) if (array >= 0).all() else None
    if scale == "ratio":
        return np.log(array) if (array > 0).all() else None
    return array


def _proportional_bias(centres: np.ndarray, differences: np.ndarray) -> Entry:
    away = centres - centres.mean()
    squares = float(away @ away)
    if len(centres) < 3 or squares == 0:
        return {"slope": None, "slope_p": None}
    slope = float(away @ differences) / squares
    rest = differences - differences.mean() - slope * away
    error = math.sqrt(float(rest @ rest) / (len(centres) - 2) / squares)
    return {"slope": slope, "slope_p": t_p_value(slope / error, len(centres) - 2) if error > 0 else None}


def _mean_squares(table: np.ndarray) -> tuple[float, float, float]:
    """Mean squares of subjects, readers and the rest of a two-way table."""
    n, k = table.shape
    rows = table.mean(axis=1, keepdims=True) - table.mean()
    columns = table.mean(axis=0, keepdims=True) - table.mean()
    rest = table - table.mean() - rows - columns
    floor = 1e-13 * float((table**2).mean())  # rounding, not disagreement
    squares = float((rest**2).sum()) / ((n - 1) * (k - 1))
    between = float(k * (rows**2).sum() / (n - 1))
    return (
        between if between > floor else 0.0,
        float(n * (columns**2).sum() / (k - 1)),
        squares if squares > floor else 0.0,
    )


def _icc_interval(
    icc: float, subjects: float, readers: float, rest: float, n: int, k: int, confidence: float
) -> list[float] | None:
    """Shrout and Fleiss 1979, appendix."""
    ratio = readers / rest
    part = n * (1 + (k - 1) * icc) - k * icc
    df = (n - 1) * (k - 1) * (k * icc * ratio + part) ** 2 / ((n - 1) * (k * icc * ratio) ** 2 + part**2)
    tail = 0.5 + confidence / 2
    upper, lower = float(stats.f.ppf(tail, n - 1, df)), float(stats.f.ppf(tail, df, n - 1))
    common = k * readers + (k * n - k - n) * rest
    low = n * (subjects - upper * rest) / (upper * common + n * subjects)
    high = n * (lower * subjects - rest) / (common + n * lower * subjects)
    return [low, high] if math.isfinite(low + high) else None


def _credit(size: int, weights: str) -> np.ndarray:
    distance = np.abs(np.subtract.outer(np.arange(size), np.arange(size))) / max(size - 1, 1)
    return {
        "unweighted": (distance == 0).astype(float),
        "linear": 1 - distance,
        "quadratic": 1 - distance**2,
    }[weights]


def _positive(t: np.ndarray) -> float:
    bottom = 2 * t[0, 0] + t[0, 1] + t[1, 0]
    return float(2 * t[0, 0] / bottom) if bottom > 0 else math.nan


def _negative(t: np.ndarray) -> float:
    return _positive(t[::-1, ::-1])


def _ac1(t: np.ndarray) -> float:
    total = t.sum()
    if total == 0:
        return math.nan
    share = (2 * t[0, 0] + t[0, 1] + t[1, 0]) / (2 * total)
    chance = 2 * share * (1 - share)
    return float(((t[0, 0] + t[1, 1]) / total - chance) / (1 - chance))


def _with_jackknife(
    estimand: str, counts: np.ndarray, measure: Callable[[np.ndarray], float], confidence: float
) -> Entry:
    estimate = measure(counts)
    if math.isnan(estimate):
        return unavailable(estimand, "neither reader made such a call")
    left_out, weights = [], []
    for cell in np.argwhere(counts > 0):
        fewer = counts.copy()
        fewer[tuple(cell)] -= 1
        left_out.append(measure(fewer))
        weights.append(float(counts[tuple(cell)]))
    return result(
        estimand, estimate=estimate, **_jackknife(estimate, np.array(left_out), np.array(weights), confidence)
    )


def _jackknife(estimate: float, left_out: np.ndarray, weights: np.ndarray, confidence: float) -> Entry:
    """t interval from leave-one-out values, each occurring `weights` times; cut at the measure's bounds -1
    and 1.
    """
    n = float(weights.sum())
    if n < 3 or np.isnan(left_out).any():
        return {"reason": "too few calls for an interval"}
    centre = float((weights * left_out).sum() / n)
    error = math.sqrt((n - 1) / n * float((weights * (left_out - centre) ** 2).sum()))
    if error == 0:
        return {"standard_error": 0.0, "reason": "no interval: no disagreement to judge it by"}
    half = t_quantile(confidence, n - 1) * error
    return {"standard_error": number(error), "ci": [max(-1.0, estimate - half), min(1.0, estimate + half)]}
