"""Figures of `ishcount agreement`: what `study.agreement.compare_readers` found, drawn."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ishcount.report.figures.agreement import draw_agreement


def write_agreement_figures(
    found: Mapping[str, Any], out: Path, *, name_a: str = "A", name_b: str = "B"
) -> list[Path]:
    """One figure per marker with at least three pairs, as SVG and PNG in `out`/figures; their SVG paths."""
    written = []
    for marker, entry in found["markers"].items():
        pairs = entry["pairs"]
        if len(pairs) < 3:
            continue
        measure = found["measure"]
        figure = draw_agreement(
            [pair[f"{measure}_a"] for pair in pairs],
            [pair[f"{measure}_b"] for pair in pairs],
            name_a=name_a,
            name_b=name_b,
            marker=marker,
            groups=[str(pair.get("group") or "") for pair in pairs],
        )
        figure.write(out / "figures")
        written.append(out / "figures" / f"{figure.stem}.svg")
    return written
