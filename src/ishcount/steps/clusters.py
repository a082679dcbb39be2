"""How many single dots a dot stands for.

Integrated optical density over that of a single dot of the same slide, with an interval. Chromogen is not
stoichiometric (DAB least of all), so copies in clusters are an estimate and, where the peak is saturated, a
lower bound.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import Field

from ishcount.core.settings import Settings

Float = npt.NDArray[np.float32]


class ClusterParams(Settings):
    """How clusters are told from single dots."""

    min_singles: int = Field(
        20,
        ge=3,
        description="isolated dots needed to measure a single dot on the slide; fewer: every dot "
        "is one copy (standard error of the median under 15 % at CV 0.5)",
    )
    isolation_um: float = Field(
        2.0,
        gt=0,
        description="a dot is isolated without a counted neighbour this near, um (1.4 um is the "
        "widest single dot)",
    )
    min_area_ratio: float = Field(
        1.6,
        ge=1,
        description="a dot is a cluster only when this much wider than a single dot: depth alone "
        "varies integrated OD",
    )
    saturation_od: float = Field(
        1.2, gt=0, description="peak OD above which the camera no longer follows (6 % transmission)"
    )


@dataclass(frozen=True)
class SingleDot:
    """A single dot of this slide: medians over isolated counted dots, and the spread of the integrated OD."""

    n: int
    integrated_od: float
    area_um2: float
    coefficient_of_variation: float


def measure_single(
    integrated_od: Float, area_um2: Float, isolated: npt.NDArray[np.bool_], params: ClusterParams
) -> SingleDot | None:
    """The slide's single dot, or None when fewer than `min_singles` isolated dots were counted."""
    values, widths = integrated_od[isolated].astype(np.float64), area_um2[isolated].astype(np.float64)
    if len(values) < params.min_singles:
        return None
    middle = float(np.median(values))
    spread = 1.4826 * float(np.median(np.abs(values - middle)))
    if middle <= 0:
        return None
    return SingleDot(len(values), middle, float(np.median(widths)), spread / middle)


def count_copies(
    integrated_od: Float, area_um2: Float, single: SingleDot | None, params: ClusterParams = ClusterParams()
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint16], npt.NDArray[np.uint16]]:
    """Copies of each dot with a 95 % interval: uint16 (n,) each; at least 1.

    The interval adds the spread of single dots in quadrature over the copies of a cluster.
    """
    n = len(integrated_od)
    if single is None:
        ones = np.ones(n, np.uint16)
        return ones, ones.copy(), ones.copy()
    ratio = integrated_od.astype(np.float64) / single.integrated_od
    cluster = area_um2 > params.min_area_ratio * single.area_um2
    copies = np.where(cluster, np.maximum(1, np.rint(ratio)), 1)
    half_width = 1.96 * single.coefficient_of_variation * np.sqrt(copies)
    low = np.where(cluster, np.maximum(1, np.floor(copies - half_width)), 1)
    high = np.where(cluster, np.ceil(copies + half_width), 1)
    top = np.iinfo(np.uint16).max
    return tuple(np.minimum(value, top).astype(np.uint16) for value in (copies, low, high))  # type: ignore[return-value]
