"""The overview is level 0 shrunk, whatever it was made from."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from ishcount.core.geometry import Region
from ishcount.slide import overview
from ishcount.slide.open import open_slide
from ishcount.slide.overview import block_means, read_overview
from tests.slide_files import shrunk, tissue, write_pyramid, write_tiff


def plain_overview(pixels: np.ndarray, factor: int) -> np.ndarray:
    """Cell by cell, the slow way."""
    rows, columns = -(-pixels.shape[0] // factor), -(-pixels.shape[1] // factor)
    out = np.empty((rows, columns, 3))
    for row in range(rows):
        for column in range(columns):
            cell = pixels[row * factor : (row + 1) * factor, column * factor : (column + 1) * factor]
            out[row, column] = np.floor(cell.reshape(-1, 3).mean(axis=0) + 0.5)
    return out.astype(np.uint8)


@pytest.mark.parametrize("factor", [1, 2, 7, 8, 16, 601])
def test_overview_of_level_0_is_the_rounded_mean_of_each_cell(monkeypatch, factor):
    monkeypatch.setattr(overview, "WINDOW_PX", 100)
    pixels = tissue(603, 597)
    rgb, valid, source = read_overview(open_slide(pixels), factor)
    assert source == "level 0"
    assert valid.all()
    assert np.array_equal(rgb, plain_overview(pixels, factor))


def test_overview_from_a_pyramid_is_that_of_level_0(tmp_path):
    pixels = tissue(1003, 997)
    path = write_pyramid(tmp_path / "slide.tif", pixels, (2, 4, 8, 32))
    with open_slide(path) as slide:
        rgb, valid, source = read_overview(slide, 16)
    expected = plain_overview(pixels, 16)
    assert source == "level 3 (downsample 8)"
    assert valid.all()
    assert rgb.shape == expected.shape == (63, 63, 3)
    # Means of rounded means: one grey level at most; cells at the edge come from level 0 itself.
    assert np.abs(rgb.astype(int) - expected).max() <= 1
    assert np.array_equal(rgb[-1], expected[-1])
    assert np.array_equal(rgb[:, -1], expected[:, -1])


def test_level_whose_downsample_does_not_divide_is_not_used(tmp_path):
    path = write_pyramid(tmp_path / "slide.tif", tissue(960, 960), (3, 5))
    with open_slide(path) as slide:
        assert read_overview(slide, 16)[2] == "level 0"
        assert read_overview(slide, 15)[2] == "level 2 (downsample 5)"


def disagreeing(pixels: np.ndarray, kind: str) -> np.ndarray:
    level = shrunk(pixels, 4)
    if kind == "shifted":
        return np.roll(level, 4, axis=1)
    if kind == "mirrored":
        return level[:, ::-1]
    if kind == "brighter":
        return np.minimum(level.astype(int) + 5, 255).astype(np.uint8)
    return tissue(level.shape[0], level.shape[1], seed=9)


@pytest.mark.parametrize("kind", ["shifted", "mirrored", "brighter", "another slide"])
def test_level_that_disagrees_with_level_0_is_not_used(tmp_path, kind):
    pixels = tissue(960, 960)
    path = tmp_path / "slide.tif"
    with tifffile.TiffWriter(path) as out:
        out.write(pixels, subifds=1, tile=(128, 128), photometric="rgb", metadata=None)
        out.write(disagreeing(pixels, kind), subfiletype=1, tile=(128, 128), photometric="rgb", metadata=None)
    with open_slide(path) as slide:
        assert len(slide.levels) == 2
        rgb, _, source = read_overview(slide, 8)
    assert source == "level 0"
    assert np.array_equal(rgb, plain_overview(pixels, 8))


@pytest.mark.parametrize("quality", [30, 60, 90])
def test_lossy_level_of_the_same_slide_is_used(tmp_path, quality):
    jpeg = {"compression": "jpeg", "compressionargs": {"level": quality}}
    path = write_pyramid(tmp_path / "slide.tif", tissue(960, 960), (4,), **jpeg)
    with open_slide(path) as slide:
        assert read_overview(slide, 8)[2] == "level 1 (downsample 4)"


def test_damaged_level_gives_way_to_level_0(tmp_path):
    from tests.slide_files import patch_tag

    pixels = tissue(960, 960)
    path = write_pyramid(tmp_path / "slide.tif", pixels, (4,), below=False)
    patch_tag(path, 324, 0, 0, page=1)
    with open_slide(path) as slide:
        rgb, valid, source = read_overview(slide, 8)
    assert source == "level 0"
    assert valid.all()
    assert np.array_equal(rgb, plain_overview(pixels, 8))


def test_cells_with_a_missing_pixel_are_missing():
    real = np.ones((20, 20), np.bool_)
    real[7, 13] = False
    means, whole = block_means(tissue(20, 20), real, 8)
    assert whole.tolist() == [[True, False, True], [True, True, True], [True, True, True]]
    assert (means[0, 1] == 255).all()


def test_at_most_one_window_is_in_memory(tmp_path, monkeypatch):
    sizes = []
    with open_slide(write_tiff(tmp_path / "slide.tif", tissue(900, 900))) as slide:
        read = slide.read_masked

        def watch(region: Region, level: int = 0):
            sizes.append(region.width * region.height)
            return read(region, level)

        monkeypatch.setattr(slide, "read_masked", watch)
        monkeypatch.setattr(overview, "WINDOW_PX", 256)
        read_overview(slide, 8)
    assert max(sizes) <= 256 * 256


@pytest.mark.real
def test_real_pyramid_agrees_with_level_0(real_data):
    with open_slide(real_data / "slides" / "tcga-cr-7395-01a-01-ts1.svs") as slide:
        rgb, valid, source = read_overview(slide, 16)
        assert source == "level 1 (downsample 2)"
        assert valid.all()
        exact = plain_overview(slide.read(Region(0, 0, slide.width, 320)), 16)
    assert np.abs(rgb[:20].astype(int) - exact).mean() < 2
