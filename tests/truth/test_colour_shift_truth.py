"""A drawn scanner that displaces red by nearly a pixel: found to be so, and no red rim becomes a cell."""

from __future__ import annotations

import numpy as np
import pytest

from ishcount.quantify import count_slide
from ishcount.truth.simulate.camera import draw_camera
from ishcount.truth.simulate.spec import PhantomSpec
from ishcount.truth.simulate.writer import write_phantom

pytestmark = pytest.mark.slow
DISPLACED = PhantomSpec(
    preset="medium", prevalence=0.0, background_per_mm2=0.0, chromogens=("fast_red",), state="inflamed",
    seed=8505, width_um=700, height_um=550,
)  # fmt: skip


def test_nuclei_of_a_displaced_scan_have_no_red_cells(tmp_path):
    true_px = draw_camera(DISPLACED).shift_um / DISPLACED.mpp_um
    assert np.abs(true_px).max() > 0.9
    slide = count_slide(write_phantom(DISPLACED, tmp_path, "one"), tmp_path, markers=["IFNG:fast_red"])
    found = slide.summary["qc"]["colour_shift_px"]
    assert (found["red_x_px"], found["red_y_px"]) == pytest.approx(tuple(true_px[0]), abs=0.15)
    assert (found["blue_x_px"], found["blue_y_px"]) == pytest.approx(tuple(true_px[2]), abs=0.15)
    assert slide.markers["IFNG"]["n_positive"] <= 2
