"""`write_report`: everything people open, rebuilt from what is in a result folder. Counts nothing again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from ishcount.core.errors import UsageError
from ishcount.core.files import write_json
from ishcount.params import Params, protocol_digest
from ishcount.report.blanks import with_blanks
from ishcount.report.confounding import confounding, rows_of
from ishcount.report.content import Report, make_report
from ishcount.report.dates import UNKNOWN, newest_input
from ishcount.report.figures import effects, groups
from ishcount.report.figures.covariates import draw_covariates
from ishcount.report.figures.drawn import Drawn
from ishcount.report.gallery import galleries, paths_of, thumbnail
from ishcount.report.html import write_html
from ishcount.report.least_copies import copies_tried
from ishcount.report.pdf import write_pdf
from ishcount.report.statistics_table import statistics_table
from ishcount.report.tables import (
    answers_by_copies,
    controls_table,
    flag_uncontrolled,
    qc_table,
    sensitivity_table,
)
from ishcount.report.workbook import Front, Sheet, parameters_table, prism_table, write_workbook
from ishcount.result import StudyResult, load_result
from ishcount.review.audited import write_audits
from ishcount.stats.compare import compare_groups
from ishcount.stats.patients import patient_densities
from ishcount.stats.settings import StatisticsParams
from ishcount.study.controls import control_gate


@dataclass(frozen=True)
class _Inputs:
    """What a report is made from."""

    densities: pd.DataFrame
    patients: pd.DataFrame
    summaries: Sequence[Mapping[str, Any]]
    params: Mapping[str, Any]
    statistics: Mapping[str, Any] | None
    run: Mapping[str, Any]
    title: str
    date: datetime | None


def write_report(
    out: Path | str,
    *,
    case: str | None = None,
    control: str | None = None,
    paper_mode: bool = False,
    with_gallery: bool = True,
) -> dict[str, Any] | None:
    """Rebuild densities.xlsx, statistics.json, figures, report.html and report.pdf of a result folder.

    case, control: groups to compare, else those of the parameters. with_gallery: also read the slides, for
    pictures of the positive cells. Returns the statistics, or None where the sheet names no groups. Raises
    UsageError when two groups are there and nobody said which is the case, or `out` holds no result.
    """
    result = load_result(out)
    settings = _settings(result.params.statistics, case, control, paper_mode)
    statistics, patients = _compare(result.densities, settings)
    write_audits(result.folder, result)
    if statistics is not None:
        patients = flag_uncontrolled(patients, result.densities)
        for comparison in statistics["comparisons"]:
            comparison["flags"] = _flags_of(comparison, patients)
        min_dots = result.params.density.min_dots
        statistics["controls"] = control_gate(result.densities, min_dots=min_dots).controls
        statistics["comparisons"] = with_blanks(statistics, patients, result.densities)
        statistics["confounding"] = confounding(patients, result.densities, statistics, settings)
        statistics["least_copies"] = copies_tried(
            result.densities, statistics, min_dots=min_dots, settings=settings
        )
        statistics["after_review"] = _after_review(result.densities, settings)
        statistics["design"]["protocol"] = dict(result.params.protocol)
        statistics["design"]["protocol_digest"] = protocol_digest(result.params.protocol)
        write_json(result.folder / "statistics.json", statistics)
    inputs = _Inputs(
        densities=result.densities,
        patients=patients,
        summaries=[slide.summary for _, slide in sorted(result.slides.items())],
        params=result.params.model_dump(mode="json") | {"statistics": settings.model_dump(mode="json")},
        statistics=statistics,
        run=result.run,
        title=_title(statistics, result.densities),
        date=newest_input(result.run, [slide.folder for _, slide in sorted(result.slides.items())]),
    )
    _write_all(result.folder, inputs, result if with_gallery else None)
    return statistics


def write_comparison(
    table: pd.DataFrame,
    out: Path | str,
    *,
    case: str | None = None,
    control: str | None = None,
    paper_mode: bool = False,
    settings: StatisticsParams | None = None,
    date: datetime | None = None,
) -> dict[str, Any]:
    """Statistics, figures, workbook and report of a table of densities made anywhere.

    table: `patient`, `group`, `marker` and either `n_positive` with `area_mm2` or `positive_per_mm2` alone.
    date: of the table, for the report.
    Raises UsageError when it lacks columns or the groups are not named.
    """
    used = _settings(settings or StatisticsParams(), case, control, paper_mode)
    statistics = compare_groups(table, settings=used)
    densities, patients = _as_densities(table), patient_densities(table)
    statistics["confounding"] = confounding(patients, densities, statistics, used)
    folder = Path(out)
    write_json(folder / "statistics.json", statistics)
    inputs = _Inputs(
        densities=densities,
        patients=patients,
        summaries=[],
        params=Params().model_dump(mode="json") | {"statistics": used.model_dump(mode="json")},
        statistics=statistics,
        run={},
        title=_title(statistics, table),
        date=date,
    )
    _write_all(folder, inputs, None)
    return statistics


def _flags_of(comparison: Mapping[str, Any], patients: pd.DataFrame) -> str:
    """What stands against the controls of any patient compared, as in `flags` of the patients."""
    rows = patients[patients["marker"] == comparison["marker"]]
    rows = rows[rows["compartment"] == comparison["compartment"]]
    return ";".join(sorted({name for text in rows["flags"] for name in text.split(";") if name}))


def _settings(
    settings: StatisticsParams, case: str | None, control: str | None, paper_mode: bool
) -> StatisticsParams:
    changes: dict[str, Any] = {"case": case or settings.case, "control": control or settings.control}
    return settings.model_copy(update={**changes, "paper_mode": paper_mode or settings.paper_mode})


def _compare(
    densities: pd.DataFrame, settings: StatisticsParams
) -> tuple[dict[str, Any] | None, pd.DataFrame]:
    """Statistics and patients; nothing where the sheet names no groups (`ishcount quantify`)."""
    targets = densities[densities["role"].fillna("target").isin(["target", ""])]
    if targets.empty or targets["group"].isna().all() or targets["patient"].isna().all():
        return None, pd.DataFrame()
    if targets["group"].nunique() > 1 and (settings.case is None or settings.control is None):
        names = ", ".join(sorted(targets["group"].dropna().astype(str).unique()))
        raise UsageError(f"which group is compared with which? There are {names}; give --case and --control")
    return compare_groups(densities, settings=settings), patient_densities(densities)


def _after_review(densities: pd.DataFrame, settings: StatisticsParams) -> list[dict[str, Any]]:
    """The comparisons again on reviewed densities; empty until every counted target slide was reviewed."""
    rows = densities[densities["role"].fillna("target").isin(["target", ""])]
    rows = rows[rows["positive_per_mm2"].notna()]
    if rows.empty or not rows["reviewed"].fillna(False).all():
        return []
    found = compare_groups(densities, settings=settings, measure="positive_per_mm2_reviewed")
    return list(found["comparisons"])


def _write_all(folder: Path, inputs: _Inputs, result: StudyResult | None) -> None:
    report = make_report(
        densities=inputs.densities,
        patients=inputs.patients,
        summaries=inputs.summaries,
        params=inputs.params,
        statistics=inputs.statistics,
        run=inputs.run,
        title=inputs.title,
        date=inputs.date,
    )
    figures = draw_all(inputs.patients, inputs.statistics, inputs.densities, inputs.summaries, inputs.params)
    for figure in figures:
        figure.write(folder / "figures")
    _write_workbook(folder / "densities.xlsx", inputs, report, figures)
    pictures, crops = {}, []
    if result is not None:
        found = {name: thumbnail(slide.folder / "qc.png") for name, slide in sorted(result.slides.items())}
        pictures = {name: picture for name, picture in found.items() if picture is not None}
        crops = list(galleries(result.slides, paths_of(inputs.run)))
    write_html(folder / "report.html", report, figures=figures, thumbnails=pictures, galleries=crops)
    write_pdf(
        folder / "report.pdf", report, figures=figures, thumbnails=pictures, galleries=crops, date=inputs.date
    )


def draw_all(
    patients: pd.DataFrame,
    statistics: Mapping[str, Any] | None,
    densities: pd.DataFrame,
    summaries: Sequence[Mapping[str, Any]],
    params: Mapping[str, Any],
) -> list[Drawn]:
    """Every figure there is data for, the most important first."""
    found: list[Drawn | None] = []
    if statistics is not None:
        compared = [c for c in statistics["comparisons"] if c["compartment"] == "tissue"]
        case, control = statistics["design"]["case"], statistics["design"]["control"]
        tissue = patients[patients["compartment"] == "tissue"].rename(columns=_measure_name(compared))
        unpaired = tissue[tissue["pair"] != "during"].dropna(subset=["positive_per_mm2"])
        found.append(groups.draw_groups(unpaired, compared, case=case, control=control))
        if control is not None:
            found += [groups.draw_estimation(unpaired, c, case=case, control=control) for c in compared]
            found += [effects.draw_forest(compared), *(effects.draw_tipping(c) for c in compared)]
            checks = statistics.get("confounding") or []
            for marker in [c["marker"] for c in compared]:
                mine = [check for check in checks if check["marker"] == marker]
                found.append(draw_covariates(marker, mine, case=case, control=control))
                found.append(effects.draw_adjusted(marker, rows_of(checks, marker)))
        paired = tissue[tissue["pair"] == "during"]
        found += [groups.draw_pairs(tissue, str(marker)) for marker in sorted(paired["marker"].unique())]
        targets = densities[densities["role"].fillna("target") == "target"]
        slides = targets.drop_duplicates("slide_id").dropna(subset=["group"])
        named = dict(zip(slides["slide_id"].astype(str), slides["group"].astype(str), strict=True))
        cut = float(params["density"]["dot_cut"])
        sweep = sensitivity_table(summaries)
        found.append(effects.draw_sensitivity(sweep, named, case=case, control=control, dot_cut=cut))
    return [figure for figure in found if figure is not None]


def _measure_name(comparisons: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    return {str(c["measure"]): "positive_per_mm2" for c in comparisons}


def _write_workbook(path: Path, inputs: _Inputs, report: Report, figures: Sequence[Drawn]) -> None:
    sheets = [Sheet("Densities", inputs.densities)]
    if len(inputs.patients):
        tissue = inputs.patients[inputs.patients["compartment"] == "tissue"]
        sheets += [Sheet("Patients", inputs.patients), Sheet("Prism", prism_table(tissue), frozen=0)]
    if inputs.statistics is not None:
        sheets.append(Sheet("Statistics", statistics_table(inputs.statistics), frozen=2))
        sheets.append(Sheet("Controls", controls_table(inputs.statistics["controls"])))
    if inputs.summaries:
        sheets += [Sheet("QC", qc_table(inputs.summaries)), Sheet("Sensitivity", _sensitivity(inputs), 2)]
    sheets.append(Sheet("Parameters", parameters_table(inputs.params)))
    lines = [f"{answer.finding}. {' '.join(answer.sentences)}" for answer in report.answers]
    lines += [f"{doubt.level.capitalize()}: {doubt.text}" for doubt in report.doubts]
    front = Front(report.title, lines or [report.without_answer], figures[0].png if figures else None)
    write_workbook(path, sheets, front=front, created=inputs.date or UNKNOWN)


def _sensitivity(inputs: _Inputs) -> pd.DataFrame:
    """What the answer would be at other numbers of copies, then what every slide would be."""
    tried = answers_by_copies((inputs.statistics or {}).get("least_copies") or [])
    slides = sensitivity_table(inputs.summaries)
    return pd.concat([tried, slides])[list(dict.fromkeys([*slides, *tried]))] if len(tried) else slides


def _as_densities(table: pd.DataFrame) -> pd.DataFrame:
    """A table made elsewhere with the declared columns it lacks added, empty."""
    from ishcount.core.tables import DENSITIES

    full = table.reset_index(drop=True).copy()
    for name, kind in DENSITIES.items():
        if name not in full:
            full[name] = pd.Series([None] * len(full), dtype=kind)
    full["compartment"] = full["compartment"].fillna("tissue")
    full["role"] = full["role"].fillna("target")
    return full


def _title(statistics: Mapping[str, Any] | None, densities: pd.DataFrame) -> str:
    targets = densities[densities["role"].fillna("target") == "target"] if "role" in densities else densities
    names = targets["marker"].dropna().astype(str).unique()
    markers = " and ".join(sorted(name for name in names if "+" not in name))  # no pairs: IFNG+IL15
    if statistics and statistics["design"]["control"] is not None:
        return f"{markers} in {statistics['design']['case']} and {statistics['design']['control']}"
    return f"Densities of {markers} positive cells"
