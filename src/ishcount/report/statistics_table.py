"""`statistics.json` as rows: one per estimate, the primary first, nothing left out that was computed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from ishcount.report.names import in_words
from ishcount.stats.wording import format_p

COLUMNS = (
    "marker", "compartment", "case", "control", "measure", "role_of_result", "quantity", "estimand", "n_case",
    "n_control", "estimate", "low", "high", "statistic", "df", "p", "p_text", "p_holm", "reason",
    "flags",
)  # fmt: skip
_PAIR_TESTS = (("welch", "p", "p_holm"), ("mann_whitney", "p_mann_whitney", "p_mann_whitney_holm"))
_MADE_BY = {"negative_binomial": "interval by profile likelihood, P by simulation under one rate"}
_ROLES = ("primary", "secondary", "exploratory", "descriptive")


def statistics_table(statistics: Mapping[str, Any]) -> pd.DataFrame:
    """One row per test and effect of every comparison, by marker, compartment (tissue first) and rank."""
    ordered = sorted(statistics["comparisons"], key=lambda c: (c["marker"], c["compartment"] != "tissue"))
    rows = [row for comparison in ordered for row in _rows(comparison)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _rows(comparison: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    label = "secondary" if comparison["compartment"] == "tissue" else "descriptive"
    entries = {name: {"label": label, **entry} for name, entry in comparison["tests"].items()}
    entries |= {name: {"label": label, **entry} for name, entry in comparison["effects"].items()}
    asked = {name: entry for name, entry in entries.items() if _was_asked(entry)}
    shared = {name: comparison.get(name) for name in ("marker", "compartment", "case", "control", "measure")}
    shared |= {name: comparison.get(name) for name in ("n_case", "n_control", "flags")}
    for name, entry in sorted(asked.items(), key=lambda item: _ROLES.index(item[1]["label"])):
        is_primary = name == comparison["primary"]
        yield shared | _row(name, entry) | {"p_holm": comparison.get("p_holm") if is_primary else None}
        if entry.get("hodges_lehmann") is not None:
            shift = {
                "label": entry["label"],
                "estimand": "median of all differences between the groups",
            }
            yield shared | _row(
                "hodges_lehmann", shift | {"estimate": entry["hodges_lehmann"], "ci": entry["ci"]}
            )
        for pair in entry.get("pairs") or []:
            for name, test, holm in _PAIR_TESTS:
                numbers = pair if test == "p" else {"p": pair[test], "reason": pair["reason"]}
                row = _row(name, numbers | {"label": entry["label"]})
                row["quantity"] += f", {pair['case']} minus {pair['control']}"
                words = {"case": pair["case"], "control": pair["control"], "p_holm": pair[holm]}
                yield shared | row | words | {"n_case": None, "n_control": None}


def _row(name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    low, high = entry.get("ci") or (None, None)
    estimate = entry.get("rate_ratio", entry.get("estimate"))
    df = entry.get("df")
    p = entry.get("p")
    return {
        "role_of_result": entry["label"],
        "quantity": in_words(name),
        "estimand": entry.get("estimand"),
        "estimate": estimate,
        "low": low,
        "high": high,
        "statistic": entry.get("statistic"),
        "df": ", ".join(f"{part:.4g}" for part in df) if isinstance(df, list) else df,
        "p": p,
        "p_text": "" if p is None else format_p(p),
        "reason": entry.get("reason") or entry.get("warning") or _MADE_BY.get(name, ""),
    }


def _was_asked(entry: Mapping[str, Any]) -> bool:
    """False for paired tests without pairs and for tests of three groups where there are two."""
    return entry.get("n_pairs") != 0 and entry.get("reason") != "fewer than three groups"
