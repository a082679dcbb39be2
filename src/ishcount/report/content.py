"""What a report says, as plain data: HTML, PDF and the workbook's first sheet are three ways to print it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd

from ishcount.core.flags import MEANING, Flag
from ishcount.params import protocol_digest
from ishcount.report import blanks, least_copies, methods
from ishcount.report.answers import Answer, Doubt, answers, doubts, slide_answers
from ishcount.report.checklists import Checklist, checklists
from ishcount.report.dates import in_words
from ishcount.report.printed import (
    Table,
    as_printed,
    printed_checks,
    printed_controls,
    printed_patients,
    printed_slides,
    printed_statistics,
)
from ishcount.report.stain_drift import far_slides, stain_drift_deg
from ishcount.report.workbook import parameters_table
from ishcount.stats.wording import format_estimate, format_p, paper_lines, why_welch_differs

NO_STATISTICS = "No groups were compared: the sheet names no patients and groups."
MOST_LINES = 6  # of slides named one by one before the workbook has to do
NO_DENSITY = "No slide has a density."


@dataclass(frozen=True, slots=True)
class TableGroup:
    """Tables under one heading."""

    anchor: str
    title: str
    tables: tuple[Table, ...]
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that is printed, in the order of printing; pictures come beside it."""

    title: str
    subtitle: str
    answers: tuple[Answer, ...]
    doubts: tuple[Doubt, ...]
    remarks: tuple[str, ...]
    table_groups: tuple[TableGroup, ...]
    methods: tuple[str, ...]
    limitations: tuple[str, ...]
    checklists: tuple[Checklist, ...]
    provenance: tuple[tuple[str, str], ...]
    parameters: Table
    without_answer: str = NO_DENSITY


def make_report(
    *,
    densities: pd.DataFrame,
    patients: pd.DataFrame,
    summaries: Sequence[Mapping[str, Any]],
    params: Mapping[str, Any],
    statistics: Mapping[str, Any] | None,
    run: Mapping[str, Any],
    title: str,
    date: datetime | None = None,
) -> Report:
    """The report of a study. patients: as `stats.patients.patient_densities` gives them (empty: none); date:
    of the newest input.
    """
    versions = dict(run.get("versions") or {})
    return Report(
        title=title,
        subtitle=_subtitle(densities, patients, date),
        answers=tuple(answers(statistics) if statistics else slide_answers(densities)),
        doubts=tuple(doubts(densities, statistics, params=params)),
        remarks=tuple(_remarks(statistics, params)),
        table_groups=tuple(_groups(densities, patients, statistics, _odd_colours(summaries))),
        methods=tuple(methods.methods_text(densities, summaries, params, statistics, versions)),
        limitations=tuple(methods.limitations(densities, statistics, summaries)),
        checklists=tuple(checklists(methods.facts(densities, summaries, params, statistics))),
        provenance=(("newest input", in_words(date)), *_provenance(densities, run, params["protocol"])),
        parameters=as_printed("Parameters", parameters_table(params)),
    )


def _subtitle(densities: pd.DataFrame, patients: pd.DataFrame, date: datetime | None) -> str:
    markers = ", ".join(sorted(densities["marker"].dropna().astype(str).unique()))
    people = f"{patients['patient'].nunique()} patients; " if len(patients) else ""
    n_slides = densities["slide_id"].nunique()
    counted = f"{n_slides} slide{'s' if n_slides > 1 else ''}; " if n_slides else ""
    newest = f"; newest input of {date:%Y-%m-%d}" if date else ""
    return f"{people}{counted}{markers}{newest}"


def _remarks(statistics: Mapping[str, Any] | None, params: Mapping[str, Any]) -> list[str]:
    if not statistics:
        return [NO_STATISTICS]
    compared = [
        c for c in statistics["comparisons"] if c["compartment"] == "tissue" and c["control"] is not None
    ]
    found = [_after_review(c) for c in statistics.get("after_review") or [] if c["compartment"] == "tissue"]
    found += [text for c in compared for text in blanks.remarks(c)]
    found += least_copies.remarks(statistics.get("least_copies") or [])
    found += [text for c in compared if (text := why_welch_differs(c))]
    if params["statistics"]["paper_mode"]:
        found = [*paper_lines(dict(statistics)), *found]
    return found


def _after_review(comparison: Mapping[str, Any]) -> str:
    """The primary answer on the densities that readers left."""
    test = comparison["tests"][comparison["primary"]]
    answer = f"{format_estimate(test['estimate'], test['ci'])}, {format_p(test['p'])}"
    return f"{comparison['marker']} after review of every slide: difference of means {answer}."


def _groups(
    densities: pd.DataFrame,
    patients: pd.DataFrame,
    statistics: Mapping[str, Any] | None,
    mismatches: Sequence[tuple[str, str]],
) -> list[TableGroup]:
    found = []
    if statistics:
        tables = (printed_statistics(statistics),)
        found.append(TableGroup("statistics", "Statistics", tables, _design(statistics)))
        if checks := statistics.get("confounding") or []:
            lines = (
                "A covariate that differs between groups may be what is seen; P: covariate against group.",
            )
            tables = (printed_checks(checks),)
            found.append(TableGroup("confounding", "Could something else explain it?", tables, lines))
        if tried := statistics.get("least_copies") or []:
            rate = least_copies.stated_rate(statistics["controls"])
            tables = (least_copies.printed_copies(tried),)
            found.append(TableGroup("copies", "How many copies make a positive cell?", tables, rate))
    if len(patients):
        found.append(TableGroup("patients", "Patients", (printed_patients(patients),)))
    quality = [printed_slides(densities)] if densities["slide_id"].notna().any() else []
    if statistics and statistics.get("controls"):
        quality = [*printed_controls(statistics["controls"]), *quality]
    said = [f"{name}: {MEANING[Flag[name]]}." for name in methods.flag_rows(densities)]
    said += [f"{slide}: {text}." for slide, text in mismatches[:MOST_LINES]]
    if len(mismatches) > MOST_LINES:
        said.append(
            f"{len(mismatches) - MOST_LINES} more slides whose colours do not fit are in the workbook (QC)."
        )
    group = TableGroup("quality", "Quality and controls", tuple(quality), tuple(said))
    return [*found, group] if quality else found


def _odd_colours(summaries: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """What there is to say of slides whose colours fit neither their stains nor their study."""
    said = [(str(s["slide_id"]), (s.get("stains") or {}).get("mismatch")) for s in summaries]
    mismatches = [(slide, text) for slide, text in said if isinstance(text, str) and text]
    return [*mismatches, *far_slides(stain_drift_deg(summaries))]


def _design(statistics: Mapping[str, Any]) -> tuple[str, ...]:
    design = statistics["design"]
    return (
        f"Unit: {design['unit']}. Primary: {design['primary_test']}. Everything else: "
        f"{design['other_results']}. {design.get('coverage_note') or ''}",
    )


def _provenance(
    densities: pd.DataFrame, run: Mapping[str, Any], protocol: Mapping[str, Any]
) -> list[tuple[str, str]]:
    def distinct(name: str) -> str:
        return ", ".join(sorted(densities[name].dropna().astype(str).unique())) or "not known"

    machine = run.get("machine") or {}
    found = [
        ("ishcount", distinct("ishcount_version")),
        ("parameters digest", distinct("params_digest")),
        ("protocol digest", protocol_digest(protocol) or "no protocol was fixed"),
        ("Python", str(machine.get("python") or "not known")),
    ]
    libraries = [f"{name} {version}" for name, version in sorted((run.get("versions") or {}).items())]
    found += [("libraries", ", ".join(libraries) or "not known")]
    slides = densities.drop_duplicates("slide_id")
    known = slides.dropna(subset=["slide_id", "slide_digest"])
    pairs = [f"{row.slide_id} {str(row.slide_digest)[:16]}" for row in known.itertuples()]
    return [*found, ("slide digests", "; ".join(pairs) or "not known")]
