"""Poisson rate ratio with errors that do not believe in Poisson: a check on the negative-binomial model.

HC3 is computed here from the hat values: at n = 20 HC0 is far too small, and libraries return HC0 under HC3's
name.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ishcount.stats.entry import Entry, result, unavailable
from ishcount.stats.means import t_interval, t_p_value
from ishcount.stats.negative_binomial import RATIO, scored_coefficients


@dataclass(frozen=True, slots=True)
class RobustPoissonFit:
    """Coefficients on the log scale, two kinds of sandwich standard errors, the dispersion (Pearson)."""

    coefficients: np.ndarray
    errors_hc0: np.ndarray
    errors_hc3: np.ndarray
    dispersion: float


def fit_robust_poisson(
    counts: Sequence[float] | np.ndarray, offset: np.ndarray, design: np.ndarray
) -> RobustPoissonFit:
    """Poisson regression with log link; `offset` is log area, `design` is (n, p). Needs finite estimates."""
    c = np.asarray(counts, float)
    beta = scored_coefficients(c, offset, design, 0.0)
    mean = np.exp(offset + design @ beta)
    bread = np.linalg.inv(design.T @ (design * mean[:, None]))
    leverage = mean * np.einsum("ij,jk,ik->i", design, bread, design)
    rest = c - mean

    def errors(residuals: np.ndarray) -> np.ndarray:
        meat = design.T @ (design * (residuals**2)[:, None])
        return np.asarray(np.sqrt(np.diag(bread @ meat @ bread)))

    spare = len(c) - design.shape[1]
    dispersion = float((rest**2 / mean).sum() / spare) if spare > 0 else math.nan
    return RobustPoissonFit(beta, errors(rest), errors(rest / np.maximum(1 - leverage, 1e-12)), dispersion)


def rate_ratio(
    case: Sequence[tuple[float, float]], control: Sequence[tuple[float, float]], *, confidence: float = 0.95
) -> Entry:
    """Ratio of pooled rates of (count, area_mm2) per patient, HC3 errors on the log scale, t with patients -
    2.
    """
    if min(len(case), len(control)) < 2:
        return unavailable(RATIO, "fewer than 2 patients in a group", rate_ratio=None)
    if not sum(count for count, _ in case) or not sum(count for count, _ in control):
        return unavailable(
            RATIO, "no positive cell in a group: see the negative-binomial limit", rate_ratio=None
        )
    data = np.array([*sorted(case), *sorted(control)])
    member = (np.arange(len(data)) < len(case)).astype(float)
    fit = fit_robust_poisson(data[:, 0], np.log(data[:, 1]), np.column_stack([np.ones(len(data)), member]))
    log_ratio, error, df = float(fit.coefficients[1]), float(fit.errors_hc3[1]), len(data) - 2
    if error < 1e-12:
        return unavailable(RATIO, "zero variance in both groups", rate_ratio=math.exp(log_ratio))
    return result(
        RATIO,
        estimate=math.exp(log_ratio),
        rate_ratio=math.exp(log_ratio),
        ci=[math.exp(limit) for limit in t_interval(log_ratio, error, df, confidence)],
        p=t_p_value(log_ratio / error, df),
        df=df,
        standard_error_log=error,
        standard_error_log_hc0=float(fit.errors_hc0[1]),
        dispersion=fit.dispersion,
        method="Poisson with log-area offset, HC3",
    )
