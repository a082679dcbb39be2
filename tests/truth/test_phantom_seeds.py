"""What a seed decides, and what it does not."""

import numpy as np
import pandas as pd
import pytest

from ishcount.core.geometry import Region
from ishcount.slide.open import open_slide
from ishcount.truth.simulate.render import draw_phantom
from ishcount.truth.simulate.scene import draw_scene
from ishcount.truth.simulate.spec import CONFOUNDERS, PhantomSpec
from ishcount.truth.simulate.truth import load_truth, truth_of
from ishcount.truth.simulate.writer import write_phantom

SMALL = {"size_px": (1100, 700), "seed": 8, "preset": "medium"}


def scene_truth(spec):
    """The truth without the pixels."""
    return truth_of(draw_scene(spec), None)


@pytest.fixture(scope="module")
def phantom():
    return draw_phantom(PhantomSpec(**SMALL))


def test_equal_specs_give_equal_files(tmp_path):
    for name in ("a", "b"):
        write_phantom(PhantomSpec(**SMALL), tmp_path / name, "slide")
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert len(files) >= 7
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_the_file_holds_the_pixels_and_truth_of_the_phantom_in_memory(tmp_path, phantom):
    with open_slide(write_phantom(PhantomSpec(**SMALL), tmp_path, "slide")) as slide:
        pixels = slide.read(Region(0, 0, 1100, 700))
        assert slide.pixel_size.x_um == pytest.approx(0.25, rel=1e-6)
        assert slide.chroma_subsampling == (2, 2)
        assert len(slide.levels) > 1
    np.testing.assert_array_equal(pixels, phantom.rgb)
    stored = load_truth(tmp_path / "slide.truth")
    pd.testing.assert_frame_equal(stored.nuclei, phantom.truth.nuclei, check_dtype=False)
    np.testing.assert_array_equal(stored.labels, phantom.truth.labels)
    assert stored.area_mm2 == pytest.approx(phantom.truth.area_mm2)


def test_another_seed_is_another_slide(phantom):
    other = draw_phantom(PhantomSpec(**SMALL | {"seed": 9}))
    assert len(other.truth.nuclei) != len(phantom.truth.nuclei)
    assert other.truth.stains != phantom.truth.stains


def test_another_camera_sees_the_same_truth_in_other_pixels(phantom):
    other = draw_phantom(PhantomSpec(**SMALL, camera_seed=77))
    pd.testing.assert_frame_equal(other.truth.nuclei, phantom.truth.nuclei)
    pd.testing.assert_frame_equal(other.truth.dots, phantom.truth.dots)
    assert np.abs(other.rgb.astype(int) - phantom.rgb).mean() > 1


def test_the_scene_does_not_depend_on_the_pixel_size(phantom):
    coarse = draw_phantom(PhantomSpec(**SMALL | {"size_px": (550, 350), "mpp_um": 0.5}))
    pd.testing.assert_frame_equal(coarse.truth.dots, phantom.truth.dots)
    fine = phantom.rgb.reshape(350, 2, 550, 2, 3).mean(axis=(1, 3))
    assert np.corrcoef(fine.ravel(), coarse.rgb.ravel())[0, 1] > 0.98


def test_more_dots_leave_the_tissue_as_it_was(phantom):
    denser = draw_phantom(PhantomSpec(**SMALL, prevalence=0.5)).truth
    np.testing.assert_array_equal(denser.code, phantom.truth.code)
    np.testing.assert_array_equal(denser.nuclei["x_um"], phantom.truth.nuclei["x_um"])
    assert len(denser.dots) > len(phantom.truth.dots)


@pytest.mark.parametrize("kind", ["melanin_brown", "red_cell", "precipitate", "chromatin", "haze", "crystal"])
def test_a_phantom_of_one_confounder_holds_that_kind_alone(kind):
    truth = scene_truth(
        PhantomSpec(preset="blank", confounders=frozenset({kind}), size_px=(2000, 1600), seed=4)
    )
    assert set(truth.confounders["kind"]) == {kind}
    assert not truth.artefacts.any()
    assert len(truth.dots) == 0


@pytest.mark.parametrize("kind", ["fold", "pen", "bubble", "dust", "edge_drying"])
def test_a_phantom_of_one_artefact_loses_that_area_alone(kind):
    truth = scene_truth(
        PhantomSpec(preset="blank", confounders=frozenset({kind}), size_px=(1000, 800), seed=4)
    )
    spoilt = {name for name, area in truth.area_mm2.items() if name.startswith("artefact_") and area > 0}
    assert spoilt == {f"artefact_{kind}"}
    assert truth.confounders.empty


def test_duplex_slides_have_both_markers_in_their_own_colours():
    truth = scene_truth(
        PhantomSpec(
            preset="easy", chromogens=("fast_red", "dab"), markers=("IFNG", "IL15"), size_px=(1000, 800)
        )
    )
    assert set(truth.dots["marker"]) == {"IFNG", "IL15"}
    assert truth.stains["IFNG"] != truth.stains["IL15"]
    assert {"IFNG_copies", "IL15_copies"} <= set(truth.nuclei)


def test_blank_slides_hold_no_dot_and_rare_ones_no_background():
    assert scene_truth(PhantomSpec(preset="blank", size_px=(900, 700))).dots.empty
    rare = scene_truth(PhantomSpec(preset="rare", prevalence=0.02, size_px=(1200, 1000)))
    assert (rare.dots["nucleus_id"] > 0).all()


@pytest.mark.parametrize("state", ["normal", "inflamed"])
def test_skin_is_as_crowded_as_skin(state):
    counts, area = 0, 0.0
    for seed in range(3):
        truth = scene_truth(PhantomSpec(preset="easy", size_px=(1600, 1400), seed=seed, state=state))
        counts, area = counts + truth.nuclei["in_plane"].sum(), area + truth.area_mm2["viable"]
    assert 2_000 < counts / area < 9_000  # skin holds about 5,000 nuclei per mm2, fewer where not inflamed


def test_every_confounder_is_known_to_the_hard_preset():
    assert set(PhantomSpec(preset="hard").preset_numbers.confounders) == set(CONFOUNDERS)
