"""What the audits of a study's other slides say about this one: sensitivity is pooled, positives are not.

Misses per expected miss (which is per called cell, see `audit`) are taken to be alike between slides of one
study, so that a slide borrows the others' near-miss reading and fields, scaled to its own expectation. How
much it borrows falls with how much the slides differ. The called cells of a slide speak for themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ishcount.review.corrected import NEVER_PROPOSED_SHARE, Fields, Stratum

LARGEST_BORROWING = 0.5
"""Most of another slide's reading that counts here. Simulated studies (`tests/benchmarks/bench_audit.py`)
with slides missing between none and twice the usual keep 95 % coverage with it, not with 1."""
LEAST_VARIATION = 1 / 3
"""Squared coefficient of variation of miss rates between slides that is always reckoned with: that of a
uniform law from none to twice the mean. A dozen audits cannot show that slides are more alike than this."""


@dataclass(frozen=True)
class Audit:
    """Strata and fields read on one slide."""

    slide_id: str
    strata: tuple[Stratum, ...]
    fields: Fields

    @property
    def n_called(self) -> int:
        """Cells called positive automatically."""
        return sum(stratum.n_cells for stratum in self.strata if stratum.is_called)


def pooled(audits: Sequence[Audit]) -> list[Audit]:
    """Each slide's audit with what it borrows from the others; one slide alone borrows nothing."""
    return [_with_others(audit, [other for other in audits if other is not audit]) for audit in audits]


def _with_others(audit: Audit, others: Sequence[Audit]) -> Audit:
    if not others:
        return audit
    share = _share_lent(audit, others)
    strata = []
    for place, stratum in enumerate(audit.strata):
        like = [other.strata[place] for other in others if place < len(other.strata)]
        if stratum.is_called or stratum.expected <= 0 or not stratum.n_cells:
            strata.append(stratum)
            continue
        read = share * sum(other.n_read * other.expected for other in like) / stratum.expected
        found = share * sum(other.n_positive + other.n_doubtful / 2 for other in like)
        strata.append(replace(stratum, borrowed_read=max(read, found), borrowed_positive=found))
    return replace(audit, strata=tuple(strata), fields=_fields_with(audit, others, share))


def _fields_with(audit: Audit, others: Sequence[Audit], share: float) -> Fields:
    """Fields with borrowed area, in units of this slide's called density."""
    own = _expected_per_mm2(audit)
    if own <= 0:
        return audit.fields
    area = share * sum(other.fields.read_mm2 * _expected_per_mm2(other) for other in others) / own
    found = share * sum(sum(other.fields.found) for other in others)
    return replace(audit.fields, borrowed_mm2=area, borrowed_found=found)


def _expected_per_mm2(audit: Audit) -> float:
    if audit.fields.tissue_mm2 <= 0:
        return 0.0
    return NEVER_PROPOSED_SHARE * max(audit.n_called, 1) / audit.fields.tissue_mm2


def _near(audit: Audit) -> list[Stratum]:
    return [stratum for stratum in audit.strata if not stratum.is_called]


def _found(audit: Audit) -> float:
    return sum(stratum.n_positive + stratum.n_doubtful / 2 for stratum in _near(audit))


def _exposure(audit: Audit) -> float:
    return sum(stratum.n_read * stratum.expected for stratum in _near(audit))


def _share_lent(audit: Audit, others: Sequence[Audit]) -> float:
    """Share of the others' reading that counts here.

    With v the squared coefficient of variation between slides and X the misses that the others' reading
    should have met at the pooled rate, they tell as much of this slide as 1 / (v + 1 / X) misses: share 1 /
    (1 + v X).
    """
    together = [audit, *others]
    exposure = sum(_exposure(one) for one in together)
    if exposure <= 0:
        return LARGEST_BORROWING
    fitted = sum(_found(one) for one in together) * (exposure - _exposure(audit)) / exposure
    return min(LARGEST_BORROWING, 1 / (1 + _variation(together) * fitted))


def _variation(audits: Sequence[Audit]) -> float:
    """Squared coefficient of variation of misses per expected miss between slides, by moments.

    Finds vary as mu + v mu^2 (gamma-Poisson); at least `LEAST_VARIATION`.
    """
    found = np.array([_found(audit) for audit in audits])
    expected = np.array([_exposure(audit) for audit in audits])
    if found.sum() == 0 or expected.sum() <= 0:
        return LEAST_VARIATION
    fitted = expected * found.sum() / expected.sum()
    excess = float((((found - fitted) ** 2) - fitted).sum() / (fitted**2).sum())
    return max(LEAST_VARIATION, excess)
