"""Bootstrap intervals of a mean and of a difference of means: patients are resampled within their group."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import special

from ishcount.stats.entry import Entry, mean, result, unavailable
from ishcount.stats.means import DIFFERENCE
from ishcount.stats.settings import StatisticsParams

LEAST = 5  # patients in a group: below it the resamples take too few values to carry an interval
CHUNK = 20_000


def bca_mean(values: Sequence[float], *, settings: StatisticsParams = StatisticsParams()) -> Entry:
    """BCa and percentile interval of one group's mean."""
    ordered = np.sort(np.asarray(values, float))
    refusal = _refusal([ordered])
    if refusal:
        return unavailable("mean", refusal)
    drawn = _resampled_means(ordered, np.random.default_rng(settings.seed), settings.n_bootstrap)
    leave_one_out = ordered.mean() - ordered
    return _limits(
        "mean",
        mean(ordered.tolist()),
        drawn,
        leave_one_out / (len(ordered) - 1),
        settings,
        strictly_below=True,
    )


def bca_difference(
    x: Sequence[float],
    y: Sequence[float],
    *,
    settings: StatisticsParams = StatisticsParams(),
) -> Entry:
    """BCa and percentile interval of the difference of means of `x` and `y`."""
    a, b = sorted(x), sorted(y)
    refusal = _refusal([np.array(a), np.array(b)])
    if refusal:
        return unavailable(DIFFERENCE, refusal)
    if (len(a), a) > (len(b), b):  # one orientation, so that swapped names give the same numbers
        return _turned(bca_difference(y, x, settings=settings))
    generator = np.random.default_rng(settings.seed)
    first, second = np.array(a), np.array(b)
    drawn = _resampled_means(first, generator, settings.n_bootstrap)
    drawn -= _resampled_means(second, generator, settings.n_bootstrap)
    influence = np.concatenate(
        [(first.mean() - first) / (len(a) - 1), (second - second.mean()) / (len(b) - 1)]
    )
    return _limits(DIFFERENCE, mean(a) - mean(b), drawn, influence, settings, strictly_below=False)


def _turned(found: Entry) -> Entry:
    """The same answer with the groups' names exchanged."""
    turned = {
        name: [-limit for limit in reversed(found[name])]
        for name in ("ci", "percentile_ci")
        if found.get(name)
    }
    turned |= {name: -found[name] for name in ("estimate", "acceleration") if found.get(name) is not None}
    return found | turned


def _refusal(groups: list[np.ndarray]) -> str | None:
    if min(len(group) for group in groups) < LEAST:
        return f"fewer than {LEAST} patients in a group"
    if all(group[0] == group[-1] for group in groups):
        return "zero variance"
    return None


def _resampled_means(values: np.ndarray, generator: np.random.Generator, count: int) -> np.ndarray:
    parts = []
    for start in range(0, count, CHUNK):
        picks = generator.integers(0, len(values), (min(CHUNK, count - start), len(values)))
        parts.append(values[picks].mean(axis=1))
    return np.concatenate(parts)


def _limits(
    estimand: str,
    estimate: float,
    drawn: np.ndarray,
    jackknife: np.ndarray,
    settings: StatisticsParams,
    *,
    strictly_below: bool,
) -> Entry:
    """BCa limits (Efron 1987); `jackknife` are the leave-one-out estimates minus the estimate.

    R's boot takes the share of resamples strictly below the estimate. For a difference, resamples equal to it
    count half, or exchanging the groups would not simply turn the signs.
    """
    drawn = np.sort(drawn)
    slack = 1e-9 * float(np.abs(drawn).max())
    ties = np.searchsorted(drawn, [estimate - slack, estimate + slack]) / len(drawn)
    below = float(ties[0] if strictly_below else ties.mean())
    squares = float((jackknife**2).sum())
    if not 0 < below < 1 or squares == 0:
        return unavailable(estimand, "the resamples all lie on one side", estimate=estimate)
    bias, acceleration = float(special.ndtri(below)), float(-(jackknife**3).sum() / (6 * squares**1.5))
    z = float(special.ndtri(0.5 + settings.confidence / 2))
    tails = [float(special.ndtr(bias + (bias + s) / (1 - acceleration * (bias + s)))) for s in (-z, z)]
    ci = [float(limit) for limit in np.quantile(drawn, tails)]
    plain = [
        float(limit)
        for limit in np.quantile(drawn, [0.5 - settings.confidence / 2, 0.5 + settings.confidence / 2])
    ]
    if not math.isfinite(ci[0] + ci[1]):
        return unavailable(estimand, "the acceleration is too large for an interval", estimate=estimate)
    return result(
        estimand,
        estimate=estimate,
        ci=ci,
        percentile_ci=plain,
        acceleration=acceleration,
        n_resamples=len(drawn),
    )
