"""Tissue so pale that only its nuclei were seen: crumbs of nuclear size with seeming glass between."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ishcount.core.connected import sizes_of_pieces
from ishcount.core.distance import distance_cells

Mask = npt.NDArray[np.bool_]

# A nucleus on the 4 um raster with its rim; 150 um2 are the least that makes a section.
MAX_CRUMB_UM2 = 500.0
# Nuclei so near each other are one tissue: 280 per mm2 on average, a fifth of a sparse dermis.
APART_UM = 60.0
# Share of the tissue that may lie so between crumbs: what a hard slide's area may be off by. Two slides with
# dermis within .02 OD of glass had .96 and 1.7 when it was not seen; 132 phantoms and real fields under .003.
DOUBTFUL_SHARE = 0.05


def between_crumbs(tissue: Mask, free: Mask, *, cell_um: float) -> float:
    """Area of `free` cells between crumbs of tissue, in shares of the tissue's own area; 0 without any.

    tissue, free: bool (h, w). Of use as doubt, not as tissue: where such dermis ends nobody can see.
    """
    labels, n = ndimage.label(tissue, structure=np.ones((3, 3), int))
    few = sizes_of_pieces(labels, n) * cell_um**2 < MAX_CRUMB_UM2
    few[0] = False
    crumbs = few[labels]
    if not crumbs.any():
        return 0.0
    rows, cols = (np.flatnonzero(crumbs.any(axis=axis)) for axis in (1, 0))
    box = slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1)
    reach = APART_UM / 2 / cell_um
    margin = int(np.ceil(reach)) + 1
    near = distance_cells(~np.pad(crumbs[box], margin)) <= reach
    closed: Any = distance_cells(np.pad(near, 1))[1:-1, 1:-1] > reach
    held = closed[margin:-margin, margin:-margin] & free[box]
    return float(held.sum() / tissue.sum())
