"""Dust and bubbles on glass."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ishcount.core.colours import least_of_colours, mean_of_colours, range_of_colours, shares_of_colours
from ishcount.core.connected import sizes_of_pieces
from ishcount.core.distance import distance_cells

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]

# Dust scatters and absorbs all colours alike: its shares of optical density differ by under .07 (measured
# .01-.05 on specks and coverslip edges), the palest haematoxylin fleck by .10. So do rims of bubbles over
# tissue (.01-.05 on drawn ones, seeds 8540-8550); a ring of follicle and one of fibres on real skin by .14.
NEUTRAL_SHARE = 0.07
MIN_DUST_OD = 0.08  # paler grey pieces may be unstained collagen
MAX_DUST_UM2 = 20_000.0  # 160 um across: larger grey pieces are not dust
BUBBLE_UM = (40.0, 3000.0)  # diameters
RIM_OD = 0.05
MAX_RIM_SHARE = 0.15  # of the diameter: how far inwards a rim may reach
MAX_RING_FILL = 0.7  # a rim fills less of its disc than this
MIN_OPEN = 0.6  # of what a rim encloses: nuclei over the rest
MIN_TISSUE = 0.25  # of what lies around a rim over tissue: half at a section's edge, none around crumbs
DARK_RIM_OD = 0.12  # over the least absorbing channel nearby: nuclei of real fields stay under .10 at 4 um


def find_dust(od: Array, mask: Mask, *, cell_um: float) -> Mask:
    """Small neutral pieces of `mask`, bool (h, w); `od` is (h, w, 3)."""
    labels, n = ndimage.label(mask, structure=np.ones((3, 3), int))
    if n == 0:
        return np.zeros(mask.shape, np.bool_)
    index = np.arange(1, n + 1)
    sums = np.stack([ndimage.sum_labels(np.maximum(od[..., k], 0), labels, index) for k in range(3)], -1)
    share = sums / np.maximum(sums.sum(axis=1, keepdims=True), 1e-6)
    size = sizes_of_pieces(labels, n)[1:] * cell_um**2
    strong = sums.mean(axis=1) / np.maximum(size / cell_um**2, 1) > MIN_DUST_OD
    dust = (np.ptp(share, axis=1) < NEUTRAL_SHARE) & (size <= MAX_DUST_UM2) & strong
    return np.asarray(np.concatenate([[False], dust])[labels], np.bool_)


def find_bubbles(od: Array, *, cell_um: float) -> Mask:
    """Air bubbles: round rims with their inside, bool (h, w); od: float32 (h, w, 3).

    On glass a rim is any neutral line about more glass than tissue. Over tissue it is what darkens the least
    absorbing channel too, which no dye of tissue does; it must be thin and have tissue around it. So the edge
    of a section is no rim, pale or dark.
    """
    absorbs = mean_of_colours(od) > RIM_OD
    found = _on_glass(absorbs, range_of_colours(shares_of_colours(od)) < 0.12, cell_um)
    least = least_of_colours(od)
    levels = np.clip(np.rint(least * 200), 0, 255).astype(np.uint8)
    side = 2 * round(BUBBLE_UM[0] / cell_um) + 1
    usual = cv2.medianBlur(levels, max(3, min(side, 255))).astype(np.float32) / 200
    # A nucleus that touches a rim is fainter than it: what is one piece at its foot is two half-way up.
    for height_od in (DARK_RIM_OD, 2 * DARK_RIM_OD):
        rim = ndimage.binary_closing(least - usual > height_od, np.ones((3, 3)))
        _over_tissue(found, rim, od, absorbs, cell_um)
    return found


def _on_glass(absorbs: Mask, neutral: Mask, cell_um: float) -> Mask:
    """Neutral rings of their own about glass, with their inside."""
    found = np.zeros(absorbs.shape, np.bool_)
    labels, _ = ndimage.label(absorbs & neutral, structure=np.ones((3, 3), int))
    for place, box in enumerate(ndimage.find_objects(labels), start=1):
        if not _of_a_bubble(box, cell_um):
            continue
        ring = labels[box] == place
        disc = ndimage.binary_fill_holes(ring)
        if not _is_round(disc) or ring.sum() >= MAX_RING_FILL * disc.sum() or not _at_the_rim(ring, disc):
            continue
        if (~absorbs[box][disc]).mean() > 0.5:
            found[box] |= disc
    return found


def _over_tissue(found: Mask, rim: Mask, od: Array, absorbs: Mask, cell_um: float) -> None:
    """Lay into `found` what a thin, grey, closed `rim` encloses, rim included, where tissue lies around it.

    What is enclosed tells the shape: nuclei and pigment that touch the rim from without do not change it, and
    dents by those that touch it from within are filled.
    """
    labels, _ = ndimage.label(~rim)
    for place, box in enumerate(ndimage.find_objects(labels), start=1):
        if not _of_a_bubble(box, cell_um):
            continue
        inside = labels[box] == place
        disc = _hull(inside)
        if not _is_round(disc) or inside.sum() < MIN_OPEN * disc.sum():
            continue
        thickness = max(2, round(MAX_RIM_SHARE * min(disc.shape)))
        margin = thickness + 4  # the rim begins one cell beyond the disc and ends `thickness` farther out
        window, whole = _grown_box(box, margin, rim.shape)
        beyond = distance_cells(~np.pad(disc, margin)[whole])
        around, edge = (beyond > thickness + 1) & (beyond <= margin), (beyond > 0) & rim[window]
        stands_alone = absorbs[window][around].mean() > MIN_TISSUE and rim[window][around].mean() < 0.5
        if stands_alone and _is_grey(od[window][edge & ~around], od[window][around]):
            found[window] |= beyond < 2


def _is_grey(rim_od: Array, around_od: Array) -> bool:
    """Whether a rim (n, 3) darkens all colours alike beside what lies around it (m, 3)."""
    excess = np.maximum(rim_od.mean(axis=0) - np.median(around_od, axis=0), 0)
    return bool(np.ptp(excess) < NEUTRAL_SHARE * excess.sum())


def _hull(piece: Mask) -> Mask:
    """The convex hull of a piece in its box."""
    points = np.argwhere(piece)[:, ::-1].astype(np.int32)
    hull = np.zeros(piece.shape, np.uint8)
    return np.asarray(cv2.fillConvexPoly(hull, cv2.convexHull(points), 1) > 0)


def _of_a_bubble(box: Any, cell_um: float) -> bool:
    """Whether a box is of a bubble's size and about as high as wide."""
    height, width = (part.stop - part.start for part in box)
    across_um = max(height, width) * cell_um
    return BUBBLE_UM[0] <= across_um <= BUBBLE_UM[1] and min(height, width) >= 0.7 * max(height, width)


def _is_round(disc: Mask) -> bool:
    """Whether a piece fills its box as a filled circle does, or an ellipse along the grid: pi/4 of it."""
    return bool(0.66 <= disc.mean() <= 0.88)


def _grown_box(box: Any, margin: int, shape: tuple[int, ...]) -> tuple[Any, Any]:
    """A box grown by `margin` within a picture of `shape`, and that part of the grown box."""
    window = tuple(
        slice(max(part.start - margin, 0), min(part.stop + margin, size))
        for part, size in zip(box, shape, strict=True)
    )
    whole = tuple(
        slice(inner.start - part.start + margin, inner.stop - part.start + margin)
        for inner, part in zip(window, box, strict=True)
    )
    return window, whole


def _at_the_rim(ring: Mask, disc: Mask) -> bool:
    """Whether the dark cells lie along the disc's edge: those of pale tissue lie all over it."""
    padded = np.pad(disc, 1)
    depth = distance_cells(padded)[1:-1, 1:-1]
    near = depth[ring] <= max(MAX_RIM_SHARE * min(disc.shape), 2.0)
    return bool(near.mean() >= 0.9)
