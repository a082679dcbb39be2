"""`ishcount report`, `ishcount diff` and `ishcount review`: what can be done with a result."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ishcount.cli.options import AsJson, Case, Control
from ishcount.cli.say import note, number, plain, say, say_json, table

OutFolder = Annotated[Path, typer.Argument(metavar="OUT", help="Result folder of quantify or study.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(report)
    app.command()(diff)
    app.command()(review)


def report(
    out: OutFolder,
    case: Case = None,
    control: Control = None,
    paper_mode: Annotated[
        bool, typer.Option("--paper-mode", help="Also print what the paper printed.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Rebuild workbook, statistics, figures and report from what is in a result folder; nothing is counted.

    \b
    Example:
      ishcount report results --case EM --control normal
    """
    from ishcount.report.write import write_report
    from ishcount.study.reviewed import refresh_reviews

    for problem in refresh_reviews(out):
        note(f"ishcount report: {plain(problem)}")
    statistics = write_report(out, case=case, control=control, paper_mode=paper_mode)
    if as_json:
        say_json(statistics)
        return
    if statistics is not None:
        from ishcount.cli.statistics import say_answers

        say_answers(statistics)
    say(f"written to {plain(out / 'report.html')}, report.pdf and densities.xlsx beside it")


def diff(
    first: Annotated[Path, typer.Argument(metavar="OUT1", help="A result folder.")],
    second: Annotated[Path, typer.Argument(metavar="OUT2", help="Another one.")],
    as_json: AsJson = False,
) -> None:
    """Say what changed between two results, slide by slide. Exit code 0, whether or not anything did.

    \b
    Example:
      ishcount diff results-0.1 results-0.2
    """
    from ishcount.study.diff import diff_results

    found = diff_results(first, second)
    if as_json:
        say_json(found)
        return
    if found["versions"][0] != found["versions"][1]:
        say(f"ishcount {found['versions'][0]} -> {found['versions'][1]}")
    for name, (was, now) in found["parameters"].items():
        say(f"parameter {name}: {plain(was)} -> {plain(now)}")
    for name, where in (("only_in_first", first), ("only_in_second", second)):
        if found[name]:
            say(f"only in {plain(where)}: {plain(', '.join(found[name]))}")
    rows = [
        [entry["slide_id"], entry["marker"], entry["compartment"], name, _shown(was), _shown(now)]
        for entry in found["changed"]
        for name, (was, now) in entry["changes"].items()
    ]
    if rows:
        say(table(["slide_id", "marker", "compartment", "what", "first", "second"], rows))
    say(f"{found['n_same']} rows are the same, {len(found['changed'])} differ")


def review(
    out: OutFolder,
    slide_id: Annotated[str | None, typer.Argument(metavar="[SLIDE_ID]", help="Slide to begin with.")] = None,
    reviewer: Annotated[
        str | None, typer.Option("--reviewer", help="Whose decisions these are (default: your login).")
    ] = None,
) -> None:
    """Open napari on a result, to look at each call and correct it (needs the extra napari).

    \b
    Example:
      ishcount review results EM-01
    """
    from importlib import import_module
    from importlib.util import find_spec

    from ishcount.core.errors import UsageError

    if find_spec("napari") is None:
        raise UsageError("review needs napari, which is not installed; pip install 'ishcount[napari]'")
    import_module("ishcount_napari.launch").review(out, slide_id, reviewer)


def _shown(value: object) -> str:
    return number(value) if isinstance(value, (int, float)) or value is None else plain(value)
