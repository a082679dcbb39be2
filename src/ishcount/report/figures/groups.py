"""Figures that show every patient: groups side by side, estimation plot, before and during treatment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ishcount.outputs.style import INK, MUTED, drawing
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
from ishcount.stats.bootstrap import LEAST
from ishcount.stats.means import describe
from ishcount.stats.wording import format_p

if TYPE_CHECKING:
    from matplotlib.axes import Axes

N_RESAMPLES = 5_000  # enough for a smooth shape; the interval drawn is the primary test's own


def draw_groups(
    patients: pd.DataFrame, comparisons: Sequence[Mapping[str, Any]], *, case: str | None, control: str | None
) -> Drawn:
    """Every patient a dot beside the group's mean with its 95 % t interval; one panel per marker.

    patients: `marker, group, patient, positive_per_mm2`, one row per patient and marker. comparisons: of
    compartment tissue, as in statistics.json; their primary P is printed above the panel.
    """
    markers = sorted(patients["marker"].unique())
    order = group_order(list(patients["group"]), case, control)
    width = ONE_COLUMN_IN if len(markers) * len(order) <= 2 else TWO_COLUMNS_IN
    with drawing():
        figure = new_figure(width, 3.1)
        for index, marker in enumerate(markers):
            axes = figure.add_subplot(1, len(markers), index + 1)
            rows = patients[patients["marker"] == marker]
            _strip(axes, rows, order, case, control)
            axes.set_ylabel(f"{safe(marker, 20)}+ cells/mm\u00b2")
            _print_p(axes, [c for c in comparisons if c["marker"] == marker])
        return finish(
            figure,
            stem="patients_by_group",
            title="Every patient",
            caption="Each dot is one patient (counts of the patient's independent sections over their area). "
            "Bar: mean with 95% t interval, drawn beside the dots. P: studentised permutation test of "
            "the difference of means.",
            alt=_groups_in_words(patients, markers, order),
        )


def draw_estimation(
    patients: pd.DataFrame, comparison: Mapping[str, Any], *, case: str, control: str, seed: int = 20_210
) -> Drawn:
    """Raw densities on the left, the difference of means with its interval on the right (Gardner and Altman).

    The shape is the bootstrap distribution of the difference (patients resampled within groups); the interval
    is that of the primary test. No shape below `stats.bootstrap.LEAST` patients in a group.
    """
    marker = str(comparison["marker"])
    rows = patients[patients["marker"] == marker]
    x, y = (rows.loc[rows["group"] == name, "positive_per_mm2"].to_numpy(float) for name in (case, control))
    primary = _primary(comparison)
    shape = "; the shape is its bootstrap distribution" if min(len(x), len(y)) >= LEAST else ""
    with drawing():
        figure = new_figure(ONE_COLUMN_IN, 3.1)
        left, right = figure.subplots(1, 2, width_ratios=(2.0, 1.0))
        _strip(left, rows, [control, case], case, control)
        left.set_ylabel(f"{safe(marker, 20)}+ cells/mm\u00b2")
        shift = float(np.mean(y)) if len(y) else 0.0
        low, high = left.get_ylim()
        right.set_ylim(low - shift, high - shift)
        right.yaxis.tick_right()
        right.yaxis.set_label_position("right")
        right.spines["left"].set_visible(False)
        right.spines["right"].set_visible(True)
        right.set_ylabel(f"difference of means ({safe(case, 14)} \u2212 {safe(control, 14)})")
        _difference(right, x, y, primary, seed)
        return finish(
            figure,
            stem=f"estimation_{_stem(marker)}",
            title=f"{marker}: size of the difference",
            caption=f"{marker}: patients by group (left) and the difference of means (right) with its 95% "
            f"interval from the primary test{shape}. The right axis is 0 at the mean of {control}.",
            alt=f"Estimation plot of {marker}: difference of means {_estimate(primary)}.",
        )


def draw_pairs(patients: pd.DataFrame, marker: str) -> Drawn:
    """Lines from before to during treatment, one per patient with both."""
    rows = patients[(patients["marker"] == marker) & patients["pair"].isin(["before", "during"])]
    wide = rows.pivot_table(index="patient", columns="pair", values="positive_per_mm2").dropna()
    with drawing():
        figure = new_figure(ONE_COLUMN_IN * 0.8, 3.0)
        axes = figure.add_subplot()
        for before, during in wide[["before", "during"]].to_numpy(float):
            axes.plot([0, 1], [before, during], color=MUTED, lw=0.9, marker="o", ms=4, mfc="white", mec=INK)
        means = wide[["before", "during"]].mean()
        axes.plot([0, 1], means, color="#c44e00", lw=2.2, marker="s", ms=5, label="mean")
        axes.set_xticks([0, 1], [f"before\nn = {len(wide)}", f"during\nn = {len(wide)}"])
        axes.set_xlim(-0.3, 1.3)
        from_zero(axes, float(wide.to_numpy().max()) if len(wide) else 0.0)
        axes.set_ylabel(f"{safe(marker, 20)}+ cells/mm\u00b2")
        axes.legend(loc="upper right")
        return finish(
            figure,
            stem=f"pairs_{_stem(marker)}",
            title=f"{marker}: before and during treatment",
            caption="Each line is one patient; the thick line joins the means.",
            alt=f"{marker} in {len(wide)} patients before and during treatment: "
            f"mean {means['before']:.2f} and {means['during']:.2f} cells per mm2.",
        )


def _strip(
    axes: Axes, rows: pd.DataFrame, order: Sequence[str], case: str | None, control: str | None
) -> None:
    highest = float(rows["positive_per_mm2"].max()) if len(rows) else 0.0
    bounds = [highest]
    labels = []
    for place, group in enumerate(order):
        values = rows.loc[rows["group"] == group, "positive_per_mm2"].dropna().to_numpy(float)
        colour = group_colour(group, order, case, control)
        filled = colour if group == case else "white"
        offsets = spread(values, height=max(highest, 1e-9)) - 0.14
        axes.scatter(
            place + offsets, values, s=18, facecolors=filled, edgecolors=colour, linewidths=0.9, zorder=3
        )
        summary = describe(values.tolist())
        labels.append(f"{safe(group, 16)}\nn = {summary['n']}\n{summary['n_zero']} at 0")
        limits = summary.get("ci")
        if limits:
            axes.plot([place + 0.34] * 2, limits, color=INK, lw=1.2, zorder=4)
            bounds.append(limits[1])
        if summary["n"]:
            axes.plot([place + 0.26, place + 0.42], [summary["mean"]] * 2, color=INK, lw=1.8, zorder=4)
    axes.set_xticks(range(len(order)), labels)
    axes.set_xlim(-0.55, len(order) - 0.4)
    from_zero(axes, max(bounds))


def _print_p(axes: Axes, comparisons: Sequence[Mapping[str, Any]]) -> None:
    """The primary P with its italic P above the panel; with several comparisons the table carries them."""
    if len(comparisons) != 1:
        return
    text = format_p(comparisons[0].get("p_primary"))
    holm = comparisons[0].get("p_holm")
    adjusted = "" if holm is None else format_p(holm)
    after = rf"; Holm $\it{{P}}${adjusted[1:]}" if adjusted not in ("", text) else ""
    axes.set_title(rf"$\it{{P}}${text[1:]}{after}", loc="center", fontsize=8.5)


def _difference(axes: Axes, x: np.ndarray, y: np.ndarray, primary: Mapping[str, Any], seed: int) -> None:
    axes.axhline(0, color=MUTED, lw=0.7, ls=(0, (4, 3)))
    axes.set_xticks([])
    axes.set_xlim(-0.35, 0.8)
    axes.spines["bottom"].set_visible(False)
    if min(len(x), len(y)) >= LEAST and np.ptp(x) + np.ptp(y) > 0:
        draws = np.random.default_rng(seed)
        means = [v[draws.integers(0, len(v), (N_RESAMPLES, len(v)))].mean(axis=1) for v in (x, y)]
        counts, edges = np.histogram(means[0] - means[1], bins=60)
        smooth = np.convolve(counts, np.hanning(9) / np.hanning(9).sum(), mode="same")
        middles = (edges[:-1] + edges[1:]) / 2
        axes.fill_betweenx(middles, 0, 0.7 * smooth / smooth.max(), color="#b9c2cc", lw=0)
    if primary.get("estimate") is None:
        return
    axes.plot([0], [primary["estimate"]], marker="o", color=INK, ms=5)
    limits = primary.get("ci") or [None, None]
    if None not in limits:
        axes.plot([0, 0], limits, color=INK, lw=1.6)
        low, high = axes.get_ylim()
        axes.set_ylim(min(low, limits[0] - 0.03 * (high - low)), max(high, limits[1]))


def _primary(comparison: Mapping[str, Any]) -> Mapping[str, Any]:
    return (comparison.get("tests") or {}).get("permutation") or {}


def _estimate(entry: Mapping[str, Any]) -> str:
    from ishcount.stats.wording import format_estimate

    return format_estimate(entry.get("estimate"), entry.get("ci"))


def _groups_in_words(patients: pd.DataFrame, markers: Sequence[str], order: Sequence[str]) -> str:
    """Text for who cannot see the figure: n and mean of every group."""
    parts = []
    for marker in markers:
        rows = patients[patients["marker"] == marker]
        for group in order:
            values = rows.loc[rows["group"] == group, "positive_per_mm2"].dropna()
            if len(values):
                parts.append(f"{marker} {group}: n = {len(values)}, mean {values.mean():.2f} cells per mm2")
    return "Density of every patient by group. " + "; ".join(parts) + "."


def _stem(name: str) -> str:
    """A marker's name as part of a file name."""
    return "".join(letter if letter.isalnum() else "-" for letter in name)[:40]
