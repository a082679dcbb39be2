"""Tables as they are printed: every cell already text, numbers at the digits a reader needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ishcount.core.flags import Flag
from ishcount.report.dictionary import column as explained
from ishcount.report.names import in_words
from ishcount.report.statistics_table import statistics_table
from ishcount.stats.wording import format_interval, format_number, format_p


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


def printed_statistics(statistics: Mapping[str, Any]) -> Table:
    """Every result in tissue, the primary in bold."""
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
                as_number(row["estimate"]),
                as_limits(row["low"], row["high"]),
                str(row["p_text"]).removeprefix("P").lstrip("="),
                as_p(row["p_holm"]),
                "; ".join(filter(None, (_text(row["reason"]), _flags_in_words(row, of_primary=True)))),
            ),
            is_primary=row["role_of_result"] == "primary",
        )
        for row in table.to_dict("records")
    )
    caption = "All results in tissue; the primary in bold. Other compartments are in the workbook."
    return Table("Statistics", tuple(Column(name, name in numbers) for name in names), rows, caption)


def printed_checks(checks: Sequence[Mapping[str, Any]]) -> Table:
    """Covariates against group, with the adjusted difference (`confounding.confounding`)."""
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
                    as_p(check["imbalance"]["p"]),
                    as_number(adjusted["estimate"]),
                    as_limits(*(adjusted["ci"] or (None, None))),
                    "; ".join(
                        dict.fromkeys(filter(None, (check["imbalance"]["reason"], adjusted["reason"])))
                    ),
                )
            )
        )
    return Table("Covariates", columns, tuple(rows), "Covariates of the sheet, by marker.")


def printed_patients(patients: pd.DataFrame) -> Table:
    """Patients in tissue, by marker and group."""
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
                as_number(row["n_positive"], 1 if row["n_positive"] % 1 else 0),
                as_number(row["exposure"], 3),
                as_number(row[measure]),
                "; ".join(filter(None, (_text(row["reason"]), _flags_in_words(row)))),
            )
        )
        for row in table.sort_values(["marker", "group", "patient", "pair"]).to_dict("records")
    )
    return Table(
        "Patients", columns, rows, "The unit of comparison: counts over areas of each patient's sections."
    )


def _flags_in_words(row: Mapping[Any, Any], *, of_primary: bool = False) -> str:
    """What stands against the controls of a patient, or of a comparison: there it is said once."""
    if of_primary and row["role_of_result"] != "primary":
        return ""
    told = {Flag.CONTROL_MISSING: "no negative control", Flag.CONTROL_FAILED: "a control did not pass"}
    given = _text(row.get("flags")).split(";")
    return "; ".join(told[Flag[name]] for name in given if name)


def printed_slides(densities: pd.DataFrame) -> Table:
    """Every slide and marker in tissue, the failed ones with their reason."""
    table = densities[densities["compartment"] == "tissue"]
    columns: tuple[Column, ...] = (
        Column("Slide"), Column("Marker"), Column("Role"), Column("Status"), Column("Flags"),
        Column("Cells", True), Column("Positive", True), Column("Area (mm\u00b2)", True),
        Column("per mm\u00b2", True), Column("95% CI", True), Column("Expected per mm\u00b2", True),
        Column("Reviewed per mm\u00b2", True),
    )  # fmt: skip
    rows = tuple(
        Row(
            (
                str(row["slide_id"]),
                _text(row["marker"]),
                _text(row["role"]).replace("_", " "),
                ": ".join(filter(None, (_text(row["status"]), _text(row["reason"])))),
                _text(row["flags"]).replace(";", ", "),
                as_number(row["n_cells"], 0),
                as_number(row["n_positive"], 0),
                as_number(row["area_mm2"], 3),
                as_number(row["positive_per_mm2"]),
                as_limits(row["ci_low"], row["ci_high"]),
                as_number(row["estimated_per_mm2"]),
                as_number(row["positive_per_mm2_reviewed"]),
            )
        )
        for row in table.to_dict("records")
    )
    if table["positive_per_mm2_reviewed"].isna().all():
        columns, rows = columns[:-1], tuple(Row(row.cells[:-1]) for row in rows)
    caption = "Every slide and marker. The interval is the slide's own; expected: what the scores amount to."
    return Table("Slides", columns, rows, caption)


def printed_controls(controls: Sequence[Mapping[str, Any]]) -> list[Table]:
    """Controls with their verdict, then the limits that blanks set; `controls` of statistics.json."""
    judged = [entry for entry in controls if entry["role"] != "limits"]
    limits = [entry for entry in controls if entry["role"] == "limits"]
    names = (
        "Control", "Marker", "Role", "Verdict", "Reason", "Stands for", "Positive", "Area (mm\u00b2)",
        "per mm\u00b2", "Upper limit", "Allowed",
    )  # fmt: skip
    rows = tuple(
        Row(
            (
                _text(entry["slide_id"]),
                _text(entry["marker"]),
                _text(entry["role"]).replace("_", " "),
                "passed" if entry["passed"] else "not passed",
                _text(entry["reason"]),
                _some(entry["linked"]),
                as_number(entry["n_positive"], 0),
                as_number(entry["area_mm2"], 3),
                as_number(entry.get("positive_per_mm2")),
                as_number(entry.get("upper_limit")),
                as_number(entry.get("limit")),
            )
        )
        for entry in judged
    )
    caption = (
        "A negative control passes when the upper 95% limit of its positive cells per mm\u00b2 is small."
    )
    columns = tuple(Column(name, name in names[6:]) for name in names)
    tables = [Table("Controls", columns, rows, caption)] if judged else []
    return [*tables, _printed_limits(limits)] if limits else tables


def _printed_limits(limits: Sequence[Mapping[str, Any]]) -> Table:
    names = (
        "Batch", "Dye", "Blanks", "Area (mm\u00b2)", "Limit of blank", "of detection", "of quantitation",
        "Least copies", "Reason",
    )  # fmt: skip
    rows = tuple(
        Row(
            (
                _text(entry["batch"]) or "all",
                in_words(entry["chromogen"]),
                as_number(entry["n_blanks"], 0),
                as_number(entry["area_mm2"], 3),
                as_number(entry["limit_of_blank"]["estimate"]),
                as_number(entry["limit_of_detection"]["estimate"]),
                as_number(entry["limit_of_quantitation"]["estimate"]),
                as_number(entry["min_dots"]["estimate"], 0),
                _text(entry["min_dots"]["reason"]),
            )
        )
        for entry in limits
    )
    caption = (
        "What blanks allow to be claimed, in positive cells per mm\u00b2 (terms of CLSI EP17); least copies: "
        "the smallest min_dots that keeps false cells within the budget, the same for every group."
    )
    return Table("Limits", tuple(Column(name, name in names[2:8]) for name in names), rows, caption)


def _some(names: Sequence[str], most: int = 4) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def as_printed(title: str, table: pd.DataFrame) -> Table:
    """Any table, its columns as they are named."""
    columns = tuple(
        Column(str(name), explained(str(name)).style not in ("text", "general")) for name in table.columns
    )
    rows = tuple(Row(tuple(_any(value) for value in row)) for row in table.astype(object).to_numpy().tolist())
    return Table(title, columns, rows)


def _any(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}" if value == value else ""
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return _text(value)


def _text(value: Any) -> str:
    return "" if value is None or value is pd.NA or value != value else str(value)


def as_number(value: Any, digits: int = 2) -> str:
    """A number at the digits a reader needs; empty where missing."""
    return (
        ""
        if value is None or value is pd.NA or value != value
        else format_number(float(value), digits=digits)
    )


def as_limits(low: Any, high: Any) -> str:
    """An interval without its level, an open end in words; empty where both limits are missing."""
    if _text(low) == "" and _text(high) == "":
        return ""
    limits = [None if _text(limit) == "" else float(limit) for limit in (low, high)]
    sides = [name for name, limit in zip(("low", "high"), limits, strict=True) if limit is None]
    return format_interval(limits, unbounded=sides[0] if sides else None).removeprefix("95% CI, ")


def as_p(p: Any) -> str:
    """A P value without the letter, as `<.001`; empty where missing."""
    return "" if _text(p) == "" else format_p(float(p)).removeprefix("P").lstrip("=")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
