"""Counts over areas: exact Poisson intervals and ratios, and what blanks allow to be claimed (CLSI EP17's
terms).

Exact Poisson answers hold within one slide of known area. Between patients counts are over-dispersed and a
Poisson P is far too small: use `compare.py` there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import optimize, special, stats

from ishcount.stats.entry import Entry, interval, result, unavailable

RATE = "cells per mm2 (exact Poisson)"
RATE_RATIO = "ratio of two rates (exact, given the total count)"


def rate_interval(count: float, area_mm2: float, *, confidence: float = 0.95) -> Entry:
    """Rate `count / area_mm2` with the exact interval of Garwood 1936."""
    if not area_mm2 > 0:
        return unavailable(RATE, "no area")
    tail = (1 - confidence) / 2
    low = float(special.gammaincinv(count, tail)) if count > 0 else 0.0
    high = float(special.gammainccinv(count + 1, tail))
    return result(RATE, estimate=count / area_mm2, ci=[low / area_mm2, high / area_mm2])


def rate_upper_limit(count: float, area_mm2: float, *, confidence: float = 0.95) -> float:
    """One-sided exact upper limit of a rate: 3.0 / area for no cell at 95 %; NaN without area."""
    if not area_mm2 > 0:
        return math.nan
    return float(special.gammainccinv(count + 1, 1 - confidence)) / area_mm2


def poisson_rate_ratio(
    count_a: int, area_a_mm2: float, count_b: int, area_b_mm2: float, *, confidence: float = 0.95
) -> Entry:
    """Ratio of rate a to rate b with the exact conditional (Clopper-Pearson) interval and P, as R's
    poisson.test.

    `p` adds all outcomes no likelier than the one seen; `p_mid` doubles the smaller tail with the one seen
    counted half.
    """
    if not (area_a_mm2 > 0 and area_b_mm2 > 0):
        return unavailable(RATE_RATIO, "no area")
    total, share = count_a + count_b, area_a_mm2 / (area_a_mm2 + area_b_mm2)
    if total == 0:
        return unavailable(
            RATE_RATIO, "no cell on either side", p=1.0, p_mid=1.0, ci=[0.0, None], unbounded="high"
        )
    tail = (1 - confidence) / 2
    low = float(special.betaincinv(count_a, count_b + 1, tail)) if count_a else 0.0
    high = float(special.betaincinv(count_a + 1, count_b, 1 - tail)) if count_b else 1.0
    exposure = area_b_mm2 / area_a_mm2
    limits = interval(exposure * low / (1 - low), exposure * high / (1 - high) if high < 1 else math.inf)
    p = float(stats.binomtest(count_a, total, share).pvalue)
    found = result(RATE_RATIO, p=p, **limits)
    found["p_mid"] = _mid_p(count_a, total, share)
    if count_b == 0:
        return found | {"reason": "no cell in the denominator: the ratio has a lower limit only"}
    return found | {"estimate": count_a / area_a_mm2 / (count_b / area_b_mm2)}


def limit_of_blank(
    counts: Sequence[int],
    areas_mm2: Sequence[float],
    *,
    area_mm2: float | None = None,
    false_rate: float = 0.05,
) -> Entry:
    """Density (cells per mm2) that all but `false_rate` of blank sections of `area_mm2` stay at or below
    (EP17: LoB).

    `counts` and `areas_mm2` are those of the blank slides (dapB, no probe); `area_mm2` defaults to their
    median. From 1 / false_rate blanks upwards the nonparametric rank of EP17 (0.5 + n (1 - false_rate)) is
    beside it as `nonparametric`; the estimate itself is a quantile of the negative-binomial (Poisson if not
    over-dispersed) law fitted by moments, because a handful of blanks has no 95th percentile. `upper_rate` is
    the 95 % upper limit of their rate and `estimate_upper` the limit of blank at that rate: the honest figure
    when the blanks hold no cell at all.
    """
    estimand = f"density exceeded by {false_rate:.3g} of blank sections (limit of blank)"
    blanks = _blanks(counts, areas_mm2)
    if blanks is None:
        return unavailable(estimand, "no blank with an area", n_blanks=0)
    c, a = blanks
    area = float(np.median(a)) if area_mm2 is None else area_mm2
    rate, alpha = overdispersion(c.tolist(), a.tolist())
    quantile = _count_quantile(1 - false_rate, rate * area, alpha)
    ranked = np.sort(c / a)
    upper_rate = rate_upper_limit(float(c.sum()), float(a.sum()))
    place = 0.5 + len(c) * (1 - false_rate)
    enough = len(c) >= 1 / false_rate
    nonparametric = float(np.interp(place, np.arange(1, len(c) + 1), ranked)) if enough else None
    return result(
        estimand,
        estimate=quantile / area,
        count=quantile,
        area_mm2=area,
        rate=rate,
        alpha=alpha,
        upper_rate=upper_rate,
        estimate_upper=_count_quantile(1 - false_rate, upper_rate * area, alpha) / area,
        nonparametric=nonparametric,
        n_blanks=len(c),
        method="negative binomial by moments" if alpha > 0 else "Poisson",
    )


def limit_of_detection(blank: Entry, *, miss_rate: float = 0.05) -> Entry:
    """Lowest true density of which all but `miss_rate` of sections exceed the limit of blank (EP17: LoD).

    `blank` is the answer of `limit_of_blank`. False cells vary between slides as the blanks do; true cells of
    a given density vary as Poisson counts.
    """
    estimand = (
        f"true density found above the limit of blank in {1 - miss_rate:.3g} of sections (limit of detection)"
    )
    if blank["estimate"] is None:
        return unavailable(estimand, blank["reason"])
    count, area = blank["count"], blank["area_mm2"]
    false = np.array([_count_pmf(k, blank["rate"] * area, blank["alpha"]) for k in range(count + 1)])

    def missed(true_count: float) -> float:
        return float(false @ special.gammaincc(np.arange(count, -1, -1) + 1.0, true_count)) - miss_rate

    top = count + 10.0
    while missed(top) > 0:
        top *= 2
    return result(
        estimand, estimate=float(optimize.brentq(missed, 0.0, top, xtol=1e-12)) / area, area_mm2=area
    )


def limit_of_quantitation(
    blank: Entry, *, largest_cv: float = 0.25, between_sections_cv: float = 0.0
) -> Entry:
    """Lowest true density measured with a coefficient of variation of at most `largest_cv` (EP17: LoQ).

    Variance of a section's count: true cells (Poisson, and `between_sections_cv` of their number), and false
    cells as the blanks vary. 0.25 is a goal, not a law: state yours beforehand.
    """
    estimand = f"lowest density with a coefficient of variation of {largest_cv:.3g} (limit of quantitation)"
    if blank["estimate"] is None:
        return unavailable(estimand, blank["reason"])
    room = largest_cv**2 - between_sections_cv**2
    if room <= 0:
        return unavailable(estimand, "sections of one lesion vary more than that at any density")
    false = blank["rate"] * blank["area_mm2"]
    count = (1 + math.sqrt(1 + 4 * room * (false + blank["alpha"] * false**2))) / (2 * room)
    return result(estimand, estimate=count / blank["area_mm2"], area_mm2=blank["area_mm2"])


def min_dots_from_blanks(
    n_positive: Mapping[int, Sequence[int]],
    areas_mm2: Sequence[float],
    *,
    largest_false_per_mm2: float,
    confidence: float = 0.95,
) -> Entry:
    """The smallest `min_dots` whose false cells per mm2 on blanks stay below a stated rate, upper limit
    included.

    `n_positive[k]` are the blanks' positive cells (one number per blank) when at least k dots are asked for.
    One answer per batch, for both groups alike: a cut that differs between groups would make the difference
    it is meant to measure.
    """
    estimand = "smallest number of dots that keeps false cells per mm2 within the stated rate"
    area = math.fsum(areas_mm2)
    table = []
    for k in sorted(n_positive):
        count = int(sum(n_positive[k]))
        upper = rate_upper_limit(count, area, confidence=confidence)
        row = {"min_dots": k, "n_positive": count, "false_per_mm2": count / area if area > 0 else None}
        table.append(row | {"upper_limit": None if math.isnan(upper) else upper})
    found = {
        "largest_false_per_mm2": largest_false_per_mm2,
        "area_mm2": area,
        "n_blanks": len(areas_mm2),
        "table": table,
    }
    if not area > 0:
        return unavailable(estimand, "no blank with an area", **found)
    for row in table:
        if float(row["upper_limit"] or 0.0) <= largest_false_per_mm2:
            return result(estimand, estimate=row["min_dots"], **found)
    least = rate_upper_limit(0, area, confidence=confidence)
    reason = "no number of dots tried is strict enough"
    if least > largest_false_per_mm2:
        needed = area * least / largest_false_per_mm2
        reason = (
            f"{area:.3g} mm2 of blanks cannot show so low a rate; {needed:.3g} mm2 without a false cell could"
        )
    return unavailable(estimand, reason, **found)


def overdispersion(counts: Sequence[int], areas_mm2: Sequence[float]) -> tuple[float, float]:
    """Pooled rate per mm2 and alpha (variance = mean + alpha mean^2) by moments; alpha 0 when not above
    Poisson.
    """
    c, a = np.asarray(counts, float), np.asarray(areas_mm2, float)
    rate = float(c.sum() / a.sum())
    mean = rate * a
    if len(c) < 2 or rate == 0:
        return rate, 0.0
    excess = float(((c - mean) ** 2).sum() * len(c) / (len(c) - 1) - mean.sum())
    return rate, max(0.0, excess / float((mean**2).sum()))


def _blanks(counts: Sequence[int], areas_mm2: Sequence[float]) -> tuple[np.ndarray, np.ndarray] | None:
    c, a = np.asarray(counts, float), np.asarray(areas_mm2, float)
    usable = np.isfinite(c) & (a > 0)
    return (c[usable], a[usable]) if usable.any() else None


def _mid_p(count: int, total: int, share: float) -> float:
    """Twice the smaller tail, the outcome seen counted half."""
    seen = float(stats.binom.pmf(count, total, share))
    tails = float(stats.binom.cdf(count, total, share)), float(stats.binom.sf(count - 1, total, share))
    return min(1.0, 2 * min(tails) - seen)


def _count_quantile(share: float, mean: float, alpha: float) -> int:
    if mean == 0:
        return 0
    if alpha == 0:
        return int(stats.poisson.ppf(share, mean))
    return int(stats.nbinom.ppf(share, 1 / alpha, 1 / (1 + alpha * mean)))


def _count_pmf(count: int, mean: float, alpha: float) -> float:
    if alpha == 0:
        return float(stats.poisson.pmf(count, mean))
    return float(stats.nbinom.pmf(count, 1 / alpha, 1 / (1 + alpha * mean)))
