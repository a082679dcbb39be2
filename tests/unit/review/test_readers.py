"""Two readers against each other."""

import pytest

from ishcount.core.decisions import Call
from ishcount.review.readers import call_agreement, density_agreement, disputes

YES, NO, UNSURE, GONE = Call.POSITIVE, Call.NEGATIVE, Call.UNSURE, Call.NOT_A_CELL
A = {1: YES, 2: YES, 3: NO, 4: NO, 5: UNSURE, 6: YES, 9: YES}
B = {1: YES, 2: NO, 3: NO, 4: GONE, 5: YES, 7: YES, 9: YES}


def test_only_cells_of_the_sample_that_both_decided_count():
    found = call_agreement(A, B, among=[1, 2, 3, 4, 5, 6, 7])
    assert (found["n_both"], found["n_unsure"]) == (4, 1)
    assert found["table"] == [[1, 1], [0, 2]]


def test_positive_agreement_is_twice_the_common_over_all_positive_calls():
    found = call_agreement(A, B, among=[1, 2, 3, 4])
    assert found["positive_agreement"]["estimate"] == pytest.approx(2 / 3)
    assert found["negative_agreement"]["estimate"] == pytest.approx(4 / 5)


def test_nothing_read_by_both_says_so():
    found = call_agreement({1: YES}, {2: YES}, among=[1, 2])
    assert found["n_both"] == 0
    assert "decided by both" in found["reason"]


def test_disputes_are_listed_until_they_are_settled():
    assert disputes(A, B) == [2, 5]
    assert disputes(A, B, {2: NO}) == [5]


def test_densities_are_compared_within_groups():
    found = density_agreement([1, 2, 3, 9, 8, 7], [1, 2, 4, 9, 8, 6], ["N", "N", "N", "EM", "EM", "EM"])
    assert sorted(found) == ["EM", "N"]
    assert found["N"]["n"] == 3
