"""Every cell is shown while there is room, and room is shared fairly when there is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ishcount.report.gallery import fair_share


@pytest.mark.parametrize(
    ("wanted", "most", "share"),
    [
        ([3, 1, 2], 100, 3),
        ([100, 2, 2], 50, 46),
        ([10, 10], 10, 5),
        ([], 10, 0),
        ([0, 0], 10, 0),
        ([5, 5], 1, 0),
    ],
)
def test_what_one_slide_leaves_the_others_get(wanted: list[int], most: int, share: int) -> None:
    assert fair_share(wanted, most) == share


@given(st.lists(st.integers(0, 50), max_size=12), st.integers(0, 200))
def test_all_together_never_take_more_than_there_is(wanted: list[int], most: int) -> None:
    assert sum(min(number, fair_share(wanted, most)) for number in wanted) <= most
