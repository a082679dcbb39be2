"""The declared columns of every table; nothing found is an empty table, never None."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pandas as pd

DENSITIES: dict[str, str] = {
    "slide_id": "string", "patient": "string", "group": "string", "marker": "string",
    "chromogen": "string", "role": "string", "compartment": "string", "status": "string",
    "error_code": "string", "reason": "string",
    "area_mm2": "float64", "area_low_mm2": "float64", "area_high_mm2": "float64",
    "outline_mm2": "float64",
    "n_cells": "Int64", "n_positive": "Int64", "n_positive_2": "Int64", "n_positive_3": "Int64",
    "positive_per_mm2": "float64", "ci_low": "float64", "ci_high": "float64", "ci_method": "string",
    "estimated_per_mm2": "float64", "percent_positive": "float64",
    "n_copies": "Int64", "n_copies_outside_cells": "Int64", "copies_per_cell": "float64",
    "h_score": "float64",
    "score_0": "Int64", "score_1": "Int64", "score_2": "Int64", "score_3": "Int64", "score_4": "Int64",
    "acd_score": "Int64",
    "epidermis_mm": "float64", "positive_per_mm_epidermis": "float64",
    "reviewed": "boolean", "n_positive_reviewed": "Int64", "positive_per_mm2_reviewed": "float64",
    "reviewed_ci_low": "float64", "reviewed_ci_high": "float64", "reviewers": "string",
    "mpp_x_um": "float64", "mpp_y_um": "float64", "mpp_source": "string",
    "flags": "string", "ishcount_version": "string", "params_digest": "string", "slide_digest": "string",
    "protocol_digest": "string",
}  # fmt: skip

DOTS: dict[str, str] = {
    "dot_id": "uint32", "marker": "string", "x_um": "float64", "y_um": "float64", "area_um2": "float32",
    "peak_od": "float32", "integrated_od": "float32",
    "n_copies": "uint16", "copies_low": "uint16", "copies_high": "uint16",
    "cell_id": "uint32", "in_nucleus": "bool", "score": "float32", "reason": "string",
}  # fmt: skip

DOT_REASONS = (
    "", "low_score", "melanin", "red_cell", "precipitate", "haematoxylin", "diffuse", "blur", "fold", "ink",
    "size", "outside_tissue",
)  # fmt: skip

CELLS: dict[str, str] = {
    "cell_id": "uint32", "x_um": "float64", "y_um": "float64", "nucleus_area_um2": "float32",
    "cell_area_um2": "float32", "section": "uint16", "compartment": "string", "depth_um": "float32",
    "flags": "uint32",
}  # fmt: skip

CELLS_PER_MARKER: dict[str, str] = {
    "dots": "uint16", "dots_nucleus": "uint16", "copies": "uint32", "score": "float32", "positive": "bool",
}  # fmt: skip


class TableError(ValueError):
    """A table lacks declared columns: a mistake of ours."""


def cells_schema(markers: Iterable[str]) -> dict[str, str]:
    """Columns of `cells.parquet` for the given markers, in file order."""
    schema = dict(CELLS)
    for marker in markers:
        schema.update({f"{marker}_{name}": kind for name, kind in CELLS_PER_MARKER.items()})
    return schema


def empty(schema: Mapping[str, str]) -> pd.DataFrame:
    """A table with the declared columns and no rows."""
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in schema.items()})


def check(table: pd.DataFrame, schema: Mapping[str, str]) -> pd.DataFrame:
    """The declared columns of `table` in order with their types; TableError names what is missing."""
    missing = [name for name in schema if name not in table]
    if missing:
        raise TableError(f"table lacks {missing}; it has {list(table.columns)}")
    return table[list(schema)].astype(dict(schema))
