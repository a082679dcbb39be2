"""`ishcount evaluate` and its kin: how right a result is, where the truth is known."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ishcount.cli.options import AsJson, N_Workers
from ishcount.cli.say import number, say, say_json, table

if TYPE_CHECKING:
    from collections.abc import Mapping

HEADER = (
    "slide_id", "marker", "true", "found", "precision", "recall", "F1", "count error", "false per mm2",
    "95% below", "nuclei F1", "area error",
)  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(demo)
    app.command()(simulate)
    app.command()(evaluate)


def demo(
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the results.")] = Path("ishcount-demo"),
    workers: N_Workers = None,
    as_json: AsJson = False,
) -> None:
    """Count the sample study that comes with ishcount, from slides to report, with the truth beside it.

    The slides are synthetic, and their positives far denser than in real skin.

    \b
    Example:
      ishcount demo
    """
    from ishcount.cli.counting import count_with_progress, say_densities, write_reports
    from ishcount.cli.options import n_cores
    from ishcount.cli.truth_table import beside_truth
    from ishcount.params import make_params
    from ishcount.study.jobs import RunOptions
    from ishcount.study.samples import CASE, CONTROL, sample_folder
    from ishcount.study.sheet import read_sheet

    folder = sample_folder()
    run = RunOptions(n_workers=n_cores() if workers is None else workers, command=tuple(sys.argv[1:]))
    result = count_with_progress(read_sheet(folder / "sheet.csv"), out, make_params(), run, keep_others=False)
    if result.densities is None or result.exit_code == 4:
        raise typer.Exit(result.exit_code)
    compared = beside_truth(result.out, folder)
    if as_json:
        write_reports(result, case=CASE, control=CONTROL, as_json=True)
        say_json({"out": str(result.out), "groups": compared})
        raise typer.Exit(result.exit_code)
    say_densities(result, as_json=False)
    write_reports(result, case=CASE, control=CONTROL, as_json=False)
    header = ["group", "marker", "slides", "positive cells per mm2", "truth", "positive cells", "truth"]
    names = ("group", "marker", "n_slides", "per_mm2", "true_per_mm2", "n_positive", "n_true")
    say(table(header, [[_cell(row[name]) for name in names] for row in compared]))
    raise typer.Exit(result.exit_code)


def _cell(value: object) -> str:
    return number(value) if isinstance(value, (int, float)) else str(value)


def simulate(
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for slides, truth and a sheet.")],
    n: Annotated[int, typer.Option("-n", min=1, max=10_000, help="Number of slides.")] = 1,
    preset: Annotated[str, typer.Option(help="easy, medium, hard, blank or rare.")] = "medium",
    marker: Annotated[
        list[str] | None,
        typer.Option("--marker", metavar="NAME[:CHROMOGEN]", help="Default IFNG:fast_red; repeatable."),
    ] = None,
    prevalence: Annotated[
        float | None, typer.Option(min=0, max=1, help="Share of nuclei that are positive.")
    ] = None,
    size: Annotated[str, typer.Option(metavar="W,H", help="Width and height, mm.")] = "0.6,0.5",
    mpp: Annotated[float, typer.Option(help="Pixel size, um.")] = 0.25,
    state: Annotated[str, typer.Option(help="normal or inflamed tissue.")] = "normal",
    pigment: Annotated[float, typer.Option(min=0, max=1, help="How dark the skin is.")] = 0.4,
    quality: Annotated[
        int | None, typer.Option(min=10, max=100, help="JPEG quality (default: the preset's).")
    ] = None,
    subsampling: Annotated[
        str, typer.Option(help="Chroma subsampling of the JPEG: 420, 422 or 444.")
    ] = "420",
    seed: Annotated[
        int, typer.Option(min=0, help="The first slide's seed; each further slide takes the next.")
    ] = 0,
) -> None:
    """Draw phantom slides of skin with exact truth: tiled JPEG TIFFs with pyramid and pixel size.

    \b
    Example:
      ishcount simulate -o phantoms -n 3 --preset medium --seed 7
      ishcount study phantoms/sheet.csv -o results
      ishcount evaluate results phantoms
    """
    from ishcount.cli.options import parse_markers
    from ishcount.truth.simulate.spec import PhantomSpec
    from ishcount.truth.simulate.writer import write_phantom

    markers = parse_markers(marker or ["IFNG:fast_red"])
    width_um, height_um = _size(size)
    rows = []
    for number_ in range(n):
        spec = PhantomSpec(
            preset=preset, markers=tuple(markers), width_um=width_um, height_um=height_um, mpp_um=mpp,
            chromogens=tuple("fast_red" if dye == "auto" else dye for dye in markers.values()), state=state,
            prevalence=prevalence, pigment=pigment, jpeg_quality=quality, subsampling=subsampling,
            seed=seed + number_,
        )  # fmt: skip
        slide_id = f"{preset}-{spec.seed:04d}"
        path = write_phantom(spec, out, slide_id)
        say(str(path))
        pairs = zip(spec.markers, spec.chromogens, strict=True)
        rows += [
            {"slide": path.name, "slide_id": slide_id, "marker": name, "chromogen": dye}
            for name, dye in pairs
        ]
    _write_sheet(out / "sheet.csv", rows)


def _size(text: str) -> tuple[float, float]:
    from ishcount.core.errors import UsageError

    try:
        width, height = (float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--size {text!r} is not W,H in mm; write such as 0.6,0.5") from None
    return width * 1000, height * 1000


def _write_sheet(path: Path, rows: list[dict[str, str]]) -> None:
    """A sheet of all phantoms in the folder: those drawn before stay in it."""
    import pandas as pd

    from ishcount.core.files import read_csv, write_csv

    table = pd.DataFrame(rows, dtype="string")
    if path.is_file():
        earlier = read_csv(path, dtype="string")
        table = pd.concat([earlier[~earlier["slide_id"].isin(table["slide_id"])], table], ignore_index=True)
    write_csv(path, table)


def evaluate(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Result folder of quantify or study.")],
    truth: Annotated[
        Path,
        typer.Argument(metavar="TRUTH", help="Folder of phantoms, or CSV of slide_id, x_um, y_um, marker."),
    ],
    as_json: AsJson = False,
) -> None:
    """Say how right a result is: against phantoms' exact truth or a hand count.

    \b
    Example:
      ishcount evaluate results hand_count.csv
    """
    from ishcount.truth.evaluate import evaluate as score

    found = score(out, truth)
    if as_json:
        say_json(found)
        return
    pooled = found["pooled"]
    rows = [_row(str(row["slide_id"]), str(row["marker"]), row) for row in found["slides"]]
    states = sorted(pooled.get("by_state", {}).items())
    rows += [_row(f"all {state}", "", part) for state, part in states if len(states) > 1]
    say(table(HEADER, [*rows, _row("all", "", pooled)]))


def _row(name: str, marker: str, row: Mapping[str, Any]) -> list[str]:
    cells, nuclei = row["positive_cells"], row.get("nuclei_iou") or row.get("nuclei_centroid") or {}
    return [
        name,
        marker,
        *(number(cells[key]) for key in ("n_true", "n_found", "precision", "recall", "f1")),
        _percent(row["count_error"]),
        number(row["false_per_mm2"]),
        number(row["false_per_mm2_upper"]),
        number(nuclei.get("f1")),
        _percent(row.get("area_error")),
    ]


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:+.1%}"
