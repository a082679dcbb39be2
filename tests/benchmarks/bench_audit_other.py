"""The audit judged by a second simulation, built unlike the one its constants were chosen with.

    python tests/benchmarks/bench_audit_other.py [--slides 1000] [--decisions 150] [--study 1] [--seed 7]

`bench_audit.py` draws logit-normal scores, spreads errors evenly and knows one slide size. Here slides hold
6,000 to 90,000 cells; positives sit in foci; weak cells (few copies) are the ones missed; false calls lie in
one artefact a slide; what was never proposed lies together where the stain is faint; scores are beta
distributed and the cut is .9; shares of misses and false calls follow skewed laws; fields are 150, 250 or
400 um wide and cut by the tissue's edge. The audit goes through the code that reads a log, cell by cell.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ishcount.core.decisions import AddedCell, Call
from ishcount.review.audit import PlanField, draw_plan
from ishcount.review.corrected import correct
from ishcount.review.evidence import read_fields, read_strata
from ishcount.review.pooling import Audit, pooled

CUT = 0.9
CELLS_PER_MM2 = 5000.0
N_FIELDS = 4
FIELD_SIDES_UM = (150.0, 250.0, 400.0)


@dataclass(frozen=True)
class Errors:
    """How an automatic result errs: beta law of the share missed, gamma law of false calls per true cell."""

    name: str
    missed: tuple[float, float]
    false: tuple[float, float]  # shape, mean
    never: float  # share of the missed without any candidate
    weak_score: tuple[float, float] = (1.2, 3.0)  # beta law of missed cells' scores, times the cut


RESULTS = (
    Errors("good (10 % off)", (2, 18), (2, 0.1), 0.2),
    Errors("poor, calls too many", (4, 16), (4, 1.0), 0.15),
    Errors("poor, misses half", (8, 8), (2, 0.1), 0.15),
    Errors("poor, scores say nothing", (4, 16), (4, 1.0), 0.15, weak_score=(0.5, 6.0)),
)


@dataclass(frozen=True)
class Slide:
    """One simulated slide; positions in um on a square of tissue."""

    side_um: float
    xy: NDArray[np.float64]
    score: NDArray[np.float32]
    truth: NDArray[np.bool_]
    never_xy: NDArray[np.float64]

    @property
    def total(self) -> int:
        """Positive cells there are."""
        return int(self.truth.sum()) + len(self.never_xy)


def simulate(rng: np.random.Generator, errors: Errors, prevalence: float) -> Slide:
    """A slide and its automatic result."""
    n = int(np.clip(rng.lognormal(np.log(30_000), 0.7), 6_000, 90_000))
    side = 1000 * np.sqrt(n / CELLS_PER_MM2)
    xy = rng.uniform(0, side, (n, 2))
    focus = _nearness(xy, rng.uniform(0, side, (8, 2)), 0.12 * side)
    true = rng.choice(n, rng.binomial(n, prevalence), replace=False, p=(0.1 + focus) / (0.1 + focus).sum())
    copies = rng.geometric(0.4, len(true))
    n_missed = rng.binomial(len(true), rng.beta(*errors.missed))
    weak = np.argsort(copies + rng.uniform(0, 1.5, len(true)))  # the weakest first, not strictly
    missed, called = true[weak[:n_missed]], true[weak[n_missed:]]
    faint = _nearness(xy[missed], rng.uniform(0, side, (1, 2)), 0.2 * side)
    order = np.argsort(-faint * rng.uniform(0.2, 1, len(missed)))
    never, near = np.split(missed[order], [round(errors.never * len(missed))])
    score = np.zeros(n, np.float32)
    others = np.setdiff1d(np.arange(n), true)
    score[others[rng.random(len(others)) < 0.03 + 2 * prevalence]] = -1  # candidates, filled below
    other = np.flatnonzero(score < 0)
    score[other] = CUT * 0.999 * rng.beta(0.5, 6, len(other))
    score[near] = CUT * 0.999 * rng.beta(*errors.weak_score, len(near))
    score[called] = CUT + (1 - CUT) * rng.beta(3, 1, len(called))
    shape, mean = errors.false
    n_false = min(rng.poisson(rng.gamma(shape, mean / shape) * len(true)), len(others))
    artefact = _nearness(xy[others], rng.uniform(0, side, (1, 2)), 0.05 * side) + 1e-3
    false = rng.choice(others, n_false, replace=False, p=artefact / artefact.sum())
    score[false] = CUT + (1 - CUT) * rng.beta(1, 1.5, n_false)
    truth = np.zeros(n, bool)
    truth[np.concatenate([called, near])] = True
    return Slide(side, xy, score, truth, xy[never])


def _nearness(xy: NDArray[np.float64], centres: NDArray[np.float64], reach: float) -> NDArray[np.float64]:
    away = ((xy[:, None] - centres[None]) ** 2).sum(axis=2)
    found: NDArray[np.float64] = np.exp(-away / (2 * reach**2)).sum(axis=1)
    return found


def draw_fields(rng: np.random.Generator, side_um: float) -> tuple[PlanField, ...]:
    """Random squares of a shifted grid, each cut by the tissue's edge."""
    size = float(rng.choice(FIELD_SIDES_UM))
    shift = rng.uniform(0, size, 2)
    steps = [np.arange(-s, side_um, size) for s in shift]
    x, y = (axis.ravel() for axis in np.meshgrid(*steps))
    width, height = (np.minimum(v + size, side_um) - np.maximum(v, 0) for v in (x, y))
    places = np.flatnonzero((width > 0) & (height > 0))
    chosen = rng.choice(places, min(N_FIELDS, len(places)), replace=False)
    return tuple(
        PlanField(
            name=f"F{i}", x_um=float(x[i]), y_um=float(y[i]), side_um=size,
            tissue_mm2=float(width[i] * height[i]) / 1e6,
        )
        for i in chosen
    )  # fmt: skip


def audit(rng: np.random.Generator, slide: Slide, n_decisions: int) -> Audit:
    """Everything the plan asks for, answered truly."""
    ids = np.arange(1, len(slide.score) + 1)
    plan = draw_plan(
        ids, slide.score, cut=CUT, tissue_mm2=slide.side_um**2 / 1e6, seed=int(rng.integers(2**31)),
        n_decisions=n_decisions, fields=draw_fields(rng, slide.side_um),
    )  # fmt: skip
    calls = {cell: Call.POSITIVE if slide.truth[cell - 1] else Call.NEGATIVE for cell in plan.cell_ids}
    added = [
        AddedCell(id=f"M:{i}", x_um=float(x), y_um=float(y), compartment="tissue", positive=frozenset("M"))
        for i, (x, y) in enumerate(slide.never_xy)
    ]
    fields = read_fields(
        plan, {field.name for field in plan.fields}, cell_id=ids, x_um=slide.xy[:, 0], y_um=slide.xy[:, 1],
        score=slide.score, calls=calls, added=added, marker="M",
    )  # fmt: skip
    return Audit("", tuple(read_strata(plan, ids, slide.score, [calls])), fields)


def run(
    errors: Errors, prevalence: float, *, n_slides: int, n_decisions: int, study: int, seed: int
) -> dict[str, Any]:
    """Coverage, widths and errors as shares of the truth."""
    rng = np.random.default_rng([seed, round(prevalence * 1e4)])
    rows = []
    for _ in range(n_slides // study):
        slides = [simulate(rng, errors, prevalence) for _ in range(study)]
        audits = pooled([audit(rng, slide, n_decisions) for slide in slides])
        for slide, read in zip(slides, audits, strict=True):
            total, found = slide.total, correct(read.strata, read.fields)
            automatic = int((slide.score >= np.float32(CUT)).sum())
            size = max(total, 1)
            rows.append((
                found.low <= total, total <= found.high, (found.high - found.low) / size,
                (found.high_proposed - found.low) / size, (found.n_positive - total) / size,
                (automatic - total) / size,
            ))  # fmt: skip
    table = np.array(rows, dtype=float)
    low, high, width, proposed, error, before = table.T
    return {
        "coverage": (low * high).mean(), "below": (1 - low).mean(), "above": (1 - high).mean(),
        "width": np.median(width), "width_proposed": np.median(proposed), "bias": error.mean(),
        "rmse": np.sqrt((error**2).mean()), "rmse_automatic": np.sqrt((before**2).mean()),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--slides", type=int, default=1000)
    parser.add_argument("--decisions", type=int, default=150)
    parser.add_argument("--study", type=int, default=1, help="slides that pool their sensitivity; 1: none")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    print(f"{options.slides} slides each, {options.decisions} decisions, pooled over {options.study}")
    print(
        f"{'automatic result':26}{'positive':>9}{'coverage':>9}{'missed low':>11}{'high':>6}{'width':>8}"
        f"{'w/o fields':>11}{'bias':>8}{'RMSE':>8}{'automatic':>10}{'ratio':>7}"
    )
    for errors in RESULTS:
        for prevalence in (0.002, 0.02, 0.15):
            row = run(
                errors, prevalence, n_slides=options.slides, n_decisions=options.decisions,
                study=options.study, seed=options.seed,
            )  # fmt: skip
            ratio = row["rmse"] / row["rmse_automatic"]
            print(
                f"{errors.name:26}{prevalence:9.1%}{row['coverage']:9.1%}{row['below']:11.1%}{row['above']:6.1%}"
                f"{row['width']:8.0%}{row['width_proposed']:11.0%}{row['bias']:8.1%}{row['rmse']:8.1%}"
                f"{row['rmse_automatic']:10.1%}{ratio:7.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
