"""Could something else explain the difference? Covariates of the sample sheet against the groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from ishcount.stats.adjust import adjusted_difference, imbalance, leave_one_out
from ishcount.stats.settings import StatisticsParams

# What may travel with the group and change a count (architecture, section 3): staining and tissue first.
LABELS = ("batch", "run_date", "scanner", "site", "probe_lot")
NUMBERS = ("block_year", "section_um", "age")
MOST_LEFT_OUT = 8  # labels beyond which leaving one out changes too little to show


def confounding(
    patients: pd.DataFrame, densities: pd.DataFrame, statistics: Mapping[str, Any], settings: StatisticsParams
) -> list[dict[str, Any]]:
    """One entry per marker and known covariate: `imbalance` between the groups, the `adjusted` difference,
    for labels the primary test with each one `left_out`, and one of `points` per patient for the figure.

    `separates_groups`: no value occurs in both groups though patients share values: nothing can be adjusted.

    patients: as `stats.patients.patient_densities`. Only compartment tissue, and patients before treatment.
    """
    case, control = statistics["design"]["case"], statistics["design"]["control"]
    if control is None:
        return []
    known = _covariates(densities)
    found = []
    for comparison in statistics["comparisons"]:
        if comparison["compartment"] != "tissue":
            continue
        marker, measure = comparison["marker"], comparison["measure"]
        rows = patients[(patients["marker"] == marker) & (patients["compartment"] == "tissue")]
        rows = rows[(rows["pair"] != "during") & rows["group"].isin([case, control])].dropna(subset=[measure])
        for name, values in known.items():
            found.append(
                {"marker": marker, "covariate": name, **_check(rows, measure, case, name, values, settings)}
            )
    return found


def _covariates(densities: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """covariate -> patient -> value; the mean of numbers, labels joined where a patient has several."""
    targets = densities[densities["role"].fillna("target").isin(["target", ""])]
    found: dict[str, dict[str, Any]] = {}
    for name in (*LABELS, *NUMBERS):
        if name not in targets or targets[name].isna().all():
            continue
        rows = targets.dropna(subset=["patient", name])
        people = rows["patient"].astype(str)
        values: pd.Series[Any]
        if name in NUMBERS:
            values = pd.to_numeric(rows[name], errors="coerce").groupby(people).mean().dropna()
        else:
            values = rows[name].astype(str).groupby(people).agg(lambda texts: " / ".join(sorted(set(texts))))
        found[name] = {str(patient): value for patient, value in values.items()}
    return {name: values for name, values in found.items() if values}


def _check(
    rows: pd.DataFrame,
    measure: str,
    case: str,
    name: str,
    values: Mapping[str, Any],
    settings: StatisticsParams,
) -> dict[str, Any]:
    known = rows[rows["patient"].isin(list(values))]
    labels = [values[patient] for patient in known["patient"]]
    is_case = (known["group"] == case).tolist()
    entry: dict[str, Any] = {"n": len(known), "imbalance": imbalance(labels, is_case)}
    y = known[measure].tolist()
    sides = known["group"].astype(str).tolist()
    entry["points"] = [
        {"value": value, "density": density, "group": group}
        for value, density, group in zip(labels, y, sides, strict=True)
    ]
    entry["adjusted"] = adjusted_difference(y, is_case, {name: labels}, confidence=settings.confidence)
    ours, theirs = (
        {v for v, own in zip(labels, is_case, strict=True) if own == side} for side in (True, False)
    )
    entry["separates_groups"] = (
        not (ours & theirs) and 1 < len(ours | theirs) < len(labels) and name in LABELS
    )
    entry["left_out"] = []
    if name in LABELS and 2 <= len(set(labels)) <= MOST_LEFT_OUT:
        entry["left_out"] = leave_one_out(y, is_case, labels, settings=_coarser(settings))
    return entry


def _coarser(settings: StatisticsParams) -> StatisticsParams:
    """Fewer rearrangements: checks of many subsets may be less fine than the answer itself."""
    few = {
        "exact_limit": min(settings.exact_limit, 50_000),
        "n_permutations": min(settings.n_permutations, 9_999),
    }
    return settings.model_copy(update=few)


def warnings_of(checks: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Sentences about covariates that differ between the groups, each covariate once."""
    told = set()
    for check in checks:
        name = str(check["covariate"]).replace("_", " ")
        p = check["imbalance"]["p"]
        if name in told:
            continue
        if check["separates_groups"]:
            told.add(name)
            yield f"The groups differ entirely in {name}: whatever it does cannot be told from the disease."
        elif p is not None and p < 0.05:
            told.add(name)
            yield f"The groups differ in {name}: read the adjusted answers before believing the difference."


def rows_of(checks: Sequence[Mapping[str, Any]], marker: str) -> list[dict[str, Any]]:
    """`label, estimate, ci` of one marker: adjusted answers, then one label left out at a time."""
    found = []
    for check in checks:
        if check["marker"] != marker:
            continue
        name = str(check["covariate"]).replace("_", " ")
        found.append({"label": f"adjusted for {name}", **_numbers(check["adjusted"])})
        found += [
            {"label": f"without {name} {left['left_out']}", **_numbers(left)} for left in check["left_out"]
        ]
    return found


def _numbers(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: entry.get(key) for key in ("estimate", "ci", "p", "reason")}
