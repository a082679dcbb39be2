"""Effect sizes: Hedges g with the exact correction, Cliff's delta, AUC with permuted Brunner-Munzel."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
from scipy import optimize, special, stats

from ishcount.stats.entry import Entry, mean, result, unavailable
from ishcount.stats.means import pooled_deviation, t_p_value, t_quantile
from ishcount.stats.ranks import cliffs_delta
from ishcount.stats.settings import StatisticsParams

STANDARDISED = "difference of means in pooled standard deviations"
DOMINANCE = "P(case > control) - P(case < control)"
SUPERIORITY = "P(case > control) + half P(equal)"
LISTED = 100_000  # rearrangements listed for Brunner-Munzel; more are drawn: each needs all pairs


def hedges_correction(df: int) -> float:
    """J, the exact small-sample factor of Hedges 1981 (gamma form, not 1 - 3 / (4 df - 1))."""
    return (
        math.exp(math.lgamma(df / 2) - math.lgamma((df - 1) / 2)) / math.sqrt(df / 2) if df > 1 else math.nan
    )


def hedges_g(x: Sequence[float], y: Sequence[float], *, confidence: float = 0.95) -> Entry:
    """Hedges g of `x` against `y` with its noncentral t interval; `cohens_d` and its interval beside it.

    The limits solve P(t | df, ncp) = tail to rounding (R: `uniroot` on `pt`) and carry the exact J as the
    estimate. R's effectsize 0.8.3 searches for both with Nelder-Mead and stops up to 5e-7 short of them.
    """
    if min(len(x), len(y)) < 1 or len(x) + len(y) < 4:
        return unavailable(STANDARDISED, "at least 4 patients, and one in each group, are needed")
    spread = pooled_deviation(x, y)
    if spread <= 10 * float(np.finfo(float).eps) * max(abs(mean(x)), abs(mean(y))):
        return unavailable(STANDARDISED, "zero variance in both groups")
    df = len(x) + len(y) - 2
    unit = math.sqrt(1 / len(x) + 1 / len(y))
    d = (mean(x) - mean(y)) / spread
    low, high = (limit * unit for limit in _noncentrality(abs(d) / unit, df, confidence))
    ci = [low, high] if d >= 0 else [-high, -low]
    factor = hedges_correction(df)
    return result(
        STANDARDISED, estimate=d * factor, ci=[factor * limit for limit in ci], cohens_d=d, cohens_d_ci=ci
    )


def cliff(x: Sequence[float], y: Sequence[float], *, confidence: float = 0.95) -> Entry:
    """Cliff's delta with the asymmetric interval of Feng and Cliff 2004; none under complete separation."""
    if min(len(x), len(y)) < 1:
        return unavailable(DOMINANCE, "a group has no patient")
    delta = cliffs_delta(x, y)
    if min(len(x), len(y)) < 2:
        return unavailable(DOMINANCE, "no interval with one patient in a group", estimate=delta)
    signs = np.sign(np.subtract.outer(np.sort(x), np.sort(y)))
    n, m = signs.shape
    rows, columns = signs.mean(axis=1) - delta, signs.mean(axis=0) - delta
    spread = m**2 * (rows**2).sum() + n**2 * (columns**2).sum() - ((signs - delta) ** 2).sum()
    spread = max(spread / (n * m * (n - 1) * (m - 1)), (1 - delta**2) / (n * m - 1))
    if spread <= 0 or abs(delta) == 1:
        return unavailable(DOMINANCE, "no interval: the groups are completely separated", estimate=delta)
    z = float(special.ndtri(0.5 + confidence / 2))
    root = z * math.sqrt(spread) * math.sqrt((1 - delta**2) ** 2 + z**2 * spread)
    bottom = 1 - delta**2 + z**2 * spread
    return result(
        DOMINANCE, estimate=delta, ci=[(delta - delta**3 - root) / bottom, (delta - delta**3 + root) / bottom]
    )


def brunner_munzel(
    x: Sequence[float],
    y: Sequence[float],
    *,
    settings: StatisticsParams = StatisticsParams(),
) -> Entry:
    """AUC with its interval (logit, Satterthwaite t) and the studentised permutation P of AUC = 1/2.

    Neubert and Brunner 2007 for the permutation, Brunner and Munzel 2000 for the spread; `p_t` is the t form.
    """
    auc = 0.5 + cliffs_delta(x, y) / 2 if min(len(x), len(y)) else math.nan
    if min(len(x), len(y)) < 2:
        estimate = None if math.isnan(auc) else auc
        return unavailable(SUPERIORITY, "fewer than 2 patients in a group", estimate=estimate)
    if min([*x, *y]) == max([*x, *y]):
        return unavailable(SUPERIORITY, "every value is equal", estimate=auc)
    swapped = (len(x), sorted(x)) > (len(y), sorted(y))
    first, second = (sorted(y), sorted(x)) if swapped else (sorted(x), sorted(y))
    members, exact = _memberships(len(first), len(second), settings)
    statistic = _brunner_munzel_squared(np.array(first + second), members)
    observed = _brunner_munzel_squared(
        np.array(first + second), (np.arange(len(first) + len(second)) < len(first))[None]
    )[0]
    count = int(np.count_nonzero(statistic >= observed * (1 - 1e-9)))
    p = count / len(statistic) if exact else (count + 1) / (len(statistic) + 1)
    found = result(SUPERIORITY, estimate=auc, p=p, n_permutations=len(statistic), exact=exact)
    return found | _auc_interval(x, y, auc, settings.confidence)


def _noncentrality(t: float, df: int, confidence: float) -> tuple[float, float]:
    """Noncentrality parameters at which `t` (>= 0) sits at the two tails."""

    def solve(tail: float) -> float:
        span = 4.0
        while stats.nct.cdf(t, df, t - span) < tail or stats.nct.cdf(t, df, t + span) > tail:
            span *= 2
        return float(
            optimize.brentq(lambda nc: stats.nct.cdf(t, df, nc) - tail, t - span, t + span, xtol=1e-12)
        )

    return solve(0.5 + confidence / 2), solve(0.5 - confidence / 2)


def _auc_interval(x: Sequence[float], y: Sequence[float], auc: float, confidence: float) -> Entry:
    n, m = len(x), len(y)
    above = (np.sign(np.subtract.outer(np.sort(x), np.sort(y))) + 1) / 2
    parts = above.mean(axis=1).var(ddof=1) / n, above.mean(axis=0).var(ddof=1) / m
    spread = float(sum(parts))
    if spread <= 0:
        return {"ci": None, "p_t": None, "reason": "no interval: the groups are completely separated"}
    df = spread**2 / (parts[0] ** 2 / (n - 1) + parts[1] ** 2 / (m - 1))
    half = t_quantile(confidence, df) * math.sqrt(spread) / (auc * (1 - auc))
    centre = math.log(auc / (1 - auc))
    ci = [1 / (1 + math.exp(-(centre - half))), 1 / (1 + math.exp(-(centre + half)))]
    return {"ci": ci, "p_t": t_p_value((auc - 0.5) / math.sqrt(spread), df), "df": float(df)}


def _memberships(n: int, m: int, settings: StatisticsParams) -> tuple[np.ndarray, bool]:
    """Which patients sit in the first group: all ways, or ways drawn by seed; bool (ways, n + m)."""
    if math.comb(n + m, n) <= min(LISTED, settings.exact_limit):
        chosen = np.array(list(combinations(range(n + m), n)), dtype=np.intp)
    else:
        count = min(settings.n_permutations, 19_999)
        chosen = np.argsort(np.random.default_rng(settings.seed).random((count, n + m)), axis=1)[:, :n]
    members = np.zeros((len(chosen), n + m), bool)
    np.put_along_axis(members, chosen, True, axis=1)
    return members, math.comb(n + m, n) <= min(LISTED, settings.exact_limit)


def _brunner_munzel_squared(pooled: np.ndarray, members: np.ndarray) -> np.ndarray:
    """Squared studentised AUC for each row of `members`; whole numbers until the last division."""
    n = int(members[0].sum())
    m = len(pooled) - n
    above = (np.sign(np.subtract.outer(pooled, pooled)) + 1).astype(np.float64)  # 2, 1 or 0: exact in float
    inside = members.astype(np.float64)
    over_second = (1 - inside) @ above.T * inside  # twice the number of the second group each first one beats
    over_first = inside @ above.T * (1 - inside)
    total = over_second.sum(axis=1)
    first = ((over_second**2).sum(axis=1) * n - total**2) / (n**2 * (n - 1.0) * m**2)
    back = over_first.sum(axis=1)
    second = ((over_first**2).sum(axis=1) * m - back**2) / (m**2 * (m - 1.0) * n**2)
    away = total / (n * m) - 1
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(away == 0, 0.0, away**2 / (first + second))
