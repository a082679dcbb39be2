"""The colours of one slide: unit optical-density vectors (R, G, B), drawn anew for every seed.

Means: haematoxylin and DAB after Ruifrok and Johnston (2001), Fast Red, Fast Blue and AEC as tabulated in
CellProfiler's UnmixColors; melanin from absorption as wavelength^-3.5; red cells from oxyhaemoglobin seen
through camera primaries. Real slides scatter round them by several degrees.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ishcount.truth.simulate.randomness import stream
from ishcount.truth.simulate.spec import PhantomSpec

Vector = npt.NDArray[np.float64]

HAEMATOXYLIN = ((0.65, 0.70, 0.29), (0.74, 0.60, 0.29), (0.60, 0.74, 0.32))
CHROMOGEN = {
    "fast_red": (0.21, 0.85, 0.48),
    "dab": (0.27, 0.57, 0.78),
    "hrp_green": (0.86, 0.30, 0.42),
    "fast_blue": (0.75, 0.61, 0.27),
    "aec": (0.27, 0.68, 0.68),
}
MELANIN_BROWN, MELANIN_BLACK = (0.31, 0.47, 0.83), (0.54, 0.57, 0.62)
RED_CELL = ((0.18, 0.50, 0.85), (0.14, 0.72, 0.66))
HAEMOSIDERIN = (0.24, 0.47, 0.85)
COLLAGEN = ((0.52, 0.62, 0.58), (0.60, 0.64, 0.48), (0.38, 0.66, 0.64), (0.50, 0.55, 0.67))


@dataclass(frozen=True)
class Staining:
    """The stain vectors of one slide and how much tint each tissue takes (OD)."""

    haematoxylin: Vector
    chromogens: tuple[Vector, ...]
    collagen: Vector
    cytoplasm: Vector
    melanin_brown: Vector
    melanin_black: Vector
    red_cell: Vector
    haemosiderin: Vector
    collagen_od: float
    cytoplasm_od: float
    corneum_od: float
    chromogen_background_od: float
    nuclear_od: float


def unit(vector: npt.ArrayLike) -> Vector:
    """The vector at length 1."""
    array = np.asarray(vector, float)
    return np.asarray(array / np.linalg.norm(array))


def tilted(rng: np.random.Generator, vector: npt.ArrayLike, spread_deg: float) -> Vector:
    """A unit vector about `spread_deg` away from `vector`, in any direction; no channel below 0.02."""
    base = unit(vector)
    aside = rng.standard_normal(3)
    aside = unit(aside - base * (aside @ base))
    angle = np.radians(abs(rng.normal(0.0, spread_deg)))
    return unit(np.maximum(np.cos(angle) * base + np.sin(angle) * aside, 0.02))


def _between(rng: np.random.Generator, corners: tuple[tuple[float, float, float], ...]) -> Vector:
    return unit(rng.dirichlet(np.ones(len(corners))) @ np.array([unit(corner) for corner in corners]))


def draw_staining(spec: PhantomSpec) -> Staining:
    """The colours of the slide that `spec` describes."""
    preset, rng = spec.preset_numbers, stream(spec.seed, "staining")
    spread = preset.stain_spread_deg
    haematoxylin = tilted(rng, _between(rng, HAEMATOXYLIN) + 1.5 * unit(HAEMATOXYLIN[0]), spread)
    collagen = tilted(rng, _between(rng, COLLAGEN), spread)
    blueness = rng.uniform(0.15, 0.7)  # how much of the cytoplasm's tint is haematoxylin
    tint = preset.tint_od * np.exp(rng.normal(0, 0.3))
    return Staining(
        haematoxylin=haematoxylin,
        chromogens=tuple(tilted(rng, CHROMOGEN[name], spread) for name in spec.chromogens),
        collagen=unit(collagen + rng.uniform(0, 0.5) * haematoxylin),
        cytoplasm=unit(blueness * haematoxylin + (1 - blueness) * collagen),
        melanin_brown=tilted(rng, MELANIN_BROWN, 2.5),
        melanin_black=tilted(rng, MELANIN_BLACK, 4.0),
        red_cell=tilted(rng, _between(rng, RED_CELL), 3.0),
        haemosiderin=tilted(rng, HAEMOSIDERIN, 3.0),
        collagen_od=tint * rng.uniform(0.75, 1.15),
        cytoplasm_od=tint * rng.uniform(0.5, 1.0),
        corneum_od=tint * rng.uniform(0.5, 1.2),
        chromogen_background_od=preset.tint_od * abs(rng.normal(0, 0.12)),
        nuclear_od=preset.nuclear_od * np.exp(rng.normal(0, 0.2)),
    )
