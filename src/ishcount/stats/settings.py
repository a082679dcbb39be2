"""What the statistics may be told; nothing here can change a count."""

from __future__ import annotations

from pydantic import Field

from ishcount.core.settings import Settings


class StatisticsParams(Settings):
    """How groups are compared. The primary test itself is fixed: a choice there would be a way to fish."""

    case: str | None = Field(
        None, description="Group whose mean stands first; the difference is case - control."
    )
    control: str | None = Field(None, description="Group that is compared with the case.")
    confidence: float = Field(
        0.95,
        gt=0.5,
        lt=1.0,
        description="Coverage aimed at by every interval (share); 0.95 is the custom of journals.",
    )
    exact_limit: int = Field(
        3_000_000,
        ge=1_000,
        le=50_000_000,
        description="Rearrangements listed in full up to this number (12 against 12 patients has 2,704,156); "
        "above it they are drawn at random.",
    )
    n_permutations: int = Field(
        99_999,
        ge=999,
        le=10_000_000,
        description="Rearrangements drawn when there are too many to list; 99,999 puts the Monte Carlo "
        "standard error of P=.05 at .0007.",
    )
    n_bootstrap: int = Field(
        200_000,
        ge=2_000,
        le=2_000_000,
        description="Bootstrap resamples of patients; 200,000 keeps the limits within 0.05 of other seeds on "
        "data like the paper's.",
    )
    n_model_bootstrap: int = Field(
        1_999,
        ge=199,
        le=100_000,
        description="Simulated studies behind the P of the negative-binomial rate ratio.",
    )
    seed: int = Field(20_210, ge=0, le=2**32 - 1, description="Seed of everything drawn at random.")
    paper_mode: bool = Field(
        False,
        description="Also print what the paper printed: mean of the case, its t interval, and Student's P.",
    )
