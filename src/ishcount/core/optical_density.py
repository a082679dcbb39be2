"""Optical density and its 8-bit form.

OD = -log10(I / white). Stain images are kept as uint8 with 200 levels per OD unit, saturating at 1.275: one
level is 0.005 OD, half the quantisation of the 8-bit camera at OD 0.3 (one grey level there is 0.0035-0.009 OD)
and six times below the smallest dot contrast that is looked for (0.03 OD). What that rounding does to counts
is measured by `tests/benchmarks/bench_representation.py`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

LEVELS_PER_OD = 200.0
MAX_OD = 255 / LEVELS_PER_OD


def od_table(white: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Optical density of each grey level per channel: float32 (3, 256); level 0 is taken as half a level."""
    levels = np.maximum(np.arange(256, dtype=np.float64), 0.5)
    white = np.asarray(white, dtype=np.float64).reshape(3, 1)
    return -np.log10(levels / white).astype(np.float32)


def to_od(rgb: npt.NDArray[np.uint8], white: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Optical density of an RGB image: float32 (h, w, 3); brighter than white is negative."""
    table = od_table(white)
    return np.stack([table[channel][rgb[..., channel]] for channel in range(3)], axis=-1)
