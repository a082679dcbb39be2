"""Cells of a CSV or XLSX sheet as text, with the line each row came from."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from ishcount.core.errors import UsageError
from ishcount.core.files import plain_text

Records = list[tuple[int, list[str]]]


def read_records(path: Path) -> tuple[list[str], Records]:
    """The header, and `(line number, cells)` of each row that is not empty; every cell is stripped text."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(f"cannot read the sheet {path.name!r}: {reason}; check its path") from error
    rows = _xlsx_rows(raw, path.name) if raw[:2] == b"PK" else _csv_rows(raw, path.name)
    numbered = [(line, [plain_text(cell.strip()) for cell in cells]) for line, cells in rows]
    filled = [(line, cells) for line, cells in numbered if any(cells)]
    if not filled:
        raise UsageError(
            f"{path.name} is empty; write a header and rows (`ishcount sheet FOLDER` drafts a sample sheet)"
        )
    header = filled[0][1]
    while header and not header[-1]:
        header.pop()
    if not all(header):
        raise UsageError(f"{path.name}: column {header.index('') + 1} has no name; name it or remove it")
    width = len(header)
    return header, [(line, _fit(cells, width, f"{path.name} line {line}")) for line, cells in filled[1:]]


def _fit(cells: list[str], width: int, where: str) -> list[str]:
    if any(cells[width:]):
        raise UsageError(
            f"{where} has {len(cells)} cells, the header {width}; the first line must name the columns, and "
            "text that holds commas must be quoted"
        )
    return (cells + [""] * width)[:width]


def _csv_rows(raw: bytes, name: str) -> Iterator[tuple[int, list[str]]]:
    try:
        text = raw.decode("utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{name} is not UTF-8 text ({error.reason}); save it again as CSV UTF-8") from error
    if "\0" in text:
        raise UsageError(f"{name} holds a NUL character, so it is no CSV; save it again as CSV UTF-8")
    first = text.lstrip().split("\n", 1)[0]
    separator = max((",", ";", "\t"), key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    before = 0
    try:
        for cells in reader:
            yield before + 1, cells
            before = reader.line_num
    except csv.Error as error:
        raise UsageError(f"{name} line {reader.line_num} is broken CSV: {error}; check its quotes") from error


def _xlsx_rows(raw: bytes, name: str) -> Iterator[tuple[int, list[str]]]:
    from openpyxl import load_workbook

    try:
        book = load_workbook(io.BytesIO(raw), read_only=True, data_only=True)
        page = (
            book["Densities"] if "Densities" in book.sheetnames else book.worksheets[0]
        )  # ours, or the first
        rows = [[_text(cell) for cell in row] for row in page.iter_rows(values_only=True)]
        written = load_workbook(io.BytesIO(raw), read_only=True)[page.title].iter_rows(values_only=True)
        for line, (known, cells) in enumerate(zip(rows, written, strict=True), start=1):
            _refuse_uncalculated(known, cells, f"{name} line {line}")
    except (BadZipFile, KeyError, ValueError, IndexError) as error:
        raise UsageError(f"{name} is no readable XLSX ({error}); save it again or use CSV") from error
    yield from enumerate(rows, start=1)


def _refuse_uncalculated(values: list[str], cells: tuple[Any, ...], where: str) -> None:
    """A program that writes formulas without their values leaves cells that would be read as missing."""
    for value, cell in zip(values, cells, strict=True):
        if value == "" and isinstance(cell, str) and cell.startswith("="):
            raise UsageError(
                f"{where} holds the formula {cell[:40]!r} without its value; open and save the table in a "
                "spreadsheet program, or write the number"
            )


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime) and not (value.hour or value.minute or value.second):
        return value.date().isoformat()
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
