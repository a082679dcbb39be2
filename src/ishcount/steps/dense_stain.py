"""Stain so dense that no dot stands out in it: how much of the nuclei it covers.

Where tens of transcripts fill a cell, or where the stain is of a protein, chromogen is no longer punctate and
its dots are not counted (docs/methods.md). That must be said: such a cell is positive and counts as negative.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from ishcount.core.optical_density import LEVELS_PER_OD

SIDE_UM = 3.0  # a patch of some six dots, half of a nucleus across
DENSE_OD = (
    0.3  # mean over the patch beyond the slide's diffuse level: all of it as dark as a usual single dot
)
NUCLEAR_OD = 0.15  # mean over the patch: the palest drawn nuclei have more
# Share of nuclear patches: .31-.37 with 30 to 70 dots a cell, .07-.15 with 8 to 30 (which are counted),
# .05-.22 on three real pictures of DAB; under .033 on 170 other slides of two simulators and 12 real tiles.
LEAST_SHARE = 0.05


def dense_share(planes: Sequence[npt.NDArray[np.int16]], grid_um: float, diffuse_od: float) -> float:
    """Share (0-1) of nuclear patches over which the chromogen is dense; 0 where there are no nuclei.

    planes: int16 (2, h, w) of haematoxylin and chromogen, 4000 levels per OD, pixels of `grid_um`.
    diffuse_od: the slide's median of the chromogen.
    """
    side = 2 * max(1, round(SIDE_UM / 2 / grid_um)) + 1
    n_dense = n_nuclear = 0
    for window in planes:
        blue, dye = (cv2.blur(np.ascontiguousarray(plane), (side, side)) for plane in window)
        nuclear = blue > NUCLEAR_OD * LEVELS_PER_OD
        n_nuclear += int(np.count_nonzero(nuclear))
        n_dense += int(np.count_nonzero(nuclear & (dye > (DENSE_OD + diffuse_od) * LEVELS_PER_OD)))
    return n_dense / n_nuclear if n_nuclear else 0.0
