"""Tables of densities from anywhere: a result folder, or a CSV or XLSX made by hand or by another program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from ishcount.core.errors import UsageError
from ishcount.core.files import plain_text
from ishcount.core.tables import DENSITIES
from ishcount.study.sheet_file import read_records

TEXT = {name for name, kind in DENSITIES.items() if kind == "string"} | {"pair", "batch", "slide"}
"""Columns that stay text even where every cell looks like a number."""
YES_OR_NO = {name for name, kind in DENSITIES.items() if kind == "boolean"}
"""Columns of truth values, written as words in CSV and XLSX."""
TRUTH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def read_densities(path: Path) -> pd.DataFrame:
    """The table in `path`: `densities.parquet` of a result folder, else a CSV or XLSX with the same columns.

    Cells are numbers where the whole column is, else text; empty cells are missing. UsageError when the path
    holds no table.
    """
    if path.is_dir():
        found = path / "densities.parquet"
        if not found.is_file():
            raise UsageError(f"{str(path)!r} holds no densities.parquet; name a result folder or a table")
        return pd.read_parquet(found)
    if path.suffix.casefold() == ".parquet":
        return pd.read_parquet(path)
    header, records = read_records(path)
    if len(set(header)) < len(header):
        twice = next(name for name in header if header.count(name) > 1)
        raise UsageError(f"{path.name} has more than one column {twice!r}; keep one of them")
    table = pd.DataFrame([cells for _, cells in records], columns=[plain_text(name) for name in header])
    for name in table.columns:
        table[name] = _typed(table[name])
    return table


def _typed(column: pd.Series[Any]) -> pd.Series[Any]:
    filled = column.where(column != "", None)
    if column.name in TEXT:
        return filled.astype("string")
    if column.name in YES_OR_NO:
        return filled.str.casefold().map(TRUTH).astype("boolean")
    try:
        return pd.to_numeric(filled)
    except (ValueError, TypeError):
        return filled.astype("string")
