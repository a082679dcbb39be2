"""The best that could be reached on a phantom: every dot and every nucleus known, only the owners to be
found.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ishcount.steps.cells import CellParams, assign_owners, near_nuclei
from ishcount.truth.matching import scores


def ownership_ceiling(folder: Path, marker: str, params: CellParams = CellParams()) -> dict[str, Any]:
    """Precision, recall and F1 of positive cells with true dots and true nuclei, owners by
    expectation-maximisation.

    folder: `<slide_id>.truth` of a phantom. What is missing to 1 is what no dot or nucleus finder can mend:
    dots between cells, background dots and dots of cells that were cut away. Beside it `nearest_f1`, the
    same with each dot given to the nearest nucleus within reach.
    """
    import tifffile

    facts = json.loads((folder / "truth.json").read_text("utf-8"))
    labels = tifffile.imread(folder / "nuclei_labels.tif").astype(np.uint32)
    nuclei, dots = pd.read_parquet(folder / "nuclei.parquet"), pd.read_parquet(folder / "dots.parquet")
    dots = dots[dots["marker"] == marker]
    step_um = facts["label_factor"] * facts["spec"]["mpp_um"]
    x, y = (dots[name].to_numpy(np.float64) for name in ("x_um", "y_um"))
    ids, distances = near_nuclei(labels, 0, x, y, step_um, step_um, params.reach_um)
    owners = assign_owners(ids, distances, np.ones(len(dots), np.float32), params)
    counted = nuclei[nuclei["counted"]]
    true = set(counted.loc[counted[f"{marker}_positive"], "nucleus_id"])
    judged = set(counted["nucleus_id"])
    nearest = scores(*_agreement(ids[:, 0], true, judged))
    return scores(*_agreement(owners, true, judged)) | {"nearest_f1": nearest["f1"]}


def _agreement(owners: npt.NDArray[np.uint32], true: set[int], judged: set[int]) -> tuple[int, int, int]:
    found = {int(owner) for owner in owners} & judged
    return len(found & true), len(found), len(true)
