"""What a count leaves on disk, and back: one slide's folder, and a study's.

`density_rows` turns a slide's tables into rows of `densities.csv`; running, reporting and reviewing all use
it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from ishcount._version import __version__
from ishcount.core import files, tables
from ishcount.core.decisions import Decisions
from ishcount.core.errors import UsageError
from ishcount.params import Params, read_params
from ishcount.steps.density import BLOCK_COLUMNS, REGION_COLUMNS, densities_from_tables


@dataclass(frozen=True)
class SlideResult:
    """One slide's finished result. Tables are read when first asked for."""

    folder: Path
    summary: dict[str, Any]

    @property
    def slide_id(self) -> str:
        """The slide's id in its study."""
        return str(self.summary["slide_id"])

    @cached_property
    def cells(self) -> pd.DataFrame:
        """`cells.parquet`."""
        return pd.read_parquet(self.folder / "cells.parquet")

    @cached_property
    def dots(self) -> pd.DataFrame:
        """`dots.parquet`."""
        return pd.read_parquet(self.folder / "dots.parquet")

    @property
    def markers(self) -> dict[str, Any]:
        """What the summary says of each marker."""
        return dict(self.summary.get("markers") or {})

    @property
    def regions(self) -> pd.DataFrame:
        """Areas of each compartment (`steps.density.REGION_COLUMNS`), tissue first."""
        compartments = self.summary.get("compartments") or {}
        rows = [{"compartment": name, **areas} for name, areas in compartments.items()]
        return pd.DataFrame(rows, columns=list(REGION_COLUMNS))

    @property
    def blocks(self) -> pd.DataFrame | None:
        """Squares of tissue behind the intervals (`steps.density.BLOCK_COLUMNS`); None where unknown."""
        listed = self.summary.get("blocks")
        if not listed:
            return None
        rows = [(name, *square) for name, part in listed.items() if name != "side_um" for square in part]
        return pd.DataFrame(rows, columns=list(BLOCK_COLUMNS))

    def digest(self) -> str:
        """SHA-256 of the cells and dots tables: what a review is a review of."""
        return result_digest(self.folder)

    def densities(
        self, *, cut: float | None = None, min_dots: int | None = None, decisions: Decisions | None = None
    ) -> pd.DataFrame:
        """Counts and densities of every marker and compartment, by default at the cut that was used."""
        counting = self.summary["counting"]
        return densities_from_tables(
            self.cells,
            self.dots,
            self.regions,
            cut=counting["dot_cut"] if cut is None else cut,
            min_dots=counting["min_dots"] if min_dots is None else min_dots,
            decisions=decisions,
            training_prevalence=counting["training_prevalence"],
            blocks=self.blocks,
        )


def result_digest(folder: Path) -> str:
    """SHA-256 of `cells.parquet` followed by `dots.parquet` in `folder`."""
    digest = hashlib.sha256()
    for name in ("cells.parquet", "dots.parquet"):
        digest.update((folder / name).read_bytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class StudyResult:
    """A result folder: its densities table, the finished slides and the parameters."""

    folder: Path
    densities: pd.DataFrame
    slides: dict[str, SlideResult]

    @cached_property
    def params(self) -> Params:
        """The parameters that were used."""
        return read_params(self.folder / "params.toml")

    @cached_property
    def run(self) -> dict[str, Any]:
        """`run.json`; empty where there is none."""
        path = self.folder / "run.json"
        return dict(json.loads(path.read_text("utf-8"))) if path.is_file() else {}


def load_slide_result(folder: Path | str) -> SlideResult:
    """A finished slide from its folder; UsageError when the folder holds none."""
    folder = Path(folder)
    path = folder / "summary.json"
    if not path.is_file():
        raise UsageError(f"{str(folder)!r} holds no finished slide (no summary.json); count the slide first")
    return SlideResult(folder, json.loads(path.read_text("utf-8")))


def load_result(out: Path | str) -> StudyResult:
    """A result folder as `ishcount quantify` or `study` wrote it; UsageError when it is none."""
    out = Path(out)
    path = out / "densities.parquet"
    if not path.is_file():
        raise UsageError(
            f"{str(out)!r} is no result folder (no densities.parquet); give the folder named by -o"
        )
    slides = [
        load_slide_result(summary.parent) for summary in sorted((out / "slides").glob("*/summary.json"))
    ]
    return StudyResult(out, pd.read_parquet(path), {slide.slide_id: slide for slide in slides})


def density_rows(
    result: SlideResult, sheet_rows: Mapping[str, Mapping[str, Any]], *, decisions: Decisions | None = None
) -> pd.DataFrame:
    """Rows of `densities.*` for one finished slide.

    sheet_rows: marker -> what the sample sheet says (patient, group, role, ... and unknown columns). Reviewed
    columns are filled from `decisions`, beside the automatic ones and never instead.
    """
    summary = result.summary
    rows = result.densities()
    epidermis_mm = summary.get("epidermis_mm")
    rows["epidermis_mm"] = float("nan") if epidermis_mm is None else epidermis_mm
    rows["positive_per_mm_epidermis"] = (
        rows["n_positive"] / rows["epidermis_mm"] if epidermis_mm else float("nan")
    )
    rows["chromogen"] = [result.markers.get(marker, {}).get("chromogen", "") for marker in rows["marker"]]
    rows["flags"] = [
        ";".join([*summary["flags"], *result.markers.get(marker, {}).get("flags", [])])
        for marker in rows["marker"]
    ]
    rows = rows.assign(
        slide_id=result.slide_id,
        status=summary["status"],
        error_code=summary["error_code"],
        reason=summary["reason"],
        **{name: summary[name] for name in ("mpp_x_um", "mpp_y_um", "mpp_source")},
        ishcount_version=summary["digests"]["ishcount_version"],
        params_digest=summary["digests"]["params"],
        slide_digest=summary["digests"]["slide"],
        protocol_digest=summary["digests"].get("protocol") or None,
        reviewed=decisions is not None,
    )
    if decisions is not None:
        rows = _with_review(rows, result.densities(decisions=decisions), decisions)
    return with_sheet(rows, sheet_rows)


def _with_review(rows: pd.DataFrame, reviewed: pd.DataFrame, decisions: Decisions) -> pd.DataFrame:
    return rows.assign(
        n_positive_reviewed=reviewed["n_positive"],
        positive_per_mm2_reviewed=reviewed["positive_per_mm2"],
        reviewed_ci_low=reviewed["ci_low"],
        reviewed_ci_high=reviewed["ci_high"],
        reviewers=";".join(decisions.reviewers),
    )


def failed_rows(
    slide_id: str,
    sheet_rows: Mapping[str, Mapping[str, Any]],
    chromogens: Mapping[str, str],
    *,
    status: str,
    error_code: str,
    reason: str,
    params_digest: str,
    protocol_digest: str = "",
) -> pd.DataFrame:
    """Rows of a slide without numbers: one per marker, compartment `tissue`."""
    rows = pd.DataFrame({"marker": list(sheet_rows)}).assign(
        slide_id=slide_id,
        compartment="tissue",
        status=status,
        error_code=error_code,
        reason=reason,
        ishcount_version=__version__,
        params_digest=params_digest,
        protocol_digest=protocol_digest or None,
        reviewed=False,
    )
    rows["chromogen"] = [chromogens.get(marker, "") for marker in rows["marker"]]
    return with_sheet(rows, sheet_rows)


def with_sheet(rows: pd.DataFrame, sheet_rows: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Declared columns in order, with what the sheet says of each marker and its own columns at the end.

    A sheet column named like an output column travels as `sheet_<name>`. Co-positive rows take what both
    markers' sheet rows share.
    """
    used = ("patient", "group", "role")
    own = [name for row in sheet_rows.values() for name in row if name not in used]
    rows = rows.copy()
    for name in dict.fromkeys([*used, *own]):
        column = f"sheet_{name}" if name in tables.DENSITIES and name not in used else name
        rows[column] = [_sheet_value(marker, name, sheet_rows) for marker in rows["marker"]]
    for name in tables.DENSITIES:
        if name not in rows:
            rows[name] = None
    extra = [name for name in rows.columns if name not in tables.DENSITIES]
    return pd.concat([tables.check(rows, tables.DENSITIES), rows[extra]], axis=1)


def _sheet_value(marker: str, name: str, sheet_rows: Mapping[str, Mapping[str, Any]]) -> Any:
    values: Sequence[Any] = [sheet_rows[part].get(name) for part in marker.split("+") if part in sheet_rows]
    if marker in sheet_rows:
        values = [sheet_rows[marker].get(name)]
    return values[0] if values and all(value == values[0] for value in values) else None


def write_densities(out: Path, rows: pd.DataFrame) -> None:
    """`densities.csv` and `densities.parquet`, sorted by slide, marker and compartment (tissue first)."""
    order = rows.assign(_tissue=rows["compartment"] != "tissue").sort_values(
        ["slide_id", "marker", "_tissue", "compartment"], kind="stable"
    )
    table = order.drop(columns="_tissue").reset_index(drop=True)
    files.write_csv(out / "densities.csv", table)
    files.write_parquet(out / "densities.parquet", table)
