"""Tables of a study made from the `summary.json` of its slides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from ishcount.core.flags import names
from ishcount.report.stain_drift import stain_drift_deg
from ishcount.study.controls import CONTROL_FLAGS

CONTROL_NAMES = names(CONTROL_FLAGS).split(";")
QC_FIRST = (
    "slide_id", "status", "error_code", "reason", "flags", "tissue_area_mm2", "area_low_mm2", "area_high_mm2",
    "artefacts_mm2", "n_sections", "n_cells", "width_px", "height_px", "mpp_x_um", "mpp_y_um", "mpp_source",
    "stain_source", "stain_mismatch", "stain_drift_deg",
)  # fmt: skip
SENSITIVITY = (
    "slide_id", "marker", "dot_cut", "min_dots", "ownership", "n_positive", "positive_per_mm2",
)  # fmt: skip
LIMITS = ("limit_of_blank", "limit_of_detection", "limit_of_quantitation", "min_dots")
CONTROLS = (
    "slide_id", "marker", "role", "batch", "chromogen", "passed", "reason", "linked", "n_positive",
    "area_mm2", "positive_per_mm2", "upper_limit", "limit", "acd_score", "n_blanks", *LIMITS,
    "largest_false_per_mm2",
)  # fmt: skip
OF_THE_ANSWER = (
    "slide_id", "marker", "min_dots", "mean_case", "mean_control", "estimate", "low", "high", "p",
    "false_per_mm2", "false_upper_per_mm2", "remark",
)  # fmt: skip


def qc_table(summaries: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """One row per slide: area, artefacts by kind, sections, pixel size, stains, flags, quality."""
    drift = stain_drift_deg(summaries)
    rows = [_qc_row(summary, drift.get(str(summary["slide_id"]), {})) for summary in summaries]
    extra = sorted({name for row in rows for name in row} - set(QC_FIRST))
    return pd.DataFrame(rows, columns=[*QC_FIRST, *extra])


def _qc_row(summary: Mapping[str, Any], drift_deg: Mapping[str, float]) -> dict[str, Any]:
    row = {name: summary.get(name) for name in QC_FIRST if name in summary}
    artefacts = summary.get("artefacts") or {}
    stains = summary.get("stains") or {}
    row["flags"] = ";".join(summary.get("flags") or [])
    row["artefacts_mm2"] = sum(artefacts.values()) if summary.get("tissue_area_mm2") is not None else None
    row["n_sections"] = len(summary["sections"]) if summary.get("sections") is not None else None
    row["stain_source"] = _plain(stains.get("source"))
    row["stain_mismatch"] = _plain(stains.get("mismatch"))
    row["stain_drift_deg"] = max(drift_deg.values(), default=None)
    row |= {f"artefact_{kind}_mm2": area for kind, area in artefacts.items()}
    row |= {f"qc_{name}": _plain(value) for name, value in (summary.get("qc") or {}).items()}
    return row


def sensitivity_table(summaries: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """One row per slide, marker, cut, min_dots and ownership rule: what the count would have been."""
    rows = [
        {"slide_id": summary["slide_id"], "marker": marker, **point}
        for summary in summaries
        for marker, result in (summary.get("markers") or {}).items()
        for point in result.get("sensitivity") or []
    ]
    return pd.DataFrame(rows, columns=list(SENSITIVITY))


def flag_uncontrolled(patients: pd.DataFrame, densities: pd.DataFrame) -> pd.DataFrame:
    """The patients with `flags`: CONTROL_MISSING or CONTROL_FAILED where a slide of theirs has it."""
    keys = ["patient", "marker", "compartment"]
    found: dict[tuple[str, ...], set[str]] = {}
    rows = densities.dropna(subset=["flags", "patient", "marker"])
    for *key, text in rows[[*keys, "flags"]].astype(str).itertuples(index=False):
        found.setdefault(tuple(key), set()).update(
            {name for name in CONTROL_NAMES if name in text.split(";")}
        )
    flags = [
        ";".join(sorted(found.get(tuple(key), ())))
        for key in patients[keys].astype(str).itertuples(index=False)
    ]
    return patients.assign(flags=pd.Series(flags, index=patients.index, dtype="string"))


def controls_table(controls: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """One row per control with its verdict, then one per batch and dye with the limits its blanks set."""
    rows = []
    for entry in controls:
        row = {name: entry[name] for name in CONTROLS if name in entry}
        if "linked" in row:
            row["linked"] = "; ".join(row["linked"])
        if entry["role"] == "limits":
            row |= {name: entry[name]["estimate"] for name in LIMITS}
            row["largest_false_per_mm2"] = entry["min_dots"]["largest_false_per_mm2"]
            reasons = [entry[name]["reason"] for name in LIMITS]
            row["reason"] = "; ".join(dict.fromkeys(filter(None, reasons)))
        rows.append(row)
    return pd.DataFrame(rows, columns=list(CONTROLS))


def answers_by_copies(tried: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """One row per marker and rule of `least_copies.copies_tried`: what the primary answer would have been.

    `slide_id` is empty: these rows are of the study. `min_dots` is empty where each batch has its own number,
    which `remark` then names.
    """
    rows = []
    for entry in tried:
        rule = ", ".join(f"{number} copies in {name}" for name, number in entry["by_batch"].items())
        asked = "asked for by the blanks" if entry["is_derived"] else ""
        said = ("used" if entry["is_used"] else "", rule, asked, entry["reason"] or "")
        low, high = entry["ci"] or (None, None)
        own = {name: entry[name] for name in OF_THE_ANSWER if name in entry}
        extra = {"low": low, "high": high, "false_upper_per_mm2": entry["upper_limit"]}
        rows.append(own | extra | {"remark": "; ".join(filter(None, said))})
    kinds = dict.fromkeys(OF_THE_ANSWER[3:-1], "float64") | {"min_dots": "Int64"}
    return pd.DataFrame(rows, columns=list(OF_THE_ANSWER)).astype(kinds)


def _plain(value: Any) -> Any:
    """A value for one cell: a list or mapping becomes text, numbers in it at three digits."""
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {_plain(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(f"{item:.3g}" if isinstance(item, float) else str(item) for item in value)
    return value
