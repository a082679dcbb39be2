"""The best that could be reached on a phantom when one step, or every step but ownership, knew the truth.

`ownership_ceiling` needs no result: every dot and every nucleus is known. `step_ceilings` puts the truth in
the place of one step of a result, so that the figures say which step loses what.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ishcount.result import SlideResult
from ishcount.steps.cells import CellParams, assign_owners, near_nuclei
from ishcount.truth.evaluate import NUCLEUS_UM, judged
from ishcount.truth.matching import match_points, scores

APART_UM = 0.6  # nearer dots make one maximum under optics of 0.26 um (Sparrow: twice the sd, plus the dot)
CUTS = (0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95)


@dataclass(frozen=True)
class _Truth:
    labels: npt.NDArray[np.uint32]
    step_um: float
    dots: pd.DataFrame
    judged: frozenset[int]
    positive: frozenset[int]
    nuclei: pd.DataFrame  # in the plane, also those on spoilt tissue


def _truth(folder: Path, marker: str) -> _Truth:
    import tifffile

    facts = json.loads((folder / "truth.json").read_text("utf-8"))
    nuclei, dots = pd.read_parquet(folder / "nuclei.parquet"), pd.read_parquet(folder / "dots.parquet")
    counted = nuclei[nuclei["counted"]]
    return _Truth(
        labels=tifffile.imread(folder / "nuclei_labels.tif").astype(np.uint32),
        step_um=facts["label_factor"] * facts["spec"]["mpp_um"],
        dots=dots[dots["marker"] == marker],
        judged=frozenset(counted["nucleus_id"]),
        positive=frozenset(counted.loc[counted[f"{marker}_positive"], "nucleus_id"]),
        nuclei=nuclei[nuclei["in_plane"]] if "in_plane" in nuclei else nuclei,
    )


def ownership_ceiling(folder: Path, marker: str, params: CellParams = CellParams()) -> dict[str, Any]:
    """Precision, recall and F1 of positive cells with true dots and true nuclei, owners by
    expectation-maximisation.

    folder: `<slide_id>.truth` of a phantom. What is missing to 1 is what no dot or nucleus finder can mend:
    dots between cells, background dots and dots of cells that were cut away. Beside it `nearest_f1`, the
    same with each dot given to the nearest nucleus within reach, and `dots_f1`: dots within 0.5 um when of
    those nearer than 0.6 um to one another only the strongest can be seen.
    """
    truth = _truth(folder, marker)
    ids, distances = _near(truth.labels, truth.dots, truth.step_um, params)
    owners = assign_owners(ids, distances, np.ones(len(truth.dots), np.float32), params)
    return _agreement(owners, truth) | {
        "nearest_f1": _agreement(ids[:, 0], truth)["f1"],
        "dots_f1": _dots_apart(truth.dots),
    }


def step_ceilings(
    slide: SlideResult, folder: Path, marker: str, params: CellParams = CellParams()
) -> dict[str, float | None]:
    """F1 of positive cells with ishcount's own nuclei under true dots (`perfect_dots`), and with ishcount's
    dots, at their best cut, over true nuclei (`perfect_nuclei`). None where the slide has no label image."""
    labels = slide.folder / "labels.ome.zarr" / "0"
    if not labels.exists():
        return {"perfect_dots": None, "perfect_nuclei": None}
    import zarr

    truth = _truth(folder, marker)
    found = np.asarray(zarr.open_array(str(labels), mode="r"))
    return {
        "perfect_dots": _over_found_nuclei(found, slide.cells, truth, params),
        "perfect_nuclei": _under_found_dots(slide.dots[slide.dots["marker"] == marker], truth, params),
    }


def _over_found_nuclei(
    labels: npt.NDArray[np.uint32], cells: pd.DataFrame, truth: _Truth, params: CellParams
) -> float | None:
    ids, distances = _near(labels, truth.dots, truth.step_um, params)
    owners = assign_owners(ids, distances, np.ones(len(ids), np.float32), params)
    cells, nuclei = judged(cells, truth.nuclei)
    called = cells["cell_id"].isin(set(owners.tolist())).to_numpy()
    mine, true = match_points(_places(cells), _places(nuclei), NUCLEUS_UM)
    positive = nuclei["nucleus_id"].isin(truth.positive).to_numpy()
    hits = int(np.count_nonzero(called[mine] & positive[true]))
    f1: float | None = scores(hits, int(called.sum()), int(positive.sum()))["f1"]
    return f1


def _under_found_dots(dots: pd.DataFrame, truth: _Truth, params: CellParams) -> float | None:
    ids, distances = _near(truth.labels, dots, truth.step_um, params)
    score = dots["score"].to_numpy(np.float32)
    owners = assign_owners(ids, distances, score, params)
    return max(_agreement(owners[score >= np.float32(cut)], truth)["f1"] or 0.0 for cut in CUTS)


def _near(
    labels: npt.NDArray[np.uint32], dots: pd.DataFrame, step_um: float, params: CellParams
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.float32]]:
    x, y = (dots[name].to_numpy(np.float64) for name in ("x_um", "y_um"))
    ids, distances = near_nuclei(labels, 0, x, y, step_um, step_um, params.reach_um)
    return ids, distances


def _dots_apart(dots: pd.DataFrame) -> float | None:
    """F1 of the dots that remain when the stronger of two that lie too near swallows the other."""
    from scipy.spatial import cKDTree

    places = _places(dots)
    if not len(places):
        return None
    strength, swallowed = dots["strength_od_um2"].to_numpy(), np.zeros(len(dots), bool)
    tree = cKDTree(places)
    for place in np.argsort(-strength, kind="stable"):
        if not swallowed[place]:
            near = np.array(tree.query_ball_point(places[place], APART_UM))
            swallowed[near[near != place]] = True
    seen = int(np.count_nonzero(~swallowed))
    return 2 * seen / (seen + len(dots))


def _places(table: pd.DataFrame) -> npt.NDArray[np.float64]:
    return table[["x_um", "y_um"]].to_numpy(np.float64)


def _agreement(owners: npt.NDArray[np.uint32], truth: _Truth) -> dict[str, Any]:
    found = {int(owner) for owner in owners} & truth.judged
    return scores(len(found & truth.positive), len(found), len(truth.positive))
