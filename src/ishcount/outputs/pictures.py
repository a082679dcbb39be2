"""`qc.png`, the slide at a glance, and `density.png`, where the positive cells are.

Both show what was counted and what was left out, so that a wrong outline is seen before a wrong number is
believed. Masks and overview may differ in resolution: they cover the same slide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ishcount.core.memory import let_go
from ishcount.outputs.style import (
    ARTEFACT_COLOUR,
    INK,
    MARKER_COLOURS,
    MARKER_SHAPES,
    MUTED,
    OUTLINE_COLOUR,
    drawing,
    nice_length,
    save_png,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 150
LEGEND_COLUMNS = 4
LONGEST_PX = 1500  # of the slide in the picture: one screen, and under 3 MB
# Bandwidth of the heat map: a kernel of 2 pi sd^2 = 0.25 mm2, which holds about two cells at the 8.7 per mm2
# published for IFNG in erythema multiforme; narrower maps show single cells, wider ones hide foci.
KERNEL_SD_UM = 200.0
MAP_CELLS_PER_SD = 16


def write_qc_picture(
    path: Path,
    overview: NDArray[np.uint8],
    *,
    slide_width_um: float,
    tissue: NDArray[np.bool_],
    sections: NDArray[Any],
    artefacts: Mapping[str, NDArray[np.bool_]],
    cells: pd.DataFrame,
    markers: Sequence[str],
    title: str,
    notes: Sequence[str] = (),
) -> None:
    """The slide with outlines, numbered sections, what was left out, positive cells and a scale bar.

    overview: (h, w, 3) RGB of the whole slide. slide_width_um: its true width. tissue: mask of the area
    behind every density. sections: (h', w') numbers of filled outlines, 0 outside. artefacts: kind -> mask.
    cells: `x_um`, `y_um` and `M_positive`. notes: lines under the title (density, flags).
    """
    from matplotlib.lines import Line2D

    image = _fitted(overview)
    let_go(overview)
    height, width = image.shape[:2]
    um_per_px = slide_width_um / width
    with drawing():
        legend_rows = -(-(2 + len(artefacts) + len(markers)) // LEGEND_COLUMNS)
        figure, axes = _canvas(width, height, title, notes, bottom=40 + 24 * legend_rows)
        axes.imshow(image, interpolation="none")
        axes.set_autoscale_on(False)  # the picture is the slide: cells at its edge must not move the frame
        handles: list[Any] = []
        if np.any(sections):
            _outline(axes, sections, (height, width), colour=OUTLINE_COLOUR, line_width=1.3)
            handles.append(Line2D([], [], color=OUTLINE_COLOUR, lw=1.3, label="section outline"))
        if np.any((np.asarray(sections) > 0) & ~np.asarray(tissue, bool)):
            _outline(axes, tissue, (height, width), colour=INK, line_width=0.5)
            handles.append(Line2D([], [], color=INK, lw=0.5, label="edge of the area counted"))
        handles += _draw_artefacts(axes, artefacts, (height, width))
        for index, marker in enumerate(markers):
            handles.append(_draw_positive(axes, cells, marker, index, um_per_px))
        _number_sections(axes, sections, (height, width))
        _scale_bar(axes, width, height, um_per_px)
        _legend(figure, handles)
        save_png(figure, path, dpi=DPI)


def write_density_picture(
    path: Path,
    *,
    slide_width_um: float,
    slide_height_um: float,
    tissue: NDArray[np.bool_],
    cells: pd.DataFrame,
    markers: Sequence[str],
    title: str,
    kernel_sd_um: float = KERNEL_SD_UM,
) -> None:
    """Positive cells per mm2 of tissue as a heat map with a colour scale, one panel per marker.

    The map is the smoothed count over the smoothed tissue area (Gaussian, `kernel_sd_um`), so that edges and
    holes do not look empty; it is blank where tissue is less than a fiftieth of the kernel.
    """
    with drawing():
        wide = slide_width_um >= slide_height_um
        n_rows, n_cols = (len(markers), 1) if wide else (1, len(markers))
        longest_in = LONGEST_PX / DPI * 0.8
        scale = longest_in / max(slide_width_um, slide_height_um)
        panel_w = max(slide_width_um * scale, 2.4)
        panel_h = max(slide_height_um * scale, 1.0)
        from matplotlib.figure import Figure

        figure = Figure(
            figsize=(n_cols * (panel_w + 1.1), n_rows * (panel_h + 0.35) + 0.55), layout="constrained"
        )
        figure.suptitle(_short(title, 90), x=0.01, ha="left", fontsize=10, fontweight="bold")
        for index, marker in enumerate(markers):
            axes = figure.add_subplot(n_rows, n_cols, index + 1)
            _density_panel(
                figure, axes, (slide_width_um, slide_height_um), tissue, cells, marker, kernel_sd_um
            )
        save_png(figure, path, dpi=DPI)


def density_map(
    x_um: NDArray[np.float64],
    y_um: NDArray[np.float64],
    *,
    size_um: tuple[float, float],
    tissue: NDArray[np.bool_],
    kernel_sd_um: float = KERNEL_SD_UM,
) -> NDArray[np.float64]:
    """Smoothed density in cells per mm2 on a coarse grid; NaN outside tissue.

    size_um: width and height of the slide. tissue: mask of the whole slide, any resolution.
    """
    import cv2
    from scipy.ndimage import gaussian_filter

    step_um = kernel_sd_um / MAP_CELLS_PER_SD
    n_cols, n_rows = (max(1, round(length / step_um)) for length in size_um)
    share = cv2.resize(np.asarray(tissue, np.float32), (n_cols, n_rows), interpolation=cv2.INTER_AREA).astype(
        np.float64
    )
    col = np.clip((x_um / size_um[0] * n_cols).astype(int), 0, n_cols - 1)
    row = np.clip((y_um / size_um[1] * n_rows).astype(int), 0, n_rows - 1)
    counts = np.bincount(row * n_cols + col, minlength=n_rows * n_cols).reshape(n_rows, n_cols)
    cell_mm2 = size_um[0] / n_cols * size_um[1] / n_rows * 1e-6
    smooth_counts = gaussian_filter(counts.astype(np.float64), MAP_CELLS_PER_SD, mode="constant")
    smooth_area = gaussian_filter(share, MAP_CELLS_PER_SD, mode="constant")
    enough = (share > 0) & (smooth_area > 0.02)
    result = np.full(share.shape, np.nan)
    result[enough] = smooth_counts[enough] / (smooth_area[enough] * cell_mm2)
    return result


def _density_panel(
    figure: Figure,
    axes: Axes,
    size_um: tuple[float, float],
    tissue: NDArray[np.bool_],
    cells: pd.DataFrame,
    marker: str,
    kernel_sd_um: float,
) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    positive = cells.loc[cells[f"{marker}_positive"].astype(bool), ["x_um", "y_um"]]
    x_um, y_um = positive["x_um"].to_numpy(float), positive["y_um"].to_numpy(float)
    heat = density_map(x_um, y_um, size_um=size_um, tissue=tissue, kernel_sd_um=kernel_sd_um)
    one_cell = 1e6 / (
        2 * np.pi * kernel_sd_um**2
    )  # what a single cell amounts to in the middle of the kernel
    highest = max(one_cell, float(np.nanmax(heat)) if np.isfinite(heat).any() else 0.0)
    extent = (0.0, size_um[0], size_um[1], 0.0)
    axes.set_facecolor("#f1f2f4")
    shown = ScalarMappable(Normalize(0, highest), "cividis")
    # Coloured here and row by row: an image of numbers takes 13 times their memory to draw.
    coloured = np.stack([shown.to_rgba(np.ma.masked_invalid(row), bytes=True) for row in heat])
    axes.imshow(coloured, extent=extent, interpolation="nearest")
    axes.set_autoscale_on(False)
    axes.scatter(x_um, y_um, s=3, c="white", edgecolors=INK, linewidths=0.3, zorder=3)
    bar = figure.colorbar(shown, ax=axes, fraction=0.05, pad=0.02)
    bar.set_label(f"{_short(marker, 24)}+ cells per mm\u00b2")
    bar.outline.set_linewidth(0.5)
    axes.set_title(
        f"{_short(marker, 24)}: {len(positive):,} positive cells (Gaussian, sd {kernel_sd_um:g} \u00b5m)",
        loc="left",
    )
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    _scale_bar(axes, size_um[0], size_um[1], 1.0)


def _canvas(width: int, height: int, title: str, notes: Sequence[str], *, bottom: int) -> tuple[Figure, Axes]:
    """A figure whose picture has `width` x `height` pixels, with `bottom` pixels for the legend below."""
    from matplotlib.figure import Figure

    top, side = 44 + 24 * len(notes), 20
    total_w, total_h = max(width, 700) + 2 * side, height + top + bottom
    figure = Figure(figsize=(total_w / DPI, total_h / DPI))
    axes = figure.add_axes((side / total_w, bottom / total_h, width / total_w, height / total_h))
    axes.set_axis_off()
    left = side / total_w
    letters = total_w // 9
    figure.text(left, 1 - 12 / total_h, _short(title, letters), va="top", fontsize=11, fontweight="bold")
    for i, note in enumerate(notes):
        y = 1 - (40 + 24 * i) / total_h
        figure.text(left, y, _short(note, int(letters * 1.35)), va="top", fontsize=8, color=MUTED)
    return figure, axes


def _fitted(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """`image` brought to `LONGEST_PX` on its longer side; small slides are enlarged pixel by pixel."""
    import cv2

    scale = LONGEST_PX / max(image.shape[:2])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    mode = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size, interpolation=mode), np.uint8)


def _resized(mask: NDArray[Any], shape: tuple[int, int]) -> NDArray[np.uint16]:
    import cv2

    plain = np.asarray(mask)
    plain = plain.view(np.uint8) if plain.dtype == np.bool_ else plain.astype(np.uint16, copy=False)
    return np.asarray(cv2.resize(plain, (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST), np.uint16)


def _outline(
    axes: Axes, mask: NDArray[Any], shape: tuple[int, int], *, colour: str, line_width: float
) -> None:
    """The edges of every number in `mask`, drawn as lines."""
    import cv2
    from matplotlib.collections import LineCollection

    numbers = _resized(mask, shape)
    lines = []
    for number in np.unique(numbers[numbers > 0]):
        inside = (numbers == number).astype(np.uint8)
        rings, _ = cv2.findContours(inside, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        lines += [np.vstack([ring[:, 0], ring[:1, 0]]) for ring in rings if len(ring) > 5]
    axes.add_collection(LineCollection(lines, colors=colour, linewidths=line_width), autolim=False)


def _draw_artefacts(
    axes: Axes, artefacts: Mapping[str, NDArray[np.bool_]], shape: tuple[int, int]
) -> list[Any]:
    """Hatched areas, one hatch per kind so that colour is not the only sign; returns legend entries."""
    from matplotlib.patches import Patch

    hatches = ("////", "....", "xxxx", "\\\\\\\\", "----", "++++", "oooo", "||||")
    handles = []
    for index, kind in enumerate(sorted(artefacts)):
        mask = _resized(artefacts[kind], shape)
        if not mask.any():
            continue
        hatch = hatches[index % len(hatches)]
        filled = axes.contourf(mask, levels=[0.5, 1.5], colors=[ARTEFACT_COLOUR], alpha=0.35)
        filled.set_hatch(hatch)
        handles.append(
            Patch(
                facecolor=ARTEFACT_COLOUR, alpha=0.5, hatch=hatch, label=f"left out: {kind.replace('_', ' ')}"
            )
        )
    return handles


def _draw_positive(axes: Axes, cells: pd.DataFrame, marker: str, index: int, um_per_px: float) -> Any:
    """The positive cells of one marker; returns its legend entry."""
    positive = cells.loc[cells[f"{marker}_positive"].astype(bool), ["x_um", "y_um"]]
    style: dict[str, Any] = {
        "marker": MARKER_SHAPES[index % len(MARKER_SHAPES)],
        "facecolors": MARKER_COLOURS[index % len(MARKER_COLOURS)],
        "edgecolors": "white",
        "linewidths": 0.5,
        "label": f"{_short(marker, 24)}+ cell (n = {len(positive):,})",
    }
    size = 22 if len(positive) < 2000 else 8
    # Positions are corner based; imshow puts the centre of the first pixel on 0.
    x_px, y_px = positive["x_um"] / um_per_px - 0.5, positive["y_um"] / um_per_px - 0.5
    axes.scatter(x_px, y_px, s=size, zorder=4, **style)
    return axes.scatter([], [], s=28, **style)


def _number_sections(axes: Axes, sections: NDArray[Any], shape: tuple[int, int]) -> None:
    """The number of each section at its upper left, with a light halo so that it reads on any tissue."""
    from matplotlib.patheffects import withStroke

    numbers = _resized(sections, shape)
    for number in np.unique(numbers[numbers > 0]):
        rows, cols = np.nonzero(numbers == number)
        axes.text(
            cols.min() + 4,
            rows.min() + 4,
            str(number),
            fontsize=12,
            fontweight="bold",
            color=OUTLINE_COLOUR,
            va="top",
            zorder=5,
            path_effects=[withStroke(linewidth=3, foreground="white")],
        )


def _scale_bar(axes: Axes, width: float, height: float, um_per_unit: float) -> None:
    """A bar of a round length at the lower right, labelled in um or mm."""
    from matplotlib.patheffects import withStroke

    length_um = nice_length(width * um_per_unit / 5)
    length = length_um / um_per_unit
    right, y = width * 0.98, height * 0.97
    halo = [withStroke(linewidth=4, foreground="white")]
    axes.plot(
        [right - length, right], [y, y], color=INK, lw=2, solid_capstyle="butt", path_effects=halo, zorder=6
    )
    text = f"{length_um / 1000:g} mm" if length_um >= 1000 else f"{length_um:g} \u00b5m"
    axes.annotate(
        text,
        (right - length / 2, y),
        xytext=(0, 3),
        textcoords="offset points",
        ha="center",
        va="bottom",
        fontsize=8,
        path_effects=[withStroke(linewidth=3, foreground="white")],
        zorder=6,
    )


def _legend(figure: Figure, handles: list[Any]) -> None:
    figure.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(0.005, 0.0),
        ncols=min(LEGEND_COLUMNS, len(handles)),
    )


def _short(text: str, most: int) -> str:
    """Text on one line; a name is data, so `$` must not start mathematics."""
    line = " ".join(str(text).split())
    line = line if len(line) <= most else line[: most - 1] + "\u2026"
    return line.replace("$", r"\$")
