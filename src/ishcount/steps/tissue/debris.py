"""Dust and bubbles on glass."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]

# Dust scatters and absorbs all colours alike: its shares of optical density differ by under .07 (measured
# .01-.05 on specks and coverslip edges), the palest haematoxylin fleck by .10.
NEUTRAL_SHARE = 0.07
MIN_DUST_OD = 0.08  # paler grey pieces may be unstained collagen
MAX_DUST_UM2 = 20_000.0  # 160 um across: larger grey pieces are not dust
BUBBLE_UM = (40.0, 3000.0)  # diameters
RIM_OD = 0.05
MAX_RIM_SHARE = 0.15  # of the diameter: how far inwards a rim may reach
MAX_RING_FILL = 0.7  # a rim fills less of its disc than this
DARK_RIM_OD = 0.12  # over the least absorbing channel nearby: nuclei of real fields stay under .10 at 4 um
MAX_THIN_FILL = 0.6


def find_dust(od: Array, mask: Mask, *, cell_um: float) -> Mask:
    """Small neutral pieces of `mask`, bool (h, w); `od` is (h, w, 3)."""
    labels, n = ndimage.label(mask, structure=np.ones((3, 3), int))
    if n == 0:
        return np.zeros(mask.shape, np.bool_)
    index = np.arange(1, n + 1)
    sums = np.stack([ndimage.sum_labels(np.maximum(od[..., k], 0), labels, index) for k in range(3)], -1)
    share = sums / np.maximum(sums.sum(axis=1, keepdims=True), 1e-6)
    size = np.bincount(labels.ravel(), minlength=n + 1)[1:] * cell_um**2
    strong = sums.mean(axis=1) / np.maximum(size / cell_um**2, 1) > MIN_DUST_OD
    dust = (np.ptp(share, axis=1) < NEUTRAL_SHARE) & (size <= MAX_DUST_UM2) & strong
    return np.asarray(np.concatenate([[False], dust])[labels], np.bool_)


def find_bubbles(od: Array, *, cell_um: float) -> Mask:
    """Air bubbles: round neutral rims with their inside, bool (h, w); od: float32 (h, w, 3).

    On glass a rim is any neutral line about more glass than tissue. Over tissue it is what darkens the least
    absorbing channel too, which no dye of tissue does; it must be thin and have tissue around it. So the edge
    of a section is no rim, pale or dark.
    """
    found = np.zeros(od.shape[:2], np.bool_)
    share = np.maximum(od, 0) / np.maximum(np.maximum(od, 0).sum(axis=-1, keepdims=True), 1e-3)
    absorbs, neutral = od.mean(axis=-1) > RIM_OD, np.ptp(share, axis=-1) < 0.12
    least = od.min(axis=-1).astype(np.float32)
    levels = np.clip(np.rint(least * 200), 0, 255).astype(np.uint8)
    side = 2 * round(BUBBLE_UM[0] / cell_um) + 1
    usual = cv2.medianBlur(levels, max(3, min(side, 255))).astype(np.float32) / 200
    over_tissue = ndimage.binary_closing(least - usual > DARK_RIM_OD, np.ones((3, 3)))
    for rim, fullest, in_tissue in (
        (absorbs & neutral, MAX_RING_FILL, False),
        (over_tissue, MAX_THIN_FILL, True),
    ):
        labels, _ = ndimage.label(rim, structure=np.ones((3, 3), int))
        for place, box in enumerate(ndimage.find_objects(labels), start=1):
            height, width = (part.stop - part.start for part in box)
            across = max(height, width) * cell_um
            if not BUBBLE_UM[0] <= across <= BUBBLE_UM[1] or min(height, width) < 0.7 * max(height, width):
                continue
            ring = labels[box] == place
            disc = ndimage.binary_fill_holes(ring)
            # A filled circle, or an ellipse along the grid, covers pi/4 of its box.
            round_enough = 0.66 <= disc.mean() <= 0.88
            if not round_enough or ring.sum() >= fullest * disc.sum() or not _at_the_rim(ring, disc):
                continue
            beside = _around(absorbs, box, disc) if in_tissue else ~absorbs[box][disc]
            if beside.mean() > 0.5:
                found[box] |= disc
    return found


def _around(values: Mask, box: Any, disc: Mask) -> Mask:
    """`values` within three cells outside a disc in its box, (n,); none where the picture ends."""
    grown = np.pad(disc, 3)
    band = ndimage.binary_dilation(grown, np.ones((3, 3)), iterations=3) & ~grown
    y, x = np.nonzero(band)
    y, x = y + box[0].start - 3, x + box[1].start - 3
    seen = (y >= 0) & (x >= 0) & (y < values.shape[0]) & (x < values.shape[1])
    return np.asarray(values[y[seen], x[seen]])


def _at_the_rim(ring: Mask, disc: Mask) -> bool:
    """Whether the dark cells lie along the disc's edge: those of pale tissue lie all over it."""
    padded = np.pad(disc, 1)
    depth = ndimage.distance_transform_edt(padded)[1:-1, 1:-1]
    near = depth[ring] <= max(MAX_RIM_SHARE * min(disc.shape), 2.0)
    return bool(near.mean() >= 0.9)
