"""The one function that counts, against counts made by hand."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ishcount.core.decisions import AddedCell, Call, Decisions
from ishcount.core.tables import CELLS_PER_MARKER
from ishcount.steps.density import (
    copy_score,
    densities_from_tables,
    expected_false,
    garwood,
    prevalence_calibrated,
)


def tables(owners, scores, copies, n_cells, *, marker="IFNG", compartments=None):
    best = copy_score(owners, scores, copies, n_cells, 1)
    cells = pd.DataFrame(
        {
            "cell_id": np.arange(1, n_cells + 1, dtype=np.uint32),
            "compartment": compartments or ["dermis"] * n_cells,
            **{f"{marker}_{name}": np.zeros(n_cells, kind) for name, kind in CELLS_PER_MARKER.items()},
        }
    )
    cells[f"{marker}_score"] = best
    dots = pd.DataFrame(
        {"marker": marker, "cell_id": np.array(owners, np.uint32), "score": np.array(scores, np.float32),
         "n_copies": np.array(copies, np.uint16)}
    )  # fmt: skip
    return cells, dots


def regions(**areas):
    return pd.DataFrame(
        [
            {
                "compartment": name,
                "area_mm2": area,
                "area_low_mm2": area,
                "area_high_mm2": area,
                "outline_mm2": area,
            }
            for name, area in areas.items()
        ]
    )


def test_counts_and_densities_are_those_on_paper():
    cells, dots = tables([1, 1, 2, 3, 0], [0.99, 0.95, 0.95, 0.5, 0.99], [1, 1, 4, 1, 2], 5)
    row = densities_from_tables(cells, dots, regions(tissue=2.0), cut=0.9, min_dots=1).iloc[0]
    assert (row["n_cells"], row["n_positive"], row["n_positive_2"], row["n_positive_3"]) == (5, 2, 2, 1)
    assert row["positive_per_mm2"] == 1.0
    assert (row["n_copies"], row["n_copies_outside_cells"]) == (6, 2)
    assert [row[f"score_{k}"] for k in range(5)] == [3, 1, 1, 0, 0]
    assert row["h_score"] == pytest.approx(100 * (1 + 2) / 5)
    assert (row["ci_low"], row["ci_high"]) == pytest.approx(garwood(2, 2.0))


def test_no_area_means_no_density_but_no_positive_means_zero():
    cells, dots = tables([], [], [], 0)
    nothing = densities_from_tables(cells, dots, regions(tissue=0.0), cut=0.9, min_dots=1).iloc[0]
    assert np.isnan(nothing["positive_per_mm2"])
    assert nothing["n_positive"] == 0
    cells, dots = tables([], [], [], 3)
    none = densities_from_tables(cells, dots, regions(tissue=1.0), cut=0.9, min_dots=1).iloc[0]
    assert none["positive_per_mm2"] == 0
    assert none["ci_low"] == 0
    assert none["ci_high"] == pytest.approx(3.689, abs=1e-3)  # the rule of three's exact form


@given(
    st.lists(st.tuples(st.integers(0, 6), st.floats(0, 1, width=32), st.integers(1, 5)), max_size=40),
    st.floats(0.015625, 1, width=32),
    st.integers(1, 4),
)
def test_a_cell_is_positive_exactly_when_its_copy_score_reaches_the_cut(dots, cut, min_dots):
    owners, scores, copies = ([d[i] for d in dots] for i in range(3))
    score = copy_score(owners, scores, copies, 6, min_dots)
    for cell in range(1, 7):
        held = sum(c for o, s, c in dots if o == cell and np.float32(s) >= np.float32(cut))
        assert (score[cell - 1] >= np.float32(cut)) == (held >= min_dots)


def test_a_higher_cut_or_more_copies_never_finds_more(rng):
    owners, scores, copies = rng.integers(0, 50, 400), rng.uniform(0, 1, 400), rng.integers(1, 4, 400)
    cells, dots = tables(owners, scores, copies, 50)
    counts = [
        [
            densities_from_tables(cells, dots, regions(tissue=1.0), cut=cut, min_dots=k)["n_positive"][0]
            for cut in (0.5, 0.8, 0.95)
        ]
        for k in (1, 2, 3)
    ]
    assert np.all(np.diff(counts, axis=0) <= 0)
    assert np.all(np.diff(counts, axis=1) <= 0)


def test_compartments_split_the_count():
    cells, dots = tables(
        [1, 3], [1, 1], [1, 1], 4, compartments=["epidermis", "dermis", "dermis", "stratum_corneum"]
    )
    rows = densities_from_tables(
        cells, dots, regions(tissue=1.0, viable=0.9, epidermis=0.2, dermis=0.7), cut=0.9, min_dots=1
    ).set_index("compartment")
    assert rows["n_cells"].to_dict() == {"tissue": 4, "viable": 3, "epidermis": 1, "dermis": 2}
    assert rows["n_positive"].to_dict() == {"tissue": 2, "viable": 2, "epidermis": 1, "dermis": 1}


def test_a_reader_adds_removes_and_excludes():
    cells, dots = tables([1, 2], [1, 1], [1, 1], 4)
    decisions = Decisions(
        calls={"IFNG": {1: Call.NEGATIVE, 3: Call.POSITIVE}},
        excluded=frozenset({2}),
        added=(AddedCell(id="M:1", x_um=0, y_um=0, compartment="dermis", positive=frozenset({"IFNG"})),),
        area_change_mm2={"tissue": -0.5},
    )
    row = densities_from_tables(
        cells, dots, regions(tissue=1.0), cut=0.9, min_dots=1, decisions=decisions
    ).iloc[0]
    assert (row["n_cells"], row["n_positive"]) == (4, 2)
    assert row["positive_per_mm2"] == 4.0


def with_places(cells, rng, side_mm):
    return cells.assign(
        **dict(zip(("x_um", "y_um"), rng.uniform(0, side_mm * 1000, (2, len(cells))), strict=True))
    )


def squares(side_mm):
    row, column = (index.ravel() for index in np.indices((2 * side_mm, 2 * side_mm)))
    return pd.DataFrame({"compartment": "tissue", "row": row, "column": column, "area_mm2": 0.25})


def test_with_blocks_the_interval_is_about_another_section(rng):
    cells, dots = tables(np.arange(1, 121), np.ones(120), np.ones(120, int), 400)
    cells = with_places(cells, rng, 4)
    row = densities_from_tables(
        cells, dots, regions(tissue=16.0), cut=0.9, min_dots=1, blocks=squares(4)
    ).iloc[0]
    assert row["ci_method"].startswith("moving-block bootstrap")
    assert row["ci_low"] < row["positive_per_mm2"] < row["ci_high"]


def test_what_cannot_be_estimated_is_missing_and_says_what_poisson_would(rng):
    cells, dots = tables([1, 2], [1, 1], [1, 1], 40)
    row = densities_from_tables(
        with_places(cells, rng, 4), dots, regions(tissue=16.0), cut=0.9, min_dots=1, blocks=squares(4)
    ).iloc[0]
    assert np.isnan(row["ci_low"])
    low, high = garwood(2, 16.0)
    assert f"{low:.3g} to {high:.3g} if cells lay at random" in row["ci_method"]


def test_an_area_cut_by_a_reader_moves_the_limits_with_the_density(rng):
    cells, dots = tables(np.arange(1, 121), np.ones(120), np.ones(120, int), 120)
    cells, asked = with_places(cells, rng, 4), {"cut": 0.9, "min_dots": 1, "blocks": squares(4)}
    before = densities_from_tables(cells, dots, regions(tissue=16.0), **asked).iloc[0]
    halved = Decisions(area_change_mm2={"tissue": -8.0})
    after = densities_from_tables(cells, dots, regions(tissue=16.0), decisions=halved, **asked).iloc[0]
    assert after["ci_high"] == pytest.approx(2 * before["ci_high"])


def test_co_positive_cells_are_a_row_of_their_own():
    cells, dots = tables([1, 2], [1, 1], [1, 1], 3, marker="IL15")
    more, others = tables([2, 3], [1, 1], [1, 1], 3, marker="IFNG")
    both = cells.join(more.filter(like="IFNG"))
    rows = densities_from_tables(both, pd.concat([dots, others]), regions(tissue=1.0), cut=0.9, min_dots=1)
    assert rows["marker"].tolist() == ["IL15", "IFNG", "IFNG+IL15"]
    assert rows["n_positive"].tolist() == [2, 2, 1]


def test_prevalence_is_found_again_from_calibrated_scores(rng):
    training, true, n = 0.2, 0.01, 200_000
    positive = rng.uniform(size=n) < true
    evidence = rng.normal(np.where(positive, 2.5, -2.5), 1.6)
    odds = training / (1 - training) * np.exp(evidence * 2 * 2.5 / 1.6**2)
    score = odds / (1 + odds)
    assert prevalence_calibrated(score, training) == pytest.approx(positive.sum(), rel=0.1)
    assert score.sum() > 1.5 * positive.sum()  # the plain sum of scores would not do
    assert prevalence_calibrated(np.zeros(10), 0.2) == pytest.approx(0, abs=1e-6)
    likelihood = np.log(score / (1 - score)) - np.log(training / (1 - training))
    blunt = 1 / (1 + np.exp(-(likelihood / 1.2 + np.log(training / (1 - training)))))
    assert prevalence_calibrated(blunt, training, 1.2) == pytest.approx(positive.sum(), rel=0.1)
    assert prevalence_calibrated(blunt, training) < 0.9 * positive.sum()
    called = score >= 0.9
    assert expected_false(score, called, training) == pytest.approx((called & ~positive).sum(), rel=0.15)
    assert (1 - score)[called].sum() < 0.7 * (called & ~positive).sum()  # nor would this


def test_on_a_blank_nearly_every_called_cell_is_expected_to_be_false(rng):
    score = np.clip(rng.beta(0.3, 8, 5_000), 0, 0.999)
    score[:3] = 0.92
    assert expected_false(score, score >= 0.9, 0.15) > 2


@pytest.mark.parametrize("count", [0, 1, 7, 300])
def test_garwood_is_the_exact_poisson_interval(count):
    from scipy.stats import poisson

    low, high = garwood(count, 2.0)
    assert poisson.sf(count - 1, low * 2) == pytest.approx(0.025 if count else 1.0)
    assert poisson.cdf(count, high * 2) == pytest.approx(0.025)
