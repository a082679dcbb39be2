"""Audit-corrected count and density: what a reader's probability sample says about all cells of a slide.

The cells fall into strata by automatic score; in each, some were read at random (in the called stratum often
all); random fields read whole say how many positives were never proposed.

Limits come from the decisions alone: exact hypergeometric limits in each stratum and exact Poisson limits for
the fields (test inversion: Clopper and Pearson 1934, Garwood 1936), put together by recovering each part's
variance from its own limits (MOVER: Zou and Donner 2008). Normal limits fail here, where few decisions meet
shares near 0 or 1. A part that is read whole has no width.

The estimate may borrow: from the score, from the study's other slides. It is the posterior mean under a
robust mixture (Schmidli et al. 2014) of what is expected and of "anything goes", so that a handful of
decisions does not undo a good automatic result, while decisions that contradict it prevail; it never leaves
the limits.

A reader is not truth. A doubtful cell (`unsure`, or readers disagree) counts half in the estimate, not at all
in the lower and fully in the upper limit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import exp, floor, inf, isfinite, lgamma, sqrt

import numpy as np

CONFIDENCE = 0.95
EXPECTED_WEIGHT = 0.8
"""Prior weight of the expected share against "anything goes": the 0.9 usual for robust mixtures
(Schmidli et al. 2014, section 3.2, examine 0.5 to 0.9)."""
NEVER_PROPOSED_SHARE = 0.02
"""Expected positives without any candidate, as a share of the called: an assumption, no measurement; it only
matters while the fields are few, and the study's other slides take its place."""
SMALLEST_SHARE = 1e-4
FIELD_DECISIONS = 5
"""Decisions that reading one field costs: about 10 s for a field against 2 s for a cell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stratum:
    """Cells of one range of scores: how many there are, how many were read at random, what they were.

    `expected` is the share of positives to expect before reading (0-1): the mean score. `n_doubtful` of the
    read cells are unsure or in dispute; they are not in `n_positive`. `borrowed_read` and `borrowed_positive`
    are what other slides add (they may be fractions).
    """

    name: str
    n_cells: int
    n_read: int
    n_positive: int
    expected: float
    n_doubtful: int = 0
    borrowed_read: float = 0.0
    borrowed_positive: float = 0.0
    is_called: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """Random fields read whole: positives found there that had no candidate at all, field by field."""

    tissue_mm2: float
    field_mm2: tuple[float, ...] = ()
    found: tuple[int, ...] = ()
    borrowed_mm2: float = 0.0
    borrowed_found: float = 0.0

    @property
    def read_mm2(self) -> float:
        """Area read."""
        return float(sum(self.field_mm2))


@dataclass(frozen=True, slots=True)
class Part:
    """Positives in one stratum, or never proposed: estimate and limits as numbers of cells.

    `observed` is what the decisions alone say (share read times cells); `estimate` may borrow.
    """

    name: str
    estimate: float
    observed: float
    low: float
    high: float
    n_cells: int
    n_read: int
    n_positive: int
    is_borrowed: bool = False


@dataclass(frozen=True, slots=True)
class Corrected:
    """Positive cells of a slide after the audit: estimate, 95 % limits, and where they come from.

    `high` is infinite while no field was read: nothing is then known of what was never proposed;
    `high_proposed` is the limit for proposed cells alone. `sensitivity` and `precision` are of the
    automatic result.
    """

    n_positive: float
    low: float
    high: float
    high_proposed: float
    sensitivity: float | None
    precision: float | None
    n_decisions: int
    parts: tuple[Part, ...]

    def per_mm2(self, area_mm2: float) -> tuple[float, float, float]:
        """Density and its limits; NaN where there is no area."""
        if not area_mm2 > 0:
            return (np.nan, np.nan, np.nan)
        return (self.n_positive / area_mm2, self.low / area_mm2, self.high / area_mm2)

    @property
    def width(self) -> float:
        """Upper minus lower limit, in cells; without fields, of the proposed cells."""
        return (self.high if isfinite(self.high) else self.high_proposed) - self.low


def correct(strata: Sequence[Stratum], fields: Fields, *, confidence: float = CONFIDENCE) -> Corrected:
    """Audit-corrected number of positive cells from strata and fields of one slide."""
    alpha = 1 - confidence
    parts = [_stratum_part(stratum, alpha) for stratum in strata]
    n_called = sum(stratum.n_cells for stratum in strata if stratum.is_called)
    beyond = _field_part(fields, alpha, expected=NEVER_PROPOSED_SHARE * n_called)
    low, high_proposed = _together(parts)
    everything = [*parts, beyond]
    low_all, high = _together(everything)
    total = sum(part.estimate for part in everything)
    is_called = [stratum.is_called for stratum in strata]
    found = sum(part.estimate for part, called in zip(parts, is_called, strict=True) if called)
    return Corrected(
        n_positive=total,
        low=low_all if isfinite(high) else low,
        high=high,
        high_proposed=high_proposed,
        sensitivity=found / total if total > 0 else None,
        precision=found / n_called if n_called else None,
        n_decisions=sum(stratum.n_read for stratum in strata),
        parts=tuple(everything),
    )


def more_decisions_to_halve(strata: Sequence[Stratum], fields: Fields, *, most: int = 100_000) -> int | None:
    """How many more decisions would halve the interval, if what is read next looks like what was read.

    Decisions go where they narrow it most (Neyman allocation); a field counts as `FIELD_DECISIONS`. None when
    even `most` would not do.
    """
    target = correct(strata, fields).width / 2
    if target <= 0:
        return 0
    reach = 25
    while correct(*_projected(strata, fields, reach)).width > target:
        reach *= 2
        if reach > most:
            return None
    low, high = reach // 2, reach
    while high - low > max(1, low // 20):
        middle = (low + high) // 2
        if correct(*_projected(strata, fields, middle)).width > target:
            low = middle
        else:
            high = middle
    return high


def _projected(strata: Sequence[Stratum], fields: Fields, more: int) -> tuple[list[Stratum], Fields]:
    """Strata and fields as they would stand after `more` decisions."""
    parts = correct(strata, fields).parts
    widths = [max(part.high - part.low, 0.0) if isfinite(part.high) else part.estimate for part in parts]
    unread = [float(stratum.n_cells - stratum.n_read) for stratum in strata] + [inf]
    shares = _shares(widths, unread, more)
    new = []
    for stratum, part, extra in zip(strata, parts[:-1], shares[:-1], strict=True):
        rate = part.estimate / stratum.n_cells if stratum.n_cells else 0.0
        n_read = stratum.n_read + floor(extra)
        found = min(n_read, stratum.n_positive + round(rate * floor(extra)))
        new.append(replace(stratum, n_read=n_read, n_positive=found))
    n_fields = floor(shares[-1] / FIELD_DECISIONS)
    size = fields.field_mm2[0] if fields.field_mm2 else 0.04
    rate = sum(fields.found) / fields.read_mm2 if fields.read_mm2 else 0.0
    found_next = (round(rate * size * n_fields), *([0] * (n_fields - 1))) if n_fields else ()
    areas = (*fields.field_mm2, *([size] * n_fields))
    return new, replace(fields, field_mm2=areas, found=(*fields.found, *found_next))


def _shares(weights: Sequence[float], room: Sequence[float], total: float) -> list[float]:
    """`total` shared out by weight, no share above its room."""
    shares = [0.0] * len(weights)
    open_places = [i for i, weight in enumerate(weights) if weight > 0 and room[i] > 0]
    left = float(total)
    while open_places and left > 1e-9:
        weight = sum(weights[i] for i in open_places)
        full = [i for i in open_places if left * weights[i] / weight >= room[i] - shares[i]]
        if not full:
            for i in open_places:
                shares[i] += left * weights[i] / weight
            return shares
        for i in full:
            left -= room[i] - shares[i]
            shares[i] = room[i]
        open_places = [i for i in open_places if i not in full]
    return shares


def _together(parts: Sequence[Part]) -> tuple[float, float]:
    """Limits of a sum from its parts' limits (MOVER).

    Downwards, parts that borrow err together (a slide better than the others has fewer misses of every kind):
    their distances add up, while those of independent parts, and upwards of all, add as squares.
    """
    total = sum(part.observed for part in parts)
    least = sum(part.low for part in parts)
    borrowed = sum(part.observed - part.low for part in parts if part.is_borrowed)
    own = sum((part.observed - part.low) ** 2 for part in parts if not part.is_borrowed)
    high = total + sqrt(sum((part.high - part.observed) ** 2 for part in parts))
    return max(total - sqrt(borrowed**2 + own), least, 0.0), high


def _stratum_part(stratum: Stratum, alpha: float) -> Part:
    n_cells, n_read = stratum.n_cells, stratum.n_read
    sure, doubtful = stratum.n_positive, stratum.n_doubtful
    if stratum.borrowed_read > 0:
        low, high = _borrowed_limits(stratum, alpha)
    else:
        low = hypergeometric_limits(n_cells, n_read, sure, alpha)[0]
        high = hypergeometric_limits(n_cells, n_read, sure + doubtful, alpha)[1]
    x = sure + doubtful / 2
    expected = min(max(stratum.expected, SMALLEST_SHARE), 1 - SMALLEST_SHARE)
    seen, reading = x + stratum.borrowed_positive, n_read + stratum.borrowed_read
    observed = x + (n_cells - n_read) * (seen / reading if reading else expected)
    estimate = x + (n_cells - n_read) * _share(seen, reading, expected)
    estimate, observed = (min(max(value, low), high) for value in (estimate, observed))
    return Part(stratum.name, estimate, observed, low, high, n_cells, n_read, sure, stratum.borrowed_read > 0)


def _borrowed_limits(stratum: Stratum, alpha: float) -> tuple[float, float]:
    """Upper limit for the unread cells from own and borrowed reading (Clopper-Pearson on possibly fractional
    counts); lower limit from own reading alone: that others have misses does not show that this slide has.
    """
    from scipy.stats import beta

    n = stratum.n_read + stratum.borrowed_read
    many = stratum.n_positive + stratum.borrowed_positive + stratum.n_doubtful
    unread = stratum.n_cells - stratum.n_read
    high = beta.ppf(1 - alpha / 2, many + 1, n - many) if many < n else 1.0
    # The unread cells vary about their share too, which matters when few are left.
    slack = 1.96 * sqrt(unread * high * (1 - high))
    own, most = stratum.n_positive, stratum.n_positive + stratum.n_doubtful
    low = hypergeometric_limits(stratum.n_cells, stratum.n_read, own, alpha)[0]
    return low, min(most + unread, most + unread * high + slack)


def hypergeometric_limits(n_cells: int, n_read: int, n_positive: int, alpha: float) -> tuple[float, float]:
    """Exact limits (error alpha / 2 a side) for the positives among `n_cells`, `n_positive` of `n_read`
    being so.
    """
    from scipy.stats import hypergeom

    least, most = n_positive, n_cells - (n_read - n_positive)
    if n_read == 0 or least == most:
        return float(least), float(most)
    # Smallest total that makes as many as this plausible, largest that makes as few as this plausible.
    tail = alpha / 2
    low = _first(least, most, lambda total: hypergeom.sf(n_positive - 1, n_cells, total, n_read) > tail)
    cdf = hypergeom.cdf
    high = _first(least, most + 1, lambda total: cdf(n_positive, n_cells, total, n_read) <= tail) - 1
    return float(low), float(max(low, high))


def _first(low: int, high: int, holds: Callable[[int], bool]) -> int:
    """Smallest whole number in [low, high] for which a rising condition holds; `high` when none does."""
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return low


def _share(x: float, n: float, expected: float) -> float:
    """Posterior mean share of positives after x of n, under expected-or-anything-goes."""
    weight = 1 / min(expected, 1 - expected)  # as much as a sample in which one exception was expected
    priors = ((EXPECTED_WEIGHT, expected * weight, (1 - expected) * weight), (1 - EXPECTED_WEIGHT, 0.5, 0.5))
    logs = [_log_beta(x + a, n - x + b) - _log_beta(a, b) for _, a, b in priors]
    top = max(logs)
    masses = [prior[0] * exp(log - top) for prior, log in zip(priors, logs, strict=True)]
    means = [(x + a) / (n + a + b) for _, a, b in priors]
    return sum(mass * mean for mass, mean in zip(masses, means, strict=True)) / sum(masses)


def _log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)


def _field_part(fields: Fields, alpha: float, *, expected: float) -> Part:
    """Positives that were never proposed. Clumped finds widen the limits by their dispersion between
    fields.
    """
    from scipy.stats import chi2

    found, area = sum(fields.found), fields.read_mm2
    n_fields = len(fields.field_mm2)
    if fields.tissue_mm2 <= 0 or (n_fields and area >= fields.tissue_mm2):
        return Part("never proposed", found, found, found, found, 0, n_fields, found)
    if not n_fields and fields.borrowed_mm2 <= 0:
        return Part("never proposed", expected, 0.0, 0.0, inf, 0, 0, 0)
    unread = fields.tissue_mm2 - area
    x, exposure = found + fields.borrowed_found, area + fields.borrowed_mm2
    clumps = _dispersion(fields)
    low = chi2.ppf(alpha / 2, 2 * found / clumps) / 2 * clumps / area if found > 0 else 0.0
    high = chi2.ppf(1 - alpha / 2, 2 * (x / clumps + 1)) / 2 * clumps / exposure
    rate = _rate(x, exposure / fields.tissue_mm2, max(expected, 0.5)) / fields.tissue_mm2
    low, high = found + unread * low, found + unread * high
    estimate = min(max(found + unread * rate, low), high)
    observed = found + unread * x / exposure
    is_borrowed = fields.borrowed_mm2 > 0
    return Part("never proposed", estimate, observed, low, high, 0, n_fields, found, is_borrowed)


def _dispersion(fields: Fields) -> float:
    """Variance over mean of the finds per field, at least 1."""
    counts = np.asarray(fields.found, dtype=np.float64)
    if len(counts) < 3 or counts.sum() < 2:
        return 1.0
    return max(1.0, float(counts.var(ddof=1) / counts.mean()))


def _rate(x: float, exposure: float, expected: float) -> float:
    """Posterior mean total after x finds in a share `exposure` of the slide: expected, or about ten times
    that.
    """
    priors = ((EXPECTED_WEIGHT, 0.5, 0.5 / expected), (1 - EXPECTED_WEIGHT, 0.5, 0.05 / expected))
    logs = [
        lgamma(x + a) - lgamma(a) + a * np.log(b / (b + exposure)) + x * np.log(exposure / (b + exposure))
        for _, a, b in priors
    ]
    top = max(logs)
    masses = [prior[0] * exp(log - top) for prior, log in zip(priors, logs, strict=True)]
    means = [(x + a) / (exposure + b) for _, a, b in priors]
    return float(sum(mass * mean for mass, mean in zip(masses, means, strict=True)) / sum(masses))
