"""Simulated audits: coverage, width and error of the audit-corrected count against the automatic count.

    python tests/benchmarks/bench_audit.py [--slides 2000] [--decisions 150]

Each simulated slide has 50,000 cells on 10 mm2. The automatic result misses a share of the positives and
calls others falsely; both shares vary from slide to slide, so that a good result is 10 % off (root mean
square). Scores of true and false cells overlap (logit-normal); some positives have no candidate at all.
Ground truth, scores and result are drawn anew for every slide; the audit sees scores, called cells and the
answers it asks for.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
from scipy.special import expit
from scipy.stats import norm

from ishcount.review.audit import FIELD_UM, N_FIELDS, PlanField, draw_plan
from ishcount.review.corrected import Fields, Stratum, correct
from ishcount.review.pooling import Audit, pooled

N_CELLS = 50_000
TISSUE_MM2 = 10.0
CUT = 0.5


@dataclass(frozen=True)
class Automatic:
    """How an automatic result errs: shares missed, false per true and never proposed."""

    name: str
    missed: tuple[float, float]
    false_per_true: tuple[float, float]
    never_proposed: float
    informative: float = 1.5  # spread of the logit scores: the larger, the less the score tells


RESULTS = (
    Automatic("good (10 % off)", (0.0, 0.2), (0.0, 0.2), 0.02),
    Automatic("poor, calls too many", (0.1, 0.3), (0.6, 1.4), 0.02),
    Automatic("poor, misses half", (0.4, 0.6), (0.0, 0.2), 0.05),
    Automatic("poor, score says little", (0.1, 0.3), (0.6, 1.4), 0.02, informative=4.0),
)


def simulate(rng: np.random.Generator, result: Automatic, prevalence: float):
    """Scores (n,), truth (n,) of candidates, and the number of positives that were never proposed."""
    n_true = rng.binomial(N_CELLS, prevalence)
    missed, false = rng.uniform(*result.missed), rng.uniform(*result.false_per_true) * n_true
    n_never = rng.binomial(n_true, min(result.never_proposed, missed))
    n_proposed = n_true - n_never
    n_other = int((N_CELLS - n_true) * max(0.02, min(0.5, 3 * prevalence + 0.01)))
    missed_score = max((missed * n_true - n_never) / max(n_proposed, 1), 1e-3)
    spread = result.informative
    true_logit = rng.normal(-spread * norm.ppf(missed_score), spread, n_proposed)
    other_logit = rng.normal(spread * norm.ppf(min(max(false / n_other, 1e-5), 0.9)), spread, n_other)
    score = expit(np.concatenate([true_logit, other_logit])).astype(np.float32)
    truth = np.concatenate([np.ones(n_proposed, bool), np.zeros(n_other, bool)])
    return score, truth, n_never


def audit(rng: np.random.Generator, score, truth, n_never: int, n_decisions: int) -> Audit:
    """One slide's audit: strata and fields as read."""
    field_mm2 = (FIELD_UM / 1000) ** 2
    fields = tuple(
        PlanField(name=str(i), x_um=0, y_um=0, side_um=FIELD_UM, tissue_mm2=field_mm2)
        for i in range(N_FIELDS)
    )
    ids = np.arange(len(score), dtype=np.int64)
    seed = int(rng.integers(2**31))
    plan = draw_plan(
        ids, score, cut=CUT, tissue_mm2=TISSUE_MM2, seed=seed, n_decisions=n_decisions, fields=fields
    )
    strata = tuple(
        Stratum(
            name=stratum.name, n_cells=stratum.n_cells, n_read=len(stratum.order), expected=stratum.expected,
            n_positive=int(truth[list(stratum.order)].sum()), is_called=stratum.is_called,
        )
        for stratum in plan.strata
    )  # fmt: skip
    share = field_mm2 / TISSUE_MM2
    found = rng.multinomial(n_never, [share] * N_FIELDS + [1 - N_FIELDS * share])[:-1]
    read = Fields(tissue_mm2=TISSUE_MM2, field_mm2=(field_mm2,) * N_FIELDS, found=tuple(found.tolist()))
    return Audit("", strata, read)


def run(
    result: Automatic, prevalence: float, *, n_slides: int, n_decisions: int, study: int, seed: int
) -> dict[str, float]:
    """Coverage, mean width and root mean square errors (shares of the truth); `study` slides borrow
    mutually.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(n_slides // study):
        slides = [simulate(rng, result, prevalence) for _ in range(study)]
        audits = pooled([audit(rng, *slide, n_decisions) for slide in slides])
        for (score, truth, n_never), read in zip(slides, audits, strict=True):
            total = int(truth.sum()) + n_never
            automatic = int((score >= CUT).sum())
            found = correct(read.strata, read.fields)
            rows.append((
                found.low <= total <= found.high, (found.high - found.low) / total,
                (found.n_positive - total) / total, (automatic - total) / total,
                (found.high_proposed - found.low) / total,
            ))  # fmt: skip
    table = np.array(rows, dtype=float)
    return {
        "coverage": table[:, 0].mean(),
        "width": table[:, 1].mean(),
        "width_proposed": table[:, 4].mean(),
        "bias": table[:, 2].mean(),
        "rmse": np.sqrt((table[:, 2] ** 2).mean()),
        "rmse_automatic": np.sqrt((table[:, 3] ** 2).mean()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--slides", type=int, default=2000)
    parser.add_argument("--decisions", type=int, default=150)
    parser.add_argument("--study", type=int, default=1, help="slides that pool their sensitivity; 1: none")
    options = parser.parse_args()
    print(
        f"{options.slides} slides each, {options.decisions} decisions of which {N_FIELDS} fields "
        "take 5 each, "
        f"pooled over {options.study}"
    )
    print(
        f"{'automatic result':26}{'positive':>9}{'coverage':>9}{'width':>8}{'w/o fields':>11}"
        f"{'bias':>8}{'RMSE':>8}{'RMSE auto':>10}{'ratio':>7}"
    )
    for result in RESULTS:
        for prevalence in (0.002, 0.02, 0.15):
            row = run(
                result, prevalence, n_slides=options.slides, n_decisions=options.decisions,
                study=options.study, seed=1,
            )  # fmt: skip
            print(
                f"{result.name:26}{prevalence:9.1%}{row['coverage']:9.1%}{row['width']:8.0%}"
                f"{row['width_proposed']:11.0%}{row['bias']:8.1%}{row['rmse']:8.1%}"
                f"{row['rmse_automatic']:10.1%}{row['rmse'] / row['rmse_automatic']:7.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
