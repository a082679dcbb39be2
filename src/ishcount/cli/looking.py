"""`ishcount info`, `ishcount sheet` and `ishcount doctor`: look before counting."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from ishcount.cli.options import AsJson
from ishcount.cli.say import note, number, plain, say, say_json


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(info)
    app.command()(sheet)
    app.command()(doctor)


def info(
    slides: Annotated[list[Path], typer.Argument(metavar="SLIDE...", help="Whole-slide images.")],
    mpp: Annotated[
        float | None, typer.Option("--mpp", help="Pixel size in um where the file gives none.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what slides are: format, size, pixel size and its source, sections, likely stains, warnings.

    \b
    Example:
      ishcount info case1.svs
    """
    from ishcount.core.errors import SlideError
    from ishcount.study.inspect import inspect_slide

    found: list[dict[str, Any]] = []
    for path in slides:
        try:
            facts = inspect_slide(path, mpp=mpp)
        except SlideError as error:
            facts = {"slide": str(path), "error_code": error.code, "reason": str(error)}
        found.append(facts)
        if not as_json:
            _say_facts(facts)
    if as_json:
        say_json(found)
    n_failed = sum("error_code" in facts for facts in found)
    raise typer.Exit(0 if n_failed == 0 else 4 if n_failed == len(found) else 3)


def _say_facts(facts: Mapping[str, Any]) -> None:
    say(plain(facts["slide"]))
    if "error_code" in facts:
        note(f"  {facts['error_code']} {plain(facts['reason'])}")
        return
    say(f"  {facts['format']}, read by {facts['reader']}; {' > '.join(facts['levels'])} pixels")
    if facts["mpp_x_um"] is None:
        say(f"  pixel size: {plain(facts['pixel_size_problem'])}")
    else:
        x, y = facts["mpp_x_um"], facts["mpp_y_um"]
        size = f"{x:g}" if x == y else f"{x:g} x {y:g}"
        say(f"  pixel size: {size} um ({plain(facts['mpp_source'])})")
        say(f"  tissue: {number(facts['tissue_area_mm2'])} mm2 in {len(facts['sections'])} section(s)")
        chromogen = facts["likely_chromogen"] or "not told by the pixels"
        say(f"  white: {facts['white_source']}; chromogen: {chromogen}")
        if facts["stain_problem"]:
            say(f"  stains: {plain(facts['stain_problem'])}")
    for warning in facts["warnings"]:
        say(f"  warning: {plain(warning)}")


def sheet(
    folder: Annotated[Path, typer.Argument(help="Folder of slides, searched with its subfolders.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="CSV to write, best inside the folder.")],
) -> None:
    """Draft a sample sheet from a folder of slides; patient, group and marker are yours to fill in.

    \b
    Example:
      ishcount sheet slides -o slides/sheet.csv
    """
    import os

    from ishcount.core.errors import UsageError
    from ishcount.core.files import write_csv
    from ishcount.study.draft import draft_sheet

    if out.exists():
        raise UsageError(f"{str(out)!r} is there already; name another file or remove it first")
    table, left_out = draft_sheet(folder)
    base = os.path.relpath(folder.absolute(), out.absolute().parent)
    if base != ".":
        table["slide"] = [Path(base, path).as_posix() for path in table["slide"]]
    write_csv(out, table)
    for line in left_out:
        note(f"ishcount sheet: left out {plain(line)}")
    say(f"{len(table)} slides in {plain(out)}; fill in patient, group and marker, then run")
    say(f"  ishcount study {plain(out)} -o results")


def doctor(as_json: AsJson = False) -> None:
    """Check this installation: versions, readers, window, Dask, memory, and a count of a known slide.

    \b
    Example:
      ishcount doctor
    """
    from ishcount.study.checkup import checkup

    found = checkup()
    if as_json:
        say_json(found)
    else:
        for name, entry in found.items():
            say(f"{name:<12} {plain(entry['says'])}")
    raise typer.Exit(0 if all(entry["ok"] for entry in found.values()) else 70)
