"""Numbers are printed as a medical journal prints them."""

from __future__ import annotations

import math

import pytest

from ishcount.stats.wording import (
    format_estimate,
    format_interval,
    format_number,
    format_p,
    why_welch_differs,
)


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (0, "P<.001"),
        (1e-300, "P<.001"),
        (0.00049, "P<.001"),
        (0.0005, "P<.001"),
        (0.00099999, "P<.001"),
        (0.001, "P=.001"),
        (0.008077, "P=.008"),
        (0.0094, "P=.009"),
        (0.0095, "P=.01"),
        (0.00951, "P=.01"),
        (0.0139, "P=.01"),
        (0.0444, "P=.04"),
        (0.0449, "P=.045"),
        (0.0451, "P=.045"),
        (0.0494, "P=.049"),
        (0.0499, "P=.0499"),
        (0.049999, "P<.05"),
        (0.05, "P=.05"),
        (0.0501, "P=.05"),
        (0.0569, "P=.06"),
        (0.16, "P=.16"),
        (0.99, "P=.99"),
        (0.995, "P>.99"),
        (1, "P>.99"),
        (None, "P not computed"),
        (math.nan, "P not computed"),
    ],
)
def test_p_is_printed_the_jama_way(p: float | None, text: str) -> None:
    assert format_p(p) == text


@pytest.mark.parametrize(
    ("limits", "unbounded", "text"),
    [
        ([2.6, 14.84], None, "95% CI, 2.60-14.84"),
        ([-0.4698, 27.5], None, "95% CI, -0.47 to 27.50"),
        ([-0.001, 2.0], None, "95% CI, 0.00-2.00"),
        ([1.2, None], "high", "95% CI, 1.20 to infinity"),
        ([None, 1.2], "low", "95% CI, -infinity to 1.20"),
        (None, None, "95% CI not estimable"),
        ([1.0, None], None, "95% CI not estimable"),
    ],
)
def test_interval_has_a_hyphen_unless_a_limit_is_negative_or_infinite(
    limits: list[float | None] | None, unbounded: str | None, text: str
) -> None:
    assert format_interval(limits, unbounded=unbounded) == text


def test_halves_are_rounded_up_as_a_reader_would() -> None:
    assert [format_number(value) for value in (0.125, 2.675, 0.145, -0.004, None)] == [
        "0.13",
        "2.68",
        "0.15",
        "0.00",
        "not estimable",
    ]


def test_an_estimate_carries_its_interval() -> None:
    assert format_estimate(8.72, [2.6, 14.84]) == "8.72 (95% CI, 2.60-14.84)"
    assert format_estimate(8.72, [2.6, 14.84], confidence=0.9) == "8.72 (90% CI, 2.60-14.84)"


def test_nothing_is_explained_when_student_and_welch_print_alike() -> None:
    tests = {"student": {"p": 0.021, "df": 22.0}, "welch": {"p": 0.0212, "df": 21.9}}
    assert why_welch_differs({"tests": tests, "marker": "IFNG"}) == ""
