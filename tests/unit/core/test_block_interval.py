"""The interval between blocks: where it equals Poisson's, where it is wider, and where there is none."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ishcount.core.block_interval import BLOCK_UM, Blocks, block_interval
from ishcount.steps.density import garwood


def square_tissue(side_mm):
    """Blocks of a square of tissue that begins at the image's corner."""
    n = int(side_mm * 1000 / BLOCK_UM)
    row, column = (index.ravel() for index in np.indices((n, n)))
    return Blocks(row, column, np.full(n * n, (BLOCK_UM / 1000) ** 2))


def at_random(rng, n, side_mm):
    return rng.uniform(0, side_mm * 1000, (2, n))


def in_foci(rng, n_foci, cells_each, side_mm):
    centres = rng.uniform(200, side_mm * 1000 - 200, (2, n_foci))
    return np.repeat(centres, cells_each, axis=1) + rng.normal(0, 80, (2, n_foci * cells_each)).clip(
        -199, 199
    )


def test_cells_at_random_have_about_the_exact_poisson_interval(rng):
    widths = []
    for _ in range(20):
        found = block_interval(*at_random(rng, 150, 4), square_tissue(4))
        low, high = garwood(150, 16.0)
        widths.append((found.high - found.low) / (high - low))
        assert found.low < 150 / 16 < found.high
        assert found.method.startswith("moving-block bootstrap")
    assert 0.9 < np.median(widths) < 1.5


def test_foci_make_the_interval_far_wider_than_poissons(rng):
    found = block_interval(*in_foci(rng, 15, 10, 4), square_tissue(4))
    low, high = garwood(150, 16.0)
    assert found.high - found.low > 1.8 * (high - low)
    assert found.n_foci < 40


def test_equal_input_gives_equal_limits(rng):
    places = at_random(rng, 60, 4)
    assert block_interval(*places, square_tissue(4)) == block_interval(*places, square_tissue(4))


def test_few_blocks_get_a_gamma_interval_and_very_few_none(rng):
    few = block_interval(*at_random(rng, 40, 2), square_tissue(2))
    assert few.method.startswith("gamma")
    assert few.low < 10 < few.high
    alone = block_interval(*at_random(rng, 40, 1), square_tissue(1))
    assert alone.method.startswith("not estimable: the tissue amounts to")
    assert np.isnan(alone.low)
    assert np.isnan(alone.high)


def test_two_foci_are_too_few_however_many_cells_they_hold(rng):
    found = block_interval(*in_foci(rng, 2, 50, 4), square_tissue(4))
    assert found.method.startswith("not estimable: the positive cells amount to")
    assert found.n_foci < 5
    assert np.isnan(found.high)


def test_no_positive_cell_says_nothing_of_another_section():
    found = block_interval([], [], square_tissue(4))
    assert found.method == "not estimable: no positive cell"
    assert np.isnan(found.low)


@given(st.integers(0, 300), st.integers(2, 6), st.integers(0, 2**32 - 1))
def test_limits_enclose_the_density_or_are_missing_with_a_reason(n, side, seed):
    rng = np.random.default_rng(seed)
    found = block_interval(*at_random(rng, n, side), square_tissue(side))
    density = n / side**2
    if np.isnan(found.low):
        assert found.method.startswith("not estimable")
        assert np.isnan(found.high)
    else:
        assert 0 <= found.low <= density <= found.high < np.inf
        assert found.n_foci == pytest.approx(found.n_foci)
        assert found.n_blocks >= 3
