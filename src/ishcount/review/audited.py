"""Audits of slides and of whole studies, from the logs on disk: the audit-corrected densities as a table."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ishcount.core.decisions import Decisions
from ishcount.core.errors import SlideError
from ishcount.core.files import write_csv
from ishcount.result import SlideResult, StudyResult
from ishcount.review.apply import CONSENSUS, apply_review, reader_states
from ishcount.review.audit import Plan, plan_from
from ishcount.review.corrected import correct, more_decisions_to_halve
from ishcount.review.evidence import read_fields, read_strata, resolve
from ishcount.review.pooling import Audit, pooled
from ishcount.review.state import ReviewState

COLUMNS = {
    "slide_id": "string", "marker": "string", "n_decisions": "Int64", "n_fields": "Int64",
    "area_mm2": "float64", "automatic_per_mm2": "float64", "corrected_per_mm2": "float64",
    "corrected_ci_low": "float64", "corrected_ci_high": "float64", "proposed_ci_high": "float64",
    "sensitivity": "float64", "precision": "float64", "more_to_halve": "Int64", "n_slides_pooled": "Int64",
    "readers": "string", "reason": "string",
}  # fmt: skip


def logged_plan(states: Mapping[str, ReviewState], marker: str) -> Plan | None:
    """The audit plan of a slide: the first found over readers in alphabetical order; None without one."""
    for reader in sorted(states):
        if marker in states[reader].plans:
            return plan_from(states[reader].plans[marker])
    return None


def audit_of(
    result: SlideResult, marker: str, states: Mapping[str, ReviewState], decisions: Decisions | None = None
) -> Audit | None:
    """What all readers read of a slide's audit so far; None without a plan.

    decisions: what `apply_review` gives for `states`, if it is at hand.
    """
    plan = logged_plan(states, marker)
    if plan is None:
        return None
    decisions = decisions or apply_review(result, states) or Decisions()
    cells = result.cells
    cell_id = cells["cell_id"].to_numpy(np.int64)
    score = cells[f"{marker}_score"].to_numpy(np.float32)
    # A cell called "not a cell" stays in its stratum, as one that is not positive; an excluded one does not.
    inside = ~np.isin(cell_id, np.fromiter(decisions.excluded, np.int64, len(decisions.excluded)))
    inside &= decisions.compartment(cell_id, cells["compartment"].to_numpy(object)) != ""
    consensus = states[CONSENSUS].calls(marker) if CONSENSUS in states else None
    readers = [state.calls(marker) for name, state in sorted(states.items()) if name != CONSENSUS]
    readers = readers or [consensus or {}]
    strata = read_strata(plan, cell_id[inside], score[inside], readers, consensus)
    fields = read_fields(
        plan,
        _fields_read(states, marker),
        cell_id=cell_id[inside],
        x_um=cells["x_um"].to_numpy(float)[inside],
        y_um=cells["y_um"].to_numpy(float)[inside],
        score=score[inside],
        calls=resolve(readers, consensus),
        added=decisions.added,
        marker=marker,
    )
    return Audit(result.slide_id, tuple(strata), fields)


def _fields_read(states: Mapping[str, ReviewState], marker: str) -> set[str]:
    """Fields that any reader declared read."""
    return {
        str(item.name)
        for state in states.values()
        for item, _ in state.items("field")
        if item.marker == marker
    }


def audit_table(study: StudyResult) -> pd.DataFrame:
    """Audit-corrected density of every slide and marker with an audit (`COLUMNS`), sensitivity pooled.

    A slide whose log cannot be used has a row with the reason and no numbers. `corrected_ci_high` is missing
    while no field was read; `proposed_ci_high` then bounds what was proposed.
    """
    rows: list[dict[str, Any]] = []
    found: dict[str, list[tuple[SlideResult, dict[str, ReviewState], Decisions, Audit]]] = {}
    for slide_id, result in study.slides.items():
        try:
            states = reader_states(result)
            decisions = apply_review(result, states) or Decisions()
        except SlideError as error:
            rows.append({"slide_id": slide_id, "reason": str(error)})
            continue
        for marker in result.markers:
            audit = audit_of(result, marker, states, decisions)
            if audit is not None:
                found.setdefault(marker, []).append((result, states, decisions, audit))
    for marker, audits in found.items():
        together = pooled([audit for *_, audit in audits])
        for (result, states, decisions, own), audit in zip(audits, together, strict=True):
            plan = logged_plan(states, marker)
            n_planned = len(plan.cell_ids) if plan is not None else 0
            row = _row(result, marker, decisions, audit, n_planned) | {"readers": ";".join(sorted(states))}
            needed = more_decisions_to_halve(own.strata, own.fields)
            rows.append({**row, "more_to_halve": needed, "n_slides_pooled": len(audits)})
    table = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    return table.sort_values(["slide_id", "marker"], kind="stable").reset_index(drop=True)


def _row(
    result: SlideResult, marker: str, decisions: Decisions, audit: Audit, n_planned: int
) -> dict[str, Any]:
    automatic = float(result.summary["compartments"]["tissue"]["area_mm2"])
    area = decisions.area_mm2("tissue", automatic)
    corrected = correct(audit.strata, audit.fields)
    middle, low, high = corrected.per_mm2(area)
    n_positive = int(result.cells[f"{marker}_positive"].sum())
    nothing = corrected.n_decisions == 0
    early = f"{corrected.n_decisions} of {n_planned} planned decisions read: too early to quote"
    return {
        "slide_id": result.slide_id,
        "marker": marker,
        "n_decisions": corrected.n_decisions,
        "n_fields": len(audit.fields.field_mm2),
        "area_mm2": area,
        "automatic_per_mm2": n_positive / automatic if automatic > 0 else None,
        "corrected_per_mm2": None if nothing else middle,
        "corrected_ci_low": None if nothing else low,
        "corrected_ci_high": high if isfinite(high) and not nothing else None,
        "proposed_ci_high": corrected.high_proposed / area if area > 0 and not nothing else None,
        "sensitivity": None if nothing else corrected.sensitivity,
        "precision": None if nothing else corrected.precision,
        "reason": "drawn, but nothing read yet" if nothing else early * (corrected.n_decisions < n_planned),
    }


def write_audits(out: Path, study: StudyResult) -> pd.DataFrame | None:
    """Write `audits.csv` into a result folder; the table, or None (no file) without any audit."""
    table = audit_table(study)
    if table.empty:
        return None
    write_csv(out / "audits.csv", table)
    return table
