"""What was fixed beforehand is compared with what was done, and every difference is printed."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from ishcount.params import make_params, protocol_digest
from ishcount.report.protocol import deviations

PARAMS = make_params({"density": {"dot_cut": 0.9, "min_dots": 1}}).model_dump(mode="json")
DENSITIES = pd.DataFrame(
    {
        "slide_id": ["a", "b"],
        "compartment": "tissue",
        "role": "target",
        "positive_per_mm2": [1.0, None],
    }
)
STATISTICS = {"comparisons": [{"marker": "IFNG", "primary": "permutation"}]}


@pytest.mark.parametrize(
    ("protocol", "words"),
    [
        ({"cut": 0.97}, "cut is 0.97 in the protocol and 0.9 was used"),
        ({"min_dots": 2}, "min_dots is 2 in the protocol and 1 was used"),
        ({"area": "viable"}, "area is viable in the protocol and tissue was used"),
        ({"primary_marker": "IL15"}, "compared were IFNG"),
        ({"compartment": "dermis"}, "the primary family is in tissue"),
        ({"test": "welch"}, "the primary test was permutation"),
        ({"exclusions": ["a", "b"]}, "counted all the same: a"),
        ({"exclusions": []}, "did not leave them out: b"),
        ({"weather": "fine"}, "weather = fine was not checked"),
    ],
)
def test_a_departure_from_the_protocol_is_said(protocol: dict[str, Any], words: str) -> None:
    found = deviations(protocol, PARAMS, STATISTICS, DENSITIES)
    assert len(found) == 1
    assert words in found[0]


def test_an_analysis_as_planned_has_no_deviation() -> None:
    protocol = {"cut": 0.9, "min_dots": 1, "area": "tissue", "primary_marker": "IFNG", "test": "permutation"}
    protocol |= {"exclusions": ["b"], "blinding": "readers did not know the group", "compartment": "tissue"}
    assert deviations(protocol, PARAMS, STATISTICS, DENSITIES) == []


def test_the_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert protocol_digest({"a": 1, "b": [2]}) == protocol_digest({"b": [2], "a": 1})
    assert protocol_digest({"a": 1}) != protocol_digest({"a": 2})
    assert protocol_digest({}) == ""


@pytest.mark.parametrize(
    ("then", "now", "words"),
    [
        (None, {"cut": 0.9}, "1 of 1 slides were counted under no protocol; "),
        ("0123456789abcdef", {"cut": 0.9}, "under the protocol 0123456789abcdef; "),
        ("0123456789abcdef", {}, "under the protocol 0123456789abcdef; none is in force now."),
    ],
)
def test_a_protocol_that_came_after_the_counting_is_said(
    then: str | None, now: dict[str, Any], words: str
) -> None:
    found = deviations(now, PARAMS, STATISTICS, DENSITIES.assign(protocol_digest=then))
    assert len(found) == 1
    assert words in found[0]


def test_slides_counted_under_the_protocol_in_force_are_no_deviation() -> None:
    protocol = {"cut": 0.9}
    table = DENSITIES.assign(protocol_digest=protocol_digest(protocol))
    assert deviations(protocol, PARAMS, STATISTICS, table) == []
    assert deviations({}, PARAMS, STATISTICS, DENSITIES.assign(protocol_digest=None)) == []
