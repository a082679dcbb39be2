"""What `min_dots` changes: the comparison again at every number of copies, and at the one blanks ask for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from ishcount.report.printed import Column, Row, Table, as_limits, as_number, as_p
from ishcount.stats.means import describe
from ishcount.stats.patients import patient_densities
from ishcount.stats.permutation import permutation_test
from ishcount.stats.rates import rate_upper_limit
from ishcount.stats.settings import StatisticsParams
from ishcount.stats.wording import format_estimate, format_number, format_p
from ishcount.study.controls import NEGATIVE, TARGET, counts_by_copies

Key = tuple[str, str]  # batch and dye, empty where there is none


def copies_tried(
    densities: pd.DataFrame, statistics: Mapping[str, Any], *, min_dots: int, settings: StatisticsParams
) -> list[dict[str, Any]]:
    """One entry per marker compared in tissue and rule: what the primary answer would be.

    A rule is one number of copies for all slides, or (`by_batch`) what the blanks of each batch and dye ask
    for, the same for both groups. `is_used`: the rule of the answer itself. `is_derived`: the blanks' rule.
    `false_per_mm2` and `upper_limit` (95 %, one-sided, exact) are those of the blanks of the marker's dye.
    """
    rows = densities[densities["compartment"] == "tissue"]
    columns = counts_by_copies(min_dots)
    asked = _asked(statistics["controls"])
    found = []
    for comparison in statistics["comparisons"]:
        if comparison["compartment"] != "tissue" or comparison["control"] is None:
            continue
        targets = rows[(rows["marker"] == comparison["marker"]) & (rows["role"].fillna(TARGET) == TARGET)]
        dyes = set(targets["chromogen"].dropna().astype(str))
        blanks = rows[(rows["role"] == NEGATIVE) & rows["chromogen"].isin(dyes)]
        for rule, by_batch, is_derived in _rules(targets, asked, list(columns), min_dots):
            counted = _at(targets, rule, columns)
            if counted is not None:
                found.append({
                    "marker": comparison["marker"],
                    "min_dots": None if by_batch else next(iter(rule.values())),
                    "by_batch": by_batch,
                    "is_used": set(rule.values()) == {min_dots},
                    "is_derived": is_derived,
                    **_false(_at(blanks, _widened(rule, blanks), columns)),
                    **_answer(counted, comparison, settings),
                })  # fmt: skip
    return found


def _asked(controls: Sequence[Mapping[str, Any]]) -> dict[Key, int]:
    """Copies that the blanks of each batch and dye ask for, where they could say."""
    return {
        (entry["batch"] or "", entry["chromogen"] or ""): int(entry["min_dots"]["estimate"])
        for entry in controls
        if entry["role"] == "limits" and entry["min_dots"]["estimate"] is not None
    }


def _rules(
    targets: pd.DataFrame, asked: Mapping[Key, int], copies: Sequence[int], min_dots: int
) -> Iterator[tuple[dict[Key, int], dict[str, int], bool]]:
    """(batch and dye -> copies; that in words where it is no single number; whether blanks ask for it)."""
    keys = sorted(set(_keys(targets)))
    derived = {key: asked.get(key, min_dots) for key in keys}
    known = any(key in asked for key in keys)
    for number in copies:
        rule = dict.fromkeys(keys, number)
        yield rule, {}, known and rule == derived
    if known and len(set(derived.values())) > 1:
        yield derived, {" ".join(filter(None, key)) or "all": number for key, number in derived.items()}, True


def _keys(rows: pd.DataFrame) -> list[Key]:
    batch = rows["batch"] if "batch" in rows else pd.Series(None, index=rows.index, dtype="string")
    pairs = zip(batch.astype("string").fillna(""), rows["chromogen"].astype("string").fillna(""), strict=True)
    return [(str(batch), str(dye)) for batch, dye in pairs]


def _widened(rule: Mapping[Key, int], blanks: pd.DataFrame) -> dict[Key, int]:
    """The rule for blanks of batches without targets too: the strictest there is."""
    return {key: rule.get(key, max(rule.values())) for key in _keys(blanks)}


def _at(rows: pd.DataFrame, rule: Mapping[Key, int], columns: Mapping[int, str]) -> pd.DataFrame | None:
    """The rows counted by a rule; None where a column it needs was not counted."""
    counts = [row[columns[rule[key]]] for key, row in zip(_keys(rows), rows.to_dict("records"), strict=True)]
    measured = rows["n_positive"].notna().tolist()
    if any(known and pd.isna(count) for known, count in zip(measured, counts, strict=True)):
        return None
    counted = rows.assign(n_positive=pd.array(counts, dtype="Int64"))
    return counted.assign(positive_per_mm2=counted["n_positive"] / counted["area_mm2"])


def _false(blanks: pd.DataFrame | None) -> dict[str, float | None]:
    usable = None if blanks is None else blanks[blanks["n_positive"].notna() & (blanks["area_mm2"] > 0)]
    if usable is None or usable.empty:
        return {"false_per_mm2": None, "upper_limit": None}
    count, area = float(usable["n_positive"].sum()), float(usable["area_mm2"].sum())
    return {"false_per_mm2": count / area, "upper_limit": rate_upper_limit(count, area)}


def _answer(rows: pd.DataFrame, comparison: Mapping[str, Any], settings: StatisticsParams) -> dict[str, Any]:
    patients = patient_densities(rows)
    patients = patients[patients["pair"] != "during"].dropna(subset=["positive_per_mm2"])
    x, y = (
        sorted(patients.loc[patients["group"] == comparison[side], "positive_per_mm2"].tolist())
        for side in ("case", "control")
    )
    test = permutation_test(x, y, settings=settings)
    return {
        "mean_case": describe(x).get("mean"), "mean_control": describe(y).get("mean"),
        **{name: test[name] for name in ("estimate", "ci", "p", "reason")},
    }  # fmt: skip


def remarks(tried: Sequence[Mapping[str, Any]]) -> list[str]:
    """A sentence per marker for which blanks could say how many copies a positive cell should hold."""
    found = []
    for entry in tried:
        if not entry["is_derived"] or entry["estimate"] is None:
            continue
        answer = f"{format_estimate(entry['estimate'], entry['ci'])}, {format_p(entry['p'])}"
        if entry["is_used"]:
            found.append(f"{entry['marker']}: the blanks ask for the number of copies that was used.")
        else:
            found.append(
                f"{entry['marker']}: the blanks ask for {_rule_in_words(entry)} per positive cell; with that "
                f"the difference of means would be {answer}."
            )
    return found


def _rule_in_words(entry: Mapping[str, Any]) -> str:
    if entry["by_batch"]:
        return " and ".join(f"{number} copies in batch {name}" for name, number in entry["by_batch"].items())
    return f"{entry['min_dots']} {'copy' if entry['min_dots'] == 1 else 'copies'}"


def printed_copies(tried: Sequence[Mapping[str, Any]]) -> Table:
    """The entries as a table; the rule of the answer in bold."""
    names = (
        "Marker", "At least", "False per mm\u00b2", "Upper limit", "Mean case", "Mean control", "Difference",
        "95% CI", "P", "Remark",
    )  # fmt: skip
    rows = tuple(
        Row(
            (
                str(entry["marker"]),
                _rule_in_words(entry),
                as_number(entry["false_per_mm2"]),
                as_number(entry["upper_limit"]),
                as_number(entry["mean_case"]),
                as_number(entry["mean_control"]),
                as_number(entry["estimate"]),
                as_limits(*(entry["ci"] or (None, None))),
                as_p(entry["p"]),
                "; ".join(_said(entry)),
            ),
            is_primary=entry["is_used"],
        )
        for entry in tried
    )
    caption = (
        "The primary answer at other numbers of copies per positive cell (min_dots); in bold the one used. "
        "False cells per mm\u00b2 and their upper 95% limit are those of the negative controls."
    )
    return Table("Copies", tuple(Column(name, name in names[2:9]) for name in names), rows, caption)


def _said(entry: Mapping[str, Any]) -> Iterator[str]:
    if entry["is_used"]:
        yield "used"
    if entry["is_derived"]:
        yield "asked for by the blanks"
    if entry["reason"]:
        yield str(entry["reason"])


def stated_rate(controls: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """What blanks were asked, and what they could not say; empty without blanks."""
    limits = [entry for entry in controls if entry["role"] == "limits"]
    rates = [entry["min_dots"]["largest_false_per_mm2"] for entry in limits]
    silent = [str(entry["min_dots"]["reason"]) for entry in limits if entry["min_dots"]["estimate"] is None]
    if not rates:
        return ()
    asked = (
        "Blanks ask for the smallest number of copies that keeps false cells, upper 95% limit included, "
        f"within {format_number(max(rates))} per mm\u00b2, per batch and the same for every group."
    )
    many = f" for {len(silent)} of {len(limits)} batches and dyes" if len(limits) > 1 else ""
    return (asked, f"No number was derived{many}: {silent[0]}.") if silent else (asked,)
