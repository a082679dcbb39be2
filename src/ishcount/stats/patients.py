"""From sections to patients: the patient is the unit of every comparison, never the section, tile or cell."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from ishcount.core.errors import UsageError

# measure -> (what is counted, what it is divided by); without counts the measure itself is averaged
MEASURES: dict[str, tuple[str | None, str]] = {
    "positive_per_mm2": ("n_positive", "area_mm2"),
    "positive_per_mm2_reviewed": ("n_positive_reviewed", "area_mm2"),
    "estimated_per_mm2": (None, "area_mm2"),
    "positive_per_mm_epidermis": ("n_positive", "epidermis_mm"),
}
MOST_PER_UNIT = 1e9
"""A mm2 holds no more cells than that: they would be .03 um wide. What is beyond is no density."""
PAIRS = ("", "before", "during")
KEYS = ["marker", "compartment", "pair", "group", "patient"]


def patient_densities(densities: pd.DataFrame, *, measure: str = "positive_per_mm2") -> pd.DataFrame:
    """One row per patient, marker, compartment and `pair`, sorted by those.

    `densities` needs patient, group, marker and either counts with areas or the density; optional:
    compartment (default `tissue`), role (only `target` enters), pair (`before`, `during` or empty), level,
    block, status.

    Density = sum of counts / sum of areas over independent sections. Adjacent levels of one block (rows with
    a `level`; `block` names the block if a patient has several) show the same cells: their counts and areas
    are averaged first, so that three levels weigh as one section. Without counts: the mean of the densities,
    levels averaged likewise. Zeros stay.

    Columns: patient, group, marker, compartment, pair, n_sections, n_not_measured, n_positive and exposure
    (effective sums; NaN without counts), the measure, reason (why it is missing, else empty).
    """
    rows = usable_rows(densities, measure=measure)
    found = [
        dict(zip(KEYS, key, strict=True)) | _collapse(part) | {"reason": _reason(part)}
        for key, part in rows.groupby(KEYS, sort=True)
    ]
    columns = [*KEYS, "n_sections", "n_not_measured", "n_positive", "exposure", "density", "reason"]
    table = pd.DataFrame(found, columns=columns).rename(columns={"density": measure})
    _check_one_group(table)
    return table


def complete_rows(densities: pd.DataFrame) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """Rows that name patient, group and marker, and what was left out: `[{"reason": "no group", "n_rows":
    2}]`.

    Rows of controls need none of them and stay; they never enter a comparison.
    """
    left_out = []
    target = _text(densities, "role", "target").isin(["target", ""])
    for name in ("patient", "group", "marker"):
        empty = target & (_text(densities, name, "") == "") if name in densities else target & False
        if empty.any():
            left_out.append({"reason": f"no {name}", "n_rows": int(empty.sum())})
        densities, target = densities[~empty], target[~empty]
    return densities, left_out


def usable_rows(densities: pd.DataFrame, *, measure: str = "positive_per_mm2") -> pd.DataFrame:
    """The target rows as text keys and floats: KEYS, `count`, `exposure`, `density`, `level`, `block`.

    `density` is NaN where a section was not measured. Rows that name no patient, group or marker are
    left out (see `complete_rows`). Raises UsageError when a column is missing.
    """
    if measure not in MEASURES:
        raise UsageError(f"no measure named {measure!r}; there are {', '.join(MEASURES)}")
    lacking = [name for name in ("patient", "group", "marker") if name not in densities]
    count_column, exposure_column = MEASURES[measure]
    counted = count_column in densities and exposure_column in densities
    if measure not in densities and not counted:
        lacking.append(f"{count_column} with {exposure_column}, or {measure}" if count_column else measure)
    if lacking:
        raise UsageError(
            f"the table lacks {'; '.join(lacking)}; it has {', '.join(map(str, densities.columns))}"
        )
    rows = complete_rows(densities)[0].reset_index(drop=True)
    if "role" in rows:
        rows = rows[_text(rows, "role", "target").isin(["target", ""])]
    keys = {name: _text(rows, name, "tissue" if name == "compartment" else "") for name in KEYS}
    keys["compartment"] = keys["compartment"].replace("", "tissue")
    keys["pair"] = keys["pair"].str.lower()
    table = pd.DataFrame(keys).join(measured(rows, measure))
    for name in ("level", "block"):
        table[name] = _text(rows, name, "")
    _check_pair(table)
    return table


def section_densities(densities: pd.DataFrame, *, measure: str = "positive_per_mm2") -> pd.DataFrame:
    """Measured sections with KEYS and `density`: what the mixed model sees."""
    rows = usable_rows(densities, measure=measure)
    return rows[rows["density"].notna()].reset_index(drop=True)


def measured(rows: pd.DataFrame, measure: str = "positive_per_mm2") -> pd.DataFrame:
    """Floats `count`, `exposure`, `density` of each row, NaN where not measured; UsageError for a number that
    cannot be: text, a negative or endless one.
    """
    count_column, exposure_column = MEASURES[measure]
    exposure = _column(rows, exposure_column)
    count = _column(rows, count_column) if count_column else _column(rows, measure) * exposure
    counted = np.isfinite(count) & np.isfinite(exposure) & (exposure > 0)
    if "status" in rows:
        counted &= ~rows["status"].astype(str).isin(["failed", "skipped"])
    for name, values in ((exposure_column, exposure), (count_column, count)):
        wrong = (values < 0) | np.isinf(values)
        if wrong.any():
            raise UsageError(
                f"{name or measure} is {values[wrong][0]:g} in a row; write 0 or more, or nothing"
            )
    given = _column(rows, measure)
    with np.errstate(divide="ignore", invalid="ignore"):
        density = np.where(
            counted, count / exposure, np.where(_has_no_counts(count, exposure), given, np.nan)
        )
    impossible = (density < 0) | (density > MOST_PER_UNIT)
    if impossible.any():
        raise UsageError(
            f"a density is {density[impossible][0]:g}; densities are counts over areas: write 0 or more, at "
            f"most {MOST_PER_UNIT:g}"
        )
    return pd.DataFrame(
        {
            "count": np.where(counted, count, np.nan),
            "exposure": np.where(counted, exposure, np.nan),
            "density": np.where(np.isfinite(density), density, np.nan),
        },
        index=rows.index,
    )


def _has_no_counts(count: np.ndarray, exposure: np.ndarray) -> np.ndarray:
    """Rows that only ever had a density; an area of 0 is a section without tissue instead."""
    return (np.isnan(count) | np.isnan(exposure)) & ~(exposure == 0)


def _collapse(part: pd.DataFrame) -> dict[str, Any]:
    measured = part[part["density"].notna()]
    found: dict[str, Any] = {"n_sections": len(measured), "n_not_measured": len(part) - len(measured)}
    if measured.empty:
        return found | {"n_positive": math.nan, "exposure": math.nan, "density": math.nan}
    blocks = [
        (_levels(block, "count"), _levels(block, "exposure"), float(_mean(block["density"])))
        for _, block in measured.groupby(_block_of(measured), sort=True)
    ]
    if measured["count"].isna().any():
        return found | {
            "n_positive": math.nan,
            "exposure": math.nan,
            "density": _mean([d for _, _, d in blocks]),
        }
    count, exposure = math.fsum(c for c, _, _ in blocks), math.fsum(e for _, e, _ in blocks)
    return found | {"n_positive": count, "exposure": exposure, "density": count / exposure}


def _block_of(part: pd.DataFrame) -> pd.Series:
    """A name per block: sections without a level are each their own."""
    alone = pd.Series([f"section {i}" for i in range(len(part))], index=part.index)
    return ("block " + part["block"]).where(part["level"] != "", alone)


def _levels(block: pd.DataFrame, column: str) -> float:
    """Sum within a level, then the mean over the block's levels."""
    sums = [math.fsum(level[column]) for _, level in block.groupby("level", sort=True)]
    return _mean(sums)


def _mean(values: Any) -> float:
    numbers = list(values)
    return math.fsum(numbers) / len(numbers)


def _reason(part: pd.DataFrame) -> str:
    return "" if part["density"].notna().any() else "no section measured"


def _text(rows: pd.DataFrame, name: str, default: str) -> pd.Series:
    if name not in rows:
        return pd.Series(default, index=rows.index, dtype=object)
    return rows[name].map(lambda value: default if pd.isna(value) else _plain(value)).astype(object)


def _plain(value: Any) -> str:
    """A label as text: 7.0 from a spreadsheet column with gaps is patient 7."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()


def _column(rows: pd.DataFrame, name: str) -> np.ndarray:
    if name not in rows:
        return np.full(len(rows), math.nan)
    try:
        return np.asarray(pd.to_numeric(rows[name]), dtype=float)
    except (ValueError, TypeError):
        texts = [value for value in rows[name] if pd.isna(pd.to_numeric(value, errors="coerce"))]
        wrong = next(str(value) for value in texts if not pd.isna(value))
        raise UsageError(
            f"column {name} holds text where a number belongs: {wrong!r}; write such as 1.5, or nothing"
        ) from None


def _check_pair(table: pd.DataFrame) -> None:
    wrong = sorted(set(table["pair"]) - set(PAIRS))
    if wrong:
        raise UsageError(f"pair is {wrong[0]!r}; it can be before, during or empty")


def _check_one_group(table: pd.DataFrame) -> None:
    groups = table.groupby(["marker", "compartment", "pair", "patient"])["group"].nunique()
    if (groups > 1).any():
        patient = groups.index[groups > 1][0][-1]
        raise UsageError(
            f"patient {patient} stands in two groups for one marker; a patient belongs to one group"
        )
