"""The rate model and the mixed model against an independent implementation and against what must hold."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

from ishcount.stats.mixed import compare_sections, fit_random_intercept
from ishcount.stats.negative_binomial import fit_negative_binomial, rate_ratio
from ishcount.stats.robust_poisson import fit_robust_poisson
from ishcount.stats.settings import StatisticsParams

QUICK = StatisticsParams(n_model_bootstrap=499)


@pytest.fixture
def counts(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counts, areas and membership of 12 cases (8.7 per mm2) and 12 controls (0.6), alpha 1.2."""
    areas = rng.uniform(5, 20, 24)
    case = np.arange(24) < 12
    return rng.poisson(np.where(case, 8.7, 0.6) * areas * rng.gamma(1 / 1.2, 1.2, 24)), areas, case


def test_negative_binomial_equals_statsmodels(counts: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    from statsmodels.discrete.discrete_model import NegativeBinomial

    c, areas, case = counts
    design = np.column_stack([np.ones(24), case])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own optimiser's chatter
        theirs = NegativeBinomial(c, design, offset=np.log(areas)).fit(
            disp=0, maxiter=1_000, gtol=1e-10, method="bfgs"
        )
    ours = fit_negative_binomial(c, np.log(areas), design)
    assert [*ours.coefficients, ours.alpha] == pytest.approx(theirs.params, abs=1e-6)
    assert ours.log_likelihood == pytest.approx(theirs.llf, abs=1e-6)
    assert ours.standard_errors == pytest.approx(
        theirs.bse[:2], rel=0.03
    )  # expected against joint observed information


def test_counts_that_do_not_vary_more_than_poisson_give_the_pooled_ratio() -> None:
    found = rate_ratio([(10, 2.0), (11, 2.0), (9, 2.0)], [(4, 2.0), (5, 2.0), (6, 2.0)], settings=QUICK)
    assert found["alpha"] == 0
    assert found["rate_ratio"] == pytest.approx(2.0, rel=1e-9)
    assert found["standard_error_log"] == pytest.approx(math.sqrt(1 / 30 + 1 / 15), rel=1e-9)


def test_the_ratio_does_not_depend_on_the_unit_of_area(
    counts: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    c, areas, case = counts
    found = [
        rate_ratio(
            list(zip(c[case].tolist(), (areas[case] * unit).tolist(), strict=True)),
            list(zip(c[~case].tolist(), (areas[~case] * unit).tolist(), strict=True)),
            settings=QUICK,
        )
        for unit in (1.0, 1e6)
    ]
    assert found[0]["rate_ratio"] == pytest.approx(found[1]["rate_ratio"], rel=1e-8)
    assert found[0]["ci"] == pytest.approx(found[1]["ci"], rel=1e-6)


def test_the_simulated_p_is_less_eager_than_the_likelihood_ratio(
    counts: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    c, areas, _ = counts
    first = list(zip(c[:5].tolist(), areas[:5].tolist(), strict=True))
    second = list(zip(c[5:10].tolist(), areas[5:10].tolist(), strict=True))
    found = rate_ratio(first, second, settings=QUICK)
    assert found["p"] >= found["p_likelihood_ratio"]


def test_robust_poisson_equals_statsmodels_and_its_hc3_is_wider(
    counts: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    import statsmodels.api as sm

    c, areas, case = counts
    design = np.column_stack([np.ones(24), case])
    theirs = sm.GLM(c, design, family=sm.families.Poisson(), offset=np.log(areas)).fit(
        cov_type="HC0", tol=1e-12
    )
    ours = fit_robust_poisson(c, np.log(areas), design)
    assert ours.coefficients == pytest.approx(theirs.params, abs=1e-8)
    assert ours.errors_hc0 == pytest.approx(theirs.bse, abs=1e-8)
    share = areas[case] * np.exp(ours.coefficients.sum()) / c[case].sum()  # hat values of one group
    part = ((c - areas * np.exp(ours.coefficients.sum()))[case] / (1 - share)) ** 2
    assert ours.errors_hc3[0] ** 2 + part.sum() / c[case].sum() ** 2 == pytest.approx(ours.errors_hc3[1] ** 2)
    assert (ours.errors_hc3 > ours.errors_hc0).all()


def test_random_intercept_equals_statsmodels(rng: np.random.Generator) -> None:
    from statsmodels.regression.mixed_linear_model import MixedLM

    patients = np.repeat(np.arange(14), rng.integers(1, 5, 14))
    values = rng.normal(0, 0.8, 14)[patients] + rng.normal(0, 0.4, len(patients)) + (patients < 7)
    design = np.column_stack([np.ones(len(patients)), patients < 7]).astype(float)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = MixedLM(values, design, groups=patients).fit(reml=True)
    ours = fit_random_intercept(values, design, patients)
    assert ours.coefficients == pytest.approx(theirs.fe_params, abs=1e-5)
    assert ours.variance_between == pytest.approx(float(theirs.cov_re[0, 0]), rel=1e-3)
    assert ours.variance_within == pytest.approx(theirs.scale, rel=1e-3)


def test_balanced_sections_give_the_t_test_of_patient_means(rng: np.random.Generator) -> None:
    from scipy import stats

    logs = rng.normal(1.5, 0.9, 12)[:, None] + rng.normal(0, 0.2, (12, 3))
    rows = [(f"p{i}", float(np.expm1(v))) for i, row in enumerate(logs) for v in row]
    found = compare_sections(rows[:18], rows[18:])
    means = np.log1p(np.array([d for _, d in rows])).reshape(12, 3).mean(axis=1)
    assert found["df"] == 10
    assert found["p"] == pytest.approx(stats.ttest_ind(means[:6], means[6:]).pvalue, rel=1e-5)


def test_patients_that_do_not_differ_are_called_singular() -> None:
    rows = [(f"p{i}", float(k)) for i in range(6) for k in (1, 2, 3)]
    found = compare_sections(rows[:9], [(p, d + 1) for p, d in rows[9:]])
    assert found["singular"]
    assert found["variance_between"] == 0
