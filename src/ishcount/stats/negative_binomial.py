"""Negative-binomial rate ratio with the area as exposure: the model for over-dispersed counts per mm2.

Counts c of a patient with area a: mean a * rate, variance mean + alpha * mean^2 (NB2, alpha = 1 / theta).
Maximum likelihood for the coefficients and alpha together; standard errors are the expected information given
alpha, as in MASS glm.nb. With no positive cell in a group the ratio has no estimate, only a limit on one
side; P always comes from studies simulated under one common rate, because the likelihood ratio is too eager
at n = 12.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

from ishcount.stats.entry import Entry, interval, result, unavailable
from ishcount.stats.settings import StatisticsParams

RATIO = "ratio of rates (positive cells per mm2, case / control)"
LOG_ALPHA = np.linspace(-12.0, 6.0, 19)  # spans Poisson (alpha 6e-6) to alpha 400; patients have 0.5 to 4
COARSE_LOG_ALPHA = np.linspace(-6.0, 5.0, 34)  # for simulated studies: a third of a unit, then a parabola
LARGEST_LOG_RATIO = 30.0  # e^30: no two measured rates differ by more
CELLS_AT_ONCE = 200_000  # numbers per array of simulated studies: memory stays small, arrays in cache


@dataclass(frozen=True, slots=True)
class NegativeBinomialFit:
    """Coefficients on the log scale, their standard errors, alpha (0: Poisson) and the log likelihood."""

    coefficients: np.ndarray
    standard_errors: np.ndarray
    alpha: float
    log_likelihood: float


def fit_negative_binomial(
    counts: Sequence[float] | np.ndarray, offset: np.ndarray, design: np.ndarray
) -> NegativeBinomialFit:
    """Maximum likelihood of NB2 with log link; `offset` is log area, `design` is (n, p). Needs finite
    estimates.
    """
    c = np.asarray(counts, float)

    def profile(log_alpha: float) -> float:
        alpha = math.exp(log_alpha)
        return _log_likelihood(
            c, np.exp(offset + design @ scored_coefficients(c, offset, design, alpha)), alpha
        )

    values = [profile(log_alpha) for log_alpha in LOG_ALPHA]
    best = int(np.argmax(values))
    alpha = 0.0
    if best > 0:
        low, high = LOG_ALPHA[best - 1], LOG_ALPHA[min(best + 1, len(LOG_ALPHA) - 1)]
        found = optimize.minimize_scalar(
            lambda v: -profile(v), bounds=(low, high), method="bounded", options={"xatol": 1e-9}
        )
        alpha = _polished(c, offset, design, float(found.x))
    coefficients = scored_coefficients(c, offset, design, alpha)
    mean = np.exp(offset + design @ coefficients)
    information = design.T @ (design * (mean / (1 + alpha * mean))[:, None])
    errors = np.sqrt(np.diag(np.linalg.inv(information)))
    return NegativeBinomialFit(coefficients, errors, alpha, _log_likelihood(c, mean, alpha))


def rate_ratio(
    case: Sequence[tuple[float, float]],
    control: Sequence[tuple[float, float]],
    *,
    settings: StatisticsParams = StatisticsParams(),
) -> Entry:
    """Rate ratio of `case` to `control`, each a list of (count, area_mm2) per patient.

    Interval by profile likelihood; `p` by simulation under a common rate, `p_likelihood_ratio` beside it
    (chi2, 1 df). All-zero control: null with `unbounded: "high"` and the lower limit; all-zero case: 0 and
    the upper limit.
    """
    case, control = sorted(case), sorted(control)
    if min(len(case), len(control)) < 2:
        return unavailable(RATIO, "fewer than 2 patients in a group", rate_ratio=None)
    totals = sum(count for count, _ in case), sum(count for count, _ in control)
    if sum(totals) == 0:
        return unavailable(RATIO, "no positive cell in either group", rate_ratio=None)
    if totals[0] == 0 or ((len(control), control) > (len(case), case) and totals[1] > 0):
        return (
            _reciprocal(rate_ratio(control, case, settings=settings))
            if totals[1]
            else _one_way(case, control, settings)
        )
    return _one_way(case, control, settings)


def _one_way(
    case: Sequence[tuple[float, float]], control: Sequence[tuple[float, float]], settings: StatisticsParams
) -> Entry:
    data = np.array([*case, *control])
    counts, offset = data[:, 0], np.log(data[:, 1])
    member = (np.arange(len(data)) < len(case)).astype(float)
    one = np.ones((len(data), 1))
    empty = not counts[len(case) :].any()
    if empty:  # separation: the likelihood only flattens towards an infinite ratio
        fit = fit_negative_binomial(counts, offset + LARGEST_LOG_RATIO * member, one)
        low = _profile_limit(
            counts, offset, member, fit.log_likelihood, LARGEST_LOG_RATIO, -1, settings.confidence
        )
        found = result(RATIO, rate_ratio=None, **interval(math.exp(low), math.inf))
        found["reason"] = "no positive cell in control: the ratio has a lower limit only"
    else:
        fit = fit_negative_binomial(counts, offset, np.hstack([one, member[:, None]]))
        centre = float(fit.coefficients[1])
        limits = [
            math.exp(
                _profile_limit(counts, offset, member, fit.log_likelihood, centre, side, settings.confidence)
            )
            for side in (-1, 1)
        ]
        found = result(RATIO, estimate=math.exp(centre), rate_ratio=math.exp(centre), ci=limits)
        found |= {"log_rate_ratio": centre, "standard_error_log": float(fit.standard_errors[1])}
    null = fit_negative_binomial(counts, offset, one)
    ratio = max(0.0, 2 * (fit.log_likelihood - null.log_likelihood))
    return found | {
        "p": _simulated_p(counts, data[:, 1], len(case), null, settings),
        "p_likelihood_ratio": float(special.chdtrc(1, ratio)),
        "alpha": fit.alpha,
        "log_likelihood": fit.log_likelihood,
        "n_simulated": settings.n_model_bootstrap,
        "method": "NB2 maximum likelihood, profile interval, parametric bootstrap of the likelihood ratio",
    }


def _reciprocal(found: Entry) -> Entry:
    """The same answer with the groups' names exchanged."""
    if found["ci"] is None:
        return found
    low, high = found["ci"]
    turned = found | {"ci": [1 / high if high else 0.0, 1 / low if low else None]}
    turned.pop("unbounded", None)
    if found["rate_ratio"] is None:
        return turned | {
            "estimate": 0.0,
            "rate_ratio": 0.0,
            "reason": "no positive cell in case: the ratio has an upper limit only",
        }
    inverse = 1 / found["rate_ratio"]
    return turned | {"estimate": inverse, "rate_ratio": inverse, "log_rate_ratio": -found["log_rate_ratio"]}


def _profile_limit(
    counts: np.ndarray,
    offset: np.ndarray,
    member: np.ndarray,
    best: float,
    centre: float,
    side: int,
    confidence: float,
) -> float:
    drop = float(special.chdtri(1, 1 - confidence)) / 2
    one = np.ones((len(counts), 1))

    def excess(log_ratio: float) -> float:
        return best - fit_negative_binomial(counts, offset + log_ratio * member, one).log_likelihood - drop

    step = 1.0
    while excess(centre + side * step) < 0:
        step *= 2
        if step > 4 * LARGEST_LOG_RATIO:
            return side * math.inf
    return float(optimize.brentq(lambda s: excess(centre + side * s), 0.0, step, xtol=1e-9)) * side + centre


def scored_coefficients(
    counts: np.ndarray, offset: np.ndarray, design: np.ndarray, alpha: float
) -> np.ndarray:
    """Fisher scoring at a given alpha."""
    beta = np.linalg.lstsq(design, np.log(counts + 0.5) - offset, rcond=None)[0]
    for _ in range(100):
        mean = np.exp(np.clip(offset + design @ beta, -50, 50))
        weight = mean / (1 + alpha * mean)
        gradient = design.T @ ((counts - mean) / (1 + alpha * mean))
        step = np.linalg.solve(design.T @ (design * weight[:, None]), gradient)
        beta = beta + np.clip(step, -3, 3)
        if np.abs(step).max() < 1e-12:
            break
    return beta


def _polished(counts: np.ndarray, offset: np.ndarray, design: np.ndarray, log_alpha: float) -> float:
    """The root of the score of theta beside a maximum found by search, to full precision."""

    def score(value: float) -> float:
        theta = math.exp(-value)
        mean = np.exp(offset + design @ scored_coefficients(counts, offset, design, 1 / theta))
        parts = special.digamma(counts + theta) - special.digamma(theta) + np.log(theta / (theta + mean))
        return float(np.sum(parts + 1 - (counts + theta) / (mean + theta)))

    low, high = log_alpha - 1e-3, log_alpha + 1e-3
    if score(low) * score(high) < 0:
        log_alpha = float(optimize.brentq(score, low, high, xtol=1e-13))
    return math.exp(log_alpha)


def _log_likelihood(counts: np.ndarray, mean: np.ndarray, alpha: float) -> float:
    if alpha <= 0:
        return float(np.sum(special.xlogy(counts, mean) - mean - special.gammaln(counts + 1)))
    theta = 1 / alpha
    shape = special.gammaln(counts + theta) - special.gammaln(theta) - special.gammaln(counts + 1)
    scale = special.xlogy(counts, alpha * mean) - (counts + theta) * np.log1p(alpha * mean)
    return float(np.sum(shape + scale))


def _simulated_p(
    counts: np.ndarray, areas: np.ndarray, n_case: int, null: NegativeBinomialFit, settings: StatisticsParams
) -> float:
    """Share of studies drawn under one common rate whose likelihood ratio reaches the observed one."""
    generator = np.random.default_rng(settings.seed)
    shape = (settings.n_model_bootstrap, len(counts))
    expected = np.broadcast_to(math.exp(null.coefficients[0]) * areas, shape)
    if null.alpha > 0:
        expected = expected * generator.gamma(1 / null.alpha, null.alpha, shape)
    drawn = np.vstack([np.round(counts), generator.poisson(expected)])
    drawn = drawn[drawn.any(axis=1)]
    rows = max(1, CELLS_AT_ONCE // (len(counts) * len(COARSE_LOG_ALPHA)))
    parts = [_likelihood_ratios(drawn[i : i + rows], areas, n_case) for i in range(0, len(drawn), rows)]
    ratios = np.concatenate(parts)
    reached = int(np.count_nonzero(ratios[1:] >= ratios[0] - 1e-9))
    return (reached + 1) / (settings.n_model_bootstrap + 1)


def _likelihood_ratios(counts: np.ndarray, areas: np.ndarray, n_case: int) -> np.ndarray:
    """Likelihood ratio of two rates against one for each row of `counts` (n_studies, n_patients)."""
    alpha = np.exp(COARSE_LOG_ALPHA)
    theta = 1 / alpha
    shape = (special.gammaln(counts[..., None] + theta) - special.gammaln(theta)).sum(axis=1)
    separate = sum(
        _rate_part(counts[:, part], areas[part], alpha) for part in (slice(0, n_case), slice(n_case, None))
    )
    return 2 * (_summit(shape + separate) - _summit(shape + _rate_part(counts, areas, alpha)))


def _rate_part(counts: np.ndarray, areas: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """The part of the log likelihood that knows the rate, at its maximum: (n_studies, n_alpha)."""
    total = counts.sum(axis=1)
    rate = np.repeat((np.maximum(total, 0.5) / areas.sum())[:, None], len(alpha), axis=1)
    c, a = counts[:, :, None], areas[None, :, None]
    for _ in range(15):
        mean = rate[:, None, :] * a
        weight = 1 / (1 + alpha * mean)
        rate = rate * np.exp(np.clip(((c - mean) * weight).sum(axis=1) / (mean * weight).sum(axis=1), -2, 2))
    mean = rate[:, None, :] * a
    part = (special.xlogy(c, alpha * mean) - (c + 1 / alpha) * np.log1p(alpha * mean)).sum(axis=1)
    part[total == 0] = 0.0  # rate 0
    return part


def _summit(values: np.ndarray) -> np.ndarray:
    """Maximum over the last axis, a parabola through the three highest neighbours."""
    top = np.clip(values.argmax(axis=1), 1, values.shape[1] - 2)
    rows = np.arange(len(values))
    left, middle, right = (values[rows, top + k] for k in (-1, 0, 1))
    bend = left - 2 * middle + right
    lift = np.where(bend < 0, -((right - left) ** 2) / (8 * np.minimum(bend, -1e-300)), 0.0)
    return np.maximum(middle + np.clip(lift, 0, None), values.max(axis=1))
