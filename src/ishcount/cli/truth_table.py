"""The sample study's densities per group, beside the truth."""

from __future__ import annotations

from pathlib import Path
from statistics import mean
from typing import Any

from ishcount.result import load_result
from ishcount.truth.evaluate import evaluate


def beside_truth(out: Path, truth: Path) -> list[dict[str, Any]]:
    """One row per group and marker of the targets: mean density of its slides and the mean true one.

    A true density is the phantom's number of positive cells over its true tissue area.
    """
    densities = load_result(out).densities
    rows = densities[(densities["compartment"] == "tissue") & (densities["role"] == "target")]
    group_of = {(str(r.slide_id), str(r.marker)): str(r.group) for r in rows.itertuples()}
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for scored in evaluate(out, truth)["slides"]:
        key = (scored["slide_id"], scored["marker"])
        if key in group_of:
            found.setdefault((group_of[key], scored["marker"]), []).append(scored)
    return [
        {"group": group, "marker": marker, "n_slides": len(slides), **_means(slides)}
        for (group, marker), slides in sorted(found.items())
    ]


def _means(slides: list[dict[str, Any]]) -> dict[str, float]:
    cells = [scored["positive_cells"] for scored in slides]
    areas, true_areas = ([scored[name] for scored in slides] for name in ("area_mm2", "true_area_mm2"))
    return {
        "per_mm2": mean(c["n_found"] / area for c, area in zip(cells, areas, strict=True) if area),
        "true_per_mm2": mean(c["n_true"] / area for c, area in zip(cells, true_areas, strict=True) if area),
        "n_positive": sum(c["n_found"] for c in cells),
        "n_true": sum(c["n_true"] for c in cells),
    }
