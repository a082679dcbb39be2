"""Reviewed counts into the table of densities: beside the automatic ones, never instead of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ishcount.core.errors import SlideError
from ishcount.core.tables import DENSITIES
from ishcount.result import SlideResult, density_rows, load_result, write_densities
from ishcount.review.apply import apply_review
from ishcount.study.controls import control_gate, with_control_flags

FROM_SHEET = ("patient", "group", "role")


def rows_with_review(
    result: SlideResult, sheet_rows: Mapping[str, Mapping[str, Any]]
) -> tuple[pd.DataFrame, str]:
    """A slide's rows of densities with its readers' decisions, and why a log was left aside (else empty)."""
    try:
        decisions, problem = apply_review(result), ""
    except SlideError as error:
        decisions, problem = None, str(error)
    return density_rows(result, sheet_rows, decisions=decisions), problem


def refresh_reviews(out: Path) -> list[str]:
    """Bring densities.csv and .parquet in `out` up to date with every review log; the problems found.

    Counts nothing again. UsageError when `out` is no result folder.
    """
    study = load_result(out)
    problems, parts, changed = [], [], False
    for slide_id, rows in study.densities.groupby("slide_id", sort=True):
        result = study.slides.get(str(slide_id))
        logs = result is not None and (result.folder / "review").is_dir()
        if result is None or not (logs or rows["reviewed"].fillna(False).any()):
            parts.append(rows)
            continue
        fresh, problem = rows_with_review(result, sheet_rows_of(rows))
        parts.append(fresh)
        changed = True
        if problem:
            problems.append(f"{slide_id}: {problem}")
    if changed:
        table = pd.concat(parts, ignore_index=True)
        if study.densities["flags"].fillna("").str.contains("CONTROL_").any():
            min_dots = study.params.density.min_dots
            table = with_control_flags(table, control_gate(table, min_dots=min_dots))
        write_densities(study.folder, table)
    return problems


def sheet_rows_of(rows: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """What the sheet said of each marker of a slide, read back from its rows of densities."""
    names = [*FROM_SHEET, *(name for name in rows.columns if name not in DENSITIES)]
    single = rows[~rows["marker"].str.contains("+", regex=False)].drop_duplicates("marker")
    table = single.astype(object).where(single.notna(), None)
    return {str(row["marker"]): {name: row[name] for name in names} for row in table.to_dict("records")}
