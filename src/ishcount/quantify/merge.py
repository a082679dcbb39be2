"""Partial files of all blocks as one list of nuclei and one of dots, in an order of the slide's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from ishcount.core import files
from ishcount.core.errors import SlideError
from ishcount.core.tissue_map import RegionKind, TissueMap
from ishcount.quantify.block import block_path
from ishcount.quantify.job import Plan, SlideJob

Array = npt.NDArray[Any]
SAME_NUCLEUS_UM = 6.0  # centroids of two outlines of one nucleus lie nearer than its own radius
SAME_NUCLEUS_OVERLAP = 0.5  # share of the smaller outline


@dataclass(frozen=True)
class Nuclei:
    """All nuclei in tissue, ordered by y then x; row i is cell i + 1.

    runs: int32 (m, 4) of label (1-based), grid row, first and last-but-one column, ordered by label.
    """

    x_um: Array
    y_um: Array
    flags: Array
    runs: npt.NDArray[np.int32]


@dataclass(frozen=True)
class Dots:
    """All candidates within outlines, ordered by marker, y and x. `marker` is the place in the job's list."""

    marker: Array
    x_px: Array
    y_px: Array
    x_um: Array
    y_um: Array
    area_um2: Array
    peak_od: Array
    integrated_od: Array
    score: Array
    reason: Array


def read_partials(job: SlideJob, plan: Plan) -> list[dict[str, Array]]:
    """The partial files of every block, in reading order; SlideError when one is missing or damaged."""
    partials = []
    for key in sorted(plan.keys):
        try:
            partials.append(files.read_arrays(block_path(job, key)))
        except (OSError, ValueError) as error:
            raise SlideError(
                f"block {key} was not finished ({error}); run the same command again", "E_IO"
            ) from error
    return partials


def with_damage(tissue: TissueMap, partials: Sequence[dict[str, Array]]) -> TissueMap:
    """The tissue map with unreadable cells taken out of the area."""
    damaged = (
        np.concatenate([partial["damaged"] for partial in partials]) if partials else np.zeros(0, np.int64)
    )
    return tissue.without(damaged, RegionKind.DAMAGED) if len(damaged) else tissue


def merge_nuclei(partials: Sequence[dict[str, Array]], tissue: TissueMap, grid_width: int) -> Nuclei:
    """Nuclei whose centroid lies in tissue, each once, numbered by y then x."""
    if not partials:
        nothing = np.zeros(0)
        return Nuclei(nothing, nothing, nothing, np.zeros((0, 4), np.int32))
    counts = [len(partial["nucleus_x_um"]) for partial in partials]
    first = np.r_[0, np.cumsum(counts)].astype(np.int64)
    x, y, flags = (
        np.concatenate([p[name] for p in partials])
        for name in ("nucleus_x_um", "nucleus_y_um", "nucleus_flags")
    )
    block = np.repeat(np.arange(len(partials)), counts)
    runs = np.concatenate(
        [p["runs"] + np.array([first[i], 0, 0, 0], np.int32) for i, p in enumerate(partials)]
    )
    keep = tissue.kind_at(x, y) == RegionKind.TISSUE
    keep[_twice(x, y, block, runs, keep, grid_width)] = False
    order = np.flatnonzero(keep)[np.lexsort((x[keep], y[keep]))]
    label = np.zeros(len(x), np.int64)
    label[order] = np.arange(1, len(order) + 1)
    runs = runs[keep[runs[:, 0]]]
    runs[:, 0] = label[runs[:, 0]]
    runs = runs[np.argsort(runs[:, 0], kind="stable")]  # those of one nucleus are in reading order
    return Nuclei(x[order], y[order], flags[order], runs)


def _twice(x: Array, y: Array, block: Array, runs: Array, keep: Array, grid_width: int) -> list[int]:
    """Nuclei outlined by two blocks (a watershed near a border may differ): the one of the later block
    goes."""
    places = np.flatnonzero(keep)
    if len(places) == 0:
        return []
    pairs = cKDTree(np.column_stack([x[places], y[places]])).query_pairs(
        SAME_NUCLEUS_UM, output_type="ndarray"
    )
    pairs = places[pairs]
    pairs = pairs[block[pairs[:, 0]] != block[pairs[:, 1]]]
    bounds = (
        np.searchsorted(runs[:, 0], [0])
        if len(runs) == 0
        else np.searchsorted(runs[:, 0], np.arange(len(x) + 1))
    )
    gone: list[int] = []
    for a, b in sorted((int(min(pair)), int(max(pair))) for pair in pairs):
        pixels_a, pixels_b = (_pixels(runs[bounds[k] : bounds[k + 1]], grid_width) for k in (a, b))
        shared = len(np.intersect1d(pixels_a, pixels_b, assume_unique=True))
        if shared > SAME_NUCLEUS_OVERLAP * min(len(pixels_a), len(pixels_b)):
            gone.append(b)
    return gone


def _pixels(runs: Array, grid_width: int) -> Array:
    return np.concatenate(
        [row * grid_width + np.arange(start, stop) for _, row, start, stop in runs.astype(np.int64)]
    )


def merge_dots(partials: Sequence[dict[str, Array]], job: SlideJob) -> Dots:
    """Every candidate of every marker, ordered by marker, y and x."""
    columns: dict[str, list[Array]] = {name: [] for name in Dots.__dataclass_fields__}
    for place, (marker, _) in enumerate(job.markers):
        for partial in partials:
            n = len(partial[f"{marker}/x_um"])
            columns["marker"].append(np.full(n, place, np.uint8))
            for name in columns.keys() - {"marker"}:
                columns[name].append(partial[f"{marker}/{name}"])
    joined = {name: np.concatenate(parts) if parts else np.zeros(0) for name, parts in columns.items()}
    order = np.lexsort((joined["x_px"], joined["y_px"], joined["marker"]))
    return Dots(**{name: value[order] for name, value in joined.items()})
