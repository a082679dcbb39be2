"""How far two tables of densities agree, slide by slide (or patient by patient), within each group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from ishcount.core.errors import UsageError
from ishcount.stats.agreement import (
    agree,
    binary_agreement,
    call_table,
    cohen_kappa,
    fleiss_kappa,
    within_groups,
)
from ishcount.stats.patients import measured

MEASURE = "positive_per_mm2"
SCORE, SCORES = "acd_score", range(5)
WEIGHTS = ("unweighted", "linear", "quadratic")


def compare_readers(a: pd.DataFrame, b: pd.DataFrame, *others: pd.DataFrame) -> dict[str, Any]:
    """Bland-Altman, CCC and ICC per marker, over all and within groups, and kappa of calls; plain data for
    `agreement.json`.

    Rows are matched by slide_id where all tables have it, else by patient; only compartment `tissue` and rows
    with a density in every table enter. Calls: any positive cell or none, and the ACD score where all have
    one. Densities are compared between a and b; with `others` the calls of all get Fleiss' kappa too.
    UsageError when nothing matches.
    """
    tables = (a, b, *others)
    key = next((name for name in ("slide_id", "patient") if all(name in table for table in tables)), None)
    if key is None:
        raise UsageError("the tables share neither slide_id nor patient; add one of them to all")
    pairs = _usable(a, key).merge(_usable(b, key), on=[key, "marker"], suffixes=("_a", "_b"))
    for place, table in enumerate(others):
        pairs = pairs.merge(_usable(table, key).add_suffix(f"_{place}").rename(
            columns={f"{key}_{place}": key, f"marker_{place}": "marker"}), on=[key, "marker"])  # fmt: skip
    if pairs.empty:
        raise UsageError(f"no {key} and marker has a density in all tables; check how they are written")
    readers = ["a", "b", *map(str, range(len(others)))]
    markers = {}
    for marker, rows in pairs.sort_values(key, kind="stable").groupby("marker", sort=True):
        first, second = rows[f"{MEASURE}_a"].tolist(), rows[f"{MEASURE}_b"].tolist()
        groups = rows["group_a"].combine_first(rows["group_b"]).fillna("")
        markers[str(marker)] = {
            "all": agree(first, second),
            "within_groups": within_groups(first, second, groups.astype(str).tolist())
            if (groups != "").any()
            else {},
            "calls": _calls(rows, readers),
            "pairs": rows.assign(group=groups.astype(str))[
                [key, "group", f"{MEASURE}_a", f"{MEASURE}_b"]
            ].to_dict("records"),
        }
    return {"matched_by": key, "measure": MEASURE, "n_pairs": len(pairs), "markers": markers}


def _calls(rows: pd.DataFrame, readers: Sequence[str]) -> dict[str, Any]:
    """Agreement of what readers call a slide: positive or not, and its ACD score (0-4)."""
    positive = [[value > 0 for value in rows[f"{MEASURE}_{name}"]] for name in readers]
    found: dict[str, Any] = {
        "any_positive": binary_agreement(call_table(positive[0], positive[1], (True, False)))
    }
    scores = rows[[f"{SCORE}_{name}" for name in readers]].dropna().astype(int)
    if len(scores):
        table = call_table(scores.iloc[:, 0].tolist(), scores.iloc[:, 1].tolist(), SCORES)
        found[SCORE] = {weights: cohen_kappa(table, weights=weights) for weights in WEIGHTS}
    if len(readers) > 2:
        found["any_positive"]["fleiss_kappa"] = _fleiss(
            [list(calls) for calls in zip(*positive, strict=True)]
        )
        if len(scores):
            found[SCORE]["fleiss_kappa"] = _fleiss(scores.to_numpy().tolist())
    return found


def _fleiss(calls: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """Fleiss' kappa of calls, one row per slide, one column per reader."""
    classes = sorted({call for row in calls for call in row})
    return fleiss_kappa([[list(row).count(name) for name in classes] for row in calls])


def _usable(table: pd.DataFrame, key: str) -> pd.DataFrame:
    for name in ("marker", MEASURE):
        if name not in table and not (name == MEASURE and {"n_positive", "area_mm2"} <= set(table.columns)):
            raise UsageError(f"a table has no column {name!r}; it has {', '.join(map(str, table.columns))}")
    rows = table[table["compartment"].fillna("tissue") == "tissue"] if "compartment" in table else table
    found = pd.DataFrame({
        key: rows[key].astype("string"),
        "marker": rows["marker"].astype("string"),
        "group": rows["group"].astype("string") if "group" in rows else pd.NA,
        MEASURE: measured(rows)["density"],
    })  # fmt: skip
    score = pd.to_numeric(rows[SCORE], errors="coerce") if SCORE in rows else pd.Series(np.nan, rows.index)
    found[SCORE] = score.where(score.isin(list(SCORES)))
    found = found.dropna(subset=[key, "marker", MEASURE])
    grouped = found.groupby([key, "marker"], sort=True)
    return grouped.agg({"group": "first", MEASURE: "mean", SCORE: "max"}).reset_index()
