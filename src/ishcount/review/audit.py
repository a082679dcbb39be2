"""The audit plan: which cells and fields a reader is asked for, drawn at random before anybody looks.

All cells called positive (as many as the budget allows), a probability sample of near misses by strata of
score, and a few random fields read whole. Each stratum is read in a random order fixed by the seed, and
only the unbroken beginning of that order enters the estimate: skipping the hard ones gains nothing, and
stopping early costs width, not truth. The number of decisions is fixed beforehand: stopping when the
interval is narrow enough would make it too narrow.
"""

from __future__ import annotations

from math import floor, sqrt
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from ishcount.review.corrected import FIELD_DECISIONS, _shares

N_DECISIONS = 150
"""Default budget: half an hour at about ten seconds a decision."""
N_NEAR_STRATA = 3
N_FIELDS = 4
EXPECTED_MISSED = EXPECTED_FALSE = 0.1
"""What a good automatic result misses and calls falsely, as shares of the called: an assumption that gives
way to the decisions, and to the study's other slides."""
FIELD_UM = 200.0
"""Side of a field: fits a 1366 px wide window with its dock at 0.25 um a pixel."""
CALLED_SHARE = 2 / 3
"""Largest part of the budget that goes to called cells, so that misses are always looked for."""


class PlanStratum(msgspec.Struct, frozen=True, kw_only=True):
    """Cells with `low` <= score < `high`, the order in which to read them, and their mean score."""

    name: str
    low: float
    high: float
    n_cells: int
    expected: float
    order: tuple[int, ...]
    is_called: bool = False


class PlanField(msgspec.Struct, frozen=True, kw_only=True):
    """A square to read whole; `tissue_mm2` of it is tissue."""

    name: str
    x_um: float
    y_um: float
    side_um: float
    tissue_mm2: float


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What the audit of one slide and marker asks for. Logged whole, so that anyone can check it."""

    seed: int
    cut: float
    tissue_mm2: float
    strata: tuple[PlanStratum, ...]
    fields: tuple[PlanField, ...] = ()

    @property
    def cell_ids(self) -> list[int]:
        """All cells to read, shuffled over strata, so that the order does not tell the score."""
        ids = np.array([cell for stratum in self.strata for cell in stratum.order], dtype=np.int64)
        turn = np.concatenate([(np.arange(len(s.order)) + 0.5) / max(len(s.order), 1) for s in self.strata])
        # Merging the strata evenly keeps each stratum's own order.
        jitter = np.random.default_rng([self.seed, 1]).uniform(0, 1e-3, len(ids))
        return [int(cell) for cell in ids[np.argsort(turn + np.sort(jitter), kind="stable")]]


def plan_from(logged: Any) -> Plan:
    """A plan as it was logged."""
    return msgspec.convert(logged, Plan)


def draw_plan(
    cell_id: NDArray[np.int64],
    score: NDArray[np.float32],
    *,
    cut: float,
    tissue_mm2: float,
    seed: int,
    n_decisions: int = N_DECISIONS,
    fields: tuple[PlanField, ...] = (),
) -> Plan:
    """Draw an audit of `n_decisions`, of which each field takes `FIELD_DECISIONS`.

    cell_id, score: (n,) of the cells that count. Near misses are cells below the cut with a candidate dot,
    in strata of equal expected positives; how many of each are read follows Neyman allocation, the score
    standing in for the share of positives.
    """
    budget = max(0, n_decisions - FIELD_DECISIONS * len(fields))
    edges = _edges(score, cut)
    groups = [
        np.flatnonzero((score >= low) & (score < high)) for low, high in zip(edges[1:], edges, strict=False)
    ]
    expected = _expected_shares([score[rows].astype(np.float64) for rows in groups])
    sizes = _allocate([len(rows) for rows in groups], expected, budget)
    rng = np.random.default_rng([seed, 0])
    strata = []
    for place, (rows, size) in enumerate(zip(groups, sizes, strict=True)):
        order = cell_id[rng.permutation(rows)[:size]]
        strata.append(
            PlanStratum(
                name="called positive" if place == 0 else f"near miss {place}",
                low=float(edges[place + 1]),
                high=float(edges[place]),
                n_cells=len(rows),
                expected=expected[place],
                order=tuple(int(cell) for cell in order),
                is_called=place == 0,
            )
        )
    return Plan(seed=seed, cut=cut, tissue_mm2=tissue_mm2, strata=tuple(strata), fields=fields)


def _expected_shares(scores: list[NDArray[np.float64]]) -> list[float]:
    """Share of positives to expect in each stratum before anybody has looked.

    Scores rank near misses but are not calibrated where positives are rare, so together the near misses are
    expected to hold `EXPECTED_MISSED` of the called number, spread in proportion to their scores.
    """
    n_called, near = len(scores[0]), scores[1:]
    missed = EXPECTED_MISSED * max(n_called, 1)
    total = sum(float(part.sum()) for part in near)
    shares = [min(missed * float(part.sum()) / (total * len(part)), float(part.mean())) for part in near]
    return [1 - EXPECTED_FALSE, *shares]


def _edges(score: NDArray[np.float32], cut: float) -> list[float]:
    """Score limits of the strata from above: called, then near misses of equal expected positives."""
    near = np.sort(score[(score > 0) & (score < cut)].astype(np.float64))[::-1]
    edges = [2.0, float(np.float32(cut))]
    if len(near):
        share = np.cumsum(near) / near.sum()
        for part in range(1, N_NEAR_STRATA):
            edge = float(near[min(int(np.searchsorted(share, part / N_NEAR_STRATA)), len(near) - 1)])
            if edge < edges[-1]:
                edges.append(edge)
        if float(near[-1]) < edges[-1]:
            edges.append(float(near[-1]))
    return edges


def _allocate(n_cells: list[int], expected: list[float], budget: int) -> list[int]:
    """Decisions per stratum; the first (called) is read whole if that leaves a third for the misses."""
    called = min(n_cells[0], floor(CALLED_SHARE * budget)) if len(n_cells) > 1 else min(n_cells[0], budget)
    spread = [sqrt(max(share * (1 - share), 0.01 * 0.99)) for share in expected]
    weights = [n * s for n, s in zip(n_cells, spread, strict=True)]
    if called < n_cells[0]:
        called = min(called, max(floor(budget * weights[0] / sum(weights)), floor(budget / 3)))
    near = _shares(weights[1:], [float(n) for n in n_cells[1:]], budget - called)
    sizes = [floor(size) for size in near]
    for place in np.argsort([floor(size) - size for size in near], kind="stable"):
        if called + sum(sizes) < budget and sizes[place] < n_cells[place + 1]:
            sizes[place] += 1
    return [min(n_cells[0], budget - sum(sizes)), *sizes]
