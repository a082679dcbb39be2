"""The methods paragraph, the limitations and the facts behind the checklists, in words ready to paste."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from ishcount._version import __version__
from ishcount.core.flags import names
from ishcount.report.names import in_words

_COVARIATES = (
    "age", "sex", "site", "lesion_age", "treatment", "block_year", "section_um", "batch", "run_date",
    "scanner", "probe_lot",
)  # fmt: skip
_OWNERSHIP = {
    "expectation_maximisation": "by expectation-maximisation over distances to nearby nuclei",
    "nearest": "to the nearest nucleus",
    "nuclear": "only when it lay inside a nucleus",
}


OWN_SOFTWARE = f"Software for the statistics: ishcount {__version__}."


def methods_text(
    densities: pd.DataFrame,
    summaries: Sequence[Mapping[str, Any]],
    params: Mapping[str, Any],
    statistics: Mapping[str, Any] | None,
    versions: Mapping[str, str],
) -> list[str]:
    """Paragraphs: image analysis, counting (where slides were counted), statistics, software."""
    paragraphs = [_imaging(summaries, params), _counting(densities, params)] if summaries else []
    if statistics:
        paragraphs.append(_statistics(statistics, params))
    return [*paragraphs, _software(densities, versions)] if summaries else [*paragraphs, OWN_SOFTWARE]


def _imaging(summaries: Sequence[Mapping[str, Any]], params: Mapping[str, Any]) -> str:
    done = [summary for summary in summaries if summary.get("tissue_area_mm2") is not None]
    sizes = sorted({round(float(s["mpp_x_um"]), 4) for s in done if s.get("mpp_x_um")})
    size = _range(sizes, "um per pixel") if sizes else "a pixel size that is not known"
    sources = ", ".join(sorted({str(s["mpp_source"]) for s in done if s.get("mpp_source")}))
    stains = sorted({v["stain"] for s in done for v in (s.get("stains") or {}).get("vectors", [])})
    dyes = _joined([in_words(name) for name in stains]) or "haematoxylin and chromogen"
    found = any("fold" in kind for s in done for kind in s.get("artefacts") or {})
    return (
        f"Whole-slide images were analysed at full resolution ({size}; source: {sources or 'not known'}) "
        "with ishcount. Tissue was delineated at about 4 um per pixel; holes, clefts, lumina, tears, "
        f"{'folds, ' if found else ''}ink, dust and bubbles were left out of the area. Optical densities of "
        f"{dyes} were separated with stain colours estimated on each slide from a fixed sample of fields and "
        "then kept for the whole slide. Nuclei were segmented on the haematoxylin image at about 0.5 um per "
        f"pixel and grown by at most {params['cells']['cell_expansion_um']:g} um to cells."
    )


def _counting(densities: pd.DataFrame, params: Mapping[str, Any]) -> str:
    counting, cells = params["density"], params["cells"]
    dots = counting["min_dots"]
    needed = "one counted transcript dot" if dots == 1 else f"counted dots amounting to {dots} transcripts"
    markers = _distinct(densities, "marker")
    return (
        f"Dot candidates of {markers} were scored by their shape, contrast and colour against melanin, "
        "red cells, precipitate and diffuse stain; a dot counted when its score was at least "
        f"{counting['dot_cut']:g}. Dots were given to cells {_OWNERSHIP[cells['ownership']]} within "
        f"{cells['reach_um']:g} um; dots that merged were resolved into copies from their integrated "
        f"optical density. A cell with at least {needed} was positive. The result is positive cells per "
        "mm\u00b2 of tissue. The same parameters were used for every slide."
    )


def _statistics(statistics: Mapping[str, Any], params: Mapping[str, Any]) -> str:
    design = statistics["design"]
    return (
        "The patient was the unit of analysis (sum of counts over sum of areas of the patient's "
        f"independent sections; adjacent levels averaged). Primary test: {design['primary_test']}. "
        f"Intervals are {100 * design['confidence']:g}% intervals. Secondary and exploratory results are "
        f"labelled so and not adjusted. Random numbers used the seed {design['seed']}."
    )


def _software(densities: pd.DataFrame, versions: Mapping[str, str]) -> str:
    own, digest = _distinct(densities, "ishcount_version"), _distinct(densities, "params_digest")
    others = ", ".join(f"{name} {found}" for name, found in sorted(versions.items()))
    libraries = f" Libraries: {others}." if others else ""
    return f"Software: ishcount {own} (parameters {digest}).{libraries}"


def limitations(
    densities: pd.DataFrame, statistics: Mapping[str, Any] | None, summaries: Sequence[Mapping[str, Any]]
) -> list[str]:
    """What these numbers cannot say, the general first, then what is particular to this study."""
    found = _of_counting(densities) if summaries else []
    if statistics:
        found += _of_statistics(statistics)
    expected = [
        marker["expected_false_per_mm2"]
        for summary in summaries
        for marker in (summary.get("markers") or {}).values()
        if marker.get("expected_false_per_mm2") is not None
    ]
    if expected:
        found.append(
            f"By their own scores the slides hold up to {max(expected):.2f} false positive cells per "
            f"mm\u00b2 (median {sorted(expected)[len(expected) // 2]:.2f})."
        )
    return found


def _of_counting(densities: pd.DataFrame) -> list[str]:
    is_known = "section_um" in densities and densities["section_um"].notna().any()
    return [
        "Counts are of profiles in a section: thicker sections and larger nuclei show more of them. "
        f"Section thickness is {'in the sheet' if is_known else 'not recorded'}.",
        "False positive dots are not all caught by the score: compare each density with those of the "
        "negative controls and of blanks before reading a small one as real.",
        "Folds and edges stained by drying are left out only as far as they were found or drawn out by hand.",
        "The area has its own, systematic uncertainty (area_low_mm2 to area_high_mm2), which the "
        "intervals do not hold.",
    ]


def _of_statistics(statistics: Mapping[str, Any]) -> list[str]:
    found = [
        "False cells that differ between groups (inflamed, pigmented or crowded tissue breeds more) "
        "would look like a finding; the tipping point says how many it would take."
    ]
    note = statistics["design"].get("coverage_note")
    return [str(note), *found] if note else found


def facts(
    densities: pd.DataFrame,
    summaries: Sequence[Mapping[str, Any]],
    params: Mapping[str, Any],
    statistics: Mapping[str, Any] | None,
) -> dict[str, str]:
    """What a result folder knows of the items of the checklists; a key is absent where it knows nothing."""
    counting = params["density"]
    tissue = densities[densities["compartment"] == "tissue"]
    if not summaries:
        said = {
            "groups": _counts(tissue, "group", "patients"),
            "statistics": "see methods" if statistics else "",
            "results": "see the answer, with 95% intervals" if statistics else "",
            "limitations": "see limitations; interpretation is the authors'",
        }
        return {key: text for key, text in said.items() if text}
    slides = tissue.drop_duplicates("slide_id")
    failed = slides[slides["status"].isin(["failed", "skipped"])]
    flagged = sorted({n for text in tissue["flags"].dropna().astype(str) for n in text.split(";") if n})
    known = [name for name in _COVARIATES if name in densities and densities[name].notna().any()]
    given = {
        "groups": _counts(tissue, "group", "patients"),
        "numbers": f"{tissue['patient'].nunique()} patients, {len(slides)} slides",
        "covariates": f"recorded: {', '.join(known)}" if known else "",
        "blocks": ", ".join(name for name in known if name in ("block_year", "section_um")),
        "probes": f"markers: {_distinct(tissue, 'marker')}; lots to be added",
        "chromogens": _joined(sorted({in_words(str(c)) for c in tissue["chromogen"].dropna() if c}))
        + ", haematoxylin",
        "controls": _controls(tissue, statistics),
        "imaging": _imaging_fact(summaries),
        "counting": f"score cut {counting['dot_cut']:g}, at least {counting['min_dots']} copies; see methods",
        "review": _reviewed(tissue),
        "software": f"ishcount {_distinct(tissue, 'ishcount_version')}, open source (BSD-3)",
        "steps": "see methods",
        "parameters": "params.toml, listed with their origin; digest " + _distinct(tissue, "params_digest"),
        "same_settings": "yes: one set of parameters for every slide, read before the groups",
        "example": "ishcount demo runs a synthetic study with known truth",
        "sensitivity": "counts at other cuts, copies and ownership rules: workbook (Sensitivity) and figure",
        "excluded": f"{len(failed)} of {len(slides)} slides not counted"
        + (": see reasons below" if len(failed) else ""),
        "flags": ", ".join(flagged) if flagged else "nothing was flagged",
        "pictures": "overviews carry scale bars; no contrast was changed",
        "outcome": "positive cells per mm2 of tissue, patient by patient",
        "bias": _bias(params, statistics, _controls(tissue, statistics)),
        "protocol": "fixed beforehand: see protocol" if params.get("protocol") else "",
        "statistics": "see methods" if statistics else "",
        "results": "see the answer, with 95% intervals" if statistics else "",
        "limitations": "see limitations; interpretation is the authors'",
    }
    return {key: text for key, text in given.items() if text}


def flag_rows(tissue: pd.DataFrame) -> list[str]:
    """Every flag that occurs, in the order of its bit."""
    seen = {name for text in tissue["flags"].dropna().astype(str) for name in text.split(";") if name}
    return [name for name in names(2**32 - 1).split(";") if name in seen]


def _counts(tissue: pd.DataFrame, by: str, noun: str) -> str:
    found = tissue.dropna(subset=[by]).groupby(by)["patient"].nunique()
    return "; ".join(f"{name}: {n} {noun}" for name, n in found.items())


def _controls(tissue: pd.DataFrame, statistics: Mapping[str, Any] | None) -> str:
    """How many controls there are and, where they were judged, how many passed."""
    roles = tissue.drop_duplicates(["slide_id", "marker"])["role"].value_counts()
    judged = (statistics or {}).get("controls") or []
    parts = []
    for role in [name for name in ("negative_control", "positive_control") if name in roles]:
        verdicts = [bool(entry["passed"]) for entry in judged if entry["role"] == role]
        passed = f", {sum(verdicts)} passed" if verdicts else ""
        noun = "slide" if roles[role] == 1 else "slides"
        parts.append(f"{roles[role]} {role.replace('_', ' ')} {noun}{passed}")
    return "; ".join(parts)


def _bias(params: Mapping[str, Any], statistics: Mapping[str, Any] | None, controls: str) -> str:
    """Blinding as the protocol has it, controls, and covariates that were held against the groups; empty
    where blinding is not known: only the authors can say it.
    """
    blinding = str((params.get("protocol") or {}).get("blinding") or "")
    names = sorted({str(check["covariate"]) for check in (statistics or {}).get("confounding") or []})
    checked = f"covariates against group: {', '.join(names)}" if names else ""
    return "; ".join(filter(None, (blinding, controls, checked))) if blinding else ""


def _reviewed(tissue: pd.DataFrame) -> str:
    reviewed = tissue[tissue["reviewed"].fillna(False).astype(bool)]
    if reviewed.empty:
        return "no slide was reviewed by a person"
    people = sorted(
        {name for text in reviewed["reviewers"].dropna().astype(str) for name in text.split(";") if name}
    )
    return f"{reviewed['slide_id'].nunique()} slides reviewed by {', '.join(people) or 'a reader'}"


def _imaging_fact(summaries: Sequence[Mapping[str, Any]]) -> str:
    sizes = sorted({round(float(s["mpp_x_um"]), 4) for s in summaries if s.get("mpp_x_um")})
    return _range(sizes, "um per pixel") if sizes else ""


def _distinct(table: pd.DataFrame, name: str) -> str:
    return _joined(sorted(table[name].dropna().astype(str).unique())) or "not known"


def _range(values: Sequence[float], unit: str) -> str:
    return f"{values[0]:g} {unit}" if len(values) == 1 else f"{values[0]:g} to {values[-1]:g} {unit}"


def _joined(texts: Sequence[str]) -> str:
    return ", ".join(texts[:-1]) + " and " + texts[-1] if len(texts) > 1 else "".join(texts)
