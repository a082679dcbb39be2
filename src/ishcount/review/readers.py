"""Two readers, or a reader and the tool, against each other: agreement, disputes, consensus.

Agreement is only estimated on cells that both were asked for at random (the audit sample): a queue of
uncertain or positive cells would bias kappa and the positive rate. Numbers come from `stats.agreement`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ishcount.core.decisions import Call
from ishcount.stats import agreement

Calls = Mapping[int, Call]


def call_agreement(a: Calls, b: Calls, among: Collection[int]) -> dict[str, Any]:
    """Agreement of two readers on the cells `among` that both decided.

    `n_both` cells decided by both and not unsure, `n_unsure` left out for that, and what
    `stats.agreement.binary_agreement` gives: positive and negative agreement, AC1, kappa, each with interval
    or the reason why there is none. Not a cell counts as not positive.
    """
    both = [cell for cell in sorted(among) if cell in a and cell in b]
    sure = [cell for cell in both if Call.UNSURE not in (a[cell], b[cell])]
    words = [[_positive(calls[cell]) for cell in sure] for calls in (a, b)]
    table = agreement.call_table(words[0], words[1], [True, False])
    found: dict[str, Any] = {"n_both": len(sure), "n_unsure": len(both) - len(sure), "table": table}
    if not sure:
        return found | {"reason": "no cell of the audit sample was decided by both readers"}
    return found | agreement.binary_agreement(table)


def density_agreement(a: Sequence[float], b: Sequence[float], groups: Sequence[str]) -> dict[str, Any]:
    """CCC and Bland-Altman of two readers' densities over slides, within each group."""
    return agreement.within_groups(a, b, groups)


def disputes(a: Calls, b: Calls, consensus: Calls | None = None) -> list[int]:
    """Cells that two readers class differently and no consensus settles, by cell id."""
    settled = consensus or {}
    both = a.keys() & b.keys() - settled.keys()
    return sorted(cell for cell in both if _positive(a[cell]) != _positive(b[cell]))


def _positive(call: Call) -> bool | str:
    """True, False, or `unsure`, which differs from both."""
    return "unsure" if call == Call.UNSURE else call == Call.POSITIVE
