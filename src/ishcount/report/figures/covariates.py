"""Does something travel with the group? Every patient's density against each covariate of the sheet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ishcount.outputs.style import drawing
from ishcount.report.figures.drawn import (
    ONE_COLUMN_IN,
    TWO_COLUMNS_IN,
    Drawn,
    finish,
    from_zero,
    group_colour,
    group_order,
    new_figure,
    safe,
    spread,
)
from ishcount.stats.wording import format_p

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ACROSS = 3  # panels in a row
MOST_LABELS = 6  # beyond which names below an axis would run into each other
FEW_NUMBERS = 4  # are drawn as labels, so that the groups do not hide each other
SIDE_STEP = 0.16  # of the groups at one label, so that they do not hide each other


def draw_covariates(
    marker: str, checks: Sequence[Mapping[str, Any]], *, case: str, control: str | None
) -> Drawn | None:
    """One panel per covariate that differs between patients: its value, the density, the group.

    checks: of one marker, as `report.confounding.confounding` gives them (`points`: value, density, group);
    None where no covariate varies.
    """
    varied = [check for check in checks if len({point["value"] for point in check["points"]}) > 1]
    if not varied:
        return None
    across = min(ACROSS, len(varied))
    rows = -(-len(varied) // across)
    with drawing():
        figure = new_figure(TWO_COLUMNS_IN if across > 1 else ONE_COLUMN_IN, 0.3 + 2.0 * rows)
        for index, check in enumerate(varied):
            axes = figure.add_subplot(rows, across, index + 1)
            _panel(axes, check["points"], case, control)
            axes.set_xlabel(_in_words(check))
            if index % across == 0:
                axes.set_ylabel(f"{safe(marker, 20)}+ cells/mm\u00b2")
            if index == 0:
                axes.legend(loc="best")
        return finish(
            figure,
            stem=f"covariates_{''.join(c if c.isalnum() else '-' for c in marker)[:40]}",
            title=f"{marker}: what else differs between the patients?",
            caption="One dot per patient. Groups that lie apart along an axis differ in that covariate, and "
            "what it does cannot be told from the disease; P: covariate against group.",
            alt=f"{marker} densities against {', '.join(_in_words(check) for check in varied)}, by group.",
        )


def _panel(axes: Axes, points: Sequence[Mapping[str, Any]], case: str, control: str | None) -> None:
    order = group_order([str(point["group"]) for point in points], case, control)
    values = [point["value"] for point in points]
    labels = _labels(values)
    highest = max(float(point["density"]) for point in points)
    for group in order:
        mine = [point for point in points if str(point["group"]) == group]
        y = np.array([float(point["density"]) for point in mine])
        x = np.array(
            [labels.index(_name(p["value"])) if labels else float(p["value"]) for p in mine], dtype=np.float64
        )
        if labels:
            x = x + (order.index(group) - (len(order) - 1) / 2) * SIDE_STEP
            for place in np.unique(x):
                x[x == place] += spread(y[x == place], height=max(highest, 1e-9), step=0.03)
        colour = group_colour(group, order, case, control)
        filled = colour if group == case else "white"
        axes.scatter(x, y, s=14, facecolors=filled, edgecolors=colour, linewidths=0.8, label=safe(group, 16))
    if labels:
        shown = [safe(name, 9) for name in labels] if len(labels) <= MOST_LABELS else []
        axes.set_xticks(range(len(shown)), shown)
        axes.set_xlim(-0.5, len(labels) - 0.5)
    else:
        whole = all(float(value).is_integer() for value in values)
        axes.locator_params(axis="x", nbins=4, integer=whole)
    from_zero(axes, highest)


def _labels(values: Sequence[Any]) -> list[str] | None:
    """Places along the axis in order: texts, or numbers of which there are few; None for a scale."""
    if not all(isinstance(value, (int, float)) for value in values):
        return sorted({_name(value) for value in values})
    return [_name(value) for value in sorted(set(values))] if len(set(values)) <= FEW_NUMBERS else None


def _name(value: Any) -> str:
    return f"{value:g}" if isinstance(value, (int, float)) else str(value)


def _in_words(check: Mapping[str, Any]) -> str:
    name, p = str(check["covariate"]).replace("_", " "), check["imbalance"]["p"]
    return name if p is None else f"{name} ({format_p(p)})"
