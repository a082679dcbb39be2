import pytest

from ishcount.core.errors import UsageError
from ishcount.truth.simulate.spec import PhantomSpec


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"preset": "harder"}, "easy"),
        ({"chromogens": ("eosin",)}, "fast_red"),
        ({"confounders": frozenset({"ink"})}, "pen"),
        ({"markers": ("IFNG", "IL15")}, "2 markers"),
        ({"mpp_um": 0.0}, "mpp_um"),
        ({"prevalence": 1.5}, "prevalence"),
        ({"size_px": (50, 50)}, "100"),
        ({"subsampling": "411"}, "420"),
    ],
)
def test_a_spec_that_cannot_be_drawn_is_refused_with_what_to_give(wrong, says):
    with pytest.raises(UsageError, match=says):
        PhantomSpec(**wrong)


def test_confounders_named_are_exactly_those_drawn_and_in_plenty():
    numbers = PhantomSpec(preset="medium", confounders=frozenset({"haze"})).preset_numbers
    assert numbers.confounders == {"haze": 1.0}


def test_the_spec_s_own_numbers_win_over_the_preset_s():
    numbers = PhantomSpec(preset="hard", prevalence=0.01, blur_um=0.3, jpeg_quality=99).preset_numbers
    assert (numbers.prevalence, numbers.blur_um, numbers.jpeg_quality) == (0.01, 0.3, 99)


def test_size_is_the_same_in_every_way_of_giving_it():
    given = [
        PhantomSpec(size_px=(2400, 2000)), PhantomSpec(width_um=600, height_um=500),
    ]  # fmt: skip
    assert {spec.shape_px for spec in given} == {(2400, 2000)}
