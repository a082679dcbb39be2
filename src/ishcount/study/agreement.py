"""How far two tables of densities agree, slide by slide (or patient by patient), within each group."""

from __future__ import annotations

from typing import Any

import pandas as pd

from ishcount.core.errors import UsageError
from ishcount.stats.agreement import agree, within_groups

MEASURE = "positive_per_mm2"


def compare_readers(a: pd.DataFrame, b: pd.DataFrame) -> dict[str, Any]:
    """Bland-Altman, CCC and ICC per marker, over all and within groups; plain data for `agreement.json`.

    Rows are matched by slide_id where both tables have it, else by patient; only compartment `tissue` and
    rows with a density in both enter. UsageError when nothing matches.
    """
    key = next((name for name in ("slide_id", "patient") if name in a and name in b), None)
    if key is None:
        raise UsageError("the two tables share neither slide_id nor patient; add one of them to both")
    pairs = _usable(a, key).merge(_usable(b, key), on=[key, "marker"], suffixes=("_a", "_b"))
    if pairs.empty:
        raise UsageError(f"no {key} and marker has a density in both tables; check how they are written")
    markers = {}
    for marker, rows in pairs.sort_values(key, kind="stable").groupby("marker", sort=True):
        first, second = rows[f"{MEASURE}_a"].tolist(), rows[f"{MEASURE}_b"].tolist()
        groups = rows["group_a"].combine_first(rows["group_b"]).fillna("")
        markers[str(marker)] = {
            "all": agree(first, second),
            "within_groups": within_groups(first, second, groups.astype(str).tolist())
            if (groups != "").any()
            else {},
            "pairs": rows.assign(group=groups.astype(str))[
                [key, "group", f"{MEASURE}_a", f"{MEASURE}_b"]
            ].to_dict("records"),
        }
    return {"matched_by": key, "measure": MEASURE, "n_pairs": len(pairs), "markers": markers}


def _usable(table: pd.DataFrame, key: str) -> pd.DataFrame:
    for name in ("marker", MEASURE):
        if name not in table and not (name == MEASURE and {"n_positive", "area_mm2"} <= set(table.columns)):
            raise UsageError(f"a table has no column {name!r}; it has {', '.join(map(str, table.columns))}")
    rows = table[table["compartment"].fillna("tissue") == "tissue"] if "compartment" in table else table
    density = rows[MEASURE] if MEASURE in rows else rows["n_positive"] / rows["area_mm2"]
    found = pd.DataFrame({
        key: rows[key].astype("string"),
        "marker": rows["marker"].astype("string"),
        "group": rows["group"].astype("string") if "group" in rows else pd.NA,
        MEASURE: pd.to_numeric(density, errors="coerce"),
    })  # fmt: skip
    found = found.dropna(subset=[key, "marker", MEASURE])
    grouped = found.groupby([key, "marker"], sort=True)
    return grouped.agg({"group": "first", MEASURE: "mean"}).reset_index()
