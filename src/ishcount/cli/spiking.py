"""`ishcount spike`: what is found again of known dots planted into the user's own slide."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ishcount.cli.options import AsJson, Mpp, Out, RegionUm
from ishcount.cli.say import number, say, say_json


def register(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command()(spike)


def spike(
    slide: Annotated[Path, typer.Argument(help="A slide of yours; best a negative control.")],
    out: Out,
    chromogen: Annotated[str, typer.Option("--chromogen", help="fast_red or dab.")],
    n_cells: Annotated[int, typer.Option("--cells", min=1, help="Cells that get dots.")] = 200,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of places, sizes and colours.")] = 0,
    positive_control: Annotated[
        Path | None, typer.Option("--positive-control", help="Cut real dots from this slide instead.")
    ] = None,
    blank: Annotated[
        bool, typer.Option("--blank", help="The slide holds no signal: give limits of blank and detection.")
    ] = False,
    region: RegionUm = None,
    mpp: Mpp = None,
    as_json: AsJson = False,
) -> None:
    """Plant known dots in a real slide and report recovery and the limits of blank and detection.

    \b
    Example:
      ishcount spike dapB.svs -o spike --chromogen fast_red --blank --region 2000,3000,1500,1500
    """
    from ishcount.cli.options import parse_region
    from ishcount.truth.spike import SpikeSpec
    from ishcount.truth.spike import spike as plant_and_count

    summary = plant_and_count(
        slide,
        out,
        chromogen=chromogen,
        spec=SpikeSpec(n_cells=n_cells, seed=seed),
        mpp=mpp,
        region_um=parse_region(region) if region else None,
        positive_control=positive_control,
        blank=blank,
    )
    if as_json:
        say_json(summary)
        return
    for line in lines(summary):
        say(line)


def lines(summary: dict[str, Any]) -> list[str]:
    """The report as sentences."""
    dots, cells, plain = summary["dots"], summary["cells"], summary["unspiked"]
    copies = summary["copies"]
    told = [
        f"{dots['n_true']} {summary['source']} dots planted at {cells['n_true']} "
        f"cells, seed {summary['seed']}",
        f"dots found again: {number(dots['recall'])}; cells called positive: {number(cells['recall'])}",
        f"owners right: {number(summary['owner_right'])}; copies of these cells: {copies['found']} "
        f"found, {copies['planted']} planted",
        f"before planting: {plain['n_positive']} positive cells, {number(plain['per_mm2'])} per mm2 "
        f"(95% below {number(plain['per_mm2_upper'])}) in {number(summary['area_mm2'])} mm2",
    ]
    if not plain["declared_blank"]:
        return [*told, "no limit of blank: the slide was not declared blank (--blank)"]
    blank, detection = plain["limit_of_blank"], plain["limit_of_detection"]
    return [
        *told,
        "those are false cells; limit of blank "
        f"{number(blank['estimate'])}, of detection {number(detection['estimate'])} positive cells per mm2",
    ]
