"""What a report says, as plain data: HTML, PDF and the workbook's first sheet are three ways to print it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ishcount.core.flags import MEANING, Flag
from ishcount.report import methods
from ishcount.report.answers import Answer, Doubt, answers, doubts, slide_answers
from ishcount.report.checklists import Checklist, checklists
from ishcount.report.dictionary import column as explained
from ishcount.report.names import in_words
from ishcount.report.protocol import protocol_digest
from ishcount.report.statistics_table import statistics_table
from ishcount.report.workbook import parameters_table
from ishcount.stats.wording import format_interval, format_number, paper_lines, why_welch_differs

NO_STATISTICS = "No groups were compared: the sheet names no patients and groups."
NO_DENSITY = "No slide has a density."


@dataclass(frozen=True, slots=True)
class Column:
    """Heading of a printed column."""

    name: str
    is_number: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """Cells as text; the first one heads the row."""

    cells: tuple[str, ...]
    is_primary: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A printed table."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    caption: str = ""


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
) -> Report:
    """The report of a study. patients: as `stats.patients.patient_densities` gives them (empty: none)."""
    versions = dict(run.get("versions") or {})
    return Report(
        title=title,
        subtitle=_subtitle(densities, patients),
        answers=tuple(answers(statistics) if statistics else slide_answers(densities)),
        doubts=tuple(doubts(densities, statistics, params=params)),
        remarks=tuple(_remarks(statistics, params)),
        table_groups=tuple(_groups(densities, patients, statistics, _mismatches(summaries))),
        methods=tuple(methods.methods_text(densities, summaries, params, statistics, versions)),
        limitations=tuple(methods.limitations(densities, statistics, summaries)),
        checklists=tuple(checklists(methods.facts(densities, summaries, params, statistics))),
        provenance=tuple(_provenance(densities, run, params["protocol"])),
        parameters=_plain_table("Parameters", parameters_table(params)),
    )


def _subtitle(densities: pd.DataFrame, patients: pd.DataFrame) -> str:
    markers = ", ".join(sorted(densities["marker"].dropna().astype(str).unique()))
    people = f"{patients['patient'].nunique()} patients; " if len(patients) else ""
    n_slides = densities["slide_id"].nunique()
    counted = f"{n_slides} slide{'s' if n_slides > 1 else ''}; " if n_slides else ""
    return f"{people}{counted}{markers}"


def _remarks(statistics: Mapping[str, Any] | None, params: Mapping[str, Any]) -> list[str]:
    if not statistics:
        return [NO_STATISTICS]
    compared = [
        c for c in statistics["comparisons"] if c["compartment"] == "tissue" and c["control"] is not None
    ]
    found = [text for c in compared if (text := why_welch_differs(c))]
    if params["statistics"]["paper_mode"]:
        found = [*paper_lines(dict(statistics)), *found]
    return found


def _groups(
    densities: pd.DataFrame,
    patients: pd.DataFrame,
    statistics: Mapping[str, Any] | None,
    mismatches: Sequence[tuple[str, str]],
) -> list[TableGroup]:
    found = []
    if statistics:
        found.append(TableGroup("statistics", "Statistics", (_statistics(statistics),), _design(statistics)))
        checks = statistics.get("confounding") or []
        if checks:
            lines = (
                "A covariate that differs between groups may be what is seen. P: covariate against group.",
            )
            found.append(
                TableGroup("confounding", "Could something else explain it?", (_checks(checks),), lines)
            )
    if len(patients):
        found.append(TableGroup("patients", "Patients", (_patients(patients),)))
    quality = [_slides(densities)] if densities["slide_id"].notna().any() else []
    if statistics and statistics.get("controls"):
        quality.insert(0, _plain_table("Controls", pd.DataFrame(_flat_rows(statistics["controls"]))))
    said = [f"{name}: {MEANING[Flag[name]]}." for name in methods.flag_rows(densities)]
    said += [f"{slide}: {text}." for slide, text in mismatches]
    group = TableGroup("quality", "Quality and controls", tuple(quality), tuple(said))
    return [*found, group] if quality else found


def _mismatches(summaries: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """What the stain separation says of slides whose colours do not fit."""
    said = [(str(s["slide_id"]), (s.get("stains") or {}).get("mismatch")) for s in summaries]
    return [(slide, text) for slide, text in said if isinstance(text, str) and text]


def _design(statistics: Mapping[str, Any]) -> tuple[str, ...]:
    design = statistics["design"]
    return (
        f"Unit: {design['unit']}. Primary: {design['primary_test']}. Everything else: "
        f"{design['other_results']}. {design.get('coverage_note') or ''}",
    )


def _statistics(statistics: Mapping[str, Any]) -> Table:
    table = statistics_table(statistics)
    table = table[table["compartment"] == "tissue"]
    names = ("Marker", "Result", "Question it answers", "Role", "Estimate", "95% CI", "P", "Holm P", "Remark")
    numbers = {"Estimate", "95% CI", "P", "Holm P"}
    rows = tuple(
        Row(
            (
                str(row["marker"]),
                str(row["quantity"]),
                _text(row["estimand"]),
                str(row["role_of_result"]),
                _number(row["estimate"]),
                _limits(row["low"], row["high"]),
                str(row["p_text"]).removeprefix("P").lstrip("="),
                _p_only(row["p_holm"]),
                _text(row["reason"]),
            ),
            is_primary=row["role_of_result"] == "primary",
        )
        for row in table.to_dict("records")
    )
    caption = "All results in tissue; the primary in bold. Other compartments are in the workbook."
    return Table("Statistics", tuple(Column(name, name in numbers) for name in names), rows, caption)


def _checks(checks: Sequence[Mapping[str, Any]]) -> Table:
    columns = (
        Column("Covariate"), Column("Marker"), Column("Patients", True), Column("P", True),
        Column("Adjusted difference", True), Column("95% CI", True), Column("Remark"),
    )  # fmt: skip
    rows = []
    for check in checks:
        adjusted = check["adjusted"]
        rows.append(
            Row(
                (
                    str(check["covariate"]).replace("_", " "),
                    str(check["marker"]),
                    str(check["n"]),
                    _p_only(check["imbalance"]["p"]),
                    _number(adjusted["estimate"]),
                    _limits(*(adjusted["ci"] or (None, None))),
                    "; ".join(
                        dict.fromkeys(filter(None, (check["imbalance"]["reason"], adjusted["reason"])))
                    ),
                )
            )
        )
    return Table("Covariates", columns, tuple(rows), "Covariates of the sheet, by marker.")


def _patients(patients: pd.DataFrame) -> Table:
    table = patients[patients["compartment"] == "tissue"]
    measure = next(name for name in table.columns if name.startswith(("positive", "estimated")))
    columns = (
        Column("Patient"), Column("Group"), Column("Marker"), Column("Sections", True),
        Column("Positive cells", True), Column("Area (mm\u00b2)", True),
        Column(_capital(in_words(measure)), True), Column("Remark"),
    )  # fmt: skip
    rows = tuple(
        Row(
            (
                " ".join(filter(None, (str(row["patient"]), str(row.get("pair") or "")))),
                str(row["group"]),
                str(row["marker"]),
                str(row["n_sections"]),
                _number(row["n_positive"], 1 if row["n_positive"] % 1 else 0),
                _number(row["exposure"], 3),
                _number(row[measure]),
                _text(row["reason"]),
            )
        )
        for row in table.sort_values(["marker", "group", "patient", "pair"]).to_dict("records")
    )
    return Table(
        "Patients", columns, rows, "The unit of comparison: counts over areas of each patient's sections."
    )


def _slides(densities: pd.DataFrame) -> Table:
    table = densities[densities["compartment"] == "tissue"]
    columns = (
        Column("Slide"), Column("Marker"), Column("Role"), Column("Status"), Column("Flags"),
        Column("Cells", True), Column("Positive", True), Column("Area (mm\u00b2)", True),
        Column("per mm\u00b2", True), Column("95% CI", True), Column("Expected per mm\u00b2", True),
    )  # fmt: skip
    rows = tuple(
        Row(
            (
                str(row["slide_id"]),
                _text(row["marker"]),
                _text(row["role"]).replace("_", " "),
                ": ".join(filter(None, (_text(row["status"]), _text(row["reason"])))),
                _text(row["flags"]).replace(";", ", "),
                _number(row["n_cells"], 0),
                _number(row["n_positive"], 0),
                _number(row["area_mm2"], 3),
                _number(row["positive_per_mm2"]),
                _limits(row["ci_low"], row["ci_high"]),
                _number(row["estimated_per_mm2"]),
            )
        )
        for row in table.to_dict("records")
    )
    caption = (
        "Every slide and marker. The interval is that of the slide; expected: what the scores amount to."
    )
    return Table("Slides", columns, rows, caption)


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
    found += [(name, str(version)) for name, version in sorted((run.get("versions") or {}).items())]
    slides = densities.drop_duplicates("slide_id")
    pairs = [f"{row.slide_id} {row.slide_digest}" for row in slides.itertuples() if _text(row.slide_digest)]
    return [*found, ("slide digests", "; ".join(pairs) or "not known")]


def _plain_table(title: str, table: pd.DataFrame) -> Table:
    columns = tuple(
        Column(str(name), explained(str(name)).style not in ("text", "general")) for name in table.columns
    )
    rows = tuple(Row(tuple(_any(value) for value in row)) for row in table.astype(object).to_numpy().tolist())
    return Table(title, columns, rows)


def _flat_rows(entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Entries of statistics.json as rows: intervals as text, nested mappings left to the workbook."""
    return [
        {
            name: format_interval(value) if name.endswith("ci") and isinstance(value, list) else value
            for name, value in entry.items()
            if not isinstance(value, Mapping)
        }
        for entry in entries
    ]


def _any(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}" if value == value else ""
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return _text(value)


def _text(value: Any) -> str:
    return "" if value is None or value is pd.NA or value != value else str(value)


def _number(value: Any, digits: int = 2) -> str:
    return (
        ""
        if value is None or value is pd.NA or value != value
        else format_number(float(value), digits=digits)
    )


def _limits(low: Any, high: Any) -> str:
    if _text(low) == "" and _text(high) == "":
        return ""
    limits = [None if _text(limit) == "" else float(limit) for limit in (low, high)]
    sides = [name for name, limit in zip(("low", "high"), limits, strict=True) if limit is None]
    return format_interval(limits, unbounded=sides[0] if sides else None).removeprefix("95% CI, ")


def _p_only(p: Any) -> str:
    from ishcount.stats.wording import format_p

    return "" if _text(p) == "" else format_p(float(p)).removeprefix("P").lstrip("=")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
