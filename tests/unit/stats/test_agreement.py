"""Agreement of readers: against published formulas, and where kappa misleads."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ishcount.stats import agreement


@pytest.fixture
def readers(rng: np.random.Generator) -> tuple[list[float], list[float]]:
    truth = rng.gamma(1.2, 6, 24)
    return (truth * rng.lognormal(0, 0.1, 24)).tolist(), (truth * rng.lognormal(0.05, 0.1, 24)).tolist()


def test_limits_of_agreement_are_mean_and_196_sd(readers: tuple[list[float], list[float]]) -> None:
    a, b = readers
    found, d = agreement.bland_altman(a, b), np.subtract(a, b)
    assert found["estimate"] == pytest.approx(d.mean(), abs=1e-12)
    assert found["upper_limit"] == pytest.approx(d.mean() + 1.959963984540054 * d.std(ddof=1), abs=1e-9)
    assert found["lower_limit_ci"][0] < found["lower_limit"] < found["lower_limit_ci"][1]


def test_a_constant_factor_is_a_ratio_without_spread() -> None:
    a = [1.0, 2.0, 8.0, 20.0]
    found = agreement.bland_altman([1.5 * v for v in a], a, scale="ratio")
    assert found["estimate"] == pytest.approx(1.5)
    assert [found["lower_limit"], found["upper_limit"]] == pytest.approx([1.5, 1.5])


def test_zero_has_no_ratio_without_a_stated_offset() -> None:
    assert agreement.bland_altman([0.0, 1.0, 2.0], [1.0, 1.0, 2.0], scale="ratio")["estimate"] is None
    found = agreement.agree([0.0, 1.0, 2.0, 4.0], [1.0, 1.0, 2.0, 5.0])
    assert found["bland_altman_ratio"]["offset"] == 0.5


def test_ccc_is_one_for_equal_readings_and_falls_with_bias(readers: tuple[list[float], list[float]]) -> None:
    a, b = readers
    assert agreement.lin_ccc(a, a)["estimate"] == pytest.approx(1)
    shifted = agreement.lin_ccc(a, [v + 5 for v in a])
    assert shifted["pearson_r"] == pytest.approx(1)
    assert shifted["estimate"] < 0.97
    found = agreement.lin_ccc(a, b)
    assert found["ci"][0] < found["estimate"] < found["ci"][1]


def test_ccc_uses_population_variances() -> None:
    a, b = [1.0, 2.0, 3.0, 5.0], [1.1, 2.3, 2.9, 5.6]
    x, y = np.array(a), np.array(b)
    covariance = ((x - x.mean()) * (y - y.mean())).mean()
    expected = 2 * covariance / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)
    assert agreement.lin_ccc(a, b)["estimate"] == pytest.approx(expected, abs=1e-15)


def test_a_range_between_groups_inflates_agreement(rng: np.random.Generator) -> None:
    low, high = rng.normal(1, 0.2, 12), rng.normal(20, 0.2, 12)
    a = np.concatenate([low, high])
    b = np.concatenate([rng.permutation(low), rng.permutation(high)])  # no agreement inside a group at all
    groups = ["normal"] * 12 + ["EM"] * 12
    assert agreement.agree(a.tolist(), b.tolist())["lin_ccc"]["estimate"] > 0.99
    inside = agreement.within_groups(a.tolist(), b.tolist(), groups)
    assert list(inside) == ["EM", "normal"]
    assert max(found["lin_ccc"]["estimate"] for found in inside.values()) < 0.6


def test_constant_readings_have_no_coefficient() -> None:
    assert agreement.lin_ccc([1.0] * 5, [1.0, 2.0, 3.0, 4.0, 5.0])["estimate"] is None
    assert agreement.icc_2_1([[1.0, 1.0]] * 4)["estimate"] is None
    assert agreement.cohen_kappa([[9, 0], [0, 0]])["estimate"] is None


def test_icc_may_be_negative() -> None:
    assert agreement.icc_2_1([[1.0, 3.0], [2.0, 2.5], [3.0, 1.0]])["estimate"] < 0


def test_kappa_is_paradoxical_at_low_prevalence_and_ac1_is_not() -> None:
    found = agreement.binary_agreement([[1, 4], [4, 4991]])
    assert found["prevalence"] == pytest.approx(0.001)
    assert found["cohen_kappa"]["estimate"] < 0.25
    assert found["gwet_ac1"]["estimate"] > 0.99
    assert found["positive_agreement"]["estimate"] == pytest.approx(2 / 10)
    assert found["negative_agreement"]["estimate"] == pytest.approx(2 * 4991 / (2 * 4991 + 8))
    for name in ("positive_agreement", "negative_agreement", "gwet_ac1"):
        low, high = found[name]["ci"]
        assert low < found[name]["estimate"] <= high <= 1


def test_no_positive_call_has_no_positive_agreement() -> None:
    found = agreement.binary_agreement([[0, 0], [0, 50]])
    assert found["positive_agreement"]["reason"] == "neither reader made such a call"
    assert found["negative_agreement"]["estimate"] == 1
    assert agreement.binary_agreement([[0, 0], [0, 0]])["prevalence"] is None


def test_gwet_ac1_of_two_by_two_by_hand() -> None:
    seen, share = 0.85, (2 * 40 + 10 + 5) / 200
    chance = 2 * share * (1 - share)
    found = agreement.binary_agreement([[40, 10], [5, 45]])["gwet_ac1"]
    assert found["estimate"] == pytest.approx((seen - chance) / (1 - chance), abs=1e-12)


def test_calls_are_tabulated_in_the_order_of_classes() -> None:
    table = agreement.call_table([True, True, False], [True, False, False], [True, False])
    assert table == [[1, 1], [0, 1]]


def test_two_readers_with_balanced_margins_have_equal_fleiss_and_cohen_kappa() -> None:
    table = [[30, 10], [10, 50]]
    rows = [[2, 0]] * 30 + [[1, 1]] * 20 + [[0, 2]] * 50
    assert agreement.fleiss_kappa(rows)["estimate"] == pytest.approx(agreement.cohen_kappa(table)["estimate"])


def test_icc_interval_covers_its_estimate(readers: tuple[list[float], list[float]]) -> None:
    found = agreement.icc_2_1(list(zip(*readers, strict=True)))
    assert found["ci"][0] < found["estimate"] < found["ci"][1] <= 1
    assert math.isfinite(found["p"])
