"""Numbers as a medical journal prints them (AMA style), and the sentences that explain them."""

from __future__ import annotations

import math
from decimal import ROUND_HALF_UP, Decimal
from typing import Any


def format_p(p: float | None) -> str:
    """`P=.16`, `P=.008`, `P=.045`, `P<.001`, `P>.99`; never P=.000. Missing: `P not computed`.

    Two digits from .01 up, three below; three (or more) also where fewer would hide which side of .05 it lies
    on.
    """
    if p is None or math.isnan(p):
        return "P not computed"
    if p < 0.001:
        return "P<.001"
    exact = Decimal(repr(float(p)))
    three, two = _rounded(exact, 3), _rounded(_rounded(exact, 3), 2)
    if _rounded(exact, 2) >= 1:
        return "P>.99"
    if exact < Decimal("0.05") <= two:
        return _near_five_hundredths(exact)
    return f"P={_no_zero(three if three < Decimal('0.01') else _rounded(exact, 2))}"


def format_number(value: float | None, *, digits: int = 2) -> str:
    """A number with fixed digits, halves rounded up; `not estimable` when missing."""
    if value is None or not math.isfinite(value):
        return "not estimable"
    rounded = _rounded(Decimal(repr(float(value))), digits)
    return str(abs(rounded) if rounded == 0 else rounded)


def format_interval(
    limits: list[float | None] | None,
    *,
    digits: int = 2,
    confidence: float = 0.95,
    unbounded: str | None = None,
) -> str:
    """`95% CI, 2.60-14.84`; `to` instead of the hyphen when a limit is negative or infinite."""
    level = f"{100 * confidence:g}% CI"
    if limits is None or (None in limits and unbounded is None):
        return f"{level} not estimable"
    low, high = ("infinity" if limit is None else format_number(limit, digits=digits) for limit in limits)
    low = "-infinity" if low == "infinity" else low
    joint = " to " if low.startswith("-") or high.startswith("-") or "infinity" in (low, high) else "-"
    return f"{level}, {low}{joint}{high}"


def format_estimate(
    value: float | None, limits: list[float | None] | None, *, digits: int = 2, confidence: float = 0.95
) -> str:
    """`8.72 (95% CI, 2.60-14.84)`."""
    interval = format_interval(limits, digits=digits, confidence=confidence)
    return f"{format_number(value, digits=digits)} ({interval})"


def paper_line(comparison: dict[str, Any], *, confidence: float = 0.95) -> str:
    """What the paper printed, for one comparison: `IFNG: 8.72 (95% CI, 2.60-14.84), P=.008`."""
    estimate = format_estimate(comparison["mean_case"], comparison["mean_case_ci"], confidence=confidence)
    return f"{comparison['marker']}: {estimate}, {format_p(comparison['tests']['student']['p'])}"


def paper_lines(statistics: dict[str, Any]) -> list[str]:
    """Paper mode's summary: one line per marker in `tissue`, then what the numbers are."""
    rows = [c for c in statistics["comparisons"] if c["compartment"] == "tissue" and c["control"] is not None]
    if not rows:
        return []
    first = rows[0]
    confidence = statistics["design"]["confidence"]
    note = (
        f"Mean positive cells/mm2 in {first['case']} with the t interval of that mean; P of Student's t test "
        f"(equal variances) against {first['control']}. The interval is not that of the difference."
    )
    return [paper_line(row, confidence=confidence) for row in rows] + [note]


def why_welch_differs(comparison: dict[str, Any]) -> str:
    """One or two sentences on why Student and Welch give another P for the same means; empty when they agree
    in print.
    """
    student, welch = comparison["tests"]["student"], comparison["tests"]["welch"]
    if student["p"] is None or welch["p"] is None or format_p(student["p"]) == format_p(welch["p"]):
        return ""
    spread = f"SD {format_number(comparison['sd_case'])} in {comparison['case']}, "
    spread += f"{format_number(comparison['sd_control'])} in {comparison['control']}"
    return (
        f"{comparison['marker']}: Student's t test gives {format_p(student['p'])} and Welch's "
        f"{format_p(welch['p'])} because Student assumes that both groups vary alike ({spread}) and so "
        f"counts {student['df']:g} degrees of freedom; Welch drops that assumption and has "
        f"{format_number(welch['df'], digits=1)}. "
        "Spreads this different speak against Student; Welch is the safer."
    )


def _rounded(value: Decimal, digits: int) -> Decimal:
    return value.quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_UP)


def _no_zero(value: Decimal) -> str:
    return str(value).removeprefix("0")


def _near_five_hundredths(exact: Decimal) -> str:
    """P just below .05: as many digits as keep it below in print."""
    for digits in (3, 4):
        shown = _rounded(exact, digits)
        if shown < Decimal("0.05"):
            return f"P={_no_zero(shown)}"
    return "P<.05"
