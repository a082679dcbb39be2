"""Figures show every patient, keep zeros in sight, survive odd data and have the same bytes every time."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ishcount.report.agreement import write_agreement_figures
from ishcount.report.figures.agreement import draw_agreement
from ishcount.report.figures.drawn import Drawn, group_order, spread
from ishcount.report.figures.effects import draw_forest, draw_sensitivity, draw_tipping
from ishcount.report.figures.groups import draw_estimation, draw_groups, draw_pairs

RNG = np.random.default_rng(5)


def patients(em: list[float], normal: list[float], marker: str = "IFNG") -> pd.DataFrame:
    rows = [("EM", value) for value in em] + [("normal", value) for value in normal]
    table = pd.DataFrame(rows, columns=["group", "positive_per_mm2"])
    return table.assign(marker=marker, patient=[f"p{i}" for i in range(len(table))])


def comparison(low: float | None = 2.0, high: float | None = 14.0) -> dict:
    entry = {"estimate": 8.0, "ci": None if low is None and high is None else [low, high], "p": 0.004}
    return {
        "marker": "IFNG",
        "case": "EM",
        "control": "normal",
        "p_primary": 0.004,
        "tests": {
            "permutation": entry,
            "negative_binomial": {"rate_ratio": 9.0, "ci": [3.0, None], "unbounded": "high", "p": 0.01},
        },
        "effects": {
            "hedges_g": {"estimate": 1.1, "ci": [0.3, 2.0]},
            "cliffs_delta": {"estimate": None, "ci": None},
        },
    }


FULL = patients([0.0, 1.0, 5.0, 30.0], [0.0, 0.0, 0.5])
SENSITIVITY = pd.DataFrame(
    {
        "slide_id": ["a", "a", "b", "b"],
        "marker": "IFNG",
        "dot_cut": [0.5, 0.9, 0.5, 0.9],
        "min_dots": 1,
        "ownership": "expectation_maximisation",
        "n_positive": [9, 4, 1, 0],
        "positive_per_mm2": [9.0, 4.0, 1.0, 0.0],
    }
)
DRAWINGS: dict[str, Callable[[], Drawn | None]] = {
    "groups": lambda: draw_groups(FULL, [comparison()], case="EM", control="normal"),
    "no comparison": lambda: draw_groups(FULL, [], case=None, control=None),
    "all zero": lambda: draw_groups(patients([0.0, 0.0], [0.0]), [], case="EM", control="normal"),
    "one patient": lambda: draw_estimation(
        patients([3.0], [0.0]), comparison(None, None), case="EM", control="normal"
    ),
    "estimation": lambda: draw_estimation(FULL, comparison(), case="EM", control="normal"),
    "pairs": lambda: draw_pairs(pd.concat([FULL.assign(pair="before"), FULL.assign(pair="during")]), "IFNG"),
    "forest": lambda: draw_forest([comparison()]),
    "empty forest": lambda: draw_forest([]),
    "tipping": lambda: draw_tipping(comparison()),
    "sensitivity": lambda: draw_sensitivity(
        SENSITIVITY, {"a": "EM", "b": "normal"}, case="EM", control="normal", dot_cut=0.9
    ),
    "agreement": lambda: draw_agreement(
        [0, 1, 4, 9], [0, 2, 4, 8], name_a="tool", name_b="$reader$", marker="IFNG"
    ),
    "hostile names": lambda: draw_groups(
        FULL.replace({"group": {"EM": "$E_{M$\n<script>"}}).assign(marker="$\\x"), [], case=None, control=None
    ),
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_figure_has_the_same_bytes_every_time_and_no_date(name: str) -> None:
    first, second = DRAWINGS[name](), DRAWINGS[name]()
    assert first == second
    assert first.png.startswith(b"\x89PNG")
    assert not re.search(rb"<dc:date>|<script", first.svg)


def test_every_patient_is_a_dot() -> None:
    drawn = draw_groups(FULL, [], case="EM", control="normal")
    dots = re.findall(rb'<g id="PathCollection_\d+">.*?</g>\s*</g>', drawn.svg, re.S)
    assert sum(group.count(b"<use ") for group in dots) == len(FULL)


def test_without_an_interval_there_is_no_tipping_point() -> None:
    assert draw_tipping(comparison(None, None)) is None


def test_slides_that_are_no_targets_are_not_in_the_sensitivity_figure() -> None:
    assert draw_sensitivity(SENSITIVITY, {"c": "EM"}, case="EM", control="normal", dot_cut=0.9) is None


def test_control_comes_first_and_case_last() -> None:
    assert group_order(["EM", "zoster", "normal", "EM"], "EM", "normal") == ["normal", "zoster", "EM"]


def test_equal_values_do_not_hide_each_other() -> None:
    offsets = spread(np.zeros(7), height=10.0)
    assert len(np.unique(offsets)) == 7
    assert np.abs(offsets).max() <= 0.3


def test_agreement_is_drawn_for_markers_with_three_pairs(tmp_path: Path) -> None:
    pairs = [{"positive_per_mm2_a": a, "positive_per_mm2_b": a + 1.0} for a in (0.0, 4.0, 9.0)]
    found = {
        "measure": "positive_per_mm2",
        "markers": {"IFNG": {"pairs": pairs}, "IL15": {"pairs": pairs[:2]}},
    }
    assert [path.name for path in write_agreement_figures(found, tmp_path)] == ["agreement_IFNG.svg"]
    assert (tmp_path / "figures" / "agreement_IFNG.png").is_file()
