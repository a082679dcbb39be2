"""Red or brown? What dot-sized spots on nuclei say of a slide's chromogen.

Red cells and pigment are red and brown too, and on most slides they outnumber dots. A dot is small, lies on
or beside a nucleus and is not one of a crowd: melanin comes in heaps of granules, red cells are six
micrometres wide. A spot's colour is read across haematoxylin, so that the nucleus under it does not count:
from the middle between Fast Red and DAB red lies 20 to 30 degrees to one side, DAB 20 to 30 and melanin 26 to
44 to the other, red cells between (-2 to -15).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from ishcount.core.stain_model import REFERENCE, unit

Array = npt.NDArray[np.float64]
Plane = npt.NDArray[np.float32]

BLUR_UM = 0.3  # standard deviation: a quarter of a dot's width
GROUND_UM = 6.0  # side of the square whose mean is a spot's ground
RING_UM = (2.5, 5.0)  # sides of the squares between which a spot must have fallen to its ground
FALL = 0.6  # of its height: a disc as wide as a red cell falls by less
MIN_OD = 0.24  # of chromogen: what is left at 0.5 um of a usual single dot
CROWD_OD = 0.12  # what counts as a neighbour, half of that
NUCLEAR_OD = 0.10  # haematoxylin over 4 um: the palest drawn nuclei have twice that
CROWD_UM = 8.0  # a cell's reach; four more dots in it are a usual positive cell
CROWD = 4
# From 107 slides of two simulators: 12 % of cells positive give 200 to 1100 lonely spots per mm2 of the right
# colour, dot-free tissue up to 80 red ones and 320 brown ones, beside which pigment has half as many and
# more in crowds.
MIN_SPOTS = 30
MIN_RED_PER_MM2, MIN_BROWN_PER_MM2 = 150.0, 200.0
MORE_RED, MORE_BROWN = 2.0, 4.0  # times the other colour: brown may be blood or pigment, red hardly anything
MOST_CROWDED = 1 / 3  # of the lonely ones
ALL_OVER_PER_MM2 = (
    2000.0  # no pigment is that dense over all of the tissue: positive controls, DAB of proteins
)


@dataclass(frozen=True)
class DotColours:
    """Dot-sized spots on nuclei by colour: those that stand alone, brown ones in crowds, mm2 of tissue."""

    n_red: int
    n_brown: int
    n_brown_crowded: int
    area_mm2: float

    @property
    def chromogen(self) -> str | None:
        """ "fast_red" or "dab" where spots are many and clearly of one colour, else None."""
        area = max(self.area_mm2, 1e-6)
        if self.n_red >= max(MIN_SPOTS, MIN_RED_PER_MM2 * area, MORE_RED * self.n_brown):
            return "fast_red"
        if self.n_brown < max(MIN_SPOTS, MIN_BROWN_PER_MM2 * area, MORE_BROWN * self.n_red):
            return None
        lonely = self.n_brown_crowded <= MOST_CROWDED * self.n_brown
        return "dab" if lonely or self.n_brown + self.n_brown_crowded > ALL_OVER_PER_MM2 * area else None

    def __str__(self) -> str:
        return (
            f"{self.n_red} red and {self.n_brown} brown dot-sized spots stand alone on nuclei, "
            f"{self.n_brown_crowded} brown ones in crowds as of pigment, in {self.area_mm2:.2g} mm2"
        )


def dot_colours(grids: Sequence[Array], haematoxylin: npt.ArrayLike, grid_um: float) -> DotColours:
    """Count the dot-sized spots of `grids`: optical density float64 (h, w, 3), pixels of `grid_um`."""
    blue, red, brown = (unit(v) for v in (haematoxylin, REFERENCE["fast_red"], REFERENCE["dab"]))
    middle = unit(red + brown)
    across = np.cross(blue, middle)
    axes = np.linalg.inv(np.stack([blue, middle, across * np.sign(across @ red)]))
    counts, n_tissue = np.zeros(3, np.int64), 0
    for od in grids:
        counts += _spots((od @ axes).astype(np.float32), grid_um)
        n_tissue += int(np.count_nonzero(od.sum(axis=-1) / 3 > 0.06))
    n_red, n_brown, n_crowded = (int(n) for n in counts)
    return DotColours(n_red, n_brown, n_crowded, n_tissue * grid_um**2 / 1e6)


def _spots(amounts: Plane, grid_um: float) -> npt.NDArray[np.int64]:
    """Lonely red, lonely brown and crowded brown spots of one grid; amounts (h, w, 3) of
    haematoxylin, of chromogen, and of what makes it redder."""
    blue, strength, side = (np.ascontiguousarray(amounts[..., k]) for k in range(3))
    spot, ring = _blurred(strength, grid_um), _ring(strength, grid_um)
    height = spot - _mean(strength, GROUND_UM, grid_um)
    peaks = (cv2.dilate(spot, np.ones((3, 3), np.uint8)) == spot) & (height > CROWD_OD)
    y, x = np.nonzero(peaks)
    if len(y) == 0:
        return np.zeros(3, np.int64)
    tilt = (_blurred(side, grid_um) - _mean(side, GROUND_UM, grid_um))[y, x]
    places = np.column_stack([x, y]) * grid_um
    around = cKDTree(places).query_ball_point(places, CROWD_UM, return_length=True) - 1
    dots = (height[y, x] > MIN_OD) & ((spot - ring)[y, x] > FALL * height[y, x])
    dots &= _mean(blue, 4.0, grid_um)[y, x] > NUCLEAR_OD
    red, lonely = tilt > 0, around <= CROWD
    return np.array([(dots & kind).sum() for kind in (red & lonely, ~red & lonely, ~red & ~lonely)])


def _blurred(plane: Plane, grid_um: float) -> Plane:
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), BLUR_UM / grid_um))


def _mean(plane: Plane, side_um: float, grid_um: float) -> Plane:
    side = 2 * max(1, round(side_um / 2 / grid_um)) + 1
    return np.asarray(cv2.blur(plane, (side, side)))


def _ring(plane: Plane, grid_um: float) -> Plane:
    inner, outer = (2 * max(1, round(side / 2 / grid_um)) + 1 for side in RING_UM)
    if outer == inner:
        outer += 2
    sums = [cv2.boxFilter(plane, -1, (side, side), normalize=False) for side in (inner, outer)]
    return np.asarray((sums[1] - sums[0]) / (outer**2 - inner**2))
