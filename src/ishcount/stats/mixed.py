"""Random-intercept model of sections within patients, beside the patient-level answer.

log(1 + density) of every section, restricted maximum likelihood, and containment degrees of freedom (patients
- groups): library P values by the normal distribution are far too small at a dozen patients.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize

from ishcount.stats.entry import Entry, result, unavailable
from ishcount.stats.means import t_interval, t_p_value

LOG_DENSITY = "difference of mean log(1 + density), sections within patients"


@dataclass(frozen=True, slots=True)
class RandomInterceptFit:
    """Fixed effects with standard errors, and the variances between and within patients (0 between:
    singular).
    """

    coefficients: np.ndarray
    standard_errors: np.ndarray
    variance_between: float
    variance_within: float


def fit_random_intercept(values: np.ndarray, design: np.ndarray, patients: np.ndarray) -> RandomInterceptFit:
    """REML of `values` (n,) on `design` (n, p) with one random intercept per label in `patients` (n,)."""
    n, p = design.shape
    members = patients[:, None] == np.unique(patients)[None, :]
    sizes = members.sum(axis=0)

    def solved(ratio: float) -> tuple[np.ndarray, np.ndarray, float]:
        shrink = ratio / (1 + sizes * ratio)
        sums_x, sums_y = members.T @ design, members.T @ values
        cross = design.T @ design - sums_x.T @ (sums_x * shrink[:, None])
        right = design.T @ values - sums_x.T @ (sums_y * shrink)
        beta = np.linalg.solve(cross, right)
        rest = values - design @ beta
        squares = float(rest @ rest - np.sum(shrink * (members.T @ rest) ** 2))
        return beta, cross, squares

    def deviance(ratio: float) -> float:
        _, cross, squares = solved(ratio)
        return float(
            (n - p) * math.log(max(squares, 1e-300))
            + np.log1p(sizes * ratio).sum()
            + np.linalg.slogdet(cross)[1]
        )

    grid = np.concatenate([[0.0], np.exp(np.linspace(-9, 9, 73))])
    best = int(np.argmin([deviance(ratio) for ratio in grid]))
    ratio = 0.0
    if best > 0:
        low, high = math.log(grid[max(best - 1, 1)]), math.log(grid[min(best + 1, len(grid) - 1)])
        found = optimize.minimize_scalar(
            lambda v: deviance(math.exp(v)), bounds=(low, high), method="bounded", options={"xatol": 1e-10}
        )
        ratio = math.exp(found.x) if found.fun < deviance(0.0) else 0.0
    beta, cross, squares = solved(ratio)
    within = squares / (n - p)
    return RandomInterceptFit(beta, np.sqrt(within * np.diag(np.linalg.inv(cross))), ratio * within, within)


def compare_sections(
    case: Sequence[tuple[str, float]], control: Sequence[tuple[str, float]], *, confidence: float = 0.95
) -> Entry:
    """Difference of log(1 + density) between groups of (patient, density per section).

    Patients are taken in the order of their densities and the groups in the order of theirs, so that no name
    can move a bit.
    """
    groups = [_by_patient(case), _by_patient(control)]
    df = len(groups[0]) + len(groups[1]) - 2
    if min(len(group) for group in groups) < 2:
        return unavailable(LOG_DENSITY, "fewer than 2 patients in a group")
    if len(case) + len(control) == df + 2:
        return unavailable(LOG_DENSITY, "one section per patient: nothing to model within patients")
    sign = 1.0 if groups == sorted(groups) else -1.0
    sections = [
        (math.log1p(density), patient, side)
        for side, group in enumerate(sorted(groups))
        for patient, densities in enumerate(group)
        for density in densities
    ]
    values, patient, side = (np.array(column, float) for column in zip(*sections, strict=True))
    if np.ptp(values[side == 0]) == 0 and np.ptp(values[side == 1]) == 0:
        return unavailable(LOG_DENSITY, "zero variance in both groups")
    design = np.stack([np.ones_like(side), 1 - side], axis=1)
    fit = fit_random_intercept(values, design, patient + len(sections) * side)
    estimate, error = sign * float(fit.coefficients[1]), float(fit.standard_errors[1])
    return result(
        LOG_DENSITY,
        estimate=estimate,
        ci=t_interval(estimate, error, df, confidence),
        standard_error=error,
        statistic=estimate / error,
        df=df,
        p=t_p_value(estimate / error, df),
        variance_between=fit.variance_between,
        variance_within=fit.variance_within,
        singular=fit.variance_between == 0,
        n_sections=[len(case), len(control)],
        method="REML random intercept, containment degrees of freedom (patients - groups)",
    )


def _by_patient(sections: Sequence[tuple[str, float]]) -> list[list[float]]:
    """The sorted densities of each patient, patients sorted by them."""
    found: dict[str, list[float]] = {}
    for patient, density in sections:
        found.setdefault(patient, []).append(density)
    return sorted(sorted(densities) for densities in found.values())
