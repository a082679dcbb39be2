"""What changed between two results: parameters, slides, and the counts of each slide and marker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from ishcount.result import StudyResult, load_result
from ishcount.study.run import flat_params

KEY = ["slide_id", "marker", "compartment"]
COMPARED = (
    "status",
    "n_cells",
    "n_positive",
    "area_mm2",
    "positive_per_mm2",
    "chromogen",
    "flags",
    "n_positive_reviewed",
)


def diff_results(first: Path, second: Path) -> dict[str, Any]:
    """Plain facts: versions, changed parameters, slides only in one, and rows whose numbers differ."""
    a, b = load_result(first), load_result(second)
    old, new = (flat_params(result.params.model_dump(mode="json")) for result in (a, b))
    return {
        "versions": [_version(a), _version(b)],
        "parameters": {
            name: [old.get(name), new.get(name)]
            for name in sorted(old.keys() | new.keys())
            if old.get(name) != new.get(name)
        },
        "only_in_first": sorted(_ids(a) - _ids(b)),
        "only_in_second": sorted(_ids(b) - _ids(a)),
        "changed": changed_rows(a.densities, b.densities),
        "n_same": _n_same(a.densities, b.densities),
    }


def changed_rows(a: pd.DataFrame, b: pd.DataFrame) -> list[dict[str, Any]]:
    """One entry per slide, marker and compartment in which the tables differ: name -> [was, is]."""
    found = []
    for key, was, now in _both(a, b):
        different = {name: [was[name], now[name]] for name in COMPARED if was[name] != now[name]}
        if different:
            found.append(dict(zip(KEY, key, strict=True)) | {"changes": different})
    return found


def _n_same(a: pd.DataFrame, b: pd.DataFrame) -> int:
    return len(_both(a, b)) - len(changed_rows(a, b))


def _both(a: pd.DataFrame, b: pd.DataFrame) -> list[tuple[tuple[str, ...], dict[str, Any], dict[str, Any]]]:
    first, second = _by_key(a), _by_key(b)
    return [(key, first[key], second[key]) for key in sorted(first.keys() & second.keys())]


def _by_key(table: pd.DataFrame) -> dict[tuple[str, ...], dict[str, Any]]:
    plain = table[[*KEY, *COMPARED]].astype(object).where(table[[*KEY, *COMPARED]].notna(), None)
    rows: list[Any] = plain.to_dict("records")
    return {tuple(str(row[name]) for name in KEY): row for row in rows}


def _ids(result: StudyResult) -> set[str]:
    return set(result.densities["slide_id"].astype(str))


def _version(result: StudyResult) -> str:
    versions = sorted(set(result.densities["ishcount_version"].dropna().astype(str)))
    return ", ".join(versions)
