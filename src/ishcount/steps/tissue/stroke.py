"""Pen strokes whose colour a dye of tissue may have: ink is smooth, dense between nuclei, of another hue."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ishcount.core.colours import mean_of_colours
from ishcount.core.connected import sizes_of_pieces
from ishcount.core.distance import distance_cells

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]

# Change of optical density over 4 um, of its own height, mean over 16 um: strokes on phantoms .05-.20, their
# tissue .11 (1st percentile) and more, real H&E .07 and more.
MAX_TEXTURE = 0.13
MIN_TEXTURE_OD = 0.04  # texture of paler cells is noise
MIN_STROKE_OD = 0.15  # mean OD between nuclei: layers of tissue differ by up to .1
MATTER_OD = 0.05
MIN_TURN_DEG = 12.0  # from the hue of the section's own matter between nuclei
NUCLEAR_UM = 18.0  # what is smaller is taken off first
MIN_CORE_UM2 = 4000.0  # 63 um across; vessels of one real field of 2 x 3 mm reach 3,300
MIN_PIECE_UM2 = 1000.0  # what else is so smooth and in the colour of a core: crowds of nuclei part a stroke
SAME_INK_DEG = 15.0
REACH_UM = 120.0  # from the core to the stroke's border, over crowds of nuclei beneath it
HALF = 0.5  # the border, at half of the colour that ink adds
SAME_HUE_DEG = 35.0  # of what is added: nuclei beneath turn it
# Of the ink's colour, what three quarters of the cells 8-16 um outside have less of: strokes on phantoms .03,
# haze of chromogen .21-.48.
MAX_BEYOND = 0.15
# From the colour of the section's own nuclei: strokes 29 and more, dark smooth epidermis of drawn training
# sections 0-13. What is nearer must go on over glass.
MIN_FROM_NUCLEI_DEG = 20.0
NUCLEI_QUANTILE = 0.95  # of what stands out over NUCLEAR_UM
LEAVES = 1.5  # widths of the stroke; layers of drawn sections, detached ones too, reach 1.0
MIN_OVER_GLASS_UM2 = 600.0


def find_strokes(od: Array, *, cell_um: float) -> Mask:
    """Cells under smooth strokes of a hue that the section itself has not, bool (h, w); od: (h, w, 3).

    Ink adds the same colour to whatever lies beneath it. What it adds across the section's own hue is
    measured on the core, and the stroke reaches as far as half of it is there; its border is sharp. Ink in
    the hue of the nuclei is told from a dark epidermis only where it goes on over glass.
    """
    found = np.zeros(od.shape[:2], np.bool_)
    mean = mean_of_colours(od)
    smooth = cv2.GaussianBlur(mean, (0, 0), max(0.5, 4 / cell_um))
    even = (smooth > MIN_STROKE_OD) & (_texture(mean, smooth, cell_um) < MAX_TEXTURE)
    if not _sizes_um2(_opened(even), cell_um)[1].max(initial=0) >= MIN_CORE_UM2:
        return found
    low, matter = _between_nuclei(od, cell_um), smooth > MATTER_OD
    hue = np.median(low[matter], axis=0)
    hue /= max(float(np.linalg.norm(hue)), 1e-6)
    height = mean_of_colours(low)
    turned = np.cos(np.radians(MIN_TURN_DEG)) * np.linalg.norm(low, axis=-1) > low @ hue
    core = _opened(even & turned & (height > MIN_STROKE_OD))
    most = _highest(mean - height, matter & ~core)
    nuclear = _across(np.median(od[most] - low[most], axis=0) if most.any() else np.zeros(3), hue)
    low -= (low @ hue)[..., None] * hue  # in its own memory: what lies across the section's hue
    across = low
    labels = _cores(core, across, cell_um)
    doubtful = np.zeros_like(found)
    for place, piece in enumerate(ndimage.find_objects(labels), start=1):
        if piece is None:
            continue
        box = _around(piece, REACH_UM / cell_um + 5)
        core = labels[box] == place
        ink = np.median(across[box][core], axis=0)
        stroke = _grown(core, across[box], ink, cell_um)
        if _is_sharp(stroke, across[box], ink, cell_um):
            like_nuclei = _cosine(ink, nuclear) > np.cos(np.radians(MIN_FROM_NUCLEI_DEG))
            (doubtful if like_nuclei else found)[box] |= stroke
    return found | _that_leave(doubtful, matter, cell_um)


def _texture(mean: Array, smooth: Array, cell_um: float) -> Array:
    change = np.abs(mean - smooth) / np.maximum(smooth, MIN_TEXTURE_OD)
    return np.asarray(cv2.GaussianBlur(change, (0, 0), 16 / cell_um))


def _opened(mask: Mask) -> Mask:
    return np.asarray(ndimage.binary_opening(mask, np.ones((3, 3))))


def _sizes_um2(mask: Mask, cell_um: float) -> tuple[Array, Array]:
    """Numbered pieces (h, w) and the area of each number, 0 of what is none."""
    labels, n = ndimage.label(mask)
    size = sizes_of_pieces(labels, n) * cell_um**2
    size[0] = 0
    return labels, size


def _between_nuclei(od: Array, cell_um: float) -> Array:
    side = 2 * max(1, round(NUCLEAR_UM / 2 / cell_um)) + 1
    window = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    soft = cv2.GaussianBlur(od, (0, 0), max(0.3, 2.5 / cell_um))
    return np.asarray(cv2.morphologyEx(soft, cv2.MORPH_OPEN, window))


def _across(colour: Array, hue: Array) -> Array:
    """The part of optical densities (..., 3) at a right angle to a hue of length 1."""
    return np.asarray(colour - (colour @ hue)[..., None] * hue)


def _highest(height: Array, matter: Mask) -> Mask:
    """Cells of `matter` that stand out most from what is between nuclei."""
    if not matter.any():
        return matter
    return np.asarray(matter & (height >= np.quantile(height[matter], NUCLEI_QUANTILE)))


def _cosine(one: Array, other: Array) -> float:
    return float(one @ other / max(float(np.linalg.norm(one) * np.linalg.norm(other)), 1e-9))


def _cores(mask: Mask, across: Array, cell_um: float) -> Array:
    """Numbers of large pieces and of smaller ones in the colour of a large one, (h, w); 0 elsewhere."""
    labels, size = _sizes_um2(mask, cell_um)
    inks = np.zeros((len(size), 3))
    boxes = ndimage.find_objects(labels)
    for place in np.flatnonzero(size >= MIN_PIECE_UM2):
        box = boxes[place - 1]
        ink = np.median(across[box][labels[box] == place], axis=0)
        inks[place] = ink / max(float(np.linalg.norm(ink)), 1e-6)
    alike = (inks @ inks[size >= MIN_CORE_UM2].T > np.cos(np.radians(SAME_INK_DEG))).any(axis=1)
    return np.where(alike[labels], labels, 0)


def _grown(core: Mask, across: Array, ink: Array, cell_um: float) -> Mask:
    """The core with what holds at least half of its colour near it and joined to it."""
    strength = max(float(np.linalg.norm(ink)), 1e-6)
    part = across @ ink / strength
    alike = part > np.linalg.norm(across, axis=-1) * np.cos(np.radians(SAME_HUE_DEG))
    stroke = core | (_within(core, REACH_UM / cell_um) & alike & (part > HALF * strength))
    labels, n = ndimage.label(stroke, structure=np.ones((3, 3), int))
    joined = np.zeros(n + 1, np.bool_)
    joined[labels[core]] = True
    return np.asarray(joined[labels])


def _is_sharp(stroke: Mask, across: Array, ink: Array, cell_um: float) -> bool:
    beyond = _within(stroke, 16 / cell_um) & ~_within(stroke, 8 / cell_um)
    if not beyond.any():
        return True
    return float(np.quantile(across[beyond] @ ink, 0.75)) < MAX_BEYOND * float(ink @ ink)


def _that_leave(strokes: Mask, matter: Mask, cell_um: float) -> Mask:
    """Strokes that go on over glass, farther from other matter than they are wide: no layer of skin does."""
    found = np.zeros_like(strokes)
    labels, _ = ndimage.label(strokes, structure=np.ones((3, 3), int))
    for place, piece in enumerate(ndimage.find_objects(labels), start=1):
        stroke = labels[_around(piece, 1)] == place
        wide = 2 * distance_cells(np.pad(stroke, 1, mode="edge")).max()
        box = _around(piece, LEAVES * wide + 12 / cell_um + 1)
        stroke = labels[box] == place
        leaves = stroke & ~_within(matter[box] & ~_within(stroke, 12 / cell_um), LEAVES * wide)
        if np.count_nonzero(leaves) * cell_um**2 >= MIN_OVER_GLASS_UM2:
            found[box] |= stroke
    return found


def _around(piece: tuple[slice, ...], cells: float) -> tuple[slice, ...]:
    """The box of a piece with so many cells more on every side."""
    more = int(np.ceil(cells))
    return tuple(slice(max(0, part.start - more), part.stop + more) for part in piece)


def _within(mask: Mask, reach: float) -> Mask:
    if not mask.any():
        return np.zeros(mask.shape, np.bool_)
    return np.asarray(distance_cells(~mask) <= reach)
