"""R's answers to more small data sets: models, readers, many groups, planning; and where R is rounded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from ishcount.stats import (
    agreement,
    effects,
    means,
    mixed,
    negative_binomial,
    permutation,
    power,
    ranks,
    robust_poisson,
)
from ishcount.stats import rates as exact_rates
from tests.golden.test_stats_reference import CASES as FIRST
from tests.golden.test_stats_reference import TWO_GROUPS, close

CASES = json.loads(Path(__file__).with_name("stats_cases_more.json").read_text("utf-8"))


def each(name: str) -> Any:
    return pytest.mark.parametrize("case", CASES[name], ids=range(len(CASES[name])))


def without_na(values: list[Any]) -> list[Any] | None:
    """R's numbers, or None where it prints NA."""
    return None if "NA" in values or "NaN" in values else values


@each("groups")
def test_two_groups_equal_r(case: dict[str, Any]) -> None:
    x, y = case["x"], case["y"]
    for name, test in (("welch", means.welch), ("student", means.student)):
        found = test(x, y)
        close([found["p"], found["statistic"], found["df"], *found["ci"]], case[name], 1e-10)
    close(ranks.mann_whitney(x, y)["p"], case["mann_whitney"], 1e-12)
    close(permutation.permutation_test(x, y, studentised=False)["p"], case["permutation"], 1e-12)
    close(ranks.mann_whitney_normal(x, y), case["continuity"], 1e-12)
    close(ranks.mann_whitney_normal(x, y, continuity=False), case["no_continuity"], 1e-12)
    found = effects.hedges_g(x, y)
    close(found["estimate"], case["hedges"][0], 1e-8)
    close(found["ci"], case["hedges"][1:], 6e-7)  # effectsize stops short; 1e-10 from R's root finder, below
    close(effects.cliff(x, y)["estimate"], case["cliff"], 1e-8)


@each("rates")
def test_models_of_counts_equal_r(case: dict[str, Any]) -> None:
    counts, offset = np.array(case["counts"], float), np.log(case["areas"])
    design = np.column_stack([np.ones(len(counts)), case["group"]])
    found = negative_binomial.fit_negative_binomial(counts, offset, design)
    close(found.coefficients.tolist(), case["coefficients"], 1e-6)
    close(found.alpha, 1 / case["theta"], 1e-6)
    close(found.log_likelihood, case["log_likelihood"], 1e-6)
    close(found.standard_errors.tolist(), case["errors"], 1e-5)
    robust = robust_poisson.fit_robust_poisson(counts, offset, design)
    close(robust.coefficients.tolist(), case["poisson"], 1e-8)
    close(robust.errors_hc0.tolist(), case["hc0"], 1e-8)
    close(robust.errors_hc3.tolist(), case["hc3"], 1e-8)
    close(robust.dispersion, case["dispersion"], 1e-6)  # R weighs with the last but one step's means


@each("sections")
def test_the_mixed_model_equals_lmer(case: dict[str, Any]) -> None:
    values = np.log1p(case["density"])
    design = np.column_stack([np.ones(len(values)), case["group"]])
    found = mixed.fit_random_intercept(values, design, np.array(case["patient"]))
    close(found.coefficients.tolist(), case["coefficients"], 1e-5)
    close([found.variance_between, found.variance_within], case["variances"], 1e-3)
    close(found.standard_errors.tolist(), case["errors"], 1e-3)


@each("readers")
def test_agreement_of_readers_equals_r(case: dict[str, Any]) -> None:
    a, b = case["a"], case["b"]
    concordance = agreement.lin_ccc(a, b)
    close([concordance["estimate"], *concordance["ci"]], case["ccc"], 1e-9)
    icc = agreement.icc_2_1(list(zip(a, b, strict=True)))
    close([icc["estimate"], *icc["ci"], icc["p"]], case["icc"], 1e-9)
    plot = agreement.bland_altman(a, b)
    close([plot[name] for name in ("estimate", "sd", "slope", "slope_p")], case["bland_altman"], 1e-9)


@each("many")
def test_more_than_two_groups_equal_r(case: dict[str, Any]) -> None:
    found = ranks.kruskal(case["groups"])
    close([found["statistic"], found["p"]], case["kruskal"], 1e-9)
    welch = means.welch_anova(case["groups"])
    numbers = None if welch["p"] is None else [welch["statistic"], *welch["df"], welch["p"]]
    close(numbers or [None] * 4, without_na(case["welch_anova"]) or ["NaN"] * 4, 1e-9)


@each("pairs")
def test_paired_answers_equal_r(case: dict[str, Any]) -> None:
    before, after = case["before"], case["after"]
    found = means.paired_t(before, after)
    close([found["p"], found["statistic"], *found["ci"]], case["t"], 1e-12)
    close(ranks.signed_rank(before, after)["p"], case["rank"], 1e-12)
    close(ranks.signed_rank(before, after, pratt=True)["p"], case["pratt"], 1e-12)
    close(ranks.signed_rank_normal(before, after, continuity=True), case["continuity"], 1e-12)


@each("calls")
@pytest.mark.parametrize("weights", ["unweighted", "linear", "quadratic"])
def test_kappa_of_further_tables_equals_r(case: dict[str, Any], weights: str) -> None:
    found = agreement.cohen_kappa(case["table"], weights=weights)
    close([found["estimate"], found["standard_error"]], case[weights], 1e-12)


@each("ratios")
def test_further_rate_ratios_equal_r(case: dict[str, Any]) -> None:
    found = exact_rates.poisson_rate_ratio(*case["given"])
    close(found["p"], case["p"], 1e-10)
    close(found["ci"], case["ci"], 1e-10)


def test_planning_equals_r() -> None:
    case = CASES["power"]
    close(power.t_test_power(1.3, 8, 8, both_tails=False), case["one_tail"], 1e-9)
    close(power.t_test_power(0.9, 12, 9), case["unequal"], 1e-9)
    close(power.t_test_power(0.8, 9, 9, paired=True), case["paired"], 1e-9)
    close(power.t_test_size(0.7, power=0.9), case["size"], 1e-4)  # R's root finder
    close(power.t_test_detectable(10, 6), case["detectable"], 1e-4)


@each("hedges_limits")
def test_limits_of_hedges_g_equal_those_r_solves_for(case: dict[str, Any]) -> None:
    found = effects.hedges_g(case["x"], case["y"])
    close(found["ci"], case["g"], 1e-10)
    close(found["cohens_d_ci"], case["d"], 1e-10)


@pytest.mark.parametrize("name", TWO_GROUPS)
def test_limits_printed_by_effectsize_miss_the_tails_by_what_its_search_stops_at(name: str) -> None:
    """The simplex of optim ends when its corners agree within reltol times the first sum of both misses."""
    x, y, tests = FIRST[name]["input"]["x"], FIRST[name]["input"]["y"], FIRST[name]["tests"]
    found = effects.hedges_g(x, y)
    if found["ci"] is None:
        return
    unit, df = np.sqrt(1 / len(x) + 1 / len(y)), len(x) + len(y) - 2

    def miss(limits: list[float]) -> float:
        """How far the two tails at these limits are from 2.5 % each, together."""
        tails = stats.nct.cdf(found["cohens_d"] / unit, df, np.array(limits) / unit)
        return float(np.abs(tails - [0.975, 0.025]).sum())

    stops_at = 1.5e-8 * 0.95
    assert miss(found["cohens_d_ci"]) < 1e-10
    assert 1e-10 < miss(tests["cohens_d_pooled"]["ci"]) < 3 * stops_at
