"""Two readers, or tool and reader: identity scatter and Bland-Altman plot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ishcount.outputs.style import INK, MUTED, drawing
from ishcount.report.figures.drawn import TWO_COLUMNS_IN, Drawn, finish, group_order, new_figure, safe
from ishcount.stats.agreement import bland_altman, lin_ccc
from ishcount.stats.wording import format_estimate, format_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SHAPES = ("o", "^", "s", "D", "v")


def draw_agreement(
    a: Sequence[float],
    b: Sequence[float],
    *,
    name_a: str,
    name_b: str,
    marker: str,
    groups: Sequence[str] | None = None,
) -> Drawn:
    """Densities of `a` against `b` with the line of identity, and their difference on the square-root scale.

    groups: one name per pair, for the shape of the dots; agreement over groups that differ flatters, so the
    table gives it within groups too.
    """
    x, y = np.asarray(a, float), np.asarray(b, float)
    named = list(groups) if groups is not None else [""] * len(x)
    numbers = bland_altman(x.tolist(), y.tolist(), scale="square_root")
    concordance = lin_ccc(x.tolist(), y.tolist())
    with drawing():
        figure = new_figure(TWO_COLUMNS_IN, 3.1)
        left, right = figure.subplots(1, 2)
        _identity(left, x, y, named)
        left.set_xlabel(f"{safe(name_b, 24)}: {safe(marker, 16)}+ cells/mm\u00b2")
        left.set_ylabel(f"{safe(name_a, 24)}: {safe(marker, 16)}+ cells/mm\u00b2")
        left.set_title(f"CCC {format_estimate(concordance['estimate'], concordance['ci'])}", loc="left")
        _bland_altman(right, np.sqrt(x), np.sqrt(y), numbers, named)
        right.set_xlabel("mean of the two square roots")
        right.set_ylabel(f"\u221a{safe(name_a, 16)} \u2212 \u221a{safe(name_b, 16)}")
        return finish(
            figure,
            stem=f"agreement_{''.join(c if c.isalnum() else '-' for c in marker)[:40]}",
            title=f"{marker}: agreement of {name_a} and {name_b}",
            caption="Left: one dot per slide, line of identity, Lin's concordance (CCC). Right: differences "
            "on the square-root scale, which steadies the spread of counts; solid: bias, dashed: limits "
            "of agreement (mean \u2212/+ 1.96 SD), bands: their 95% intervals.",
            alt=f"Agreement of {name_a} and {name_b} in {len(x)} slides: CCC "
            f"{format_number(concordance['estimate'])}, bias {format_number(numbers['estimate'])} on the "
            "square-root scale.",
        )


def _identity(axes: Axes, x: NDArray[np.float64], y: NDArray[np.float64], groups: Sequence[str]) -> None:
    top = 1.08 * max(float(np.max(np.r_[x, y], initial=0.0)), 1e-9)
    axes.plot([0, top], [0, top], color=MUTED, lw=0.9, ls=(0, (4, 3)))
    _dots(axes, y, x, groups)
    axes.set_xlim(-0.03 * top, top)
    axes.set_ylim(-0.03 * top, top)
    axes.set_aspect("equal")


def _bland_altman(
    axes: Axes, x: NDArray[np.float64], y: NDArray[np.float64], numbers: dict[str, Any], groups: Sequence[str]
) -> None:
    axes.axhline(0, color="#c9d0d6", lw=0.7)
    if numbers["estimate"] is not None:
        lines = (
            ("estimate", "ci", "-"),
            ("lower_limit", "lower_limit_ci", "--"),
            ("upper_limit", "upper_limit_ci", "--"),
        )
        for key, interval, style in lines:
            axes.axhspan(*numbers[interval], color="#dbe3e9", lw=0, alpha=0.8)
            axes.axhline(numbers[key], color=INK, lw=1.0, ls=style)
    _dots(axes, (x + y) / 2, x - y, groups)


def _dots(axes: Axes, x: NDArray[np.float64], y: NDArray[np.float64], groups: Sequence[str]) -> None:
    order = group_order(list(groups), None, None)
    for place, group in enumerate(order):
        mine = np.array([name == group for name in groups], bool)
        shape = _SHAPES[place % len(_SHAPES)]
        label = safe(group, 16) or None
        axes.scatter(
            x[mine],
            y[mine],
            s=16,
            marker=shape,
            facecolors="none",
            edgecolors=INK,
            linewidths=0.9,
            label=label,
        )
    if any(groups):
        axes.legend(loc="best")
