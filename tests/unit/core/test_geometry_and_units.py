"""Regions, blocks, pixel sizes, flags and tables."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ishcount.core import flags, tables
from ishcount.core.geometry import Region, block_grid
from ishcount.core.units import PixelSize


@given(st.integers(1, 400), st.integers(1, 400), st.integers(1, 150), st.integers(0, 40))
def test_every_pixel_has_exactly_one_owner(width, height, side, margin):
    blocks = block_grid(width, height, side, margin)
    assert sum(block.core.width * block.core.height for block in blocks) == width * height
    for x, y in ((0, 0), (width - 1, height - 1), (width // 2, height // 3)):
        assert sum(block.core.contains(x, y) for block in blocks) == 1
    assert [block.key for block in blocks] == sorted(block.key for block in blocks)
    for block in blocks:
        assert block.read.intersect(block.core) == block.core


def test_a_region_outside_the_image_is_refused():
    with pytest.raises(ValueError, match="outside"):
        Region(10, 10, 5, 5).clip(10, 10)


@given(st.floats(0.05, 5), st.floats(0.05, 5), st.integers(1, 10**9))
def test_areas_and_lengths_follow_the_pixel_size(x_um, y_um, n_px):
    size = PixelSize(x_um, y_um)
    assert size.area_mm2(n_px) == pytest.approx(n_px * x_um * y_um / 1e6)
    assert size.to_um(size.to_px(7.0)) == pytest.approx(7.0)
    assert size.scaled(2).area_um2(1) == pytest.approx(4 * size.area_um2(1))


def test_every_flag_has_a_sentence_and_survives_as_text():
    assert set(flags.MEANING) == set(flags.Flag)
    every = flags.Flag(0)
    for flag in flags.Flag:
        every |= flag
    assert flags.parse(flags.names(every)) == every
    assert flags.names(0) == ""
    assert int(every) < 2**32


def test_a_table_without_a_declared_column_is_our_mistake():
    with pytest.raises(tables.TableError, match="score"):
        tables.check(pd.DataFrame({"dot_id": [1]}), tables.DOTS)


def test_nothing_found_is_an_empty_table_with_its_types():
    nothing = tables.empty(tables.cells_schema(["IFNG"]))
    assert len(nothing) == 0
    assert nothing["IFNG_positive"].dtype == bool
    assert nothing["cell_id"].dtype == "uint32"
