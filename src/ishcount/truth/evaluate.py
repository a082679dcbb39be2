"""Accuracy of a result against phantoms' truth or a hand count.

A found cell stands for the true nucleus whose centroid lies within 4 um, nearest pairs first. It is a true
positive when both are positive. Found positives that stand for no nucleus or for a negative one are false;
a true positive whose nucleus was not found or was called negative is missed. A true nucleus is positive
when it owns at least one dot. Nuclei cut away in another section are no nuclei; their dots, and background
dots, make false cells. Nuclei on spoilt tissue (fold, ink, bubble, dust, dried edge, defocus) neither help
nor harm.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ishcount.core.errors import UsageError
from ishcount.core.files import read_csv
from ishcount.result import SlideResult, load_result
from ishcount.stats.rates import rate_upper_limit
from ishcount.truth.matching import match_points, overlap_matches, scores
from ishcount.truth.regions import region_scores

NUCLEUS_UM = 4.0  # centroids of one nucleus (QuPath's comparison in the field uses the same)
DOT_UM = 0.5  # the contract's radius for dots
HAND_COUNT_UM = 7.5  # a click on a cell: a nucleus' radius and the cytoplasm about it
CURVES = ("calibration", "by_cut", "dots_by_cut")  # of a row: lists, not single figures
SWEEP = (*(k / 20 for k in range(1, 19)), *(k / 100 for k in range(95, 100)))


def evaluate(out: Path | str, truth: Path | str) -> dict[str, Any]:
    """Accuracy of every slide of a result that has a truth.

    truth: a folder holding `<slide_id>.truth/` folders as `ishcount simulate` writes them, or a CSV of
    `slide_id, x_um, y_um, marker` with one row per positive cell. Returns {"slides": [...], "pooled":
    {...}}. UsageError when nothing of the result has a truth.
    """
    result, truth = load_result(out), Path(truth)
    if truth.is_file():
        slides = _hand_counts(result.slides, read_csv(truth, dtype={"slide_id": str}))
    else:
        slides = [
            row
            for slide_id, slide in sorted(result.slides.items())
            if (folder := truth / f"{slide_id}.truth").is_dir()
            for row in evaluate_slide(slide, folder)
        ]
    if not slides:
        raise UsageError(f"no slide of {str(out)!r} has a truth in {str(truth)!r}; the slide_ids must agree")
    return {"slides": slides, "pooled": pool(slides)}


def evaluate_slide(slide: SlideResult, folder: Path) -> list[dict[str, Any]]:
    """One row of figures per marker of a slide against its phantom's truth."""
    truth = json.loads((folder / "truth.json").read_text("utf-8"))
    nuclei, dots = pd.read_parquet(folder / "nuclei.parquet"), pd.read_parquet(folder / "dots.parquet")
    if "in_plane" in nuclei:
        nuclei = nuclei[nuclei["in_plane"]]
    cells, nuclei = judged(slide.cells, nuclei)
    found, true = match_points(_places(cells), _places(nuclei), NUCLEUS_UM)
    true_mm2 = float(truth["area_mm2"]["tissue"])
    shared = {
        "slide_id": slide.slide_id,
        "state": truth["spec"].get("state", ""),
        "preset": truth["spec"].get("preset", ""),
        "area_mm2": slide.summary["tissue_area_mm2"],
        "true_area_mm2": true_mm2,
        "area_error": _relative(slide.summary["tissue_area_mm2"], true_mm2),
        "nuclei_centroid": scores(len(found), len(cells), len(nuclei)),
        "nuclei_iou": _nuclei_iou(slide, folder, len(cells), len(nuclei)),
    } | region_scores(slide, folder)
    return [
        shared
        | _marker(slide, marker, (cells, nuclei), dots[dots["marker"] == marker], (found, true), true_mm2)
        for marker in slide.markers
    ]


def judged(cells: pd.DataFrame, nuclei: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Cells and nuclei without those that neither help nor harm: nuclei on spoilt tissue and what was found
    there.
    """
    counted = nuclei["counted"].to_numpy(bool)
    found, true = match_points(_places(cells), _places(nuclei), NUCLEUS_UM)
    spoilt = np.zeros(len(cells), bool)
    spoilt[found] = ~counted[true]
    return cells[~spoilt], nuclei[counted]


def _places(table: pd.DataFrame) -> npt.NDArray[np.float64]:
    return table[["x_um", "y_um"]].to_numpy(np.float64)


def _relative(found: float, true: float) -> float | None:
    return (found - true) / true if true else None


def _nuclei_iou(slide: SlideResult, folder: Path, n_found: int, n_true: int) -> dict[str, Any] | None:
    """F1 at IoU 0.5 where both label images exist on the same grid."""
    labels, truth = slide.folder / "labels.ome.zarr" / "0", folder / "nuclei_labels.tif"
    if not labels.exists() or not truth.is_file():
        return None
    import tifffile
    import zarr

    found, true = np.asarray(zarr.open_array(str(labels), mode="r")), tifffile.imread(truth)
    if found.shape != true.shape:
        return None
    return scores(overlap_matches(found, true), n_found, n_true)


def _marker(
    slide: SlideResult,
    marker: str,
    tables: tuple[pd.DataFrame, pd.DataFrame],
    dots: pd.DataFrame,
    matched: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
    true_mm2: float,
) -> dict[str, Any]:
    (cells, nuclei), (found, true) = tables, matched
    owned = dots.loc[dots["nucleus_id"] > 0, "nucleus_id"].value_counts()
    true_copies = nuclei["nucleus_id"].map(owned).fillna(0).to_numpy(np.int64)
    score, called = cells[f"{marker}_score"].to_numpy(), cells[f"{marker}_positive"].to_numpy()
    area = float(slide.summary["tissue_area_mm2"])
    positives = _positive_cells(called, true_copies > 0, found, true)
    n_false = positives["n_found"] - positives["n_matched"]
    by_cut = [
        {"cut": cut} | _positive_cells(score >= np.float32(cut), true_copies > 0, found, true)
        for cut in SWEEP
    ]
    cut = float(slide.summary["counting"]["dot_cut"])
    mine = slide.dots[slide.dots["marker"] == marker]
    dots_by_cut = [{"cut": c} | dot_scores(mine[mine["score"] >= np.float32(c)], dots) for c in SWEEP[::3]]
    true_density = positives["n_true"] / true_mm2 if true_mm2 else None
    return {
        "marker": marker,
        "chromogen": slide.markers[marker]["chromogen"],
        "positive_cells": positives,
        **best_cut([by_cut]),
        "n_false_cells": n_false,
        "false_per_mm2": n_false / area if area else None,
        "false_per_mm2_upper": rate_upper_limit(n_false, area) if area else None,
        "count_error": _relative(positives["n_found"], positives["n_true"]),
        "density_error_per_mm2": (positives["n_found"] / area - true_density)
        if true_density is not None and area
        else None,
        "estimated_per_mm2": slide.markers[marker]["estimated_per_mm2"],
        "expected_false_per_mm2": slide.markers[marker].get("expected_false_per_mm2"),
        "true_per_mm2": true_density,
        "dots": dot_scores(mine[mine["score"] >= np.float32(cut)], dots),
        "dots_best_f1": max(part["f1"] or 0.0 for part in dots_by_cut),
        "copies_correlation": _correlation(cells[f"{marker}_copies"].to_numpy()[found], true_copies[true]),
        "calibration": calibration(score, found, true, true_copies > 0),
        "by_cut": by_cut,
        "dots_by_cut": dots_by_cut,
    }


def best_cut(sweeps: Sequence[Sequence[dict[str, Any]]]) -> dict[str, float]:
    """The cut, the same for all slides, at which the F1 of their pooled counts is best, and that F1."""
    pooled = [
        (part[0]["cut"], scores(*(sum(p[key] for p in part) for key in ("n_matched", "n_found", "n_true"))))
        for part in zip(*sweeps, strict=True)
    ]
    cut, best = max(pooled, key=lambda entry: entry[1]["f1"] or 0.0)
    return {"best_cut": float(cut), "best_cut_f1": best["f1"] or 0.0}


def _positive_cells(
    called: npt.NDArray[np.bool_],
    positive: npt.NDArray[np.bool_],
    found: npt.NDArray[np.int64],
    true: npt.NDArray[np.int64],
) -> dict[str, Any]:
    hits = int(np.count_nonzero(called[found] & positive[true]))
    return scores(hits, int(np.count_nonzero(called)), int(np.count_nonzero(positive)))


def dot_scores(found: pd.DataFrame, true: pd.DataFrame) -> dict[str, Any]:
    """Precision, recall and F1 of dots within 0.5 um."""
    matched, _ = match_points(_places(found), _places(true), DOT_UM)
    return scores(len(matched), len(found), len(true))


def _correlation(found: npt.NDArray[Any], true: npt.NDArray[Any]) -> float | None:
    if len(found) < 3 or np.ptp(found) == 0 or np.ptp(true) == 0:
        return None
    return float(np.corrcoef(found, true)[0, 1])


def calibration(
    score: npt.NDArray[np.float32],
    found: npt.NDArray[np.int64],
    true: npt.NDArray[np.int64],
    positive: npt.NDArray[np.bool_],
) -> list[dict[str, float]]:
    """Mean score against the share of truly positive cells, in bins that are fine among the high scores."""
    really = np.zeros(len(score), bool)
    really[found] = positive[true]
    edges = (0.0, 0.05, 0.2, 0.5, 0.7, 0.8, 0.9, 0.95, 0.97, 0.99, 1.01)
    bins = []
    for low, high in pairwise(edges):
        here = (score >= low) & (score < high) & (score > 0)
        if here.any():
            bins.append(
                {
                    "from": low,
                    "n": int(here.sum()),
                    "score": float(score[here].mean()),
                    "share": float(really[here].mean()),
                }
            )
    return bins


def _hand_counts(slides: dict[str, SlideResult], table: pd.DataFrame) -> list[dict[str, Any]]:
    missing = [name for name in ("slide_id", "x_um", "y_um", "marker") if name not in table]
    if missing:
        raise UsageError(
            f"the hand count lacks the columns {', '.join(missing)}; it has {', '.join(table.columns)}"
        )
    rows = []
    for (slide_id, marker), clicks in table.groupby(["slide_id", "marker"], sort=True):
        slide = slides.get(str(slide_id))
        if slide is None or marker not in slide.markers:
            continue
        called = slide.cells[slide.cells[f"{marker}_positive"]]
        matched, _ = match_points(_places(called), _places(clicks), HAND_COUNT_UM)
        area = float(slide.summary["tissue_area_mm2"])
        n_false = len(called) - len(matched)
        rows.append(
            {
                "slide_id": slide_id,
                "marker": marker,
                "area_mm2": area,
                "positive_cells": scores(len(matched), len(called), len(clicks)),
                "n_false_cells": n_false,
                "false_per_mm2": n_false / area if area else None,
                "false_per_mm2_upper": rate_upper_limit(n_false, area) if area else None,
                "count_error": _relative(len(called), len(clicks)),
            }
        )
    return rows


def pool(slides: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Counts added over slides, then the same figures; false cells per mm2 also by tissue state."""
    states = sorted({row.get("state", "") for row in slides} - {""})
    return _pooled(slides) | {
        "by_state": {state: _pooled([row for row in slides if row.get("state") == state]) for state in states}
    }


def _pooled(slides: Sequence[dict[str, Any]]) -> dict[str, Any]:
    pooled: dict[str, Any] = {"n_slides": len({row["slide_id"] for row in slides})}
    for name in ("positive_cells", "nuclei_centroid", "nuclei_iou", "dots"):
        parts = [row[name] for row in slides if row.get(name)]
        if parts:
            pooled[name] = scores(
                *(sum(part[key] for part in parts) for key in ("n_matched", "n_found", "n_true"))
            )
    sweeps = [row["by_cut"] for row in slides if "by_cut" in row]
    if sweeps:
        pooled |= best_cut(sweeps)
    area, n_false = sum(row["area_mm2"] for row in slides), sum(row["n_false_cells"] for row in slides)
    positives = pooled["positive_cells"]
    return pooled | {
        "area_mm2": area,
        "n_false_cells": n_false,
        "false_per_mm2": n_false / area if area else None,
        "false_per_mm2_upper": rate_upper_limit(n_false, area) if area else None,
        "count_error": _relative(positives["n_found"], positives["n_true"]),
    }


def evaluation_table(evaluation: dict[str, Any]) -> pd.DataFrame:
    """One flat row per slide and marker, for a spreadsheet or a terminal."""
    return pd.json_normalize(
        [{k: v for k, v in row.items() if k not in CURVES} for row in evaluation["slides"]], sep="_"
    )
