"""Planning: simulated power agrees with the formula where that holds; the primary test keeps its size."""

from __future__ import annotations

import numpy as np
import pytest

from ishcount.stats import power
from ishcount.stats.permutation import permutation_test

NULL = power.Scenario(mean_case=0.6, mean_control=0.6, cv_case=1.5, cv_control=1.5)
IFNG = power.Scenario(mean_case=8.72, mean_control=0.6, cv_case=1.1, cv_control=1.5)


@pytest.mark.parametrize("n", [5, 8, 12])
def test_the_primary_test_holds_its_size_under_one_law(n: int) -> None:
    found = power.simulate_power(NULL, n, n, n_simulations=4_000)
    assert found["estimate"] <= 0.06


def test_the_primary_test_finds_the_published_difference_at_12_against_12() -> None:
    assert power.simulate_power(IFNG, 12, 12, n_simulations=1_000)["estimate"] > 0.98


def test_simulated_power_of_student_agrees_with_the_formula_for_normal_like_counts() -> None:
    scenario = power.Scenario(mean_case=110, mean_control=100, cv_case=0.1, cv_control=0.11, area_mm2=1_000)
    found = power.simulate_power(scenario, 12, 12, test="student", n_simulations=4_000)
    assert found["estimate"] == pytest.approx(power.t_test_power(10 / 11, 12, 12), abs=0.04)


def test_fast_p_values_equal_the_test_itself(rng: np.random.Generator) -> None:
    x, y = (power.draw_densities(rng, mean, 1.2, 10, (3, 5)) for mean in (4.0, 1.0))
    fast = power.p_values(x, y, test="permutation", generator=rng)
    exact = [
        permutation_test(a.tolist(), b.tolist(), with_interval=False)["p"] for a, b in zip(x, y, strict=True)
    ]
    assert fast == pytest.approx(exact, abs=0.05)  # 999 drawn of 252: four standard errors


def test_the_size_found_has_the_power_asked_for() -> None:
    found = power.simulate_size(IFNG, power=0.8, n_simulations=400)
    assert 4 <= found["estimate"] <= 9
    assert found["power"] >= 0.8
    assert found["n_control"] == found["estimate"]


def test_a_difference_too_small_to_find_is_refused() -> None:
    found = power.simulate_size(NULL, n_simulations=100, largest=16)
    assert found["estimate"] is None
    assert "more than 16" in found["reason"]


def test_constant_data_never_reject() -> None:
    nothing = power.Scenario(mean_case=0.0, mean_control=0.0, cv_case=1.0, cv_control=1.0)
    for test in power.TESTS:
        assert power.simulate_power(nothing, 4, 4, test=test, n_simulations=50)["estimate"] == 0


def test_more_patients_have_more_power() -> None:
    powers = [power.t_test_power(1.0, n, n) for n in (4, 8, 16)]
    assert powers == sorted(powers)
    assert power.t_test_power(1.0, 17, 17) > 0.8 > power.t_test_power(1.0, 16, 16)


@pytest.mark.parametrize(("n_case", "n_control"), [(2, 2), (3, 2), (10, 6), (100, 100)])
def test_the_detectable_difference_is_found_with_the_power_asked_for(n_case: int, n_control: int) -> None:
    d = power.t_test_detectable(n_case, n_control)
    assert power.t_test_power(d, n_case, n_control) == pytest.approx(0.8, abs=1e-9)


def test_no_difference_needs_infinitely_many_patients_and_a_huge_one_two() -> None:
    assert power.t_test_size(0) == float("inf")
    assert power.t_test_size(1_000) == 2.0
    assert power.t_test_power(1_000, 12, 12) == 1.0
