"""The protocol fixed before the groups were read, its digest, and where the analysis departs from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from ishcount.params import protocol_digest

# [protocol] key -> dotted name of the parameter that must agree with it
_PARAMETERS = {
    "cut": "density.dot_cut",
    "dot_cut": "density.dot_cut",
    "min_dots": "density.min_dots",
    "area": "density.primary_area",
    "case": "statistics.case",
    "control": "statistics.control",
}
_PROSE = ("blinding", "exclusion_rules", "note")  # said in the report; nothing to check


def deviations(
    protocol: Mapping[str, Any],
    params: Mapping[str, Any],
    statistics: Mapping[str, Any] | None,
    densities: pd.DataFrame,
) -> list[str]:
    """Sentences: what the analysis did that the protocol did not say. A key we cannot check is named too."""
    found = [
        *_of_time(protocol, densities),
        *_of_parameters(protocol, params),
        *_of_exclusions(protocol, densities),
    ]
    comparisons = list(statistics["comparisons"]) if statistics else []
    markers = sorted({str(c["marker"]) for c in comparisons})
    primary = protocol.get("primary_marker")
    if primary is not None and statistics and not set(_listed(primary)) <= set(markers):
        found.append(
            f"The primary marker is {_said(primary)} in the protocol; compared were {', '.join(markers)}."
        )
    compartment = protocol.get("compartment")
    if compartment not in (None, "tissue"):
        found.append(
            f"The compartment is {_said(compartment)} in the protocol; the primary family is in tissue."
        )
    tests = sorted({str(c["primary"]) for c in comparisons})
    if protocol.get("test") is not None and tests and not set(tests) <= set(_listed(protocol["test"])):
        found.append(
            f"The test is {_said(protocol['test'])} in the protocol; the primary test was {', '.join(tests)}."
        )
    checked = {*_PARAMETERS, *_PROSE, "primary_marker", "compartment", "test", "exclusions"}
    found += [
        f"{key} = {_said(value)} was not checked." for key, value in protocol.items() if key not in checked
    ]
    return found


def _of_time(protocol: Mapping[str, Any], densities: pd.DataFrame) -> Iterator[str]:
    """Slides that were counted under another protocol, or under none."""
    if "protocol_digest" not in densities:
        return
    counted = densities[densities["positive_per_mm2"].notna()].drop_duplicates("slide_id")
    now = protocol_digest(protocol)
    for digest, slides in counted.groupby(counted["protocol_digest"].fillna("").astype(str)):
        if digest != now:
            then = f"the protocol {digest}" if digest else "no protocol"
            yield (
                f"{len(slides)} of {len(counted)} slides were counted under {then}; "
                f"{now or 'none'} is in force now."
            )


def _of_parameters(protocol: Mapping[str, Any], params: Mapping[str, Any]) -> Iterator[str]:
    for key, name in _PARAMETERS.items():
        if key not in protocol:
            continue
        section, field = name.split(".")
        used = params[section][field]
        if used != protocol[key]:
            yield f"{key} is {_said(protocol[key])} in the protocol and {_said(used)} was used ({name})."


def _of_exclusions(protocol: Mapping[str, Any], densities: pd.DataFrame) -> Iterator[str]:
    """Slides that were to be left out and count, and slides that do not count though none said so."""
    if "exclusions" not in protocol:
        return
    planned = set(_listed(protocol["exclusions"]))
    tissue = densities[
        (densities["compartment"] == "tissue") & (densities["role"].fillna("target") == "target")
    ]
    counted = set(tissue.loc[tissue["positive_per_mm2"].notna(), "slide_id"].dropna().astype(str))
    missing = set(tissue["slide_id"].dropna().astype(str)) - counted
    if planned & counted:
        yield f"Left out by the protocol and counted all the same: {', '.join(sorted(planned & counted))}."
    if lost := sorted(missing - planned):
        yield f"Without a density though the protocol did not leave them out: {', '.join(lost)}."


def _listed(value: Any) -> Sequence[str]:
    return [str(item) for item in value] if isinstance(value, (list, tuple)) else [str(value)]


def _said(value: Any) -> str:
    return ", ".join(_listed(value))
