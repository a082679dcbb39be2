"""`densities.xlsx`: the study as a workbook for people who live in spreadsheets.

Text is written as text, so that no name can become a formula; a number that is missing is an empty cell.
Tables start in the first row, so that pandas, R and Prism read them back as they are.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ishcount.core.files import write_bytes
from ishcount.report.dictionary import column, dictionary_table

NUMBER_FORMATS = {
    "text": "@",
    "truth": '"TRUE";"TRUE";"FALSE"',  # LibreOffice would print 1 and 0
    "general": "General",
    "count": "#,##0",
    "area": "0.000",
    "density": "0.00",
    "decimal": "0.00",
    "fine": "0.000",
    "precise": "General",
    "p": "0.0000",
}
MOST_ROWS = 1_000_000  # Excel's limit is 1,048,576; a longer table goes on in another sheet
MOST_LETTERS = 32_767  # Excel's limit for the text of one cell
WIDEST = 80.0
FRONT_LETTERS = 110  # of one line of the Summary
PAGE_LETTERS = 130.0  # that fit across a landscape A4 page at 10 points
_BAD_STATUS = {"failed": "bad", "partial": "doubt", "skipped": "doubt"}


@dataclass(frozen=True, slots=True)
class Sheet:
    """One table of the workbook. `frozen`: columns that stay in sight when scrolling."""

    name: str
    table: pd.DataFrame
    frozen: int = 1


@dataclass(frozen=True, slots=True)
class Front:
    """The first sheet: the answer in words, and one figure (PNG bytes)."""

    title: str
    lines: Sequence[str] = field(default_factory=tuple)
    figure_png: bytes | None = None


def write_workbook(
    path: Path, sheets: Sequence[Sheet], *, front: Front | None = None, created: datetime
) -> None:
    """Write the sheets in order, then a Dictionary of all their columns.

    created: written as the date of the file; the newest input's, so that equal results give equal bytes.
    """
    import xlsxwriter

    columns = {sheet.name: [str(name) for name in sheet.table.columns] for sheet in sheets}
    explained = {name: names for name, names in columns.items() if name not in ("Prism", "Parameters")}
    everything = [*sheets, Sheet("Dictionary", dictionary_table(explained))]
    buffer = io.BytesIO()
    book = xlsxwriter.Workbook(buffer, {"in_memory": True, "nan_inf_to_errors": False})
    book.set_properties(
        {"title": front.title if front else "ishcount", "created": created.replace(tzinfo=None)}
    )
    styles = _Styles(book)
    if front:
        _write_front(book.add_worksheet("Summary"), front, styles)
    for sheet in everything:
        for name, part in _parts(sheet):
            _write_table(book.add_worksheet(name), part, sheet.frozen, styles)
    book.close()
    write_bytes(path, buffer.getvalue())


def prism_table(patients: pd.DataFrame, value: str = "positive_per_mm2") -> pd.DataFrame:
    """One column per marker and group, a patient's density per row, as a Prism column table wants it.

    patients: `marker`, `group` and `value`, one row per patient and marker, sorted by patient.
    """
    columns = {
        f"{marker} {group}": rows[value].reset_index(drop=True)
        for (marker, group), rows in patients.groupby(["marker", "group"], sort=True)
    }
    return pd.DataFrame(columns)


def parameters_table(params: Mapping[str, Any]) -> pd.DataFrame:
    """Rows `parameter, value` of nested parameters, dotted names as in params.toml."""
    return pd.DataFrame(_flat(params, ""), columns=["parameter", "value"], dtype="object")


def _flat(values: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif isinstance(value, (list, tuple)):
            yield f"{prefix}{key}", ", ".join(map(str, value))
        else:
            yield f"{prefix}{key}", value


class _Styles:
    """The formats of one workbook, made once each."""

    def __init__(self, book: Any) -> None:
        font = {"font_name": "Calibri", "font_size": 10, "valign": "top"}
        self.cells = {
            key: book.add_format({**font, "num_format": text}) for key, text in NUMBER_FORMATS.items()
        }
        self.header = book.add_format(
            {**font, "bold": True, "bg_color": "#e3ebe9", "bottom": 1, "text_wrap": True, "num_format": "@"}
        )
        self.title = book.add_format({**font, "bold": True, "font_size": 14})
        self.line = book.add_format({**font, "text_wrap": True, "num_format": "@"})
        # Text colours keep a contrast of 7:1 on their ground.
        self.doubt = book.add_format({"bg_color": "#fff0c2", "font_color": "#5c4300"})
        self.bad = book.add_format({"bg_color": "#ffd9d4", "font_color": "#7a1508"})


def _parts(sheet: Sheet) -> Iterator[tuple[str, pd.DataFrame]]:
    for number, first in enumerate(range(0, max(len(sheet.table), 1), MOST_ROWS), 1):
        name = sheet.name if number == 1 else f"{sheet.name} ({number})"
        yield name, sheet.table.iloc[first : first + MOST_ROWS]


def _write_table(page: Any, table: pd.DataFrame, frozen: int, styles: _Styles) -> None:
    widths = []
    for index, name in enumerate(table.columns):
        page.write_string(0, index, _fitting(str(name)), styles.header)
        style = styles.cells[_style_of(str(name), table[name])]
        values = table[name].astype(object).tolist()
        for row, value in enumerate(values, 1):
            _write_cell(page, row, index, value, style, styles)
        widths.append(_width(str(name), values))
        page.set_column(index, index, widths[-1])
    last_row, last_col = max(len(table), 1), max(len(table.columns) - 1, 0)
    page.freeze_panes(1, frozen)
    page.autofilter(0, 0, last_row, last_col)
    page.set_row(0, 20)
    _mark_doubts(page, table, styles)
    _set_up_print(page, sum(widths))


def _style_of(name: str, values: pd.Series[Any]) -> str:
    style = column(name).style
    return "density" if style == "general" and pd.api.types.is_float_dtype(values) else style


def _set_up_print(page: Any, width: float) -> None:
    """A4 across; a table wider than two pages runs over several with its first column on each."""
    page.set_landscape()
    page.set_paper(9)
    page.repeat_rows(0)
    page.set_footer("&L&A&RPage &P of &N")
    if width <= 2 * PAGE_LETTERS:
        page.fit_to_pages(1, 0)
    else:
        page.set_print_scale(70)
        page.repeat_columns(0)
        page.print_across()


def _write_cell(page: Any, row: int, col: int, value: Any, style: Any, styles: _Styles) -> None:
    """One value by its own type: text as text, truth as truth, a number as a number, missing as nothing."""
    if value is None or value is pd.NA or value is pd.NaT:
        return
    if isinstance(value, (bool, np.bool_)):
        page.write_boolean(row, col, bool(value), styles.cells["truth"])
    elif isinstance(value, (int, float, np.integer, np.floating)):
        if np.isfinite(value):
            page.write_number(row, col, value, style)
    elif str(value):
        page.write_string(row, col, _fitting(str(value)), styles.cells["text"])


def _fitting(text: str) -> str:
    note = " [cut short: longer than a cell may be]"
    return text if len(text) <= MOST_LETTERS else text[: MOST_LETTERS - len(note)] + note


def _width(name: str, values: Sequence[Any]) -> float:
    """Characters of the header (underscores do not wrap) or of the longest value, within reason."""
    shown = [
        f"{value:.2f}" if isinstance(value, float) else str(value)
        for value in values[:500]
        if value is not None
    ]
    longest = max([len(text) for text in shown], default=0)
    return float(min(WIDEST, max(8.0, 1.1 * len(name) + 3, 1.05 * longest + 2)))


def _mark_doubts(page: Any, table: pd.DataFrame, styles: _Styles) -> None:
    """Colour flags, and a status that is not ok; the word itself stays the sign."""
    last = max(len(table), 1)
    for index, name in enumerate(table.columns):
        if name == "flags":
            page.conditional_format(1, index, last, index, {"type": "no_blanks", "format": styles.doubt})
        if name == "status":
            for status, style in _BAD_STATUS.items():
                rule = {
                    "type": "cell",
                    "criteria": "==",
                    "value": f'"{status}"',
                    "format": getattr(styles, style),
                }
                page.conditional_format(1, index, last, index, rule)


def _write_front(page: Any, front: Front, styles: _Styles) -> None:
    page.hide_gridlines(2)
    page.set_column(0, 0, FRONT_LETTERS + 5)
    page.write_string(0, 0, _fitting(front.title), styles.title)
    for row, line in enumerate(front.lines, 1):
        page.write_string(row, 0, _fitting(line), styles.line)
        page.set_row(
            row, 14 * (1 + len(line) // FRONT_LETTERS)
        )  # LibreOffice does not fit wrapped rows itself
    if front.figure_png:
        options = {
            "image_data": io.BytesIO(front.figure_png),
            "description": "Every patient's density by group",
        }
        page.insert_image(len(front.lines) + 2, 0, "figure.png", {**options, "object_position": 2})
    page.set_landscape()
    page.set_paper(9)
    page.fit_to_pages(1, 1)
