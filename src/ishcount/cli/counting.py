"""`ishcount quantify` and `ishcount study`: slides in, densities out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ishcount.cli import options as o
from ishcount.cli.say import note, plain, records, say, say_json

if TYPE_CHECKING:
    from ishcount.params import Params
    from ishcount.study.jobs import RunOptions
    from ishcount.study.run import RunResult
    from ishcount.study.sheet import Sheet

SHOWN = ("slide_id", "group", "marker", "status", "n_cells", "n_positive", "area_mm2", "positive_per_mm2",
         "ci_low", "ci_high", "flags")  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(quantify)
    app.command()(study)


@o.with_counting_options
def quantify(
    slides: Annotated[list[str], typer.Argument(metavar="SLIDE...", help="Whole-slide images.")],
    out: o.Out,
    marker: Annotated[
        list[str],
        typer.Option("--marker", metavar="NAME[:CHROMOGEN]", help="Gene, and its dye if known; repeatable."),
    ],
    counting: o.Counting,
) -> None:
    """Count slides: positive cells per mm2 for each marker.

    \b
    Example:
      ishcount quantify case1.svs case2.svs -o results --marker IFNG:fast_red
    """
    from ishcount.study.sheet import sheet_of_slides

    paths = [Path(slide) for slide in slides]
    sheet = sheet_of_slides(paths, o.parse_markers(marker), counting.annotations)
    _count_and_report(sheet, out, counting, keep_others=True)


@o.with_counting_options
def study(
    sheet: Annotated[Path, typer.Argument(metavar="SHEET", help="Sample sheet (CSV or XLSX).")],
    out: o.Out,
    counting: o.Counting,
    case: o.Case = None,
    control: o.Control = None,
) -> None:
    """Count every slide of a sample sheet, then statistics, workbook and report.

    \b
    Example:
      ishcount study sheet.csv -o results --case EM --control normal
    """
    from ishcount.study.sheet import check_groups, read_sheet, with_annotations

    read = with_annotations(read_sheet(sheet), counting.annotations)
    for warning in read.warnings:
        note(f"ishcount study: {plain(warning)}")
    groups = counting.params.statistics
    check_groups(read, case or groups.case, control or groups.control)
    _count_and_report(read, out, counting, keep_others=False, case=case, control=control)


def _count_and_report(
    sheet: Sheet,
    out: Path,
    counting: o.Counting,
    *,
    keep_others: bool,
    case: str | None = None,
    control: str | None = None,
) -> None:
    """Say what would be done, or do it; leaves with the exit code."""
    if counting.dry_run:
        _say_plan(sheet, out, counting.params, counting.run, as_json=counting.as_json)
        return
    if counting.pseudonymise:
        sheet = _hide_names(sheet, out)
    result = count_with_progress(sheet, out, counting.params, counting.run, keep_others=keep_others)
    say_densities(result, as_json=counting.as_json)
    write_reports(result, case=case, control=control, as_json=counting.as_json)
    raise typer.Exit(result.exit_code)


def _hide_names(sheet: Sheet, out: Path) -> Sheet:
    from ishcount.study.pseudonyms import key_path, pseudonymised

    hidden = pseudonymised(sheet, out)
    for warning in hidden.warnings[len(sheet.warnings) :]:
        note(plain(warning))
    note(f"the key to the ids is {plain(key_path(out))}; keep it apart from the results")
    return hidden


def count_with_progress(
    sheet: Sheet, out: Path, params: Params, run: RunOptions, *, keep_others: bool
) -> RunResult:
    """Count a sheet's slides while a person watches."""
    from ishcount.cli.progress import Progress
    from ishcount.study.jobs import slides_of
    from ishcount.study.run import run_study

    n_slides = len(slides_of(sheet, out, params, run))
    with Progress(n_slides) as progress:
        return run_study(sheet, out, params=params, options=run, watcher=progress, keep_others=keep_others)


def say_densities(result: RunResult, *, as_json: bool) -> None:
    """The run's rows for the whole tissue, and where the files are."""
    if result.densities is None:
        note(f"this part is done; run the same command without --shard to merge into {plain(result.out)}")
        return
    mine = {outcome.slide.slide_id for outcome in result.outcomes}
    table = result.densities
    rows = table[table["slide_id"].isin(mine)].astype(object).where(lambda cells: cells.notna(), None)
    if as_json:
        say_json(
            {"out": str(result.out), "exit_code": result.exit_code, "densities": rows.to_dict("records")}
        )
        return
    tissue: list[Any] = rows[rows["compartment"] == "tissue"].to_dict("records")
    say(records(tissue, [name for name in SHOWN if any(row[name] is not None for row in tissue)]))


def write_reports(result: RunResult, *, case: str | None, control: str | None, as_json: bool) -> None:
    """Workbook, statistics, figures and report; nothing where a shard ran or no slide was counted."""
    if result.densities is None or result.exit_code == 4:
        return
    from ishcount.cli.statistics import say_answers
    from ishcount.report.write import write_report

    statistics = write_report(result.out, case=case, control=control)
    if as_json:
        return
    if statistics is not None:
        say_answers(statistics)
    say(f"written to {plain(result.out)}: report.html, report.pdf, densities.xlsx, densities.csv")


def _say_plan(sheet: Sheet, out: Path, params: Params, run: RunOptions, *, as_json: bool) -> None:
    from ishcount.study.forecast import forecast

    plan = forecast(sheet, out, params, run)
    if as_json:
        say_json(plan)
        return
    say(records(plan["slides"], ["slide_id", "markers", "status", "megapixels", "reason"]))
    say(
        f"would count {plan['n_to_count']} of {plan['n_slides']} slides: about {plan['minutes']:.0f} minutes "
        f"with {run.n_workers} workers and {plan['gigabytes']:.2f} GB in {plain(out)} ({plan['assumption']})"
    )
