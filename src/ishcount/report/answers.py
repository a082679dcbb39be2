"""The answer in words: what the figures and tables of a study come to, with every doubt that touches it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ishcount.core.flags import MEANING, Flag
from ishcount.report.confounding import warnings_of
from ishcount.report.names import in_words
from ishcount.report.protocol import deviations
from ishcount.stats.wording import format_estimate, format_interval, format_number, format_p

_FATAL_FLAGS = (
    Flag.STAIN_MISMATCH, Flag.CONTROL_MISSING, Flag.CONTROL_FAILED, Flag.FALSE_COUNT_NOT_SMALL,
    Flag.DENSE_STAIN, Flag.PIGMENT_OR_DOTS,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Answer:
    """One marker's result. `finding` is a headline, `sentences` say it with all numbers."""

    marker: str
    finding: str
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Doubt:
    """Something a reader must know before believing a number. `level`: `stop`, `care` or `note`."""

    level: str
    text: str


def answers(statistics: Mapping[str, Any] | None) -> list[Answer]:
    """One answer per marker in `tissue`; empty without statistics."""
    if not statistics:
        return []
    return [_answer(c) for c in statistics["comparisons"] if c["compartment"] == "tissue"]


def _answer(comparison: Mapping[str, Any]) -> Answer:
    marker, case, control = (str(comparison[name]) for name in ("marker", "case", "control"))
    measure = in_words(comparison["measure"])
    groups = [_group(comparison, "case", case)]
    if comparison["control"] is None:
        return _one_group(comparison, f"Mean {measure}: {groups[0]}.")
    groups.append(_group(comparison, "control", control))
    test = comparison["tests"][comparison["primary"]]
    sentences = [f"Mean {measure}: {groups[0]}; {groups[1]}."]
    if test["p"] is None:
        sentences.append(f"The primary test could not be done: {test['reason']}.")
        return Answer(marker, f"{marker}: no test possible", (*sentences, *_beside(comparison)))
    holm = comparison["p_holm"]
    adjusted = (
        f"; Holm-adjusted over markers, {format_p(holm)}" if holm is not None and holm != test["p"] else ""
    )
    sentences.append(
        f"Difference of means ({case} minus {control}): {format_estimate(test['estimate'], test['ci'])}, "
        f"{format_p(test['p'])}{adjusted} ({in_words(comparison['primary'])}, the primary test)."
    )
    return Answer(marker, _finding(comparison, test), (*sentences, *_beside(comparison)))


def _one_group(comparison: Mapping[str, Any], mean: str) -> Answer:
    """The change within patients, where rows before and during treatment allow it."""
    marker, test = str(comparison["marker"]), comparison["tests"].get("sign_flip") or {}
    if not test.get("n_pairs"):
        return Answer(marker, f"{marker}: one group, nothing to compare", (mean,))
    sentences = (mean, *_beside(comparison))
    if test["p"] is None:
        return Answer(marker, f"{marker}: no test possible", sentences)
    told = "no change shown between before and during treatment"
    if test["p"] < 0.05:
        told = f"{'more' if test['estimate'] > 0 else 'fewer'} positive cells during than before treatment"
    return Answer(marker, f"{marker}: {told} ({format_p(test['p'])})", sentences)


def _beside(comparison: Mapping[str, Any]) -> list[str]:
    """What stands beside two groups: pairs within patients, and further groups."""
    tests, found = comparison["tests"], []
    change = tests.get("sign_flip") or {}
    if change.get("n_pairs"):
        told = f"Within patients (during minus before, {change['n_pairs']} pairs)"
        if change["p"] is None:
            found.append(f"{told}: no test possible, {change['reason']}.")
        else:
            mean = format_estimate(change["estimate"], change["ci"])
            found.append(f"{told}: mean change {mean}, {format_p(change['p'])} ({in_words('sign_flip')}).")
    anova, ranks = (tests.get(name) or {} for name in ("welch_anova", "kruskal"))
    if anova.get("groups"):
        found.append(
            f"All {len(anova['groups'])} groups: {in_words('welch_anova')}, {format_p(anova['p'])}; "
            f"{in_words('kruskal')}, {format_p(ranks['p'])}; every pair is in the table."
        )
    return found


def _group(comparison: Mapping[str, Any], side: str, name: str) -> str:
    n, zeros = comparison[f"n_{side}"], comparison[f"n_zero_{side}"]
    mean = format_estimate(comparison[f"mean_{side}"], comparison[f"mean_{side}_ci"])
    median = format_number(comparison[f"median_{side}"])
    limits = comparison.get(f"iqr_{side}")
    quartiles = format_interval(limits).removeprefix("95% CI, ") if limits else ""
    spread = f" (IQR, {quartiles})" if n > 1 and quartiles else ""
    people = f"{n} patient{'' if n == 1 else 's'}"
    return f"{name} {mean}, median {median}{spread} (n = {people}, {zeros} at 0)"


def _finding(comparison: Mapping[str, Any], test: Mapping[str, Any]) -> str:
    marker, case, control = comparison["marker"], comparison["case"], comparison["control"]
    p = comparison["p_holm"] if comparison["p_holm"] is not None else test["p"]
    if p < 0.05:
        side = "more" if test["estimate"] > 0 else "fewer"
        return f"{marker}: {side} positive cells in {case} than in {control} ({format_p(p)})"
    return f"{marker}: no difference shown between {case} and {control} ({format_p(p)})"


def doubts(
    densities: pd.DataFrame, statistics: Mapping[str, Any] | None, *, params: Mapping[str, Any]
) -> list[Doubt]:
    """What touches the answer: failed slides, flags, controls, review, small groups, no protocol."""
    tissue = densities[densities["compartment"] == "tissue"]
    if tissue["slide_id"].isna().all():
        text = "The densities were made elsewhere: nothing here checks how cells were counted."
        return _sorted([Doubt("care", text), *_of_comparison(statistics)])
    found = [*_slides_lost(tissue), *_flagged(tissue)]
    found += _of_comparison(statistics)
    told = any(MEANING[Flag.CONTROL_MISSING][1:] in doubt.text for doubt in found)
    if not told and not (tissue["role"] == "negative_control").any():
        found.append(
            Doubt(
                "stop",
                "No negative control is in the study: nothing here shows how many positive cells a "
                "slide without target would have.",
            )
        )
    if not tissue["reviewed"].fillna(False).any():
        found.append(Doubt("care", "No slide was reviewed by a person: all counts are automatic."))
    protocol = params["protocol"]
    found += [
        Doubt("care", f"Deviation: {text}") for text in deviations(protocol, params, statistics, densities)
    ]
    if statistics and not protocol:
        found.append(
            Doubt(
                "note",
                "No protocol was fixed before the groups were read ([protocol] in the parameters): take "
                "P values as exploratory.",
            )
        )
    return _sorted(found)


def _sorted(found: Sequence[Doubt]) -> list[Doubt]:
    order = {"stop": 0, "care": 1, "note": 2}
    return sorted(found, key=lambda doubt: order[doubt.level])


def _of_comparison(statistics: Mapping[str, Any] | None) -> list[Doubt]:
    """Small groups, rows and patients that are in no number, covariates that travel with the group."""
    if not statistics:
        return []
    warned = [Doubt("stop", text) for text in warnings_of(statistics.get("confounding") or [])]
    warned += [
        Doubt("stop", f"Control {entry['slide_id']} did not pass: {entry['reason']}.")
        for entry in statistics.get("controls") or []
        if entry["role"] != "limits" and not entry["passed"]
    ]
    undone = [doubt for c in statistics["comparisons"] for doubt in _not_ruled_out(c)]
    return [*_small_groups(statistics["comparisons"]), *in_no_number(statistics), *undone, *warned]


def _not_ruled_out(comparison: Mapping[str, Any]) -> list[Doubt]:
    """A difference that the blanks of the two groups could make by themselves."""
    p, corrected = comparison["p_holm"], comparison.get("blank_corrected") or {}
    point = comparison.get("tipping_point") or {}
    if p is None or p >= 0.05 or point.get("ruled_out_by_blanks") is not False:
        return []
    case, control = (corrected[f"blank_{side}"]["mean"] for side in ("case", "control"))
    return [
        Doubt(
            "stop",
            f"{comparison['marker']}: the blanks do not rule out that false cells make this difference. They "
            f"hold {format_number(case)} positive cells per mm\u00b2 in {comparison['case']} and "
            f"{format_number(control)} in {comparison['control']}; "
            f"{format_number(abs(point['estimate']))} more in one than in the other would make the interval "
            "touch zero. With the blanks subtracted the difference is "
            f"{format_estimate(corrected['estimate'], corrected['ci'])}, {format_p(corrected['p'])}.",
        )
    ]


def in_no_number(statistics: Mapping[str, Any]) -> list[Doubt]:
    """Rows without a name that a comparison needs, and patients without a density."""
    found = [
        f"{entry['n_rows']} row{'s' if entry['n_rows'] > 1 else ''} of the table with {entry['reason']} left "
        "out (merged cells keep their text in the first row only)"
        for entry in statistics.get("design", {}).get("left_out") or []
    ]
    for c in statistics["comparisons"]:
        missing = [
            f"{n} in {c[side]}" for side in ("case", "control") if (n := c.get(f"n_missing_{side}") or 0)
        ]
        if missing and c["compartment"] == "tissue":
            found.append(f"{c['marker']}: patients without a density are in no number ({', '.join(missing)})")
    return [Doubt("care", f"{text}.") for text in found]


def _slides_lost(tissue: pd.DataFrame) -> list[Doubt]:
    found = []
    slides = tissue.drop_duplicates("slide_id")
    lost = slides[slides["status"].isin(["failed", "skipped"])]
    if len(lost):
        names = _listed(lost["slide_id"].astype(str).tolist())
        found.append(
            Doubt(
                "care",
                f"{len(lost)} of {len(slides)} slides could not be counted and are not in any number: "
                f"{names}.",
            )
        )
    partial = slides[slides["status"] == "partial"]
    if len(partial):
        names = _listed(partial["slide_id"].astype(str).tolist())
        found.append(
            Doubt(
                "care",
                f"{_slides(len(partial))} counted in part; the area that could not be read is left "
                f"out: {names}.",
            )
        )
    return found


def _flagged(tissue: pd.DataFrame) -> list[Doubt]:
    found = []
    for flag, meaning in MEANING.items():
        marked = tissue[
            tissue["flags"].fillna("").str.split(";").map(lambda names, flag=flag: flag.name in names)
        ]
        slides = sorted(set(marked["slide_id"].astype(str)))
        if slides:
            level = "stop" if flag in _FATAL_FLAGS else "note"
            found.append(Doubt(level, f"{_capital(meaning)} ({_slides(len(slides))}: {_listed(slides)})."))
    return found


def _small_groups(comparisons: Sequence[Mapping[str, Any]]) -> list[Doubt]:
    compared = [c for c in comparisons if c["compartment"] == "tissue" and c["control"] is not None]
    sizes = [c[f"n_{side}"] for c in compared for side in ("case", "control")]
    if sizes and min(sizes) < 5:
        return [
            Doubt(
                "care", f"A group has only {min(sizes)} patients: intervals are wide and tests nearly blind."
            )
        ]
    return []


def slide_answers(densities: pd.DataFrame) -> list[Answer]:
    """What was counted, per marker, where no groups are compared."""
    rows = densities[(densities["compartment"] == "tissue") & densities["positive_per_mm2"].notna()]
    found = []
    for marker, part in rows.groupby("marker", sort=True):
        values = part["positive_per_mm2"]
        if len(part) == 1:
            row = part.iloc[0]
            limits = [float(row[name]) if pd.notna(row[name]) else None for name in ("ci_low", "ci_high")]
            headline = f"{marker}: {format_number(float(values.iloc[0]))} positive cells per mm\u00b2"
            text = (
                f"{row['n_positive']} of {row['n_cells']} cells in {format_number(float(row['area_mm2']))} "
                f"mm\u00b2 of tissue ({format_interval(limits)})."
            )
        else:
            middle, low, high = (
                format_number(float(x)) for x in (values.median(), values.min(), values.max())
            )
            headline = f"{marker}: median of {middle} positive cells per mm\u00b2 in {len(part)} slides"
            text = f"Lowest {low}, highest {high}. The table below has every slide."
        found.append(Answer(str(marker), headline, (text,)))
    return found


def _slides(n: int) -> str:
    return "1 slide" if n == 1 else f"{n} slides"


def _listed(names: Sequence[str], most: int = 6) -> str:
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
