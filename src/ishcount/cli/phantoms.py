"""`ishcount evaluate` and its kin: how right a result is, where the truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ishcount.cli.options import AsJson
from ishcount.cli.say import number, say, say_json, table

if TYPE_CHECKING:
    from collections.abc import Mapping

HEADER = (
    "slide_id", "marker", "true", "found", "precision", "recall", "F1", "count error", "false per mm2",
    "95% below", "nuclei F1", "area error",
)  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(evaluate)


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
