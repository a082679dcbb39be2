"""What was fixed beforehand is compared with what was done, and every difference is printed."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from ishcount.params import make_params
from ishcount.report.protocol import deviations, protocol_digest

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
