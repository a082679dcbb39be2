"""Areas out of focus: tissue that is there but cannot be counted.

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

from ishcount.core.compiled import njit
from ishcount.core.connected import sizes_of_pieces
from ishcount.core.settings import Settings

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]

# Standard deviations in um of two difference-of-Gaussian bands: edges of nuclei and chromatin against whole
# nuclei. Defocus takes the first long before the second, whatever the tissue.
FINE_UM = (0.5, 1.0)
COARSE_UM = (1.4, 2.8)
# Grey levels of green per unit of optical density: filters on 8 bits are exact, so that every block gives
# the same sums; steps of .005 are under the noise of any camera.
LEVELS_PER_OD = 200
_OD_LEVEL = np.clip(np.rint(-LEVELS_PER_OD * np.log10(np.maximum(np.arange(256), 1) / 255)), 0, 255).astype(
    np.uint8
)


class ArtefactParams(Settings):
    """When tissue is called out of focus, and a slide spoilt."""

    blur_share: float = Field(
        0.40,
        gt=0,
        lt=1,
        description="out of focus where the share of fine in coarse detail falls to this part of the slide's "
        "upper quartile (a slide may be blurred in half): tissue with .9 um more blur, which hides four "
        "fifths of a dot; least bias of the blurred area on 32 phantoms of all presets",
    )
    least_share: float = Field(
        0.15,
        ge=0,
        lt=1,
        description="and wherever that share is below this, however blurred the rest: sharp tissue of 44 "
        "phantoms has .18 or more in 99 % of places (real fields were not checked)",
    )
    blurred_slide: float = Field(
        0.10,
        gt=0,
        le=1,
        description="share of the tissue out of focus from which a slide is flagged BLURRED: as much as the "
        "area's own bar in the worst slides, twice over",
    )
    many_artefacts: float = Field(
        0.10, gt=0, le=1, description="share of the outline under artefacts from which a slide is flagged"
    )
    blur_window_um: float = Field(
        16.0, gt=0, description="standard deviation of the window in which detail is compared, um"
    )
    min_area_um2: float = Field(
        3000.0, ge=0, description="smaller blurred areas are left alone, um2: some 15 nuclei"
    )


def focus_energy(rgb: npt.NDArray[np.uint8], pixel_um: float, factor: int) -> npt.NDArray[np.uint16]:
    """A quarter of the sums of squares of fine and coarse detail, uint16 (2, rows, cols), per cell of
    `factor` pixels.

    rgb: pixels of the nuclei grid whose first one starts a cell; the last row and column of cells may be
    partly covered. The coarse band is taken on every second pixel. A margin of 9 um round the cells that are
    kept makes them the same in every block, bit by bit.
    """
    fine = np.asarray(cv2.LUT(np.ascontiguousarray(rgb[..., 1]), _OD_LEVEL))  # every stain absorbs green
    height, width = fine.shape
    half = cv2.resize(fine, (-(-width // 2), -(-height // 2)), interpolation=cv2.INTER_AREA)
    if height % 2 or width % 2:  # whole pairs only: a stretched picture would differ from block to block
        even = cv2.copyMakeBorder(fine, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        half = cv2.resize(even, (even.shape[1] // 2, even.shape[0] // 2), interpolation=cv2.INTER_AREA)
    rows, cols = -(-height // factor), -(-width // factor)
    sums = np.stack(
        [
            _sums(fine, FINE_UM, pixel_um, _starts(rows, factor), _starts(cols, factor)),
            4
            * _sums(
                half, COARSE_UM, 2 * pixel_um, -(-_starts(rows, factor) // 2), -(-_starts(cols, factor) // 2)
            ),
        ]
    )
    return np.asarray(np.minimum(sums // 4, 65535), np.uint16)


def _starts(n: int, factor: int) -> npt.NDArray[np.int64]:
    return np.arange(n) * factor


def _sums(
    levels: Array,
    sd_um: tuple[float, float],
    pixel_um: float,
    rows: npt.NDArray[np.int64],
    cols: npt.NDArray[np.int64],
) -> npt.NDArray[np.int32]:
    """Sums of squares of the band between two smoothings over cells that start at `rows` and `cols`."""
    narrow, wide = (cv2.GaussianBlur(levels, (0, 0), sd / pixel_um) for sd in sd_um)
    sums = np.zeros((len(rows), len(cols)), np.int32)
    bottoms, rights = _ends(rows, levels.shape[0]), _ends(cols, levels.shape[1])
    _add_squares(narrow, wide, rows, bottoms, cols, rights, sums)
    return sums


def _ends(starts: npt.NDArray[np.int64], size: int) -> npt.NDArray[np.int64]:
    """Where cells end: before the next; one of a single pixel, whose pair is the cell's before, is empty."""
    return np.asarray(np.maximum(np.append(starts[1:], size), np.minimum(starts + 1, size)))


@njit
def _add_squares(narrow: Any, wide: Any, tops: Any, bottoms: Any, lefts: Any, rights: Any, sums: Any) -> None:
    column = np.empty(narrow.shape[1], np.int32)
    for row in range(len(tops)):
        column[:] = 0  # down the columns first: adding across a row cannot use the machine's wide words
        for y in range(tops[row], bottoms[row]):
            inner, outer = narrow[y], wide[y]
            for x in range(len(column)):
                detail = np.int32(inner[x]) - np.int32(outer[x])
                column[x] += detail * detail
        for col in range(len(lefts)):
            total = np.int32(0)
            for x in range(lefts[col], rights[col]):
                total += column[x]
            sums[row, col] = total


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
        cv2.GaussianBlur(
            np.where(tissue, np.maximum(band.astype(np.float32) - floor, 0), 0).astype(np.float32),
            (0, 0),
            sigma,
        )
        / weight
        for band, floor in zip(energy, noise, strict=True)
    )
    share = fine / np.maximum(coarse, 1e-9)
    seen = tissue & (coarse > 0.1 * np.median(coarse[tissue]))
    if not seen.any():
        return np.zeros(tissue.shape, np.bool_)
    limit = max(params.blur_share * float(np.quantile(share[seen], 0.75)), params.least_share)
    blurred = seen & (share < limit)
    return _large(blurred, params.min_area_um2 / cell_um**2)


def _large(mask: Mask, min_cells: float) -> Mask:
    labels, n = ndimage.label(mask)
    size = sizes_of_pieces(labels, n)
    size[0] = 0
    return np.asarray((size >= min_cells)[labels] & mask)
