"""The primary test beyond what can be listed, and its interval."""

from __future__ import annotations

import numpy as np
import pytest

from ishcount.stats.permutation import permutation_test, sign_flip
from ishcount.stats.settings import StatisticsParams

X = [0.0, 1.2, 4.1, 9.8, 2.2, 7.9, 15.3, 3.3]
Y = [0.0, 0.0, 0.4, 1.1, 2.5, 0.2, 0.9]
DRAWN = StatisticsParams(exact_limit=1_000, n_permutations=49_999)


def test_drawn_rearrangements_come_near_the_listed_ones_and_say_so() -> None:
    listed, drawn = permutation_test(X, Y), permutation_test(X, Y, settings=DRAWN)
    assert (listed["exact"], listed["n_permutations"]) == (True, 6_435)
    assert (drawn["exact"], drawn["n_permutations"]) == (False, 49_999)
    assert drawn["p"] == pytest.approx(listed["p"], abs=0.003)  # four standard errors at P about .02
    assert drawn["ci"] == pytest.approx(listed["ci"], abs=0.3)


def test_the_seed_decides_what_is_drawn() -> None:
    again = permutation_test(X, Y, settings=DRAWN)
    other = permutation_test(X, Y, settings=DRAWN.model_copy(update={"seed": 7}))
    assert again == permutation_test(X, Y, settings=DRAWN)
    assert again["p"] != other["p"]


def test_a_shift_at_the_limit_is_on_the_edge_of_rejection() -> None:
    low, high = permutation_test(X, Y)["ci"]
    for limit, outwards in ((low, -1), (high, 1)):
        inside = permutation_test([v - (limit - outwards * 1e-4) for v in X], Y, with_interval=False)["p"]
        outside = permutation_test([v - (limit + outwards * 1e-4) for v in X], Y, with_interval=False)["p"]
        assert inside > 0.05 >= outside


def test_the_interval_moves_with_the_data() -> None:
    plain, moved = permutation_test(X, Y), permutation_test([v + 100 for v in X], Y)
    assert moved["ci"] == pytest.approx([limit + 100 for limit in plain["ci"]], abs=1e-4)


def test_a_tiny_spread_around_large_values_is_still_a_spread(rng: np.random.Generator) -> None:
    x, y = (1e6 + rng.normal(centre, 1, 8) for centre in (0.0, 0.1))
    shifted = permutation_test(x.tolist(), y.tolist())["p"]
    assert shifted == permutation_test((x - 1e6).tolist(), (y - 1e6).tolist())["p"]


def test_many_pairs_are_drawn(rng: np.random.Generator) -> None:
    changes = rng.normal(0.6, 1, 24).tolist()
    found = sign_flip(changes, [0.0] * 24, settings=DRAWN)
    assert (found["exact"], found["n_permutations"]) == (False, 49_999)
    assert found["ci"][0] < found["estimate"] < found["ci"][1]


def test_a_narrower_confidence_gives_a_narrower_interval() -> None:
    wide = permutation_test(X, Y)["ci"]
    narrow = permutation_test(X, Y, settings=StatisticsParams(confidence=0.8))["ci"]
    assert wide[0] < narrow[0] < narrow[1] < wide[1]
