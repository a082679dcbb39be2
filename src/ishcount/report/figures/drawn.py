"""A finished figure as SVG and PNG with its caption; journal widths; how groups look."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ishcount.core.files import write_bytes
from ishcount.outputs.style import settle

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ONE_COLUMN_IN = 3.35  # 85 mm, one column of most journals
TWO_COLUMNS_IN = 7.0  # 178 mm, across two
PNG_DPI = 300
# Case and control differ in colour, lightness and filling (Okabe and Ito's vermilion and blue).
CASE_COLOUR, CONTROL_COLOUR = "#c44e00", "#0072b2"
OTHER_COLOURS = ("#007a5a", "#8a5a9e", "#7a6a00")


@dataclass(frozen=True, slots=True)
class Drawn:
    """One figure. `stem` names its files; `alt` says in words what it shows to who cannot see it."""

    stem: str
    title: str
    caption: str
    alt: str
    svg: bytes
    png: bytes
    width_in: float

    def write(self, folder: Path) -> None:
        """Write `stem.svg` and `stem.png` into `folder`."""
        write_bytes(folder / f"{self.stem}.svg", self.svg)
        write_bytes(folder / f"{self.stem}.png", self.png)


def finish(figure: Figure, *, stem: str, title: str, caption: str, alt: str) -> Drawn:
    """Render a figure; to be called where `style.drawing` is in force."""
    settle(figure)
    svg, png = io.BytesIO(), io.BytesIO()
    figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    figure.savefig(png, format="png", dpi=PNG_DPI, metadata={"Software": None})
    return Drawn(stem, title, caption, alt, svg.getvalue(), png.getvalue(), float(figure.get_figwidth()))


def new_figure(width_in: float, height_in: float) -> Figure:
    """An empty figure that keeps its labels inside."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width_in, height_in), layout="constrained")


def group_order(groups: Sequence[str], case: str | None, control: str | None) -> list[str]:
    """Control first, case last, others by name between."""
    names = sorted(set(groups))
    first = [name for name in names if name == control]
    last = [name for name in names if name == case and name != control]
    return first + [name for name in names if name not in (case, control)] + last


def group_colour(group: str, order: Sequence[str], case: str | None, control: str | None) -> str:
    """Colour of a group, the same in every figure of a report."""
    if group == case:
        return CASE_COLOUR
    if group == control:
        return CONTROL_COLOUR
    others = [name for name in order if name not in (case, control)]
    return OTHER_COLOURS[others.index(group) % len(OTHER_COLOURS)]


def spread(values: NDArray[np.float64], *, height: float, step: float = 0.085) -> NDArray[np.float64]:
    """Sideways offsets that keep equal dots apart, the same every time: no random jitter.

    height: of the axis in data units; values closer than a thirtieth of it share a row.
    """
    rows = np.round(values / max(height / 30, 1e-12)).astype(np.int64)
    offsets = np.zeros(len(values))
    for row in np.unique(rows):
        members = np.flatnonzero(rows == row)
        places = (np.arange(len(members)) - (len(members) - 1) / 2) * min(step, 0.6 / max(len(members), 1))
        offsets[members[np.argsort(values[members], kind="stable")]] = places
    return offsets


def safe(text: str, most: int = 40) -> str:
    """A name from the data on one line, with nothing that matplotlib would read as mathematics."""
    line = " ".join(str(text).split())
    return (line if len(line) <= most else line[: most - 1] + "\u2026").replace("$", r"\$")


def from_zero(axes: Axes, highest: float) -> None:
    """A density axis: linear, from just below 0 so that dots at 0 are whole, with a line at 0."""
    top = highest * 1.12 if highest > 0 else 1.0
    axes.set_ylim(-0.045 * top, top)
    axes.axhline(0, color="#9aa0a8", lw=0.6, zorder=0)
