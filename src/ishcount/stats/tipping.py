"""What would undo a finding: false cells that blanks show, and false cells that nobody looked for."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ishcount.stats.entry import Entry, mean, result, unavailable, variance
from ishcount.stats.means import describe, t_interval, t_p_value, welch

CORRECTED = "difference of means after subtracting each group's false cells (blanks)"
TIPPING = "false cells per mm2 in case beyond those in control at which the interval touches zero"


def blank_corrected_difference(
    case: Sequence[float],
    control: Sequence[float],
    *,
    blank_case: Sequence[float],
    blank_control: Sequence[float],
    confidence: float = 0.95,
) -> Entry:
    """Difference of group means minus the difference of their blanks' means, with the blanks' own doubt in
    the interval.

    All four are densities (cells per mm2), one per patient or blank slide. Welch-Satterthwaite over the four
    spreads. `blank_difference` is what the blanks alone would make look like a difference.
    """
    groups = (case, control, blank_case, blank_control)
    if min(len(group) for group in groups) < 2:
        return unavailable(CORRECTED, "fewer than 2 patients, or fewer than 2 blanks, in a group")
    parts = [variance(group) / len(group) for group in groups]
    error = math.sqrt(math.fsum(parts))
    estimate = mean(case) - mean(control) - (mean(blank_case) - mean(blank_control))
    if error == 0:
        return unavailable(CORRECTED, "zero variance in every group", estimate=estimate)
    df = math.fsum(parts) ** 2 / math.fsum(p**2 / (len(g) - 1) for p, g in zip(parts, groups, strict=True))
    return result(
        CORRECTED,
        estimate=estimate,
        ci=t_interval(estimate, error, df, confidence),
        standard_error=error,
        df=df,
        p=t_p_value(estimate / error, df),
        blank_case=describe(blank_case, confidence=confidence),
        blank_control=describe(blank_control, confidence=confidence),
        blank_difference=welch(blank_case, blank_control, confidence=confidence),
    )


def tipping_point(
    difference: Entry, *, mean_case: float | None = None, blank_difference: Entry | None = None
) -> Entry:
    """How many more false cells per mm2 in case than in control would make the interval of `difference` touch
    zero.

    `difference` is any entry with `estimate` and `ci` (the primary test, Welch). Extra false cells in case
    shift the whole interval by their rate, so the answer is its limit nearest zero; negative when case lies
    below control. 0 when the interval holds zero already. With `blank_difference` it says whether blanks rule
    that rate out.
    """
    limits = difference.get("ci")
    if not limits or difference.get("estimate") is None or None in limits:
        return unavailable(TIPPING, difference.get("reason") or "the difference has no interval")
    low, high = limits
    point = low if low > 0 else high if high < 0 else 0.0
    found = result(TIPPING, estimate=point, share_of_difference=_share(point, difference["estimate"]))
    found["share_of_case_mean"] = _share(point, mean_case)
    found["ruled_out_by_blanks"] = _ruled_out(point, blank_difference)
    if point == 0:
        found["reason"] = "the interval holds zero without any false cell"
    return found


def tipping_curve(
    difference: Entry, *, steps: int = 41, largest: float | None = None
) -> list[dict[str, float]]:
    """Points of the tipping plot: `extra_false_per_mm2`, `difference`, `low`, `high`; empty without an
    interval.
    """
    limits = difference.get("ci")
    if not limits or None in limits or difference.get("estimate") is None:
        return []
    low, high = limits
    end = largest if largest is not None else (high if difference["estimate"] >= 0 else low)
    extra = [end * k / (steps - 1) for k in range(steps)]
    return [
        {"extra_false_per_mm2": x, "difference": difference["estimate"] - x, "low": low - x, "high": high - x}
        for x in extra
    ]


def _share(part: float, whole: float | None) -> float | None:
    return part / whole if whole else None


def _ruled_out(point: float, blank_difference: Entry | None) -> bool | None:
    """True when the interval of the blanks' difference stays short of the tipping point; None when blanks are
    silent.
    """
    limits = blank_difference.get("ci") if blank_difference else None
    if not limits or None in limits or point == 0:
        return None
    return bool(limits[1] < point if point > 0 else limits[0] > point)
