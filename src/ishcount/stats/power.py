"""How many patients: the t formula, and simulated gamma-Poisson densities put through the primary test."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special, stats

from ishcount.stats.entry import Entry, result, unavailable
from ishcount.stats.settings import StatisticsParams

TESTS = ("permutation", "welch", "student", "mann_whitney")
PERMUTATIONS = 999  # per simulated study: P in steps of .001, and the test stays valid at any number
CHUNK = 200


@dataclass(frozen=True, slots=True)
class Scenario:
    """Densities to plan with: mean cells per mm2 and their coefficient of variation between patients in each
    group.
    """

    mean_case: float
    mean_control: float
    cv_case: float
    cv_control: float
    area_mm2: float = 10.0  # a 4 mm punch and an ellipse lie between 5 and 20 mm2 of section


def t_test_power(
    d: float,
    n_case: int | float,
    n_control: int | float,
    *,
    alpha: float = 0.05,
    paired: bool = False,
    both_tails: bool = True,
) -> float:
    """Power of the two-sided t test at standardised difference `d` > 0. Paired: `n_case` pairs, d = dz.

    `both_tails=False` leaves out significance in the wrong direction, as R's power.t.test does by default.
    """
    df = n_case - 1 if paired else n_case + n_control - 2
    centre = d * math.sqrt(n_case if paired else n_case * n_control / (n_case + n_control))
    critical = float(special.stdtrit(df, 1 - alpha / 2))
    right, wrong = float(stats.nct.sf(critical, df, centre)), float(stats.nct.cdf(-critical, df, centre))
    if math.isnan(right):  # scipy has no numbers for a difference so large; it is never missed
        return 1.0
    return right + (wrong if both_tails and not math.isnan(wrong) else 0.0)


def t_test_size(d: float, *, power: float = 0.8, alpha: float = 0.05) -> float:
    """Patients in each of two equal groups for `power`, not rounded up; at least 2, inf for `d` 0."""
    if d <= 0:
        return math.inf
    if t_test_power(d, 2, 2, alpha=alpha) >= power:
        return 2.0
    high = 4.0
    while t_test_power(d, high, high, alpha=alpha) < power:
        high *= 2
    return float(optimize.brentq(lambda n: t_test_power(d, n, n, alpha=alpha) - power, 2.0, high, xtol=1e-9))


def t_test_detectable(n_case: int, n_control: int, *, power: float = 0.8, alpha: float = 0.05) -> float:
    """Smallest standardised difference found with `power`."""
    high = 1.0  # doubled: far beyond the answer the noncentral t has no numbers
    while t_test_power(high, n_case, n_control, alpha=alpha) < power:
        high *= 2
    return float(
        optimize.brentq(
            lambda d: t_test_power(d, n_case, n_control, alpha=alpha) - power, 0.0, high, xtol=1e-10
        )
    )


def simulate_power(
    scenario: Scenario,
    n_case: int,
    n_control: int,
    *,
    test: str = "permutation",
    alpha: float = 0.05,
    n_simulations: int = 2_000,
    settings: StatisticsParams = StatisticsParams(),
) -> Entry:
    """Share of simulated studies with P <= alpha; with equal means it is the size of the test.

    Each patient's rate is drawn from a gamma law, the count from Poisson (rate x area). `ci` is that of the
    simulation.
    """
    estimand = f"share of studies with P <= {alpha:g} ({test})"
    if min(n_case, n_control) < 2:
        return unavailable(estimand, "fewer than 2 patients in a group")
    generator = np.random.default_rng(settings.seed)
    hits = 0
    for start in range(0, n_simulations, CHUNK):
        count = min(CHUNK, n_simulations - start)
        x = draw_densities(
            generator, scenario.mean_case, scenario.cv_case, scenario.area_mm2, (count, n_case)
        )
        y = draw_densities(
            generator, scenario.mean_control, scenario.cv_control, scenario.area_mm2, (count, n_control)
        )
        hits += int(np.count_nonzero(p_values(x, y, test=test, generator=generator) <= alpha))
    tail = share_interval(hits, n_simulations)
    return result(estimand, estimate=hits / n_simulations, ci=tail, n_simulations=n_simulations, test=test)


def simulate_size(
    scenario: Scenario,
    *,
    power: float = 0.8,
    ratio: float = 1.0,
    test: str = "permutation",
    alpha: float = 0.05,
    n_simulations: int = 1_000,
    largest: int = 200,
    settings: StatisticsParams = StatisticsParams(),
) -> Entry:
    """Fewest case patients (controls: `ratio` times as many) whose simulated power reaches `power`, by
    bisection.

    `estimate` is the number of case patients, `n_control` the controls, `power` the simulated power there.
    """
    estimand = f"case patients for power {power:g} ({test})"

    def powered(n: int) -> Entry:
        controls = max(2, math.ceil(n * ratio))
        found = simulate_power(
            scenario, n, controls, test=test, alpha=alpha, n_simulations=n_simulations, settings=settings
        )
        return found | {"n_control": controls}

    low, high, best = 2, 4, powered(4)
    while best["estimate"] < power:
        low, high = high, high * 2
        if high > largest:
            return unavailable(
                estimand, f"more than {largest} case patients would be needed", power=best["estimate"]
            )
        best = powered(high)
    while high - low > 1:
        middle = (low + high) // 2
        tried = powered(middle)
        low, high, best = (low, middle, tried) if tried["estimate"] >= power else (middle, high, best)
    return result(
        estimand, estimate=high, n_control=best["n_control"], power=best["estimate"], power_ci=best["ci"]
    )


def draw_densities(
    generator: np.random.Generator, mean: float, cv: float, area_mm2: float, shape: tuple[int, int]
) -> np.ndarray:
    """Gamma-Poisson densities (cells per mm2); `cv` is that of the true densities between patients."""
    rate = generator.gamma(1 / cv**2, mean * cv**2, shape) if cv > 0 and mean > 0 else np.full(shape, mean)
    return generator.poisson(rate * area_mm2) / area_mm2


def p_values(x: np.ndarray, y: np.ndarray, *, test: str, generator: np.random.Generator) -> np.ndarray:
    """P of each row of `x` (studies, n_case) against `y`; 1 where the data are constant, which no test can
    reject.
    """
    if test == "mann_whitney":
        p = stats.mannwhitneyu(x, y, axis=1, method="asymptotic").pvalue
    elif test == "permutation":
        p = _permutation_p(x, y, generator)
    else:
        p = _t_p(x, y, pooled=test == "student")
    return np.where(np.isnan(p), 1.0, p)


def share_interval(hits: int, n: int) -> list[float]:
    """Clopper-Pearson interval of a share: the doubt that the number of simulations leaves."""
    low = float(special.betaincinv(hits, n - hits + 1, 0.025)) if hits else 0.0
    high = float(special.betaincinv(hits + 1, n - hits, 0.975)) if hits < n else 1.0
    return [low, high]


def _t_p(x: np.ndarray, y: np.ndarray, *, pooled: bool) -> np.ndarray:
    n, m = x.shape[1], y.shape[1]
    first, second = x.var(axis=1, ddof=1), y.var(axis=1, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        if pooled:
            df: np.ndarray | float = float(n + m - 2)
            error = ((n - 1) * first + (m - 1) * second) / (n + m - 2) * (1 / n + 1 / m)
        else:
            error = first / n + second / m
            df = error**2 / ((first / n) ** 2 / (n - 1) + (second / m) ** 2 / (m - 1))
        return 2 * special.stdtr(df, -np.abs(x.mean(axis=1) - y.mean(axis=1)) / np.sqrt(error))


def _permutation_p(x: np.ndarray, y: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Studentised permutation, the same rearrangements for all studies of a chunk (each P is valid by
    itself).
    """
    pooled = np.hstack([x, y])
    pooled = pooled - pooled.mean(axis=1, keepdims=True)
    n, total = x.shape[1], pooled.shape[1]
    members = np.zeros((PERMUTATIONS + 1, total))
    members[0, :n] = 1
    drawn = np.argsort(generator.random((PERMUTATIONS, total)), axis=1)[:, :n]
    np.put_along_axis(members[1:], drawn, 1.0, axis=1)
    value, square = members @ pooled.T, members @ (pooled**2).T
    rest, rest_square = pooled.sum(axis=1) - value, (pooled**2).sum(axis=1) - square
    m = total - n
    error = (square - value**2 / n) / (n * (n - 1)) + (rest_square - rest**2 / m) / (m * (m - 1))
    difference = np.abs(value / n - rest / m)
    floor = 1e-13 * (pooled**2).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = difference**2 / np.where(error <= floor, 0.0, error)
    statistic = np.where(difference <= 1e-13, 0.0, statistic)
    constant = np.ptp(pooled, axis=1) == 0
    p = (statistic >= statistic[0] * (1 - 1e-9)).mean(axis=0)
    return np.where(constant, np.nan, p)
