"""Names inside tables as people write them."""

from __future__ import annotations

_WORDS = {
    "fast_red": "Fast Red",
    "dab": "DAB",
    "hrp_green": "HRP Green",
    "fast_blue": "Fast Blue",
    "aec": "AEC",
    "permutation": "Studentised permutation test of the difference of means",
    "welch": "Welch t test",
    "student": "Student t test (equal variances)",
    "mann_whitney": "Mann-Whitney test (exact, ties kept)",
    "brunner_munzel": "Brunner-Munzel test (permuted)",
    "negative_binomial": "Negative-binomial rate ratio",
    "robust_poisson": "Robust Poisson rate ratio",
    "sign_test": "Sign test",
    "log_welch": "Welch t test on log(1 + density)",
    "bca": "BCa bootstrap of the difference of means",
    "bca_difference": "BCa bootstrap of the difference of means",
    "paired_t": "Paired t test",
    "signed_rank": "Wilcoxon signed-rank test (exact)",
    "sign_flip": "Sign-flip permutation test",
    "welch_anova": "Welch analysis of variance",
    "kruskal": "Kruskal-Wallis test",
    "mixed_model": "Mixed model (slides within patients)",
    "hedges_g": "Hedges g",
    "cliffs_delta": "Cliff delta",
    "auc": "Probability of superiority (AUC)",
    "hodges_lehmann": "Hodges-Lehmann shift",
    "positive_per_mm2": "positive cells per mm\u00b2",
    "positive_per_mm2_reviewed": "positive cells per mm\u00b2 after review",
}


def in_words(name: str | None) -> str:
    """`mann_whitney` as `Mann-Whitney test ...`; a name we do not know with its underscores as spaces."""
    return _WORDS.get(name or "", (name or "").replace("_", " "))
