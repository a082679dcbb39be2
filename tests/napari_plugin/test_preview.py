"""Counting a view again with other parameters, on a slide of the sample study."""

import numpy as np
import pytest

from ishcount.core.errors import UsageError
from ishcount.params import Params
from ishcount.quantify import count_slide
from ishcount_napari.preview import changed_params, run_preview
from ishcount_napari.sample_data import sample_folder
from ishcount_napari.session import Session

VIEW_UM = (100.0, 100.0, 150.0, 150.0)


def finish(preview):
    """Blocks done at the end, and what came out."""
    done = (0, 0)
    while True:
        try:
            done = next(preview)
        except StopIteration as end:
            return done, end.value


@pytest.fixture(scope="module")
def counted(tmp_path_factory):
    image = sample_folder() / "EM-1_IFNG.tif"
    result = count_slide(image, tmp_path_factory.mktemp("preview"), markers=["IFNG:fast_red"])
    return Session(result, reviewer="AB", image=str(image))


@pytest.mark.slow
def test_the_same_parameters_find_what_the_result_has_in_the_view(counted):
    (done, total), found = finish(run_preview(counted, VIEW_UM, Params()))
    assert done == total > 0
    x, y, width, height = VIEW_UM
    positive = counted.result.cells[counted.result.cells["IFNG_positive"]]
    inside = positive["x_um"].between(x, x + width) & positive["y_um"].between(y, y + height)
    # Stains and thresholds are learned from the view alone, so the counts are alike, not equal.
    assert abs(len(found.xy_um) - inside.sum()) <= max(3, 0.3 * inside.sum())
    assert found.n_positive_before == inside.sum()


@pytest.mark.slow
def test_a_higher_cut_finds_no_more_and_nothing_is_kept(counted):
    before = sorted(counted.result.folder.rglob("*"))
    _, usual = finish(run_preview(counted, VIEW_UM, Params()))
    _, strict = finish(run_preview(counted, VIEW_UM, changed_params(Params(), "density.dot_cut = 0.99")))
    assert len(strict.xy_um) <= len(usual.xy_um)
    assert strict.n_cells == usual.n_cells
    assert sorted(counted.result.folder.rglob("*")) == before
    assert counted.log.entries == []
    assert np.all(strict.xy_um >= 0)


@pytest.mark.slow
def test_a_view_too_large_is_refused(counted):
    with pytest.raises(UsageError, match="zoom in first"):
        next(run_preview(counted, (0, 0, 9000, 9000), Params()))


def test_lines_of_toml_change_parameters():
    params = changed_params(Params(), "density.dot_cut = 0.8\ndensity.min_dots = 2")
    assert (params.density.dot_cut, params.density.min_dots) == (0.8, 2)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("density.dot_cut = 7", "dot_cut"),
        ("density.no_such = 1", "no_such"),
        ("nothing.here = 1", "nothing"),
        ("dot_cut 0.8", "no TOML"),
    ],
)
def test_lines_that_cannot_be_are_refused_and_named(lines, words):
    with pytest.raises(UsageError, match=words):
        changed_params(Params(), lines)
