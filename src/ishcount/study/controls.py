"""The control gate: negative and positive controls linked to targets, and the limits that blanks set.

A negative control (dapB, no probe) passes when the upper 95 % limit of its positive cells per mm2 is small
beside the targets it stands for, or below an absolute budget. The assay maker's rule (at most 1 dot in 10
cells) would let some 500 false cells per mm2 pass in skin, so it is not used. Limits of blank, detection and
quantitation are in cells per mm2, in the terms of CLSI EP17.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ishcount.core.flags import Flag, names, parse
from ishcount.stats.rates import (
    limit_of_blank,
    limit_of_detection,
    limit_of_quantitation,
    min_dots_from_blanks,
    rate_upper_limit,
)

NEGATIVE, POSITIVE, TARGET = "negative_control", "positive_control", "target"
BUDGET_PER_MM2 = 0.5
"""False cells per mm2 that pass whatever the targets hold: what the mission allows on dapB or normal skin."""
SHARE_OF_TARGET = 0.2
"""Else the limit is this share of the densest linked target: as FALSE_COUNT_NOT_SMALL asks of one slide."""
LEAST_ACD_SCORE = {"UBC": 3}
"""Least ACD score of a positive control; 2 for PPIB, POLR2A and any other (the maker's thresholds)."""
CONTROL_FLAGS = Flag.CONTROL_MISSING | Flag.CONTROL_FAILED


@dataclass(frozen=True, slots=True)
class Gate:
    """What the controls say: an entry per control, one per batch of blanks, and doubts per target slide."""

    controls: list[dict[str, Any]]
    doubts: dict[str, Flag]


def control_gate(densities: pd.DataFrame, *, min_dots: int = 1) -> Gate:
    """Judge every control of a table of densities and name the targets that no passing control stands for.

    min_dots: the number of copies at which `n_positive` was counted.
    """
    rows = densities[densities["compartment"] == "tissue"]
    rows = rows[~rows["marker"].str.contains("+", regex=False)]
    targets = rows[rows["role"] == TARGET]
    linked_to: dict[str, list[tuple[str, bool]]] = {}
    entries: list[dict[str, Any]] = []
    for role in (NEGATIVE, POSITIVE):
        controls = rows[rows["role"] == role]
        stand_for = _links(controls, targets)
        for place, (_, control) in enumerate(controls.iterrows()):
            linked = targets[[place in found for found in stand_for]]
            entry = _judge(control, linked, role)
            entries.append(entry)
            for slide_id in entry["linked"]:
                linked_to.setdefault(slide_id, []).append((role, entry["passed"]))
    doubts = {
        str(slide_id): _doubt(linked_to.get(str(slide_id), [])) for slide_id in targets["slide_id"].unique()
    }
    return Gate(entries + _limits(rows[rows["role"] == NEGATIVE], min_dots), doubts)


def with_control_flags(densities: pd.DataFrame, gate: Gate) -> pd.DataFrame:
    """The table with CONTROL_MISSING or CONTROL_FAILED set on targets as the gate found, and nowhere else."""
    flags = [
        _set(text, gate.doubts.get(str(slide_id), Flag(0)) if role == TARGET else Flag(0))
        for text, slide_id, role in zip(
            densities["flags"], densities["slide_id"], densities["role"], strict=True
        )
    ]
    return densities.assign(flags=pd.Series(flags, index=densities.index, dtype="string"))


def _set(text: Any, doubt: Flag) -> str | None:
    if pd.isna(text) and not doubt:
        return None
    found = parse("" if pd.isna(text) else str(text))
    return names((found & ~CONTROL_FLAGS) | doubt)


def _links(controls: pd.DataFrame, targets: pd.DataFrame) -> list[set[int]]:
    """The controls (by place) that stand for each target: those that name it, else its patient's, else its
    batch's. A control that names its targets stands for no other; one of a patient without targets, or of
    another patient of the batch, serves every target of the batch that has none of its own. A blank in one
    dye says nothing of targets in another, unless it names them.
    """
    named = [
        {name.strip() for name in _text(control, "control_for").split(";")} - {""}
        for _, control in controls.iterrows()
    ]
    shared = {
        column: [_text(control, column) for _, control in controls.iterrows()]
        for column in ("patient", "batch")
    }
    blank_dyes = [
        _text(control, "chromogen") if control["role"] == NEGATIVE else ""
        for _, control in controls.iterrows()
    ]
    found = []
    for _, target in targets.iterrows():
        dye = _text(target, "chromogen")
        fits = [not dye or not own or own == dye for own in blank_dyes]
        ways = [[str(target["slide_id"]) in names for names in named]]
        for column, values in shared.items():
            own = _text(target, column)
            ways.append(
                [
                    own != "" and value == own and not names and fitting
                    for value, names, fitting in zip(values, named, fits, strict=True)
                ]
            )
        best = next((way for way in ways if any(way)), [])
        found.append({place for place, linked in enumerate(best) if linked})
    return found


def _text(row: pd.Series[Any], column: str) -> str:
    value = row.get(column)
    return "" if value is None or pd.isna(value) else str(value)


def _judge(control: pd.Series[Any], linked: pd.DataFrame, role: str) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "slide_id": str(control["slide_id"]),
        "marker": str(control["marker"]),
        "role": role,
        "batch": _text(control, "batch") or None,
        "linked": sorted(set(linked["slide_id"].astype(str))),
        "n_positive": None if pd.isna(control["n_positive"]) else int(control["n_positive"]),
        "area_mm2": None if pd.isna(control["area_mm2"]) else float(control["area_mm2"]),
    }
    if entry["n_positive"] is None or not entry["area_mm2"]:
        return entry | {"passed": False, "reason": "the control was not counted, so it shows nothing"}
    if role == POSITIVE:
        return entry | _judge_positive(control)
    if _is_dense(control):
        return entry | {"passed": False, "reason": "stain too dense to be counted lies on its nuclei"}
    return entry | _judge_negative(entry["n_positive"], entry["area_mm2"], linked)


def _is_dense(control: pd.Series[Any]) -> bool:
    return bool(parse(_text(control, "flags")) & Flag.DENSE_STAIN)


def _judge_negative(n_positive: int, area_mm2: float, linked: pd.DataFrame) -> dict[str, Any]:
    upper = rate_upper_limit(n_positive, area_mm2)
    densest = linked["positive_per_mm2"].max()
    limit = max(BUDGET_PER_MM2, 0.0 if pd.isna(densest) else SHARE_OF_TARGET * float(densest))
    density = n_positive / area_mm2
    passed = upper <= limit
    told = f"upper 95 % limit {upper:.2f} cells per mm2, allowed {limit:.2f}"
    if not passed and density <= limit:
        told += f"; {area_mm2:.2g} mm2 of control are too few to show less"
    return {
        "positive_per_mm2": density,
        "upper_limit": upper,
        "limit": limit,
        "passed": passed,
        "reason": told,
    }


def _judge_positive(control: pd.Series[Any]) -> dict[str, Any]:
    least = LEAST_ACD_SCORE.get(str(control["marker"]).upper(), 2)
    score = None if pd.isna(control["acd_score"]) else int(control["acd_score"])
    passed = score is not None and score >= least
    told = f"ACD score {'missing' if score is None else score}, at least {least} wanted"
    if not passed and _is_dense(control):  # more dots than can be counted
        passed, told = True, f"stain too dense to be counted, as of a strong control ({told})"
    return {
        "positive_per_mm2": float(control["positive_per_mm2"]),
        "acd_score": score,
        "passed": passed,
        "reason": told,
    }


def _doubt(linked: Sequence[tuple[str, bool]]) -> Flag:
    """A target needs a negative control, and every control that stands for it must pass."""
    doubt = Flag(0) if any(role == NEGATIVE for role, _ in linked) else Flag.CONTROL_MISSING
    return doubt if all(passed for _, passed in linked) else doubt | Flag.CONTROL_FAILED


def _limits(blanks: pd.DataFrame, min_dots: int) -> list[dict[str, Any]]:
    """Per batch and dye of the blanks: limits of blank, detection and quantitation, and `min_dots`."""
    usable = blanks[blanks["n_positive"].notna() & (blanks["area_mm2"] > 0)]
    if usable.empty:
        return []
    batch = (
        usable["batch"].astype("string").fillna("")
        if "batch" in usable
        else pd.Series("", index=usable.index)
    )
    found = []
    for key, part in usable.groupby([batch, usable["chromogen"].astype("string").fillna("")], sort=True):
        areas = part["area_mm2"].astype(float).tolist()
        counts = {
            k: part[name].astype(int).tolist()
            for k, name in counts_by_copies(min_dots).items()
            if part[name].notna().all()
        }
        blank = limit_of_blank(counts[min_dots], areas)
        found.append({
            "role": "limits",
            "batch": str(key[0]) or None,
            "chromogen": str(key[1]) or None,
            "n_blanks": len(part),
            "area_mm2": sum(areas),
            "limit_of_blank": blank,
            "limit_of_detection": limit_of_detection(blank),
            "limit_of_quantitation": limit_of_quantitation(blank),
            "min_dots": min_dots_from_blanks(counts, areas, largest_false_per_mm2=BUDGET_PER_MM2),
        })  # fmt: skip
    return found


def counts_by_copies(min_dots: int) -> dict[int, str]:
    """Copies a cell needs -> the column that counts such cells, from `min_dots` upwards."""
    stricter = {k: f"n_positive_{k}" for k in (2, 3) if k > min_dots}
    return {min_dots: "n_positive", **stricter}
