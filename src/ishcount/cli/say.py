"""What commands print: results on standard output, everything else on standard error, safe for a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any


def plain(value: object) -> str:
    """Text without anything a terminal would obey: control characters and stray bytes are spelt out."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in str(value)
    )


def say(text: str = "") -> None:
    """A line of the result."""
    _write(sys.stdout, text)


def note(text: str) -> None:
    """A line about the work: never part of the result."""
    _write(sys.stderr, text)


def _write(stream: Any, text: str) -> None:
    encoding = getattr(stream, "encoding", None) or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)


def say_json(value: Any) -> None:
    """Machine-readable results: strict JSON, missing is null."""
    from ishcount.core.files import plain_json

    say(json.dumps(plain_json(value), indent=1, ensure_ascii=False, allow_nan=False))


def number(value: Any, digits: int = 2) -> str:
    """A number for people; `-` for a missing one."""
    if value is None or value != value or str(value) == "<NA>":
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{float(value):,.{digits}f}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns side by side, as wide as their widest cell; numbers to the right."""
    cells = [list(header), *([plain(cell) for cell in row] for row in rows)]
    widths = [max(len(row[col]) for row in cells) for col in range(len(header))]
    right = [all(_is_number(row[col]) for row in cells[1:]) for col in range(len(header))]
    lines = [
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in cells
    ]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def _is_number(text: str) -> bool:
    return text == "-" or text.replace(",", "").replace(".", "").replace("-", "").isdigit()


def records(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> str:
    """A table of some columns of `rows`, floats with two digits."""
    body = [[_cell(row.get(name)) for name in names] for row in rows]
    return table(list(names), body)


def _cell(value: Any) -> str:
    if value is None or value != value:
        return "-"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return plain(value)
    return number(value)
