"""What the negative controls would make of the difference: corrected for blanks, and ruled out or not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ishcount.stats.tipping import blank_corrected_difference, tipping_point
from ishcount.stats.wording import format_estimate, format_number


def with_blanks(
    statistics: Mapping[str, Any], patients: pd.DataFrame, densities: pd.DataFrame
) -> list[dict[str, Any]]:
    """The comparisons, those in tissue with `blank_corrected` and a `tipping_point` that knows the blanks.

    A blank stands for the group of its patient and for markers of its dye; densities of a patient's blanks
    are averaged, since the patient is the unit.
    """
    return [
        {**comparison, **_undone(comparison, patients, densities)}
        if comparison["compartment"] == "tissue" and comparison["control"] is not None
        else dict(comparison)
        for comparison in statistics["comparisons"]
    ]


def _undone(comparison: Mapping[str, Any], patients: pd.DataFrame, densities: pd.DataFrame) -> dict[str, Any]:
    marker, measure = comparison["marker"], comparison["measure"]
    rows = patients[(patients["marker"] == marker) & (patients["compartment"] == "tissue")]
    rows = rows[rows["pair"] != "during"].dropna(subset=[measure])
    tissue = densities[densities["compartment"] == "tissue"]
    dyes = set(tissue.loc[tissue["marker"] == marker, "chromogen"].dropna())
    blanks = tissue[(tissue["role"] == "negative_control") & tissue["chromogen"].isin(dyes)]
    blanks = blanks.dropna(subset=["positive_per_mm2"])

    def blank(group: str) -> list[float]:
        mine = blanks[blanks["group"] == group]
        return mine.groupby(mine["patient"].astype(str))["positive_per_mm2"].mean().tolist()

    case, control = str(comparison["case"]), str(comparison["control"])
    corrected = blank_corrected_difference(
        rows.loc[rows["group"] == case, measure].tolist(),
        rows.loc[rows["group"] == control, measure].tolist(),
        blank_case=blank(case),
        blank_control=blank(control),
    )
    primary = comparison["tests"]["permutation"]
    point = tipping_point(
        primary, mean_case=comparison["mean_case"], blank_difference=corrected.get("blank_difference")
    )
    return {"blank_corrected": corrected, "tipping_point": point}


def remarks(comparison: Mapping[str, Any]) -> list[str]:
    """Sentences on what would undo the difference of one comparison; empty where nothing could be said."""
    found = []
    corrected, point = comparison.get("blank_corrected") or {}, comparison.get("tipping_point") or {}
    marker = comparison["marker"]
    if corrected.get("estimate") is not None and corrected.get("ci"):
        told = format_estimate(corrected["estimate"], corrected["ci"])
        found.append(f"{marker}: with each group's blanks subtracted the difference is {told}.")
    if point.get("estimate"):
        ruled: dict[bool | None, str] = {
            True: "the blanks rule so many out",
            False: "the blanks do not rule so many out",
            None: "there are not blanks enough of both groups to say whether that can be",
        }
        known = ruled[point.get("ruled_out_by_blanks")]
        found.append(
            f"{marker}: {format_number(abs(point['estimate']))} more false cells per mm\u00b2 in one group "
            f"than in the other would make the interval touch zero; {known}."
        )
    return found
