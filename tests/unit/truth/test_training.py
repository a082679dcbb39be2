"""What the judges of dots learn from, and how they are judged."""

import numpy as np
import pytest

from ishcount.truth.training.canvas import SIZE_PX, Canvas
from ishcount.truth.training.confounders import add_confounders
from ishcount.truth.training.fit import reliability
from ishcount.truth.training.imaginary_slide import draw_slide


def test_reliability_lets_a_slide_of_many_candidates_weigh_as_much_as_one_of_few():
    many, few = np.ones(9_000, np.int8), np.zeros(100, np.int8)
    label = np.concatenate([many, few])
    weight = np.concatenate([np.full(len(many), 1 / len(many)), np.full(len(few), 1 / len(few))])
    (row,) = reliability(np.full(len(label), 0.75), label, weight)
    assert row["n"] == 9_100
    assert row["dots"] == pytest.approx(0.5)


def test_half_of_the_lumps_of_chromogen_lie_at_nuclei():
    middle, radius = SIZE_PX / 2, 4.0
    at_nucleus = lumps = 0
    for seed in range(24):
        rng = np.random.default_rng(seed)
        draw = draw_slide(rng, "fast_red", 0.25)
        draw.strength["confounders"] = 2.0
        canvas = Canvas(draw, rng)
        add_confounders(canvas, [(middle, middle, radius)])
        for name, x, y, _ in canvas.others:
            if name == "size":
                lumps += 1
                at_nucleus += np.hypot(x - middle, y - middle) < 4 * radius / draw.mpp_um
    assert lumps > 50
    assert 0.4 < at_nucleus / lumps < 0.6
