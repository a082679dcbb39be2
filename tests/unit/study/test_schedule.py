from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ishcount.study.schedule import grouped


@given(n=st.integers(0, 300), most=st.integers(1, 20), n_takers=st.integers(1, 8))
def test_groups_hold_every_block_once_in_order(n: int, most: int, n_takers: int) -> None:
    keys = [f"b{number}" for number in range(n)]
    groups = grouped(keys, most, n_takers)
    assert [key for group in groups for key in group] == keys
    assert all(1 <= len(group) <= most for group in groups)


@pytest.mark.parametrize("n_takers", [1, 3, 6])
def test_the_last_groups_are_single_blocks_so_that_no_worker_waits_long(n_takers: int) -> None:
    sizes = [len(group) for group in grouped([str(n) for n in range(400)], 8, n_takers)]
    assert sizes[0] == 8
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-n_takers:] == [1] * n_takers
