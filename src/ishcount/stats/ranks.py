"""Rank tests: exact with ties (Mann-Whitney, signed rank), Hodges-Lehmann, Kruskal-Wallis.

scipy's "exact" Mann-Whitney ignores ties and is wrong for densities with zeros, so the null distribution of
the mid-ranks is counted here in whole numbers. Two-sided means |T - E(T)| at least as large as observed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import special, stats

from ishcount.stats.entry import Entry, number, result, unavailable

SHIFT = "shift of one distribution against the other (same shape); P: same distribution"
CHANGE = "pseudo-median of the within-patient change; P: changes symmetric about 0"
EXACT_PATIENTS = 60  # C(60, 30) fits a 64-bit integer, so counting stays exact; above it the normal form


def mann_whitney(
    x: Sequence[float], y: Sequence[float], *, confidence: float = 0.95, alternative: str = "two-sided"
) -> Entry:
    """Mann-Whitney with the Hodges-Lehmann shift of `x` against `y` and its interval.

    Exact and tie-correct up to 60 patients (equal to R's coin), else normal with continuity and tie
    correction. `statistic` is U of `x`. All values equal: P is 1. The interval is exact only under a pure
    shift.
    """
    if min(len(x), len(y)) < 1:
        return unavailable(SHIFT, "a group has no patient", hodges_lehmann=None)
    differences = np.sort(np.subtract.outer(np.asarray(x, float), np.asarray(y, float)).ravel())
    u = float(np.sum(differences > 0) + 0.5 * np.sum(differences == 0))
    shift = float(np.median(differences))
    found = result(SHIFT, estimate=shift, hodges_lehmann=shift, statistic=u)
    exact = len(x) + len(y) <= EXACT_PATIENTS
    found["method"] = (
        "exact with mid-ranks" if exact else "normal approximation, tie and continuity corrected"
    )
    if not exact:
        return found | {
            "p": mann_whitney_normal(x, y),
            "ci": _normal_shift_interval(differences, len(x), len(y), confidence),
        }
    doubled, ways = _rank_sum_null(x, y)
    p = _tail(doubled, ways, round(2 * u), centre=len(x) * len(y), alternative=alternative)
    limits = _shift_interval(differences, doubled, ways, confidence)
    reason = None if limits else _no_shift_interval(differences)
    return found | {"p": p, "ci": limits, "reason": reason}


def mann_whitney_normal(x: Sequence[float], y: Sequence[float], *, continuity: bool = True) -> float | None:
    """P of Mann-Whitney by its normal approximation with tie correction; None when all values are equal."""
    pooled = np.concatenate([x, y])
    n, total = len(x), len(pooled)
    ties = np.unique(pooled, return_counts=True)[1]
    spread = n * len(y) / 12 * (total + 1 - np.sum(ties**3.0 - ties) / (total * (total - 1)))
    if spread <= 0:
        return None
    ranks = stats.rankdata(pooled)
    away = abs(ranks[:n].sum() - n * (n + 1) / 2 - n * len(y) / 2)
    away = max(0.0, away - 0.5) if continuity else away
    return min(1.0, float(2 * special.ndtr(-away / math.sqrt(spread))))


def cliffs_delta(x: Sequence[float], y: Sequence[float]) -> float:
    """P(x > y) - P(x < y) over all pairs, from -1 to 1."""
    signs = np.sign(np.subtract.outer(np.asarray(x, float), np.asarray(y, float)))
    return float(signs.sum() / signs.size)


def signed_rank(
    x: Sequence[float], y: Sequence[float], *, confidence: float = 0.95, pratt: bool = False
) -> Entry:
    """Wilcoxon's signed rank of `x` - `y`, exact with ties; zero changes dropped (or kept in the ranks:
    Pratt).

    The pseudo-median is that of all Walsh averages, zero changes among them.
    """
    changes = paired_changes(x, y)
    kept = changes[changes != 0]
    if len(changes) == 0:
        return unavailable(CHANGE, "no pair")
    walsh = np.add.outer(changes, changes)[np.triu_indices(len(changes))] / 2
    found = result(
        CHANGE, estimate=float(np.median(walsh)), n_pairs=len(changes), n_zero=len(changes) - len(kept)
    )
    if len(kept) == 0:
        return found | {"p": 1.0, "statistic": 0.0, "reason": "no patient changed"}
    if len(kept) > EXACT_PATIENTS:
        p = float(stats.wilcoxon(kept, method="asymptotic", correction=True).pvalue)
        return found | {
            "p": p,
            "method": "normal approximation",
            "reason": "no exact interval above 60 pairs",
        }
    ranked = stats.rankdata(np.abs(changes if pratt else kept))[(changes != 0) if pratt else slice(None)]
    doubled = np.rint(2 * ranked).astype(int)
    observed = int(doubled[kept > 0].sum())
    ways = _subset_sums(doubled)
    support = np.flatnonzero(ways)
    p = _tail(2 * support, ways[support], 2 * observed, centre=int(doubled.sum()), alternative="two-sided")
    limits = _walsh_interval(np.sort(walsh), confidence, len(changes))
    reason = None if limits else "too few pairs for an interval at this confidence"
    return found | {
        "p": p,
        "statistic": observed / 2,
        "method": "exact with mid-ranks",
        "ci": limits,
        "reason": reason,
    }


def signed_rank_normal(x: Sequence[float], y: Sequence[float], *, continuity: bool = True) -> float | None:
    """P of the signed rank by its normal approximation with tie correction; None when no patient changed."""
    changes = paired_changes(x, y)
    kept = changes[changes != 0]
    if len(kept) == 0:
        return None
    n, ties = len(kept), np.unique(np.abs(kept), return_counts=True)[1]
    spread = n * (n + 1) * (2 * n + 1) / 24 - float(np.sum(ties**3.0 - ties)) / 48
    away = abs(float(stats.rankdata(np.abs(kept))[kept > 0].sum()) - n * (n + 1) / 4)
    away = max(0.0, away - 0.5) if continuity else away
    return min(1.0, float(2 * special.ndtr(-away / math.sqrt(spread))))


def sign_test(x: Sequence[float], y: Sequence[float]) -> Entry:
    """Exact sign test of `x` - `y`: share of patients who rose, zero changes dropped."""
    changes = paired_changes(x, y)
    rose, fell = int((changes > 0).sum()), int((changes < 0).sum())
    estimand = "share of patients whose density rose, among those that changed"
    if rose + fell == 0:
        return unavailable(estimand, "no patient changed")
    test = stats.binomtest(rose, rose + fell)
    limits = test.proportion_ci()
    return result(
        estimand,
        estimate=rose / (rose + fell),
        ci=[float(limits.low), float(limits.high)],
        p=float(test.pvalue),
    )


def kruskal(groups: Sequence[Sequence[float]]) -> Entry:
    """Kruskal-Wallis over three or more groups, corrected for ties."""
    estimand = "same distribution in all groups"
    pooled = [value for group in groups for value in group]
    if min(len(group) for group in groups) < 1 or min(pooled) == max(pooled):
        return unavailable(estimand, "a group is empty, or every value is equal")
    test = stats.kruskal(*[np.sort(group) for group in groups])
    return result(estimand, statistic=float(test.statistic), df=len(groups) - 1, p=number(float(test.pvalue)))


def paired_changes(x: Sequence[float], y: Sequence[float]) -> np.ndarray:
    """Sorted `x` - `y`, with the rounding of subtraction taken off so that equal changes tie (0.3 - 0.2 =
    0.1).
    """
    first, second = np.asarray(x, float), np.asarray(y, float)
    largest = max(np.abs(first).max(initial=0), np.abs(second).max(initial=0))
    digits = 12 - math.ceil(math.log10(largest)) if largest > 0 else 0
    return np.sort(np.round(first - second, digits))


def _rank_sum_null(x: Sequence[float], y: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Support of 2U and the number of rearrangements behind each value, given the observed ties."""
    doubled = np.rint(2 * stats.rankdata(np.concatenate([x, y]))).astype(int)
    n = len(x)
    ways = np.zeros((n + 1, int(np.sort(doubled)[::-1][:n].sum()) + 1), np.int64)
    ways[0, 0] = 1
    for rank in doubled:
        ways[1:, rank:] += ways[:-1, : ways.shape[1] - rank].copy()
    support = np.flatnonzero(ways[n])
    return support - n * (n + 1), ways[n, support]


def _subset_sums(weights: np.ndarray) -> np.ndarray:
    """How many of the 2^n subsets have each sum."""
    ways = np.zeros(int(weights.sum()) + 1, np.int64)
    ways[0] = 1
    for weight in weights:
        ways[weight:] += ways[: len(ways) - weight].copy()
    return ways


def _tail(support: np.ndarray, ways: np.ndarray, observed: int, *, centre: int, alternative: str) -> float:
    if alternative == "greater":
        extreme = support >= observed
    elif alternative == "less":
        extreme = support <= observed
    else:
        extreme = np.abs(support - centre) >= abs(observed - centre)
    return int(ways[extreme].sum()) / int(ways.sum())


def _shift_interval(
    differences: np.ndarray, doubled: np.ndarray, ways: np.ndarray, confidence: float
) -> list[float] | None:
    """All shifts that the exact test does not reject, by counting pairs (as R's coin does).

    `differences` are the sorted pairwise differences; just right of a step d, U is the number above d.
    """
    steps = np.unique(differences)
    if len(steps) < 2:
        return None
    jumps = 2 * (len(differences) - np.searchsorted(differences, steps, side="right"))
    share = np.cumsum(ways) / ways.sum()
    slack = 1e-12  # of a probability: sums of whole numbers divided once
    low = doubled[np.searchsorted(share, (1 - confidence) / 2 - slack)]
    high = doubled[np.searchsorted(share, (1 + confidence) / 2 - slack)]
    if low <= jumps.min() or high > jumps.max():
        return None
    return [float(steps[jumps <= high].min()), float(steps[jumps < low].min())]


def _no_shift_interval(differences: np.ndarray) -> str:
    if differences[0] == differences[-1]:
        return "no interval: both groups are constant"
    return "no interval: too few patients, or too many ties, for this confidence"


def _normal_shift_interval(differences: np.ndarray, n: int, m: int, confidence: float) -> list[float]:
    z = float(special.ndtri(0.5 + confidence / 2))
    k = math.floor(n * m / 2 - z * math.sqrt(n * m * (n + m + 1) / 12))
    return [float(differences[k]), float(differences[-k - 1])]


def _walsh_interval(walsh: np.ndarray, confidence: float, n: int) -> list[float] | None:
    """Order statistics of the Walsh averages, from the signed-rank null without ties."""
    if n > EXACT_PATIENTS:
        return None
    ways = _subset_sums(np.arange(1, n + 1))
    share = np.cumsum(ways) / 2.0**n
    k = int(np.searchsorted(share, (1 - confidence) / 2 + 1e-12, side="right"))
    return [float(walsh[k - 1]), float(walsh[-k])] if k >= 1 else None
