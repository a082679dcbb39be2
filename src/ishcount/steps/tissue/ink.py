"""Pen marks of any colour, and pencil lines, on the overview."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ishcount.core.colours import mean_of_colours, range_of_colours, shares_of_colours
from ishcount.core.connected import share_of_pieces, sizes_of_pieces
from ishcount.core.distance import distance_cells
from ishcount.steps.tissue.glass import deviation

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]

# Shares of R, G and B in the optical density. Ranges of dyes in tissue, measured on the real images
# (1st to 99th percentile): eosin R .11-.20 G .47-.58 B .30-.34; Fast Red (reference) .14 .55 .31; DAB .15-.27
# .30-.36 .39-.53; haematoxylin R .35-.53 G .31-.36 B .12-.27. Inks: green G .15-.19; blue R .56-.61
# B .07-.10; red R .03-.09 G .42-.55 B .36-.49. Red ink lacks the R of Fast Red and
# has more B than either red dye.
MIN_INK_OD = 0.08  # mean OD: paler than this a colour cannot be told
DARK_OD = 0.65  # mean OD of black ink; nuclei and pigment at 4 um stay below over any 70 x 70 um
# Blue ink on glass may be R .53 B .14 at .35 OD (drawn slide, seed 8569), at the rim of haematoxylin's range;
# over 70 x 70 um no haematoxylin so blue is as dark and even on 83 real fields and 140 drawn slides.
BLUE_OD = 0.25
# Thin black ink over tissue: .45 OD and shares of R, G and B within .02 of one another on a drawn slide (seed
# 8551); over 70 x 70 um nothing else as grey is as dark on 83 real fields and 70 drawn slides.
GREY_OD, GREY_SHARE = 0.35, 0.04
FRINGE_UM = 120.0  # ink bleeds and is out of focus over about this far (real fields with red and green pen)
RIM_UM = 60.0  # half of that: what the fringe's own cut leaves over
INK_TEXTURE = 0.03  # median change of optical density from cell to cell, of its own height


def find_ink(od: Array, *, cell_um: float, min_area_um2: float) -> Mask:
    """Cells under pen or pencil, bool (h, w), from optical density (h, w, 3).

    Surely inked cells (colour no dye of tissue has, or black, and smooth as ink is) are grown into their
    paler fringe of the same hue. Marks under `min_area_um2` are left alone.
    """
    share = np.empty_like(od)  # the smoothed picture first, in the same memory
    for channel in range(3):
        share[..., channel] = cv2.GaussianBlur(od[..., channel], (0, 0), max(0.5, 4 / cell_um))
    mean = mean_of_colours(share)
    shares_of_colours(share, out=share)
    spread = range_of_colours(share)
    found = np.zeros(mean.shape, np.bool_)
    even = deviation(mean, 5) < 0.25 * mean
    for core, fringe in (*_coloured(share, mean, even), *_black(spread, mean, even)):
        found |= _grown(core, fringe, min_area_um2 / cell_um**2, FRINGE_UM / cell_um)
    fine = np.abs(mean_of_colours(od) - mean) / np.maximum(mean, MIN_INK_OD / 2)
    return _without_texture(found, mean, fine) | _pencil(spread, mean, cell_um)


def _coloured(share: Array, mean: Array, even: Mask) -> list[tuple[Mask, Mask]]:
    """(core, fringe) of green, blue, red and yellow ink; a fringe is ink thinned out or over tissue."""
    red, green, blue = share[..., 0], share[..., 1], share[..., 2]
    seen = mean > MIN_INK_OD
    faint = mean > MIN_INK_OD / 2
    return [
        (
            (seen & (green < 0.26) & (red > 0.38))
            | ((mean > 0.2) & (green < 0.30) & (red > 0.40) & (blue > 0.23)),
            (faint & (green < 0.30) & (red > 0.36)) | ((mean > 0.2) & (green < 0.345) & (red > 0.37)),
        ),
        (
            even
            & (red > 0.50)
            & (blue < 0.16)
            & (mean > np.where((red > 0.54) & (blue < 0.125), 0.12, BLUE_OD)),
            (faint & (red > 0.50) & (blue < 0.16)) | ((mean > 0.3) & (red > 0.37) & (blue < 0.21)),
        ),
        (
            even & (red < 0.14) & (green > 0.40) & (blue > 0.365) & (mean > 0.25),
            seen & (red < 0.17) & (green > 0.40) & (blue > 0.33),
        ),
        (seen & even & (blue > 0.66), faint & (blue > 0.60)),
    ]


def _black(spread: Array, mean: Array, even: Mask) -> list[tuple[Mask, Mask]]:
    """(core, fringe) of black ink, and of ink that is thin, hence paler, but without any colour."""
    neutral = spread < 0.16
    return [
        (neutral & even & (mean > DARK_OD), neutral & (mean > 0.4 * DARK_OD)),
        ((spread < GREY_SHARE) & even & (mean > GREY_OD), (spread < 0.10) & (mean > 0.4 * DARK_OD)),
    ]


def _grown(core: Mask, fringe: Mask, min_cells: float, reach_cells: float) -> Mask:
    """Cores of at least `min_cells` cells with the fringe joined to them, no farther than `reach_cells`."""
    labels, n = ndimage.label(core, structure=np.ones((3, 3), int))
    core = (sizes_of_pieces(labels, n) >= min_cells)[labels] & core
    if not core.any():
        return core
    near = (distance_cells(~core) <= reach_cells) & (fringe | core)
    labels, n = ndimage.label(near, structure=np.ones((3, 3), int))
    joined = np.zeros(n + 1, np.bool_)
    joined[labels[core]] = True
    return np.asarray(ndimage.binary_dilation(joined[labels]))


def _without_texture(found: Mask, mean: Array, fine: Array) -> Mask:
    """Whole pieces on glass that hold ink and are as smooth as ink: mixed inks, ink out of focus."""
    labels, n = ndimage.label(mean > MIN_INK_OD / 2, structure=np.ones((3, 3), int))
    if n == 0:
        return found
    inked = share_of_pieces(found, labels, n) > 0.2
    smooth = share_of_pieces(fine < INK_TEXTURE, labels, n) > 0.5
    whole = inked & smooth
    whole[0] = False
    return np.asarray(found | ndimage.binary_dilation(whole[labels]))


def find_ink_rim(tissue: Mask, ink: Mask, *, cell_um: float) -> Mask:
    """What is left of `tissue` as a thin band along ink: its blurred rim, bool (h, w)."""
    if not ink.any():
        return np.zeros(ink.shape, np.bool_)
    radius = RIM_UM / cell_um
    both = np.pad(tissue, int(radius) + 2, mode="edge")
    inner = distance_cells(both) > radius / 2
    opened = distance_cells(~inner) <= radius / 2 if inner.any() else inner
    side = int(radius) + 2
    thin = tissue & ~opened[side:-side, side:-side]
    return np.asarray(thin & (distance_cells(~ink) <= radius))


def _pencil(spread: Array, mean: Array, cell_um: float) -> Mask:
    """Thin, long, neutral lines on glass."""
    dark = (spread < 0.10) & (mean > 0.05)
    labels, n = ndimage.label(dark, structure=np.ones((3, 3), int))
    found = np.zeros(dark.shape, np.bool_)
    if n == 0:
        return found
    size = sizes_of_pieces(labels, n)
    for place, window in enumerate(ndimage.find_objects(labels), start=1):
        length = float(np.hypot(*(part.stop - part.start for part in window)))
        # 300 um long and on average under 25 um wide: fibres of dust are shorter, strands of tissue coloured.
        if length * cell_um < 300 or size[place] / length * cell_um > 25:
            continue
        line = labels == place
        beside = ndimage.binary_dilation(line, iterations=8) & ~ndimage.binary_dilation(line, iterations=3)
        # On both sides: pale horn is a thin neutral strip too, with glass on one.
        if np.quantile(mean[beside], 0.75) < MIN_INK_OD / 2:
            found |= line
    return np.asarray(ndimage.binary_dilation(found))
