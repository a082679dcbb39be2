"""`ishcount compare`, `ishcount agreement` and `ishcount power`: numbers in, answers out, no slides."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ishcount.cli.options import AsJson, Case, Control
from ishcount.cli.say import note, number, plain, say, say_json, table

if TYPE_CHECKING:
    from collections.abc import Mapping

Folder = Annotated[Path, typer.Option("-o", "--out", help="Folder for the results; made if missing.")]
PaperMode = Annotated[
    bool, typer.Option("--paper-mode", help="Also print what the paper printed: mean, t interval, Student P.")
]


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(compare)
    app.command()(agreement)
    app.command()(power)


def compare(
    source: Annotated[Path, typer.Argument(metavar="TABLE|OUT", help="CSV, XLSX or result folder.")],
    out: Folder,
    case: Case = None,
    control: Control = None,
    paper_mode: PaperMode = False,
    as_json: AsJson = False,
) -> None:
    """Compare groups of patients: statistics, figures, workbook and report of any table of densities.

    The table needs patient, group, marker and either n_positive and area_mm2, or positive_per_mm2.

    \b
    Example:
      ishcount compare densities.csv -o answer --case EM --control normal
    """
    from ishcount.report.dates import file_date
    from ishcount.report.write import write_comparison
    from ishcount.study.tables_in import read_densities

    settings = None
    if source.is_dir() and (source / "params.toml").is_file():
        from ishcount.params import read_params

        settings = read_params(source / "params.toml").statistics
    statistics = write_comparison(
        read_densities(source), out, case=case, control=control, paper_mode=paper_mode, settings=settings,
        date=file_date(source / "densities.parquet" if source.is_dir() else source),
    )  # fmt: skip
    if as_json:
        say_json(statistics)
        return
    say_answers(statistics)
    say(f"written to {plain(out)}")


def say_answers(statistics: Mapping[str, Any]) -> None:
    """The answer per marker in words, and what the paper would have printed where that is asked."""
    from ishcount.report.answers import answers, in_no_number

    for doubt in in_no_number(statistics):
        note(f"ishcount: {plain(doubt.text)}")
    for answer in answers(statistics):
        say(answer.finding)
        for sentence in answer.sentences:
            say(f"  {sentence}")
    for line in statistics.get("paper", []):
        say(plain(line))


def agreement(
    a: Annotated[Path, typer.Argument(metavar="A", help="Table (CSV, XLSX) or result folder.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="Another one of the same slides or patients.")],
    out: Folder,
    others: Annotated[
        list[Path] | None,
        typer.Option("--with", help="A further reader, for Fleiss' kappa over all; repeatable."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say how far two readers, or tool and reader, agree: Bland-Altman, CCC, ICC within groups, and kappa.

    \b
    Example:
      ishcount agreement results hand_counts.csv -o agreement
    """
    from ishcount.core.files import write_json
    from ishcount.report.agreement import write_agreement_figures
    from ishcount.study.agreement import compare_readers
    from ishcount.study.tables_in import read_densities

    found = compare_readers(*(read_densities(path) for path in (a, b, *(others or []))))
    write_json(out / "agreement.json", found)
    write_agreement_figures(found, out, name_a=a.stem, name_b=b.stem if b.stem != a.stem else f"{b.stem} (B)")
    if as_json:
        say_json(found)
        return
    rows, calls = [], []
    for marker, entry in found["markers"].items():
        rows.append(_agreement_row(marker, "all", entry["all"]))
        rows += [_agreement_row(marker, name, part) for name, part in entry["within_groups"].items()]
        calls += _call_rows(marker, entry["calls"])
    header = ["marker", "group", "n", "mean difference", "limits of agreement", "CCC", "ICC(2,1)"]
    say(table(header, rows))
    say(table(["marker", "call", "kappa", "AC1", "agreement on positive", "on negative", "Fleiss"], calls))
    say(
        f"differences are A minus B in cells per mm2, matched by {found['matched_by']}; "
        f"all of it is in {plain(out)}/agreement.json, with figures beside it"
    )


def _call_rows(marker: str, calls: Mapping[str, Any]) -> list[list[str]]:
    """Any positive cell or none, and the ACD score with quadratic weights where the tables have one."""
    names = ("cohen_kappa", "gwet_ac1", "positive_agreement", "negative_agreement", "fleiss_kappa")
    known = {"any positive cell": calls["any_positive"]}
    if "acd_score" in calls:
        score = calls["acd_score"]
        known["ACD score"] = {"cohen_kappa": score["quadratic"], "fleiss_kappa": score.get("fleiss_kappa")}
    return [
        [marker, name, *(number((entry.get(key) or {}).get("estimate")) for key in names)]
        for name, entry in known.items()
    ]


def _agreement_row(marker: str, group: str, entry: Mapping[str, Any]) -> list[str]:
    plot = entry["bland_altman_raw"]
    return [
        marker, group, str(entry["n"]), number(plot.get("estimate")),
        f"{number(plot.get('lower_limit'))} to {number(plot.get('upper_limit'))}",
        number(entry["lin_ccc"].get("estimate")), number(entry["icc_2_1"].get("estimate")),
    ]  # fmt: skip


def power(
    mean_case: Annotated[float, typer.Option(min=0, help="Mean density expected in the cases, per mm2.")],
    mean_control: Annotated[float, typer.Option(min=0, help="Mean density expected in the controls.")],
    cv: Annotated[
        float, typer.Option(min=0, help="Coefficient of variation between patients (both groups).")
    ] = 1.0,
    cv_control: Annotated[
        float | None, typer.Option(min=0, help="The same in the controls, if it differs.")
    ] = None,
    area_mm2: Annotated[float, typer.Option(min=0.01, help="Tissue counted per patient, mm2.")] = 10.0,
    n: Annotated[int | None, typer.Option("-n", min=2, help="Cases; the answer is the power.")] = None,
    n_control: Annotated[int | None, typer.Option(min=2, help="Controls (default: as many).")] = None,
    wanted: Annotated[float, typer.Option("--power", help="Power wanted, where no -n is given.")] = 0.8,
    alpha: Annotated[float, typer.Option(help="Two-sided significance level.")] = 0.05,
    test: Annotated[str, typer.Option(help="permutation, welch, student or mann_whitney.")] = "permutation",
    as_json: AsJson = False,
) -> None:
    """Say how many patients a comparison needs, or what power a number of them gives, by simulation.

    \b
    Example:
      ishcount power --mean-case 8.7 --mean-control 1 --cv 1.1 --area-mm2 10
    """
    from ishcount.core.errors import UsageError
    from ishcount.stats.power import TESTS, Scenario, simulate_power, simulate_size

    if test not in TESTS:
        raise UsageError(f"--test {test!r} is not known; write one of {', '.join(TESTS)}")
    if not 0 < wanted < 1 or not 0 < alpha < 1:
        raise UsageError(
            "--power and --alpha are shares; write numbers between 0 and 1, such as 0.8 and 0.05"
        )
    scenario = Scenario(
        mean_case=mean_case, mean_control=mean_control, cv_case=cv,
        cv_control=cv if cv_control is None else cv_control, area_mm2=area_mm2,
    )  # fmt: skip
    if n is not None:
        found = simulate_power(scenario, n, n_control or n, test=test, alpha=alpha)
        text = f"power {number(found['estimate'])} with {n} cases and {n_control or n} controls"
    else:
        found = simulate_size(scenario, power=wanted, test=test, alpha=alpha)
        text = f"{found['estimate']} cases and as many controls give power {number(found.get('power'))}"
    if as_json:
        say_json(found)
    elif found["estimate"] is None:
        say(plain(found["reason"]))
    else:
        say(f"{text} ({test}, two-sided P <= {alpha:g}, simulated)")
