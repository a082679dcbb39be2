"""Where things are, and that nothing but the slide decides what is found."""

import json

import numpy as np
import pytest
import tifffile
import zarr

from ishcount.core.tissue_map import RegionKind
from ishcount.params import make_params
from ishcount.quantify import SlideJob, count_block, count_slide, finish, prepare
from ishcount.quantify.prepare import read_windows
from ishcount.slide.open import open_slide
from ishcount.slide.overview import read_overview
from ishcount.steps.tissue import find_tissue
from tests import small_slide

TABLES = ("x_um", "y_um", "area_um2", "peak_od", "integrated_od", "score")


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    rgb, dots = small_slide.draw()
    return small_slide.write(tmp_path_factory.mktemp("slide") / "small.tif", rgb), dots


@pytest.fixture(scope="module")
def result(slide, tmp_path_factory):
    return count_slide(slide[0], tmp_path_factory.mktemp("out"), markers=["IFNG:fast_red"])


def test_every_drawn_dot_is_found_where_it_was_drawn(slide, result):
    places = (slide[1] + 0.5) * small_slide.MPP_UM  # the centre of pixel (0, 0) is at (mpp / 2, mpp / 2)
    found = result.dots[["x_um", "y_um"]].to_numpy()
    nearest = np.hypot(found[:, 0, None] - places[:, 0], found[:, 1, None] - places[:, 1]).min(axis=0)
    assert nearest.max() < 0.1


def test_one_dark_pixel_comes_back_at_its_place_in_every_file(tmp_path):
    rgb, _ = small_slide.draw(n_dots=0)
    col, row = 1203, 804
    rgb[row, col] = (150, 20, 60)
    result = count_slide(small_slide.write(tmp_path / "one.tif", rgb), tmp_path, markers=["IFNG:fast_red"])
    darkest = result.dots.loc[result.dots["peak_od"].idxmax()]
    x_um, y_um = (col + 0.5) * small_slide.MPP_UM, (row + 0.5) * small_slide.MPP_UM
    assert (darkest["x_um"], darkest["y_um"]) == pytest.approx((x_um, y_um), abs=0.01)
    cell = result.cells.iloc[np.hypot(result.cells["x_um"] - x_um, result.cells["y_um"] - y_um).argmin()]
    features = json.loads((result.folder / "cells.geojson").read_text())["features"]
    ring = np.array(features[int(cell["cell_id"]) - 1]["geometry"]["coordinates"][0])
    middle = (ring.min(axis=0) + ring.max(axis=0)) / 2
    assert middle * small_slide.MPP_UM == pytest.approx([cell["x_um"], cell["y_um"]], abs=1.0)
    group = zarr.open_group(str(result.folder / "labels.ome.zarr"), mode="r")
    steps = dict(group.attrs)["multiscales"][0]["datasets"][0]["coordinateTransformations"]
    scale = next(step["scale"] for step in steps if step["type"] == "scale")
    shift = next(step["translation"] for step in steps if step["type"] == "translation")
    rows, cols = np.nonzero(np.asarray(group["0"]) == cell["cell_id"])
    world = np.array([rows.mean() * scale[0] + shift[0], cols.mean() * scale[1] + shift[1]])
    assert world == pytest.approx([cell["y_um"], cell["x_um"]], abs=0.01)


@pytest.mark.parametrize("block_um", [256, 1000])
def test_dots_do_not_depend_on_the_size_of_blocks(slide, result, tmp_path, block_um):
    other = count_slide(
        slide[0], tmp_path, markers=["IFNG:fast_red"], params=make_params({"blocks": {"block_um": block_um}})
    )
    assert other.dots[list(TABLES)].equals(result.dots[list(TABLES)])
    mine, theirs = (set(map(tuple, r.cells[["x_um", "y_um"]].round(6).to_numpy())) for r in (result, other))
    assert len(mine ^ theirs) <= max(1, len(mine) // 1000)


def test_the_order_of_blocks_changes_no_byte(slide, result, tmp_path):
    job = SlideJob(
        slide=str(slide[0]),
        slide_id="small",
        folder=tmp_path / "slides" / "small",
        work=tmp_path / "work",
        markers=(("IFNG", "fast_red"),),
    )
    for key in np.random.default_rng(3).permutation(prepare(job).keys):
        count_block(job, str(key))
    finish(job)
    files = sorted(path.relative_to(job.folder) for path in job.folder.rglob("*") if path.is_file())
    assert len(files) > 8
    for name in files:
        assert (job.folder / name).read_bytes() == (result.folder / name).read_bytes(), name


def test_a_turned_or_mirrored_slide_gives_the_same_count(slide, result, tmp_path):
    rgb = tifffile.imread(slide[0])
    for name, turned in {"turned": np.rot90(rgb), "mirrored": rgb[:, ::-1]}.items():
        path = small_slide.write(tmp_path / f"{name}.tif", np.ascontiguousarray(turned))
        other = count_slide(path, tmp_path, markers=["IFNG:fast_red"])
        n, expected = (
            other.summary["markers"]["IFNG"]["n_positive"],
            result.summary["markers"]["IFNG"]["n_positive"],
        )
        assert abs(n - expected) <= max(1, 0.01 * expected)
        assert other.summary["tissue_area_mm2"] == pytest.approx(result.summary["tissue_area_mm2"], rel=0.01)


def test_colours_of_a_small_section_are_learned_from_most_of_it_once(slide, tmp_path):
    job = SlideJob(
        slide=str(slide[0]), slide_id="small", folder=tmp_path / "out", work=tmp_path / "work",
        markers=(("IFNG", "fast_red"),),
    )  # fmt: skip
    with open_slide(slide[0]) as opened:
        size = opened.pixel_size
        overview, valid, _ = read_overview(opened, 16)
        tissue = find_tissue(overview, valid, size, 16, width_px=opened.width, height_px=opened.height)
        windows = read_windows(opened, tissue, size, job)
        n_px = sum(window.shape[0] * window.shape[1] for window in windows)
        assert 0.75 * tissue.n_px(tissue.kind == RegionKind.TISSUE) <= n_px <= opened.width * opened.height


def test_the_area_is_that_of_the_drawn_rectangle(result):
    true_mm2 = (2400 - 400) * (1600 - 400) * small_slide.MPP_UM**2 * 1e-6
    assert result.summary["tissue_area_mm2"] == pytest.approx(true_mm2, rel=0.02)
    assert (
        result.summary["area_low_mm2"] <= result.summary["tissue_area_mm2"] <= result.summary["area_high_mm2"]
    )


def test_counts_agree_in_every_file(result):
    marker = result.summary["markers"]["IFNG"]
    row = result.densities().iloc[0]
    assert marker["n_positive"] == row["n_positive"] == int(result.cells["IFNG_positive"].sum())
    cut = result.summary["counting"]["dot_cut"]
    assert np.array_equal(result.cells["IFNG_positive"], result.cells["IFNG_score"] >= np.float32(cut))
    assert (result.dots["reason"] == "").sum() == (result.dots["score"] >= np.float32(cut)).sum()
