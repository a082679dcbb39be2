"""Slides and labels as arrays, places, keys: what the viewer is given, without a viewer."""

import json

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from ishcount.core.errors import UsageError
from ishcount.core.geometry import Region
from ishcount.core.units import PixelSize
from ishcount.review.live import LOOKS
from ishcount.slide.open import open_slide
from ishcount_napari.heat import BIN_UM, density_picture
from ishcount_napari.keys import DEFAULT_KEYS, read_keys
from ishcount_napari.lut import SHADES, LookUpTable, LookUpView, colours_of_values
from ishcount_napari.place import from_world, image_place, to_world
from ishcount_napari.pyramid import COARSEST_PX, TileStore, pyramid


@pytest.fixture(scope="module")
def flat_slide():
    """A slide without a pyramid, odd sizes, every pixel different from its neighbours."""
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 255, (1201, 5003, 3), dtype=np.uint8)
    return open_slide(pixels, mpp=0.5), pixels


def test_missing_levels_are_made_until_one_fits_a_screen(flat_slide):
    slide, _ = flat_slide
    levels = pyramid(slide)
    assert [level.shape for level in levels] == [(1201, 5003, 3), (601, 2502, 3), (301, 1251, 3)]
    assert max(levels[-1].shape) <= COARSEST_PX


part = st.tuples(st.integers(0, 1200), st.integers(1, 700), st.integers(0, 5002), st.integers(1, 700))


@given(part=part, step=st.sampled_from([None, 2, 7]))
def test_a_level_reads_like_the_array_it_stands_for(flat_slide, part, step):
    slide, pixels = flat_slide
    row, height, col, width = part
    index = np.s_[row : row + height : step, col : col + width : step, :]
    assert np.array_equal(pyramid(slide)[0][index], pixels[index])


def test_single_rows_columns_and_the_whole_are_read_too(flat_slide):
    slide, pixels = flat_slide
    level = pyramid(slide)[0]
    assert np.array_equal(level[7], pixels[7])
    assert np.array_equal(level[-1, -1], pixels[-1, -1])
    assert np.array_equal(level[5:9, :, 1], pixels[5:9, :, 1])
    assert np.array_equal(np.asarray(level), pixels)


def test_a_made_level_is_the_mean_of_four_pixels(flat_slide):
    slide, pixels = flat_slide
    made = pyramid(slide)[1][100:110, 600:620]
    blocks = pixels[200:220, 1200:1240].reshape(10, 2, 20, 2, 3).mean(axis=(1, 3))
    assert np.abs(made - blocks).max() <= 0.5


def test_a_region_beyond_the_slide_is_white(flat_slide):
    slide, pixels = flat_slide
    found = pyramid(slide)[0].region(Region(-2, 1199, 4, 4))
    assert np.array_equal(found[:2, 2:], pixels[1199:, :2])
    assert (found[:, :2] == 255).all()
    assert (found[2:] == 255).all()


def test_the_store_of_tiles_stays_bounded():
    store = TileStore(most_bytes=3000)
    for n in range(20):
        store.put((0, 0, n), np.zeros((10, 100), np.uint8))
    held = [n for n in range(20) if store.get((0, 0, n)) is not None]
    assert held == [17, 18, 19]


def test_a_bright_pixel_lies_where_the_tables_say(tmp_path):
    """The one test of the half pixel: slide, label image and table agree about one place."""
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[20, 30] = 255
    tifffile.imwrite(tmp_path / "dot.tif", pixels, photometric="rgb", tile=(32, 32))
    slide = open_slide(tmp_path / "dot.tif", mpp=0.25)
    row, col = np.argwhere(pyramid(slide)[0][:, :, 0] == 255)[0]
    x_um, y_um = (30 + 0.5) * 0.25, (20 + 0.5) * 0.25  # the table's place of that pixel's centre
    place = image_place(slide.pixel_size)
    world = np.array([row, col]) * place["scale"] + place["translate"]
    assert world == pytest.approx(to_world([(x_um, y_um)])[0])
    labels = image_place(PixelSize(0.5, 0.5))  # the label pixel of 2 x 2 holds it
    inside = np.array([20 // 2, 30 // 2]) * labels["scale"] + labels["translate"]
    assert np.abs(inside - world).max() <= 0.25


@given(st.lists(st.tuples(st.floats(0, 1e5), st.floats(0, 1e5)), max_size=5))
def test_places_go_to_the_world_and_back(places):
    assert np.array_equal(from_world(to_world(places)), np.reshape(places, (-1, 2)))


def test_values_of_the_table_have_colours_and_neighbours_differ():
    looks = np.array([0, 2, 2, 5, 1, 2], np.uint8)
    table = LookUpTable(looks)
    assert set(table.values.tolist()) <= set(range(len(colours_of_values())))
    assert table.values[0] == 0
    assert table.values[1] != table.values[2], "cells of one class keep an outline between them"
    assert (table.values // SHADES).tolist() == looks.tolist()


def test_changing_one_cell_is_the_same_as_changing_all():
    looks = np.arange(40, dtype=np.uint8) % len(LOOKS)
    one, all_of_them = LookUpTable(looks), LookUpTable(looks)
    looks[17] = 5
    one.set_one(17, 5)
    all_of_them.set_all(looks)
    assert np.array_equal(one.values, all_of_them.values)


def test_the_view_shows_an_edit_at_once():
    labels = np.array([[0, 1], [2, 1]], np.uint32)
    table = LookUpTable(np.array([0, 1, 1], np.uint8))
    view = LookUpView(labels, table)
    before = view[:, :].copy()
    table.set_one(2, 5)
    assert (view[:, :] != before).tolist() == [[False, False], [True, False]]


def test_the_density_picture_holds_every_cell_and_is_clear_without_any():
    empty, top = density_picture(np.zeros(0), np.zeros(0), width_um=320, height_um=640)
    assert (empty.shape, top, empty[..., 3].max()) == ((20, 10, 4), 0.0, 0.0)
    picture, top = density_picture(np.array([160.0]), np.array([320.0]), width_um=320, height_um=640)
    assert np.unravel_index(picture[..., 3].argmax(), (20, 10)) == (320 / BIN_UM, 160 / BIN_UM)
    assert top > 0


def test_without_a_file_the_keys_are_the_defaults(tmp_path):
    assert read_keys(tmp_path / "none.json") == DEFAULT_KEYS


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"jump": "B"}, "unknown actions jump"),
        ({"positive": "h"}, "one key to two actions"),
        ([1], "unknown actions"),
    ],
)
def test_keys_that_cannot_be_are_refused_with_the_reason(tmp_path, content, words):
    path = tmp_path / "keys.json"
    path.write_text(json.dumps(content))
    with pytest.raises(UsageError, match=words):
        read_keys(path)


def test_keys_that_are_no_json_are_refused(tmp_path):
    (tmp_path / "keys.json").write_text("{")
    with pytest.raises(UsageError, match="cannot be read"):
        read_keys(tmp_path / "keys.json")
