"""The primary test: studentised permutation of the difference of patient means, with its interval.

Statistic: Welch's t. Two-sided: |T| at least as large as observed. Groups may differ in spread and size; the
studentised form then holds its size for larger samples (Janssen 1997; Konietschke and Pauly for
over-dispersed counts), and is exact when both groups follow one law. The interval is every shift of the case
group that the test does not reject. Up to `exact_limit` all rearrangements are listed; above it
`n_permutations` are drawn by seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from ishcount.stats.entry import Entry, mean, result, unavailable, variance
from ishcount.stats.means import DIFFERENCE, PAIRED
from ishcount.stats.settings import StatisticsParams
from ishcount.stats.wording import format_p

TIE = 1e-9  # statistics closer than this share are the same value computed along two ways
COARSE = 20_000  # rearrangements that find the neighbourhood of a limit before all of them settle it
BLOCK = 16_384  # rearrangements judged at once: what the processor's cache holds
SIGN_FLIPS_EXACT = 20  # pairs: 2^20 = 1,048,576 sign patterns


def permutation_test(
    x: Sequence[float],
    y: Sequence[float],
    *,
    settings: StatisticsParams = StatisticsParams(),
    studentised: bool = True,
    with_interval: bool = True,
) -> Entry:
    """Permutation test of the difference of means of `x` and `y`; `studentised=False` permutes the plain
    means.
    """
    if min(len(x), len(y)) < 2 and studentised:
        return unavailable(DIFFERENCE, "fewer than 2 patients in a group", n_permutations=None, exact=None)
    pooled = [*x, *y]
    constant = max(variance(x), variance(y)) == 0 if studentised else min(pooled) == max(pooled)
    if constant:
        return unavailable(DIFFERENCE, "zero variance in both groups", n_permutations=None, exact=None)
    (first, second), sign = _canonical(x, y)
    arrangements = _arrangements(first, second, settings, studentised=studentised)
    found = result(
        DIFFERENCE,
        estimate=mean(x) - mean(y),
        p=arrangements.p_value(0.0),
        n_permutations=arrangements.n_listed,
        exact=arrangements.exact,
    )
    if studentised:
        error = math.sqrt(variance(x) / len(x) + variance(y) / len(y))
        found["statistic"] = (mean(x) - mean(y)) / error
    if not with_interval:
        return found
    alpha = 1 - settings.confidence
    if arrangements.least_p > alpha:
        return found | {"reason": f"no interval: the smallest possible is {format_p(arrangements.least_p)}"}
    spread = math.sqrt((variance(pooled)) * (1 / len(x) + 1 / len(y)))
    low, high = invert(
        arrangements.p_value, arrangements.coarse().p_value, mean(first) - mean(second), spread, alpha
    )
    return found | {"ci": [low, high] if sign > 0 else [-high, -low]}


def sign_flip(
    x: Sequence[float], y: Sequence[float], *, settings: StatisticsParams = StatisticsParams()
) -> Entry:
    """Permutation test of paired changes `x` - `y`: every change may as well have had the other sign."""
    changes = np.sort(np.asarray(x, float) - np.asarray(y, float))
    n = len(changes)
    if n < 2:
        return unavailable(PAIRED, f"{n} pair(s); at least 2 are needed", n_permutations=None, exact=None)
    if not changes.any():
        return unavailable(PAIRED, "no patient changed", n_permutations=None, exact=None)
    if mean(changes.tolist()) < 0:  # one orientation, so that swapped names give the same numbers
        found = sign_flip(y, x, settings=settings)
        ci = found["ci"] and [-found["ci"][1], -found["ci"][0]]
        return found | {"estimate": -found["estimate"], "ci": ci}
    exact = n <= SIGN_FLIPS_EXACT
    sums, signs = _all_signs(changes) if exact else _drawn_signs(changes, settings)
    scale = np.abs(changes).sum()

    def p_value(shift: float) -> float:
        observed = abs(changes.sum() - n * shift)
        extreme = np.abs(sums - shift * signs) >= observed - TIE * (scale + n * abs(shift))
        count = int(extreme.sum())
        return count / len(sums) if exact else (count + 1) / (len(sums) + 1)

    found = result(
        PAIRED, estimate=mean(changes.tolist()), p=p_value(0.0), n_permutations=len(sums), exact=exact
    )
    alpha = 1 - settings.confidence
    if 2.0 ** (1 - n) > alpha:
        return found | {"reason": f"no interval: the smallest possible is {format_p(2.0 ** (1 - n))}"}
    spread = math.sqrt(max(variance(changes.tolist()), found["estimate"] ** 2 * 1e-6) / n)
    return found | {"ci": list(invert(p_value, p_value, found["estimate"], spread, alpha))}


def invert(
    p_value: Callable[[float], float],
    coarse_p_value: Callable[[float], float],
    estimate: float,
    spread: float,
    alpha: float,
) -> tuple[float, float]:
    """Limits between which `p_value(shift)` exceeds `alpha`, to about 2e-7 of `spread`.

    `coarse_p_value` finds the neighbourhood of each limit cheaply; `p_value` settles it.
    """

    def limit(side: int) -> float:
        def rejected(step: float, p: Callable[[float], float]) -> bool:
            return p(estimate + side * step) <= alpha

        far = _grow(coarse_p_value, estimate, side, spread, alpha)
        inside, outside = _bisect(lambda s: rejected(s, coarse_p_value), 0.0, far, 12)
        width = max(outside - inside, 0.02 * spread)
        inside, outside = max(0.0, inside - width), outside + width
        while inside > 0 and rejected(inside, p_value):
            inside = max(0.0, inside - width)
            width *= 2
        while not rejected(outside, p_value):
            outside, width = outside + width, width * 2
        return estimate + side * _bisect(lambda s: rejected(s, p_value), inside, outside, 18)[0]

    return limit(-1), limit(1)


def _grow(
    p_value: Callable[[float], float], estimate: float, side: int, spread: float, alpha: float
) -> float:
    step = 2 * spread
    while p_value(estimate + side * step) > alpha:
        step *= 2
    return step


def _bisect(
    rejected: Callable[[float], bool], inside: float, outside: float, rounds: int
) -> tuple[float, float]:
    for _ in range(rounds):
        middle = (inside + outside) / 2
        if rejected(middle):
            outside = middle
        else:
            inside = middle
    return inside, outside


@dataclass(frozen=True, slots=True)
class _Arrangements:
    """Sums over the first group for every rearrangement: all a test of means needs, at any shift of that
    group.

    Columns of `sums`: value, value squared, number from the original first group, value of those.
    """

    sums: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
    observed: tuple[float, float, float, float]
    total: tuple[float, float, float, float]
    sizes: tuple[int, int]
    scale: float
    centre: float
    exact: bool
    studentised: bool

    @property
    def n_listed(self) -> int:
        """Distinct rearrangements behind the P (mirror images counted)."""
        return len(self.sums[0]) * (2 if self.mirrored else 1)

    @property
    def mirrored(self) -> bool:
        return self.exact and self.sizes[0] == self.sizes[1]

    @property
    def least_p(self) -> float:
        floor = 1 / len(self.sums[0])
        return floor if self.exact else 1 / (len(self.sums[0]) + 1)

    def coarse(self) -> _Arrangements:
        stride = max(1, len(self.sums[0]) // COARSE)
        if stride == 1:
            return self
        a, b, c, d = (column[::stride] for column in self.sums)
        return _Arrangements(
            (a, b, c, d),
            self.observed,
            self.total,
            self.sizes,
            self.scale,
            self.centre,
            False,
            self.studentised,
        )

    def p_value(self, shift: float) -> float:
        """Share of rearrangements at least as extreme once `shift` is taken from the first group."""
        shift /= self.scale
        observed = float(self._squared(tuple(np.array([v]) for v in self.observed), shift)[0]) * (1 - TIE)
        count, length = 0, len(self.sums[0])
        for start in range(0, length, BLOCK):
            statistic = self._squared(tuple(column[start : start + BLOCK] for column in self.sums), shift)
            count += int(np.count_nonzero(statistic >= observed))
        return count / length if self.exact else (count + 1) / (length + 1)

    def _squared(self, sums: tuple[np.ndarray, ...], shift: float) -> np.ndarray:
        n, m = self.sizes
        value, square = _shifted(sums, shift)
        value_all, square_all = _shifted(self.total, shift)
        difference = value / n - (value_all - value) / m
        if not self.studentised:
            return difference**2
        first = (square - value**2 / n) / (n * (n - 1))
        second = (square_all - square - (value_all - value) ** 2 / m) / (m * (m - 1))
        error = first + second
        error[error < 1e-13 * square_all] = 0  # rounding of two constant groups, not a spread
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(np.abs(difference) < 1e-13, 0.0, difference**2 / error)


def _shifted(sums: tuple[Any, ...], shift: float) -> tuple[Any, Any]:
    value, square, moved, value_moved = sums
    return value - shift * moved, square - 2 * shift * value_moved + shift**2 * moved


def _canonical(x: Sequence[float], y: Sequence[float]) -> tuple[tuple[list[float], list[float]], int]:
    """Both groups sorted, the smaller first, so that no naming or order can reach the arithmetic."""
    a, b = sorted(x), sorted(y)
    return ((a, b), 1) if (len(a), a) <= (len(b), b) else ((b, a), -1)


def _arrangements(
    first: list[float], second: list[float], settings: StatisticsParams, *, studentised: bool
) -> _Arrangements:
    pooled = np.array(first + second)
    n, total = len(first), len(first) + len(second)
    centre = mean(pooled.tolist())
    scale = float(np.abs(pooled - centre).max())
    value = (pooled - centre) / scale
    moved = np.arange(total) < n
    columns = np.stack([value, value**2, moved, value * moved])
    exact = math.comb(total, n) <= settings.exact_limit
    if not exact:
        sums = _drawn(columns, n, settings)
    elif n * 2 == total:  # mirror images have the same |T|: keep the half that holds the first patient
        sums = _listed(columns[:, 1:], n - 1) + columns[:, :1]
    else:
        sums = _listed(columns, n)
    a, b, c, d = sums
    observed = columns[:, :n].sum(axis=1)
    everything = columns.sum(axis=1)
    return _Arrangements(
        (a, b, c, d),
        tuple(observed.tolist()),
        tuple(everything.tolist()),
        (n, total - n),
        scale,
        centre,
        exact,
        studentised,
    )


def _listed(columns: np.ndarray, size: int) -> np.ndarray:
    """Column sums over all subsets of `size`, (4, n_subsets): halves are listed once and added crosswise."""
    half = columns.shape[1] // 2
    left, right = columns[:, :half], columns[:, half:]
    parts = []
    for k in range(max(0, size - right.shape[1]), min(half, size) + 1):
        sums = _subset_columns(left, k)[:, :, None] + _subset_columns(right, size - k)[:, None, :]
        parts.append(sums.reshape(len(columns), -1))
    return np.concatenate(parts, axis=1)


def _subset_columns(columns: np.ndarray, size: int) -> np.ndarray:
    chosen = list(combinations(range(columns.shape[1]), size))
    members = np.array(chosen, dtype=np.intp).reshape(len(chosen), size)
    return columns[:, members].sum(axis=2)


def _drawn(columns: np.ndarray, size: int, settings: StatisticsParams) -> np.ndarray:
    generator = np.random.default_rng(settings.seed)
    parts = []
    for start in range(0, settings.n_permutations, 10_000):
        count = min(10_000, settings.n_permutations - start)
        members = np.argsort(generator.random((count, columns.shape[1])), axis=1)[:, :size]
        parts.append(columns[:, members].sum(axis=2))
    return np.concatenate(parts, axis=1)


def _all_signs(changes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sum of the changes and of the signs for all 2^n sign patterns."""
    sums, signs = np.zeros(1), np.zeros(1)
    for change in changes:
        sums = np.concatenate([sums + change, sums - change])
        signs = np.concatenate([signs + 1, signs - 1])
    return sums, signs


def _drawn_signs(changes: np.ndarray, settings: StatisticsParams) -> tuple[np.ndarray, np.ndarray]:
    drawn = (
        np.random.default_rng(settings.seed).integers(0, 2, (settings.n_permutations, len(changes))) * 2.0 - 1
    )
    return (drawn * changes).sum(axis=1), drawn.sum(axis=1)
