"""Folds and areas out of focus: tissue that is there but cannot be counted.

Focus needs level 0: `focus_energy` is measured block by block on cells of the tissue raster, and `find_blur`
judges the whole slide at once, so that blocks cannot change the answer.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import ndimage

from ishcount.core.settings import Settings

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]

# Standard deviations in um of two difference-of-Gaussian bands: edges of nuclei and chromatin against whole
# nuclei. Defocus takes the first long before the second, whatever the tissue.
FINE_UM = (0.35, 0.7)
COARSE_UM = (1.4, 2.8)


class ArtefactParams(Settings):
    """When tissue is called folded or out of focus."""

    blur_share: float = Field(
        0.35,
        gt=0,
        lt=1,
        description="out of focus where the share of fine in coarse detail falls to this part of the slide's "
        "median; at .4 still none of two sharp real fields is called blurred",
    )
    blur_window_um: float = Field(
        16.0, gt=0, description="standard deviation of the window in which detail is compared, um"
    )
    min_area_um2: float = Field(
        3000.0, ge=0, description="smaller blurred areas or folds are left alone, um2: some 15 nuclei"
    )
    fold_height: float = Field(
        2.4,
        gt=1,
        description="a fold is this many times as dense between nuclei as what lies beside it: three layers "
        "of tissue, less what blur takes",
    )
    fold_min_length_um: float = Field(
        100.0, ge=0, description="folds are at least this long, um, and four times as long as wide"
    )


def focus_energy(rgb: npt.NDArray[np.uint8], mpp_um: float, factor: int) -> npt.NDArray[np.float32]:
    """Mean squares of fine and coarse detail, float32 (2, rows, cols), per cell of `factor` pixels.

    rgb: level-0 pixels whose first one starts a cell; the last row and column of cells may be partly covered.
    A margin of 12 um round the cells that are kept makes them the same in every block.
    """
    grey = rgb[..., 1].astype(np.float32)  # every stain used here absorbs green
    log = np.log(np.maximum(grey, 1))
    height, width = log.shape
    rows, cols = np.arange(0, height, factor), np.arange(0, width, factor)
    area = np.diff(rows, append=height)[:, None] * np.diff(cols, append=width)[None, :]
    found = []
    for narrow, wide in (FINE_UM, COARSE_UM):
        band = cv2.GaussianBlur(log, (0, 0), narrow / mpp_um) - cv2.GaussianBlur(log, (0, 0), wide / mpp_um)
        sums = np.add.reduceat(np.add.reduceat(band * band, rows, axis=0), cols, axis=1)
        found.append(sums / area)
    return np.stack(found).astype(np.float32)


def find_blur(
    energy: Array, tissue: Mask, glass: Mask, cell_um: float, params: ArtefactParams = ArtefactParams()
) -> Mask:
    """Tissue out of focus, bool (h, w), from `focus_energy` of the whole slide.

    The camera's noise, measured on glass, is taken off. Tissue without coarse detail (bare collagen) is never
    called blurred: nothing can be said there.
    """
    if tissue.sum() < 100:
        return np.zeros(tissue.shape, np.bool_)
    noise = np.median(energy[:, glass], axis=1) if glass.sum() >= 50 else np.zeros(2)
    sigma = params.blur_window_um / cell_um
    weight = np.maximum(cv2.GaussianBlur(tissue.astype(np.float32), (0, 0), sigma), 1e-3)
    fine, coarse = (
        cv2.GaussianBlur(np.where(tissue, np.maximum(band - floor, 0), 0).astype(np.float32), (0, 0), sigma)
        / weight
        for band, floor in zip(energy, noise, strict=True)
    )
    share = fine / np.maximum(coarse, 1e-9)
    seen = tissue & (coarse > 0.1 * np.median(coarse[tissue]))
    blurred = seen & (share < params.blur_share * np.median(share[seen]))
    # Edges of the window mix sharp with blurred; what was lost to it is given back.
    near = ndimage.distance_transform_edt(~blurred) * cell_um <= params.blur_window_um
    return _large(near & tissue if blurred.any() else blurred, params.min_area_um2 / cell_um**2)


def find_folds(
    od: Array, tissue: Mask, epidermis: Mask, cell_um: float, params: ArtefactParams = ArtefactParams()
) -> Mask:
    """Folds, bool (h, w): long narrow bands dense between nuclei too, and not the epidermis.

    od: mean optical density (h, w). Infiltrates are dense in nuclei but not between them, follicles are not
    long; the epidermis, dense and long, is told by its place.
    """
    side = 2 * max(1, round(4 / cell_um)) + 1
    tint = cv2.erode(np.where(tissue, od, 2).astype(np.float32), np.ones((side, side), np.uint8))
    tint = cv2.dilate(np.where(tissue, tint, 0).astype(np.float32), np.ones((side, side), np.uint8))
    beside = 2 * round(60 / cell_um) + 1
    levels = np.clip(np.rint(tint * 200), 0, 255).astype(np.uint8)
    usual = cv2.medianBlur(levels, min(beside, 255)).astype(np.float32) / 200
    free = tissue & ~ndimage.binary_dilation(epidermis, iterations=max(1, round(12 / cell_um)))
    dense = free & (tint > params.fold_height * np.maximum(usual, 0.05))
    labels, n = ndimage.label(dense, structure=np.ones((3, 3), int))
    found = np.zeros(tissue.shape, np.bool_)
    for place, box in enumerate(ndimage.find_objects(labels, n), start=1):
        piece = labels[box] == place
        length, width = _extent(piece, cell_um)
        if length >= params.fold_min_length_um and length >= 4 * width:
            found[box] |= piece
    grown = ndimage.binary_dilation(found) & tissue
    return _large(grown, params.min_area_um2 / cell_um**2)


def _extent(piece: Mask, cell_um: float) -> tuple[float, float]:
    """Length and mean width in um of a piece: its longest extent, and its area over that."""
    rows, cols = np.nonzero(piece)
    if len(rows) < 5:
        return 0.0, cell_um
    points = np.stack([rows, cols], axis=1) - [rows.mean(), cols.mean()]
    along = points @ np.linalg.svd(points, full_matrices=False)[2][0]
    length = float(np.ptp(along) + 1) * cell_um
    return length, len(rows) * cell_um**2 / length


def _large(mask: Mask, min_cells: float) -> Mask:
    labels, n = ndimage.label(mask)
    size = np.bincount(labels.ravel(), minlength=n + 1)
    size[0] = 0
    return np.asarray((size >= min_cells)[labels] & mask)
