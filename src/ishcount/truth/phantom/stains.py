"""The colours of one slide: unit optical density vectors (R, G, B), drawn anew for every seed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ishcount.truth.phantom.spec import PhantomSpec

# usual directions, measured on published slides; every slide strays from them
HAEMATOXYLIN = (0.65, 0.70, 0.29)
CHROMOGEN = {"fast_red": (0.21, 0.85, 0.48), "dab": (0.27, 0.57, 0.78)}
MELANIN = (0.31, 0.47, 0.83)  # absorption falling as about wavelength^-3.5
NEUTRAL = (0.577, 0.577, 0.577)
RED_CELL = (0.18, 0.50, 0.85)
HAEMOSIDERIN = (0.20, 0.48, 0.85)
CORNEUM = (0.40, 0.62, 0.67)
STROMA = ((0.50, 0.66, 0.56), (0.60, 0.68, 0.42), (0.36, 0.70, 0.62), (0.45, 0.55, 0.70))

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Stains:
    """Unit vectors of this slide, by substance; `chromogen` holds one per marker, in the spec's order.

    tissue_od: optical density of the pale background of dermis, epidermis and corneum. dot_od: median peak
    of a dot.
    """

    haematoxylin: Array
    chromogen: tuple[Array, ...]
    melanin: Array
    red_cell: Array
    haemosiderin: Array
    corneum: Array
    stroma: Array
    cytoplasm: Array
    tissue_od: tuple[float, float, float]
    dot_od: float

    def as_json(self, chromogens: tuple[str, ...]) -> dict[str, list[float]]:
        """Vectors by name."""
        named = {"haematoxylin": self.haematoxylin, "melanin": self.melanin, "red_cell": self.red_cell}
        named |= dict(zip(chromogens, self.chromogen, strict=True))
        return {name: [round(float(value), 4) for value in vector] for name, vector in named.items()}


def unit(vector: Any) -> Array:
    """`vector` at length 1."""
    plain = np.asarray(vector, np.float64)
    return plain / np.linalg.norm(plain)


def stray(rng: np.random.Generator, vector: Any, degrees: float) -> Array:
    """`vector` turned by a random angle of that standard deviation into a random direction, none below .03."""
    base = unit(vector)
    across = unit(np.cross(base, rng.normal(size=3)))
    angle = math.radians(abs(rng.normal(0, degrees)))
    return unit(np.maximum(math.cos(angle) * base + math.sin(angle) * across, 0.03))


def mix(one: Any, other: Any, share: float) -> Array:
    """A direction between two."""
    return unit((1 - share) * unit(one) + share * unit(other))


def draw_stains(spec: PhantomSpec) -> Stains:
    """The colours of this slide."""
    rng = spec.rng("stains")
    degrees = spec.habits.vector_degrees
    haematoxylin = stray(rng, HAEMATOXYLIN, degrees)
    stroma = STROMA[int(rng.integers(len(STROMA)))]
    return Stains(
        haematoxylin=haematoxylin,
        chromogen=tuple(stray(rng, CHROMOGEN[name], degrees) for name in spec.chromogens),
        melanin=mix(MELANIN, NEUTRAL, rng.uniform(0, 0.5)),
        red_cell=stray(rng, RED_CELL, degrees),
        haemosiderin=stray(rng, HAEMOSIDERIN, degrees),
        corneum=stray(rng, CORNEUM, degrees),
        stroma=stray(rng, stroma, degrees),
        cytoplasm=mix(haematoxylin, stroma, rng.uniform(0.2, 0.7)),
        tissue_od=(rng.uniform(0.035, 0.085), rng.uniform(0.06, 0.13), rng.uniform(0.08, 0.2)),
        dot_od=rng.uniform(*spec.habits.dot_od),
    )
