"""`densities_from_tables`: the one function that counts.

For the result, the sensitivity sweep, control-derived `min_dots` and review alike.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field
from scipy import stats

from ishcount.core.block_interval import Blocks, block_interval
from ishcount.core.decisions import VIABLE, Decisions
from ishcount.core.settings import Settings

BLOCK_COLUMNS = ("compartment", "row", "column", "area_mm2")
# Power of the likelihood ratio behind a cell's score: the training's slides hold far more that resembles dots
# than tissue does, so high scores mean more here. Best of 1 to 1.8 on phantoms 8500-8515 (docs/methods.md).
EVIDENCE_WEIGHT = 1.2
REGION_COLUMNS = ("compartment", "area_mm2", "area_low_mm2", "area_high_mm2", "outline_mm2")


class DensityParams(Settings):
    """What counts as positive, and how copies are binned."""

    dot_cut: float = Field(
        0.9,
        gt=0,
        le=1,
        description="a dot counts when its score is at least this: false cells on dot-free phantoms of "
        "medium tissue stay under 1.5 per mm2 in red and near 2 in brown (docs/accuracy.md)",
    )
    min_dots: int = Field(
        1,
        ge=1,
        le=100,
        description="a cell is positive when its counted dots amount to at least this many copies",
    )
    score_bins: tuple[int, int, int, int] = Field(
        (1, 4, 10, 16),
        description="least copies of scores 1, 2, 3, 4 (0 | 1-3 | 4-9 | 10-15 | more than 15, "
        "the assay maker's bins)",
    )
    cluster_share: float = Field(
        0.10,
        ge=0,
        le=1,
        description="share of dots in clusters that lifts a slide to ACD score 4 (assay maker's 10 % rule)",
    )
    primary_area: Literal["tissue"] = Field(
        "tissue", description="the area behind every density; the outline's stands beside it in outline_mm2"
    )


def garwood(count: int, area_mm2: float, confidence: float = 0.95) -> tuple[float, float]:
    """Exact Poisson interval of a rate (Garwood 1936): events per mm2."""
    tail = (1 - confidence) / 2
    low = stats.chi2.ppf(tail, 2 * count) / 2 if count else 0.0
    return float(low / area_mm2), float(stats.chi2.ppf(1 - tail, 2 * count + 2) / 2 / area_mm2)


def copy_score(
    cell_id: npt.ArrayLike, score: npt.ArrayLike, n_copies: npt.ArrayLike, n_cells: int, k: int
) -> npt.NDArray[np.float32]:
    """Score of each cell's k-th best copy, float32 (n_cells,); 0 where a cell has fewer than k copies.

    It is the highest cut at which the cell would still hold k copies. cell_id: owner of each dot, 0 for none.
    """
    owner = np.asarray(cell_id, np.intp)
    values = np.asarray(score, np.float32)
    if k == 1:  # that of its best dot: none stands for less than a copy
        best = np.zeros(n_cells + 1, np.float32)
        np.maximum.at(best, owner, values)
        return best[1:]
    copies = np.asarray(n_copies, np.int64)
    held = np.flatnonzero((owner > 0) & (values > 0))  # a copy of score 0 leaves the cell's score at 0
    order = held[np.lexsort((-values[held], owner[held]))]
    owner, values, copies = owner[order], values[order], copies[order]
    running = np.cumsum(copies)
    first = np.r_[True, owner[1:] != owner[:-1]] if len(owner) else np.zeros(0, bool)
    before = np.repeat((running - copies)[first], np.diff(np.r_[np.flatnonzero(first), len(owner)]))
    within = running - before
    reached = (within >= k) & (within - copies < k)
    result = np.zeros(n_cells, np.float32)
    result[owner[reached] - 1] = values[reached]
    return result


def prevalence_calibrated(
    score: npt.NDArray[np.float64], training_prevalence: float, weight: float = 1.0
) -> float:
    """Expected number of positive cells when scores were calibrated at another prevalence.

    score: every cell's (n,). weight: of the evidence in each score (`positive_chance`).
    """
    return float(positive_chance(score, training_prevalence, weight).sum())


def expected_false(
    score: npt.NDArray[np.float64], positive: npt.NDArray[np.bool_], training_prevalence: float
) -> float:
    """How many of the cells called positive are expected to be none, at the slide's own prevalence.

    A score of 0.95 learned where 15 % of cells are positive is worth far less where 0.2 % are: the plain sum
    of 1 - score was a tenth of what blank phantoms held. Evidence weighs as learned here, not more: doubt is
    told on the careful side.
    """
    return float((1 - positive_chance(score, training_prevalence))[positive].sum())


def positive_chance(
    score: npt.NDArray[np.float64], training_prevalence: float, weight: float = 1.0, rounds: int = 200
) -> npt.NDArray[np.float64]:
    """Chance of each cell to be positive at the slide's own prevalence, from scores learned at another, (n,).

    Expectation-maximisation of the prior (Saerens, Latinne and Decaestecker 2002). score: every cell's (n,).
    weight: power of the likelihood ratio that a score stands for.
    """
    if len(score) == 0:
        return np.zeros(0)
    prior = min(max(float(score.mean()), 1e-9), 1 - 1e-9)
    odds_at_training = training_prevalence / (1 - training_prevalence)
    likelihood_ratio = (score / np.maximum(1 - score, 1e-12) / odds_at_training) ** weight
    chance = score
    for _ in range(rounds):
        odds = likelihood_ratio * (prior / (1 - prior))
        chance = odds / (1 + odds)
        new = float(chance.mean())
        if abs(new - prior) <= 1e-9 * max(prior, 1e-9):
            break
        prior = min(max(new, 1e-12), 1 - 1e-9)
    return np.asarray(chance)


def densities_from_tables(
    cells: pd.DataFrame,
    dots: pd.DataFrame,
    regions: pd.DataFrame,
    *,
    cut: float,
    min_dots: int,
    decisions: Decisions | None = None,
    params: DensityParams = DensityParams(),
    training_prevalence: float = 0.5,
    blocks: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """One row per marker and compartment, in the order of the tables' markers and of `regions`.

    cells: as `core.tables.cells_schema`; dots: as `core.tables.DOTS`; regions: `REGION_COLUMNS`, one row per
    compartment with its areas in mm2. A dot counts when its score is at least `cut`; a cell is positive with
    `min_dots` copies. With `decisions` a reader's calls, exclusions and added cells are laid over and
    `reviewed`
    is True. Where the area is 0 the density and its interval are missing. With two markers, co-positive cells
    follow as `A+B`. Counts are exact; columns are those of `core.tables.DENSITIES` that a slide determines.
    blocks: `BLOCK_COLUMNS`, half-millimetre squares of tissue (`core.block_interval`); with them the interval
    is about another section of the lesion, without them exact Poisson (Garwood), which is about this one.
    """
    decisions = decisions or Decisions()
    cell_id = cells["cell_id"].to_numpy()
    markers = [name.removesuffix("_score") for name in cells.columns if name.endswith("_score")]
    kept = decisions.counted(cell_id)
    place = decisions.compartment(cell_id, cells["compartment"].to_numpy(dtype=object))
    ground = _Ground(cells, blocks, decisions)
    rows, positives = [], {}
    for marker in markers:
        marker_cut = decisions.cuts.get(marker, cut)
        mine = dots.loc[dots["marker"] == marker, ["cell_id", "score", "n_copies"]]
        evidence = _Evidence(mine, len(cells), marker_cut, min_dots)
        positives[marker] = decisions.positive(marker, cell_id, evidence.positive(min_dots))
        for region in regions.itertuples():
            inside = kept & in_compartment(place, str(region.compartment))
            row = _row(
                marker, region, inside, positives[marker], evidence, decisions, params, training_prevalence
            )  # fmt: skip
            rows.append(row | ground.interval(row, inside & positives[marker], (marker,)))
    if len(markers) == 2:
        rows += _co_positive(markers, regions, kept, place, positives, decisions, ground)
    return pd.DataFrame(rows)


def in_compartment(place: npt.NDArray[Any], compartment: str) -> npt.NDArray[np.bool_]:
    """Which cells lie in a compartment; `tissue` holds all, `viable` epidermis and dermis, "" is outside."""
    if compartment == "tissue":
        return np.asarray(place != "", dtype=bool)
    if compartment == "viable":
        return np.isin(place.astype(str), VIABLE)
    return np.asarray(place == compartment, dtype=bool)


class _Ground:
    """Where the cells lie, and on how much tissue: what an interval between blocks needs."""

    def __init__(self, cells: pd.DataFrame, blocks: pd.DataFrame | None, decisions: Decisions) -> None:
        self._decisions = decisions
        self._blocks: dict[str, Blocks] = {}
        if blocks is not None:
            self._places = cells[["x_um", "y_um"]].to_numpy(np.float64)
            for name, part in blocks.groupby("compartment", sort=False):
                row, column = (part[axis].to_numpy(np.int64) for axis in ("row", "column"))
                self._blocks[str(name)] = Blocks(row, column, part["area_mm2"].to_numpy(np.float64))

    def interval(
        self, row: dict[str, Any], positive: npt.NDArray[np.bool_], markers: tuple[str, ...]
    ) -> dict[str, Any]:
        """`ci_*` of a row from its blocks; nothing where the blocks or the area are not known.

        An area that a reader changed is changed in every block alike.
        """
        blocks, area = self._blocks.get(row["compartment"]), row["area_mm2"]
        if blocks is None or not area > 0:
            return {}
        added = self._decisions.added_in(row["compartment"])
        more = [(cell.x_um, cell.y_um) for cell in added if set(markers) <= cell.positive]
        places = np.concatenate([self._places[positive], np.array(more, np.float64).reshape(-1, 2)])
        found = block_interval(places[:, 0], places[:, 1], blocks)
        method = found.method
        if np.isnan(found.low):
            method += f"; {row['ci_low']:.3g} to {row['ci_high']:.3g} if cells lay at random (exact Poisson)"
        scale = float(blocks.area_mm2.sum()) / area
        return {"ci_low": found.low * scale, "ci_high": found.high * scale, "ci_method": method}


class _Evidence:
    """Dots of one marker seen from its cells at one cut."""

    def __init__(self, dots: pd.DataFrame, n_cells: int, cut: float, min_dots: int) -> None:
        self._owner = dots["cell_id"].to_numpy()
        self._score = dots["score"].to_numpy()
        self._copies = dots["n_copies"].to_numpy().astype(np.int64)
        self._n_cells, self.cut = n_cells, cut
        counted = self._score >= np.float32(cut)
        self.copies = np.bincount(
            self._owner[counted].astype(np.int64), self._copies[counted], n_cells + 1
        ).astype(np.int64)
        self.copies_outside = int(self.copies[0])
        self.copies = self.copies[1:]
        self.score = copy_score(self._owner, self._score, self._copies, n_cells, min_dots)
        clustered = counted & (self._copies > 1) & (self._owner > 0)
        dots_in_cells = int(np.count_nonzero(counted & (self._owner > 0)))
        self.share_clustered = np.count_nonzero(clustered) / dots_in_cells if dots_in_cells else 0.0

    def positive(self, min_dots: int) -> npt.NDArray[np.bool_]:
        return self.copies >= min_dots


def _row(
    marker: str,
    region: Any,
    inside: npt.NDArray[np.bool_],
    positive: npt.NDArray[np.bool_],
    evidence: _Evidence,
    decisions: Decisions,
    params: DensityParams,
    training_prevalence: float,
) -> dict[str, Any]:
    compartment = str(region.compartment)
    n_cells = int(np.count_nonzero(inside)) + decisions.n_added(compartment)
    n_positive = int(np.count_nonzero(inside & positive)) + decisions.n_added(compartment, marker)
    copies = evidence.copies[inside]
    bins = np.bincount(np.searchsorted(params.score_bins, copies, side="right"), minlength=5)
    bins[0] += decisions.n_added(compartment)
    row = _area_and_rate(marker, region, n_cells, n_positive, decisions)
    area = row["area_mm2"]
    score = evidence.score[inside].astype(np.float64)
    expected = prevalence_calibrated(score, training_prevalence, EVIDENCE_WEIGHT)
    row |= {
        "n_positive_2": int(np.count_nonzero(copies >= 2)),
        "n_positive_3": int(np.count_nonzero(copies >= 3)),
        "estimated_per_mm2": expected / area if area > 0 else np.nan,
        "n_copies": int(copies.sum()),
        "n_copies_outside_cells": evidence.copies_outside if compartment == "tissue" else pd.NA,
        "copies_per_cell": float(copies.sum() / n_cells) if n_cells else np.nan,
        "h_score": float(100 * (bins * np.arange(5)).sum() / n_cells) if n_cells else np.nan,
        **{f"score_{k}": int(bins[k]) for k in range(5)},
        "acd_score": _acd_score(copies, n_cells, evidence.share_clustered, params),
    }
    return row


def _area_and_rate(
    marker: str, region: Any, n_cells: int, n_positive: int, decisions: Decisions
) -> dict[str, Any]:
    compartment = str(region.compartment)
    area = decisions.area_mm2(compartment, float(region.area_mm2))
    change = area - float(region.area_mm2)
    low, high = garwood(n_positive, area) if area > 0 else (np.nan, np.nan)
    return {
        "marker": marker,
        "compartment": compartment,
        "area_mm2": area,
        "area_low_mm2": max(0.0, float(region.area_low_mm2) + change),
        "area_high_mm2": max(0.0, float(region.area_high_mm2) + change),
        "outline_mm2": float(region.outline_mm2),
        "n_cells": n_cells,
        "n_positive": n_positive,
        "positive_per_mm2": n_positive / area if area > 0 else np.nan,
        "ci_low": low,
        "ci_high": high,
        "ci_method": "exact Poisson (Garwood)" if area > 0 else "",
        "percent_positive": 100 * n_positive / n_cells if n_cells else np.nan,
    }


def _acd_score(
    copies: npt.NDArray[np.int64], n_cells: int, share_clustered: float, params: DensityParams
) -> Any:
    """One score per slide from the mean copies per cell: under 1 in 10 cells 0, under 4 is 1, under 10 is 2,
    up to 15 is 3, and above 15 with more than `cluster_share` of dots in clusters 4 (else 3)."""
    if n_cells == 0:
        return pd.NA
    mean = float(copies.sum() / n_cells)
    if mean < 0.1:
        return 0
    score = 1 + int(np.searchsorted(params.score_bins[1:], mean, side="right"))
    return score if score < 4 or share_clustered > params.cluster_share else 3


def _co_positive(
    markers: list[str],
    regions: pd.DataFrame,
    kept: npt.NDArray[np.bool_],
    place: npt.NDArray[Any],
    positives: dict[str, npt.NDArray[np.bool_]],
    decisions: Decisions,
    ground: _Ground,
) -> list[dict[str, Any]]:
    both = positives[markers[0]] & positives[markers[1]]
    rows = []
    for region in regions.itertuples():
        compartment = str(region.compartment)
        inside = kept & in_compartment(place, compartment)
        added = sum(set(markers) <= cell.positive for cell in decisions.added_in(compartment))
        n_cells = int(np.count_nonzero(inside)) + decisions.n_added(compartment)
        name = "+".join(sorted(markers))
        row = _area_and_rate(name, region, n_cells, int(np.count_nonzero(inside & both)) + added, decisions)
        rows.append(row | ground.interval(row, inside & both, tuple(markers)))
    return rows
