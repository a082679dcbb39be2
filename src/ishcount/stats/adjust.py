"""Could something else explain it? Covariates against group, adjusted and leave-one-out answers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from ishcount.stats.entry import Entry, result, unavailable
from ishcount.stats.means import t_interval, t_p_value
from ishcount.stats.permutation import permutation_test
from ishcount.stats.ranks import mann_whitney
from ishcount.stats.settings import StatisticsParams

ADJUSTED = "difference of means (case - control) at equal covariates"
LEAST_SPARE = 3  # residual degrees of freedom below which an adjusted interval says nothing
LARGEST_LEVERAGE = 1 - 1e-9


def adjusted_difference(
    densities: Sequence[float],
    is_case: Sequence[bool],
    covariates: Mapping[str, Sequence[Any]],
    *,
    confidence: float = 0.95,
) -> Entry:
    """Difference of means from a linear model with covariates, HC3 errors (MacKinnon and White 1985), t with
    n - p.

    Numbers enter as they are, text as indicators. Null with the reason when a covariate cannot be told from
    the group, or is the same for every patient.
    """
    if any(len(set(values)) == 1 for values in covariates.values()):
        return unavailable(ADJUSTED, "the same for every patient")
    y, group = np.asarray(densities, float), np.asarray(is_case, float)
    design = np.column_stack(
        [np.ones(len(y)), group, *[c for values in covariates.values() for c in _columns(values)]]
    )
    names = ", ".join(covariates)
    if not np.isfinite(design).all():
        return unavailable(ADJUSTED, f"{names}: a value is missing")
    if np.linalg.matrix_rank(design) < design.shape[1]:
        return unavailable(ADJUSTED, f"{names}: cannot be told apart from the group")
    df = len(y) - design.shape[1]
    if df < LEAST_SPARE:
        return unavailable(ADJUSTED, f"{names}: too many covariates for {len(y)} patients")
    inverse = np.linalg.inv(design.T @ design)
    beta = inverse @ design.T @ y
    leverage = np.einsum("ij,jk,ik->i", design, inverse, design)
    if leverage.max() > LARGEST_LEVERAGE:
        return unavailable(ADJUSTED, f"{names}: one patient alone stands for a covariate")
    rest = (y - design @ beta) / (1 - leverage)
    error = math.sqrt(float((inverse @ (design.T * rest**2) @ design @ inverse)[1, 1]))
    if error == 0:
        return unavailable(ADJUSTED, "zero variance", estimate=float(beta[1]))
    return result(
        ADJUSTED,
        estimate=float(beta[1]),
        ci=t_interval(float(beta[1]), error, df, confidence),
        p=t_p_value(float(beta[1]) / error, df),
        df=df,
        standard_error=error,
        covariates=list(covariates),
    )


def imbalance(values: Sequence[Any], is_case: Sequence[bool]) -> Entry:
    """Does a covariate differ between the groups? Exact rank test for numbers, Fisher-type exact test for
    labels.

    A small P is a warning of confounding; a large one is no proof of balance at a dozen patients.
    """
    estimand = "covariate against group"
    kept = [(value, case) for value, case in zip(values, is_case, strict=True) if not _missing(value)]
    if len({case for _, case in kept}) < 2:
        return unavailable(estimand, "known in one group only" if kept else "not known")
    if len({value for value, _ in kept}) == 1:
        return unavailable(estimand, "the same for every patient")
    if all(isinstance(value, (int, float, np.number)) for value, _ in kept):
        x, y = ([float(value) for value, case in kept if bool(case) == wanted] for wanted in (True, False))
        test = mann_whitney(x, y)
        return result(
            estimand,
            p=test["p"],
            estimate=test["estimate"],
            ci=test["ci"],
            method="Mann-Whitney",
            n=len(kept),
        )
    levels = sorted({str(value) for value, _ in kept})
    table = [
        [sum(str(v) == level and bool(c) == side for v, c in kept) for level in levels]
        for side in (True, False)
    ]
    return result(
        estimand,
        p=_label_p(np.array(table)),
        table=table,
        levels=levels,
        method="chi-squared, drawn exactly",
        n=len(kept),
    )


def leave_one_out(
    densities: Sequence[float],
    is_case: Sequence[bool],
    labels: Sequence[str],
    *,
    settings: StatisticsParams = StatisticsParams(),
) -> list[Entry]:
    """The primary test again without each batch, site or patient in turn, in the order of their names."""
    found = []
    for label in sorted(set(labels)):
        x, y = (
            [
                d
                for d, case, own in zip(densities, is_case, labels, strict=True)
                if own != label and bool(case) == wanted
            ]
            for wanted in (True, False)
        )
        entry = permutation_test(x, y, settings=settings)
        found.append(entry | {"left_out": label, "n_case": len(x), "n_control": len(y)})
    return found


def _columns(values: Sequence[Any]) -> list[np.ndarray]:
    if all(isinstance(value, (int, float, np.number)) for value in values):
        return [np.asarray(values, float)]
    names = [str(value) for value in values]
    return [np.array([name == level for name in names], float) for level in sorted(set(names))[1:]]


def _missing(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def _label_p(table: np.ndarray) -> float:
    """Fisher's exact test for two labels, else chi-squared over 20,000 tables with the same margins."""
    if table.shape[1] == 2:
        return float(stats.fisher_exact(table).pvalue)
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    seen = float(((table - expected) ** 2 / expected).sum())
    drawn = stats.random_table(table.sum(axis=1), table.sum(axis=0), seed=20_210).rvs(20_000)
    reached = ((drawn - expected) ** 2 / expected).sum(axis=(1, 2)) >= seen * (1 - 1e-9)
    return float((reached.sum() + 1) / (len(drawn) + 1))
