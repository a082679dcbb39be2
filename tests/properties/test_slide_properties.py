"""Laws of reading that hold for every size, tile and region."""

from __future__ import annotations

import numpy as np
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from ishcount.core.geometry import Region
from ishcount.slide.open import open_slide
from ishcount.slide.overview import block_means
from ishcount.slide.tiff_levels import shrink_factor
from tests.slide_files import tissue

SIDES = st.integers(1, 300)


@st.composite
def regions(draw: st.DrawFn, width: int, height: int) -> Region:
    x, y = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    return Region(x, y, draw(st.integers(1, width - x)), draw(st.integers(1, height - y)))


@settings(max_examples=60)
@given(
    data=st.data(),
    width=SIDES,
    height=SIDES,
    tile=st.sampled_from([None, 16, 48, 128]),
    codec=st.sampled_from([None, "zstd"]),
)
def test_any_region_is_that_part_of_the_slide(tmp_path_factory, data, width, height, tile, codec):
    pixels = tissue(height, width)
    path = tmp_path_factory.getbasetemp() / "property.tif"
    options = {"tile": (tile, tile)} if tile else {"rowsperstrip": 7}
    tifffile.imwrite(path, pixels, photometric="rgb", compression=codec, metadata=None, **options)
    with open_slide(path) as slide:
        assert (slide.width, slide.height) == (width, height)
        for _ in range(3):
            region = data.draw(regions(width, height))
            expected = pixels[region.y : region.y_end, region.x : region.x_end]
            assert np.array_equal(slide.read(region), expected)
            assert slide.read_masked(region)[1].all()


@given(
    width=st.integers(2000, 200_000),
    height=st.integers(2000, 200_000),
    factor=st.sampled_from([2, 3, 4, 8, 16, 32]),
    up=st.tuples(st.integers(0, 1), st.integers(0, 1)),
)
def test_sides_cut_or_rounded_up_give_the_whole_factor(width, height, factor, up):
    small = tuple(
        -(-side // factor) if round_up else side // factor
        for side, round_up in zip((width, height), up, strict=True)
    )
    assert shrink_factor((width, height), small) == factor


@given(
    width=st.integers(500, 100_000),
    height=st.integers(500, 100_000),
    small=st.tuples(st.integers(1, 400), st.integers(1, 400)),
)
def test_levels_keep_the_shape_of_the_slide_to_one_pixel(width, height, small):
    factor = shrink_factor((width, height), small)
    if factor is not None:
        assert factor > 1
        assert abs(width / factor - small[0]) < 1
        assert abs(height / factor - small[1]) < 1


@given(width=SIDES, height=SIDES, step=st.integers(1, 40))
def test_means_of_blocks_keep_the_total(width, height, step):
    pixels = tissue(height, width)
    means, whole = block_means(pixels, np.ones((height, width), np.bool_), step)
    assert whole.all()
    assert means.shape == (-(-height // step), -(-width // step), 3)
    sizes_y = np.minimum(step, height - np.arange(0, height, step))
    sizes_x = np.minimum(step, width - np.arange(0, width, step))
    area = (sizes_y[:, None] * sizes_x[None, :])[:, :, None]
    # Each mean is rounded by at most half a grey level.
    assert abs(float((means * area).sum()) - float(pixels.sum())) <= 0.5 * 3 * height * width
    assert means.min() >= pixels.min()
    assert means.max() <= pixels.max()
