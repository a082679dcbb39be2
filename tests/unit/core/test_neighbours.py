"""What neighbours say is what a plain count over all pairs says."""

import numpy as np
import pytest

from ishcount.core.neighbours import (
    DARK_OD,
    MAX_LOGIT,
    NEIGHBOUR_NAMES,
    REACHES_UM,
    add_neighbours,
    neighbour_evidence,
)


def field(n, seed, side=200):
    rng = np.random.default_rng(seed)
    place = np.sort(rng.choice(side * side, n, replace=False))
    y, x = np.divmod(place, side)
    contrast = rng.uniform(0, 0.5, n).astype(np.float32)
    return x.astype(np.int32), y.astype(np.int32), contrast, rng.normal(0, 5, n)


def column(evidence, name, reach):
    return evidence[:, NEIGHBOUR_NAMES.index(f"{name}_{reach:g}um")]


@pytest.mark.parametrize("um_per_px", [0.25, 0.5])
def test_sums_over_neighbours_equal_those_over_all_pairs(um_per_px):
    x, y, contrast, logit = field(300, 1)
    evidence = neighbour_evidence(x, y, contrast, logit, um_per_px)
    logit = np.clip(logit, -MAX_LOGIT, MAX_LOGIT)
    distance = np.hypot(x[:, None] - x, y[:, None] - y) * um_per_px
    for reach in REACHES_UM:
        near = (distance <= reach) & ~np.eye(len(x), dtype=bool)
        n = near.sum(axis=1)
        assert (n > 0).any()
        np.testing.assert_array_equal(column(evidence, "n", reach), n)
        mean = np.where(n > 0, (near * logit).sum(axis=1) / np.maximum(n, 1), 0)
        np.testing.assert_allclose(column(evidence, "mean_logit", reach), mean, rtol=1e-5, atol=1e-5)
        highest = np.where(near, logit, -MAX_LOGIT).max(axis=1)
        np.testing.assert_allclose(column(evidence, "highest_logit", reach), highest, rtol=1e-6)
        score = 1 / (1 + np.exp(-logit))
        np.testing.assert_array_equal(column(evidence, "n_likely", reach), (near & (score > 0.7)).sum(axis=1))
        refused = near & (score < 0.3) & (contrast >= DARK_OD)
        np.testing.assert_array_equal(column(evidence, "n_dark_unlikely", reach), refused.sum(axis=1))


def test_a_part_of_the_field_with_its_surroundings_gives_the_same_bytes():
    x, y, contrast, logit = field(400, 2)
    whole = neighbour_evidence(x, y, contrast, logit, 0.25)
    reach = int(REACHES_UM[-1] / 0.25)
    part = (y >= 80 - reach) & (y <= 120 + reach) & (x >= 60 - reach) & (x <= 140 + reach)
    seen = neighbour_evidence(x[part], y[part], contrast[part], logit[part], 0.25)
    core = (y >= 80) & (y <= 120) & (x >= 60) & (x <= 140)
    assert core.sum() > 10
    assert whole[core].tobytes() == seen[core[part]].tobytes()


def test_no_candidates_give_no_rows():
    empty = np.zeros(0, np.int32)
    assert neighbour_evidence(empty, empty, np.zeros(0, np.float32), np.zeros(0), 0.25).shape == (
        0,
        len(NEIGHBOUR_NAMES),
    )


def test_means_beside_a_candidate_equal_those_over_all_pairs():
    """Columns: 0-3 are averaged near, 4-7 around (4 is the contrast); answers from 8 and 14."""
    x, y, contrast, _ = field(300, 3)
    rng = np.random.default_rng(4)
    table = np.zeros((len(x), 20), np.float32)
    table[:, :8] = rng.uniform(0, 1, (len(x), 8))
    table[:, 4] = contrast
    add_neighbours(y, x, 6.0, 24.0, DARK_OD, table, np.array([0, 1, 2, 3, 8]), np.array([4, 5, 6, 7, 14]))
    distance = np.hypot(x[:, None] - x, y[:, None] - y)
    other = ~np.eye(len(x), dtype=bool)
    near, around = (distance <= 6) & other, (distance <= 24) & other
    dark = around & (contrast >= DARK_OD)
    for place, chosen in ((8, (distance <= 3) & other), (9, near), (14, around), (15, dark)):
        assert chosen.any()
        np.testing.assert_array_equal(table[:, place], chosen.sum(axis=1))
    for chosen, columns, first in ((near, (0, 1, 2, 3), 10), (dark, (5, 6, 7, 4), 16)):
        mean = (chosen @ table[:, columns].astype(np.float64)) / np.maximum(chosen.sum(axis=1), 1)[:, None]
        np.testing.assert_allclose(table[:, first : first + 4], mean, rtol=1e-5, atol=1e-6)
