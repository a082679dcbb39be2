"""Colours are found again, doubts are said."""

import numpy as np
import pytest

from ishcount.core.errors import SlideError
from ishcount.core.optical_density import LEVELS_PER_OD, separate, unmixing_tables
from ishcount.core.stain_model import REFERENCE, angle_deg, unit
from ishcount.core.units import PixelSize
from ishcount.steps.stains import StainParams, estimate_white, learn_stains, refuse_dark_field

PIXEL = PixelSize(0.25, 0.25)
WHITE = (243.0, 240.0, 238.0)


def picture(haematoxylin, chromogen, rng, *, size=512, n_dots=150, background=0.0):
    """A field of blurred nuclei and dots by Beer-Lambert's law."""
    y, x = np.mgrid[:size, :size]
    amount = np.zeros((2, size, size))
    for row, col in rng.uniform(0, size, (60, 2)):
        amount[0] += 0.5 * np.exp(-((((y - row) ** 2 + (x - col) ** 2) / 288) ** 2))
    for row, col in rng.uniform(0, size, (n_dots, 2)):
        near = np.s_[max(0, int(row) - 9) : int(row) + 10, max(0, int(col) - 9) : int(col) + 10]
        amount[1][near] += 0.7 * np.exp(-((y[near] - row) ** 2 + (x[near] - col) ** 2) / 8)
    od = np.einsum("s...,sc->...c", amount, np.stack([unit(haematoxylin), unit(chromogen)]))
    od += background * unit(chromogen)
    return np.clip(np.array(WHITE) * 10**-od + rng.normal(0, 1.5, od.shape), 0, 255).astype(np.uint8)


def turned(vector, toward, degrees):
    """`vector` turned by so many degrees towards another."""
    a, b = unit(vector), unit(toward)
    side = unit(b - (a @ b) * a)
    return np.cos(np.radians(degrees)) * a + np.sin(np.radians(degrees)) * side


@pytest.mark.parametrize("name", ["fast_red", "dab"])
@pytest.mark.parametrize("degrees", [-4, 0, 4])
def test_haematoxylin_is_found_within_two_degrees_wherever_it_lies(name, degrees):
    true = turned(REFERENCE["haematoxylin"], (0.3, 0.9, 0.3), degrees)
    model = learn_stains([picture(true, REFERENCE[name], np.random.default_rng(1))], WHITE, [name], PIXEL)
    assert angle_deg(model.vectors[0], true) < 2
    assert model.sources[0] == "measured"


@pytest.mark.parametrize("name", ["fast_red", "dab"])
def test_haematoxylin_is_found_under_the_dots_of_a_positive_control(name):
    true = REFERENCE["haematoxylin"]
    rgb = picture(true, REFERENCE[name], np.random.default_rng(8), n_dots=3000)
    model = learn_stains([rgb], WHITE, [name], PIXEL)
    assert angle_deg(model.vectors[0], true) < 4


def test_a_chromogen_is_drawn_half_way_to_its_reference():
    true = turned(REFERENCE["fast_red"], (0.2, 0.7, 0.7), 6)
    model = learn_stains(
        [picture(REFERENCE["haematoxylin"], true, np.random.default_rng(2))], WHITE, ["fast_red"], PIXEL
    )
    assert 1.5 < angle_deg(model.vectors[1], REFERENCE["fast_red"]) < 5


def test_without_chromogen_the_reference_stands_and_says_so():
    rgb = picture(REFERENCE["haematoxylin"], REFERENCE["dab"], np.random.default_rng(3), n_dots=0)
    model = learn_stains([rgb], WHITE, ["dab"], PIXEL)
    assert model.sources[1] == "reference"
    assert model.n_pixels[1] == 0
    assert angle_deg(model.vectors[1], REFERENCE["dab"]) < 1e-6


@pytest.mark.parametrize("name", ["fast_red", "dab"])
def test_auto_tells_red_from_brown(name):
    rgb = picture(REFERENCE["haematoxylin"], REFERENCE[name], np.random.default_rng(4))
    assert learn_stains([rgb], WHITE, ["auto"], PIXEL).names[1] == name


def test_auto_without_chromogen_fails_and_says_how_to_go_on():
    rgb = picture(REFERENCE["haematoxylin"], REFERENCE["dab"], np.random.default_rng(5), n_dots=0)
    with pytest.raises(SlideError, match="name it") as caught:
        learn_stains([rgb], WHITE, ["auto"], PIXEL)
    assert caught.value.code == "E_STAIN"


def test_a_diffuse_stain_is_called_a_mismatch():
    rgb = picture(REFERENCE["haematoxylin"], REFERENCE["fast_red"], np.random.default_rng(6), background=0.3)
    assert "H&E" in learn_stains([rgb], WHITE, ["fast_red"], PIXEL).mismatch
    rgb = picture(REFERENCE["haematoxylin"], REFERENCE["fast_red"], np.random.default_rng(6))
    assert learn_stains([rgb], WHITE, ["fast_red"], PIXEL).mismatch == ""


@pytest.mark.parametrize(("named", "drawn"), [("fast_red", "dab"), ("dab", "fast_red")])
def test_many_spots_of_another_chromogen_are_a_mismatch_and_few_are_not(named, drawn):
    rng = np.random.default_rng(8)
    crowded = [picture(REFERENCE["haematoxylin"], REFERENCE[drawn], rng) for _ in range(2)]
    few = picture(REFERENCE["haematoxylin"], REFERENCE[drawn], rng, size=1024, n_dots=10)
    assert f"look like {drawn}" in learn_stains(crowded, WHITE, [named], PIXEL).mismatch
    assert learn_stains([few], WHITE, [named], PIXEL).mismatch == ""


@pytest.mark.parametrize("named", ["aec", "dab"])
def test_a_dye_alike_in_colour_is_no_mismatch(named):
    rng = np.random.default_rng(8)
    windows = [picture(REFERENCE["haematoxylin"], REFERENCE["dab"], rng) for _ in range(2)]
    assert learn_stains(windows, WHITE, [named], PIXEL).mismatch == ""


def test_a_second_chromogen_on_a_slide_of_two_is_no_mismatch():
    rng = np.random.default_rng(8)
    windows = [picture(REFERENCE["haematoxylin"], REFERENCE["dab"], rng) for _ in range(2)]
    assert learn_stains(windows, WHITE, ["fast_red", "dab"], PIXEL).mismatch == ""


def test_a_tinted_background_alone_is_no_mismatch():
    rgb = picture(REFERENCE["haematoxylin"], REFERENCE["dab"], np.random.default_rng(9), background=0.15)
    assert learn_stains([rgb], WHITE, ["dab"], PIXEL).mismatch == ""


def test_a_fixed_vector_is_used_as_given():
    params = StainParams(vectors={"fast_red": (0.1, 0.9, 0.4)})
    model = learn_stains([], WHITE, ["fast_red"], PIXEL, params)
    assert model.sources == ("reference", "user")
    assert model.vectors[1] == pytest.approx(unit((0.1, 0.9, 0.4)))


def test_alike_stains_are_flagged():
    assert "fast_blue" in learn_stains([], WHITE, ["fast_blue"], PIXEL).ill_conditioned
    assert learn_stains([], WHITE, ["fast_red"], PIXEL).ill_conditioned == ""


def test_white_is_glass_where_there_is_glass():
    overview = np.full((100, 100, 3), 150, np.uint8)
    overview[:20] = (244, 243, 240)
    glass = overview[..., 0] == 244
    assert estimate_white(overview, glass) == ((244.0, 243.0, 240.0), "glass")
    assert estimate_white(overview, np.zeros_like(glass))[1] == "percentile"


def test_a_black_background_is_refused():
    with pytest.raises(SlideError, match="fluorescence"):
        refuse_dark_field(np.full((50, 50, 3), 8, np.uint8))
    refuse_dark_field(np.full((50, 50, 3), 90, np.uint8))


def test_unmixing_undoes_mixing():
    rows = np.stack([unit(REFERENCE["haematoxylin"]), unit(REFERENCE["dab"])])
    third = unit(np.cross(rows[0], rows[1]))
    amounts = np.random.default_rng(7).uniform(0, 0.8, (64, 64, 2))
    rgb = np.array(WHITE) * 10 ** -(amounts @ rows)
    planes = separate(np.rint(rgb).astype(np.uint8), unmixing_tables(WHITE, np.vstack([rows, third])))
    error = planes[:2] / LEVELS_PER_OD - np.moveaxis(amounts, -1, 0)
    assert (
        np.abs(error).max() < 0.06
    )  # one grey level at OD 1.3 in the darkest channel is 0.02 OD, unmixed thrice
    assert np.abs(error).mean() < 0.01
