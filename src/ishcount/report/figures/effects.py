"""Figures about the size and the firmness of a difference: forest plot, tipping point, sensitivity curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ishcount.outputs.style import INK, MARKER_COLOURS, MUTED, drawing
from ishcount.report.figures.drawn import (
    ONE_COLUMN_IN,
    TWO_COLUMNS_IN,
    Drawn,
    finish,
    group_colour,
    group_order,
    new_figure,
    safe,
)
from ishcount.stats.tipping import tipping_curve
from ishcount.stats.wording import format_p

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# (scale of the panel, value of no effect, logarithmic, rows: (section of the comparison, key, field, label))
_PANELS: tuple[tuple[str, float, bool, tuple[tuple[str, str, str, str], ...]], ...] = (
    (
        "difference (cells/mm\u00b2)",
        0.0,
        False,
        (
            ("tests", "permutation", "estimate", "permutation (primary)"),
            ("tests", "welch", "estimate", "Welch"),
            ("tests", "student", "estimate", "Student"),
            ("effects", "bca", "estimate", "BCa bootstrap"),
            ("tests", "mann_whitney", "hodges_lehmann", "Hodges-Lehmann"),
        ),
    ),
    ("rate ratio", 1.0, True, (("tests", "negative_binomial", "rate_ratio", "negative binomial"),)),
    (
        "standardised effect",
        0.0,
        False,
        (
            ("effects", "hedges_g", "estimate", "Hedges g"),
            ("effects", "cliffs_delta", "estimate", "Cliff delta"),
        ),
    ),
)
ABOVE: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0.0, 1.0), "ncols": 2, "borderaxespad": 0.2}
"""A legend above the axes: inside, some data always lie under it."""
_Row = tuple[str, float, float | None, float | None]


def draw_forest(comparisons: Sequence[Mapping[str, Any]]) -> Drawn:
    """All estimates of the difference with their intervals, one row each, grouped by marker.

    comparisons: of compartment tissue. An open end is drawn as an arrow; an estimate that could not be
    computed has no row (the table says why).
    """
    panels = [(name, null, log, _rows(comparisons, rows)) for name, null, log, rows in _PANELS]
    panels = [panel for panel in panels if panel[3]]
    heights = [len(panel[3]) + 0.9 for panel in panels] or [1.0]
    with drawing():
        figure = new_figure(TWO_COLUMNS_IN * 0.8, 0.5 + 0.24 * sum(heights))
        grid = figure.add_gridspec(len(heights), 1, height_ratios=heights)
        for index, (name, null, log, rows) in enumerate(panels):
            _forest_panel(figure.add_subplot(grid[index]), name, null, log, rows)
        words = "; ".join(f"{label}: {value:.2f}" for *_, rows in panels for label, value, _, _ in rows)
        return finish(
            figure,
            stem="effects",
            title="All estimates side by side",
            caption="Point: estimate, line: 95% interval, dashed: no effect. Only the permutation test is "
            "primary; the others answer other questions or make other assumptions and are shown so that "
            "nothing is hidden.",
            alt=f"Forest plot of effects. {words}.",
        )


def draw_tipping(comparison: Mapping[str, Any]) -> Drawn | None:
    """The difference and its interval as more false cells are assumed in the case; None without interval."""
    marker = str(comparison["marker"])
    primary = (comparison.get("tests") or {}).get("permutation") or {}
    curve = pd.DataFrame(tipping_curve(primary))
    if curve.empty:
        return None
    extra = curve["extra_false_per_mm2"].to_numpy(float)
    low, high = primary["ci"]
    point = low if low > 0 else high if high < 0 else 0.0
    with drawing():
        figure = new_figure(ONE_COLUMN_IN, 2.7)
        axes = figure.add_subplot()
        axes.fill_between(extra, curve["low"], curve["high"], color="#c9d3dc", lw=0, label="95% interval")
        axes.plot(extra, curve["difference"], color=INK, lw=1.4, label="difference of means")
        axes.axhline(0, color=MUTED, lw=0.8, ls=(0, (4, 3)))
        if point:
            axes.axvline(point, color="#c44e00", lw=1.2)
            axes.annotate(
                f"{point:.2f}",
                (point, axes.get_ylim()[1]),
                xytext=(3, -2),
                textcoords="offset points",
                va="top",
                color="#a03f00",
            )
        axes.set_xlabel(f"extra false cells/mm\u00b2 in {safe(str(comparison['case']), 20)}")
        axes.set_ylabel(f"difference in {safe(marker, 14)}+ cells/mm\u00b2")
        axes.legend(**ABOVE)
        said = f"{point:.2f} extra false cells per mm2 would make the interval touch zero"
        return finish(
            figure,
            stem=f"tipping_point_{_stem(marker)}",
            title=f"{marker}: what would undo it",
            caption="How the difference shrinks if the case group held more false cells per mm\u00b2 than "
            f"the control group. {said if point else 'The interval holds zero as it is'}.",
            alt=f"Tipping point of {marker}: {said if point else 'the interval holds zero already'}.",
        )


def draw_sensitivity(
    sensitivity: pd.DataFrame,
    groups: Mapping[str, str],
    *,
    case: str | None,
    control: str | None,
    dot_cut: float,
) -> Drawn | None:
    """Density against the dot cut: a thin line per slide, a thick one per group; one panel per marker.

    sensitivity: as `tables.sensitivity_table`; the rows with the least `min_dots` and the ownership rule that
    is used are drawn. groups: slide_id -> group, target slides only.
    """
    rows = sensitivity[sensitivity["slide_id"].isin(list(groups))]
    if rows.empty:
        return None
    rows = rows[(rows["min_dots"] == rows["min_dots"].min()) & (rows["ownership"] == _used_rule(rows))]
    rows = rows.assign(group=rows["slide_id"].map(groups))
    markers = sorted(rows["marker"].unique())
    order = group_order(list(rows["group"]), case, control)
    with drawing():
        figure = new_figure(TWO_COLUMNS_IN if len(markers) > 1 else ONE_COLUMN_IN, 2.8)
        for index, marker in enumerate(markers):
            axes = figure.add_subplot(1, len(markers), index + 1)
            _sensitivity_panel(axes, rows[rows["marker"] == marker], order, case, control)
            axes.axvline(dot_cut, color=MUTED, lw=0.8, ls=(0, (4, 3)))
            axes.set_xlabel("least score at which a dot counts")
            axes.set_ylabel(f"{safe(marker, 20)}+ cells/mm\u00b2")
        return finish(
            figure,
            stem="sensitivity",
            title="Does the answer depend on the cut?",
            caption="Density at every dot cut: thin lines are slides, thick lines group means, dashed the "
            "cut used. A finding that holds at one cut only is no finding.",
            alt="Density against the dot cut for every slide, with group means.",
        )


def draw_adjusted(marker: str, checks: Sequence[Mapping[str, Any]]) -> Drawn | None:
    """Adjusted and leave-one-out differences of a marker; `checks`: `label, estimate, ci`; None without."""
    rows: list[_Row] = [
        (str(check["label"]), float(check["estimate"]), *_limits(check))
        for check in checks
        if check.get("estimate") is not None
    ]
    if not rows:
        return None
    with drawing():
        figure = new_figure(TWO_COLUMNS_IN * 0.8, 0.7 + 0.24 * len(rows))
        _forest_panel(figure.add_subplot(), "difference (cells/mm\u00b2)", 0.0, False, rows)
        return finish(
            figure,
            stem=f"adjusted_{_stem(marker)}",
            title=f"{marker}: adjusted and leave-one-out answers",
            caption="The difference of means at equal covariates, and with one batch or site left out.",
            alt="; ".join(f"{label}: {value:.2f}" for label, value, _, _ in rows),
        )


def _rows(
    comparisons: Sequence[Mapping[str, Any]], wanted: Sequence[tuple[str, str, str, str]]
) -> list[_Row]:
    rows: list[_Row] = []
    for comparison in comparisons:
        for section, key, field, label in wanted:
            entry = (comparison.get(section) or {}).get(key) or {}
            value = entry.get(field)
            if value is not None:
                name = f"{safe(str(comparison['marker']), 14)}  {label}"
                name += f"  {format_p(entry['p'])}" if entry.get("p") is not None else ""
                rows.append((name, float(value), *_limits(entry)))
    return rows


def _limits(entry: Mapping[str, Any]) -> tuple[float | None, float | None]:
    low, high = entry.get("ci") or (None, None)
    unbounded = entry.get("unbounded")
    return (-np.inf if unbounded in ("low", "both") else low), (
        np.inf if unbounded in ("high", "both") else high
    )


def _forest_panel(axes: Axes, name: str, null: float, log: bool, rows: Sequence[_Row]) -> None:
    from matplotlib.ticker import LogLocator

    if log:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter("{x:g}")
        axes.xaxis.set_minor_locator(LogLocator(subs=(2.0, 5.0)))
    finite = [v for row in rows for v in row[1:] if v is not None and np.isfinite(v) and (not log or v > 0)]
    left, right = min([*finite, null]), max([*finite, null])
    pad = (right / left) ** 0.08 if log else 0.06 * (right - left or 1.0)
    axes.set_xlim(left / pad if log else left - pad, right * pad if log else right + pad)
    axes.axvline(null, color=MUTED, lw=0.8, ls=(0, (4, 3)))
    for place, (label, value, low, high) in enumerate(rows):
        first = "primary" in label
        colour = MARKER_COLOURS[0] if first else INK
        for limit, arrow, edge in ((low, "<", axes.get_xlim()[0]), (high, ">", axes.get_xlim()[1])):
            if limit is not None:
                end = limit if np.isfinite(limit) and (not log or limit > 0) else edge
                axes.plot([value, end], [place, place], color=colour, lw=1.6 if first else 1.0)
                if end != limit:
                    axes.plot([end], [place], marker=arrow, color=colour, ms=4, clip_on=False)
        axes.plot([value], [place], marker="D" if first else "o", color=colour, ms=4.5 if first else 3.5)
    axes.set_yticks(range(len(rows)), [row[0] for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(name, labelpad=1)


def _sensitivity_panel(
    axes: Axes, rows: pd.DataFrame, order: Sequence[str], case: str | None, control: str | None
) -> None:
    for group in order:
        members = rows[rows["group"] == group]
        colour = group_colour(group, order, case, control)
        for _, line in members.groupby("slide_id", sort=True):
            ordered = line.sort_values("dot_cut")
            axes.plot(ordered["dot_cut"], ordered["positive_per_mm2"], color=colour, lw=0.5, alpha=0.45)
        means = members.groupby("dot_cut", sort=True)["positive_per_mm2"].mean()
        style = "-" if group == case else (0, (5, 1.5))
        axes.plot(means.index, means, color=colour, lw=2, ls=style, label=f"mean of {safe(group, 20)}")
    axes.set_yscale("symlog", linthresh=1.0)
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_ylim(bottom=0)
    axes.legend(**ABOVE)


def _used_rule(rows: pd.DataFrame) -> str:
    """The ownership rule that is used: expectation-maximisation where it was swept, else the first."""
    rules = sorted(rows["ownership"].dropna().unique())
    return next((rule for rule in rules if str(rule).startswith(("em", "expect"))), rules[0] if rules else "")


def _stem(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name)[:40]
