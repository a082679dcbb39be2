"""Negative controls of both groups correct the difference and say whether false cells could have made it."""

from __future__ import annotations

from typing import Any

import pandas as pd

from ishcount.report.blanks import remarks, with_blanks
from ishcount.stats.compare import compare_groups
from ishcount.stats.patients import patient_densities
from ishcount.stats.settings import StatisticsParams

SETTINGS = StatisticsParams(
    case="EM", control="normal", exact_limit=1000, n_permutations=999, n_bootstrap=2000, n_model_bootstrap=199
)


def compared(blank_em: list[float], blank_normal: list[float]) -> dict[str, Any]:
    targets = {"EM": [6.0, 9.0, 11.0, 14.0, 20.0, 25.0], "normal": [0.0, 0.5, 1.0, 1.0, 1.5, 2.0]}
    blanks = {"EM": blank_em, "normal": blank_normal}
    rows = [
        {"patient": f"{group}{i}", "group": group, "positive_per_mm2": value, "role": role, "marker": marker}
        for role, marker, groups in (("target", "IFNG", targets), ("negative_control", "dapB", blanks))
        for group, values in groups.items()
        for i, value in enumerate(values)
    ]
    table = pd.DataFrame(rows).assign(compartment="tissue", chromogen="fast_red")
    statistics = compare_groups(table, settings=SETTINGS)
    return with_blanks(statistics, patient_densities(table), table)[0]


def test_blanks_that_are_alike_leave_the_difference_and_rule_false_cells_out() -> None:
    found = compared([0.1, 0.2, 0.3], [0.1, 0.2, 0.3])
    assert found["blank_corrected"]["estimate"] == found["tests"]["permutation"]["estimate"]
    assert found["tipping_point"]["ruled_out_by_blanks"] is True


def test_blanks_that_hold_more_in_the_cases_take_their_share_off() -> None:
    found = compared([5.0, 6.0, 7.0], [0.0, 0.1, 0.2])
    lost = found["tests"]["permutation"]["estimate"] - found["blank_corrected"]["estimate"]
    assert lost == 6.0 - 0.1
    assert found["tipping_point"]["ruled_out_by_blanks"] is False


def test_without_blanks_of_both_groups_nothing_is_corrected() -> None:
    found = compared([0.1, 0.2], [])
    assert found["blank_corrected"]["estimate"] is None
    assert len(remarks(found)) == 1
    assert "not blanks enough of both groups" in remarks(found)[0]
