"""What must hold for any data: order and names change nothing, swapped groups turn the signs."""

from __future__ import annotations

import itertools
import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ishcount.stats import effects, means, permutation, ranks, rates
from ishcount.stats.compare import StatisticsParams, compare_groups
from ishcount.stats.multiplicity import adjust

QUICK = StatisticsParams(n_bootstrap=2_000, n_model_bootstrap=199, n_permutations=999, exact_limit=2_000)
counts = st.lists(st.integers(0, 60), min_size=2, max_size=7)
few = st.lists(st.integers(0, 6), min_size=2, max_size=5)


def table(x: list[int], y: list[int], names: tuple[str, str] = ("EM", "normal")) -> pd.DataFrame:
    areas = itertools.cycle([8.0, 10.0, 13.0])
    rows = [
        {
            "patient": f"{group}-{i}",
            "group": group,
            "marker": "IFNG",
            "n_positive": n,
            "area_mm2": next(areas),
        }
        for group, values in zip(names, (x, y), strict=True)
        for i, n in enumerate(values)
    ]
    return pd.DataFrame(rows)


def with_sections(plain: pd.DataFrame, sections: list[int]) -> pd.DataFrame:
    """The table with further sections of each patient, some of them levels of one block."""
    extra = itertools.cycle(sections)
    parts = [
        plain.assign(level=level, n_positive=[next(extra) for _ in range(len(plain))])
        for level in ("", "1", "2")
    ]
    return pd.concat([plain.assign(level=""), *parts], ignore_index=True)


def numbers(found: dict[str, Any]) -> str:
    """Everything but the names, to the last bit."""
    comparison = found["comparisons"][0]
    return json.dumps({key: value for key, value in comparison.items() if key not in ("case", "control")})


@settings(max_examples=12)
@given(counts, counts, counts, st.randoms(use_true_random=False))
def test_shuffled_rows_and_renamed_labels_change_no_bit(
    x: list[int], y: list[int], sections: list[int], random: Any
) -> None:
    plain = with_sections(table(x, y), sections)
    order = list(range(len(plain)))
    random.shuffle(order)
    names = sorted(set(plain["patient"]))
    random.shuffle(names)
    renamed = plain.iloc[order].assign(
        patient=lambda t: t["patient"].map(dict(zip(sorted(names), names, strict=True))),
        group=lambda t: t["group"].map({"EM": "zz", "normal": "aa"}),
    )
    first = compare_groups(plain, case="EM", control="normal", settings=QUICK)
    second = compare_groups(renamed, case="zz", control="aa", settings=QUICK)
    assert numbers(first) == numbers(second)


def turned(ci: list[float] | None) -> list[float] | None:
    return ci and [-ci[1], -ci[0]]


@settings(max_examples=12)
@given(counts, counts, counts)
def test_swapped_groups_turn_the_signs_and_nothing_else(
    x: list[int], y: list[int], sections: list[int]
) -> None:
    rows = with_sections(table(x, y), sections)
    one = compare_groups(rows, case="EM", control="normal", settings=QUICK)["comparisons"][0]
    two = compare_groups(rows, case="normal", control="EM", settings=QUICK)["comparisons"][0]
    assert one["p_primary"] == two["p_primary"]
    for name in ("permutation", "welch", "student", "log_welch", "mixed_model", "mann_whitney"):
        a, b = one["tests"][name], two["tests"][name]
        assert a["p"] == b["p"]
        if a["estimate"] is not None:
            assert a["estimate"] == -b["estimate"]
        if name != "mann_whitney":  # its exact null is not symmetric under ties, so its limits are not either
            assert a["ci"] == turned(b["ci"])
    for name in ("hedges_g", "cliffs_delta", "bca"):
        a, b = one["effects"][name], two["effects"][name]
        if a["estimate"] is not None:
            assert a["estimate"] == -b["estimate"]
            assert (a["ci"] is None) == (b["ci"] is None)
            if a["ci"]:
                assert a["ci"] == pytest.approx(turned(b["ci"]), rel=1e-12, abs=1e-12)
    assert one["tests"]["negative_binomial"]["p"] == two["tests"]["negative_binomial"]["p"]
    assert one["tests"]["brunner_munzel"]["p"] == two["tests"]["brunner_munzel"]["p"]


@given(few, few)
def test_listing_in_halves_equals_brute_force(x: list[int], y: list[int]) -> None:
    pooled, n = np.array(x + y, float), len(x)

    def squared(chosen: tuple[int, ...]) -> float:
        inside = np.isin(np.arange(len(pooled)), chosen)
        a, b = pooled[inside], pooled[~inside]
        difference, error = a.mean() - b.mean(), a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b)
        if abs(difference) < 1e-12:
            return 0.0
        return math.inf if error < 1e-12 else difference**2 / error

    found = permutation.permutation_test([float(v) for v in x], [float(v) for v in y], with_interval=False)
    if found["p"] is None:
        assert max(np.ptp(x), np.ptp(y)) == 0
        return
    seen = squared(tuple(range(n)))
    every = [squared(chosen) for chosen in itertools.combinations(range(len(pooled)), n)]
    assert found["p"] == np.mean([value >= seen * (1 - 1e-9) for value in every])
    assert found["n_permutations"] == len(every)


@settings(max_examples=300)
@given(
    st.lists(st.integers(0, 200), min_size=4, max_size=6),
    st.lists(st.integers(0, 50), min_size=4, max_size=6),
)
def test_the_interval_holds_zero_exactly_when_p_exceeds_five_percent(x: list[int], y: list[int]) -> None:
    found = permutation.permutation_test([v / 7 for v in x], [v / 7 for v in y])
    if found["ci"] is None:
        return
    low, high = found["ci"]
    slack = 1e-6 * (high - low)
    assert low - slack <= found["estimate"] <= high + slack
    assert (low > slack or high < -slack) == (found["p"] <= 0.05) or min(abs(low), abs(high)) <= slack


@given(few, few)
def test_exact_mann_whitney_equals_brute_force(x: list[int], y: list[int]) -> None:
    pooled, n = x + y, len(x)
    average = [np.mean([sum(v < w for v in pooled) + 1, sum(v <= w for v in pooled)]) for w in pooled]
    centre = n * (len(pooled) + 1) / 2
    sums = [sum(average[i] for i in chosen) for chosen in itertools.combinations(range(len(pooled)), n)]
    expected = np.mean([abs(s - centre) >= abs(sum(average[:n]) - centre) - 1e-9 for s in sums])
    assert ranks.mann_whitney([float(v) for v in x], [float(v) for v in y])["p"] == pytest.approx(
        expected, abs=1e-12
    )


@given(st.lists(st.integers(-8, 8), min_size=2, max_size=9))
def test_exact_signed_rank_and_sign_flip_equal_brute_force(changes: list[int]) -> None:
    zeros = [0.0] * len(changes)
    kept = [c for c in changes if c != 0]
    flips = list(itertools.product((-1, 1), repeat=len(changes)))
    sums = [abs(sum(s * c for s, c in zip(signs, changes, strict=True))) for signs in flips]
    expected = np.mean([s >= abs(sum(changes)) for s in sums]) if kept else None
    assert permutation.sign_flip([float(c) for c in changes], zeros)["p"] == expected
    sizes = [
        np.mean([sum(abs(v) < abs(w) for v in kept) + 1, sum(abs(v) <= abs(w) for v in kept)]) for w in kept
    ]
    centre = sum(sizes) / 2
    seen = abs(sum(r for r, c in zip(sizes, kept, strict=True) if c > 0) - centre)
    every = [
        abs(sum(itertools.compress(sizes, bits)) - centre)
        for bits in itertools.product((0, 1), repeat=len(kept))
    ]
    expected_rank = np.mean([value >= seen - 1e-9 for value in every]) if kept else 1.0
    assert ranks.signed_rank([float(c) for c in changes], zeros)["p"] == pytest.approx(
        expected_rank, abs=1e-12
    )


@given(few, few)
def test_brunner_munzel_equals_brute_force(x: list[int], y: list[int]) -> None:
    from scipy import stats

    found = effects.brunner_munzel([float(v) for v in x], [float(v) for v in y])
    expected = np.mean([(a > b) + (a == b) / 2 for a in x for b in y])
    assert found["estimate"] == pytest.approx(expected)
    if found.get("p_t") is not None and 0 < expected < 1:
        assert found["p_t"] == pytest.approx(stats.brunnermunzel(y, x).pvalue, abs=1e-9)


@given(counts, counts, st.floats(0.1, 50))
def test_another_unit_of_area_scales_differences_and_leaves_p_alone(
    x: list[int], y: list[int], factor: float
) -> None:
    one, two = means.welch(x, y), means.welch([v * factor for v in x], [v * factor for v in y])
    if one["p"] is not None:
        assert two["p"] == pytest.approx(one["p"], rel=1e-6, abs=1e-12)
        assert two["estimate"] == pytest.approx(one["estimate"] * factor, rel=1e-9, abs=1e-9)


@given(
    st.lists(st.floats(0, 1), max_size=12), st.sampled_from(["holm", "bh", "hochberg", "bonferroni", "by"])
)
def test_adjusted_p_values_are_no_smaller_capped_and_keep_the_order(
    p_values: list[float], method: str
) -> None:
    adjusted = adjust(p_values, method=method)
    assert all(p <= q + 1e-15 <= 1 + 1e-12 for p, q in zip(p_values, adjusted, strict=True) if q is not None)
    ordered = [q for _, q in sorted(zip(p_values, adjusted, strict=True), key=lambda pair: pair[0])]
    assert ordered == sorted(ordered)


def test_a_missing_p_does_not_count_towards_the_family() -> None:
    assert adjust([0.01, None, 0.04, math.nan]) == [0.02, None, 0.04, None]


@given(st.integers(0, 400), st.floats(0.01, 500))
def test_the_exact_interval_holds_the_rate(count: int, area: float) -> None:
    low, high = rates.rate_interval(count, area)["ci"]
    assert low <= count / area <= high
    assert (low == 0) == (count == 0)
    assert rates.rate_upper_limit(count, area) <= high
