"""An imaginary slide for training: its colours, its camera and its habits, over a range as wide as can be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

HAEMATOXYLIN = ((0.65, 0.70, 0.29), (0.79, 0.51, 0.33), (0.55, 0.76, 0.35))  # spread of real slides
CHROMOGEN = {"fast_red": (0.21, 0.85, 0.48), "dab": (0.27, 0.57, 0.78)}
# Beside the published colour, ends of a line: makers' hues differ, and dense deposit is darker and greyer.
CHROMOGEN_FAMILY = {
    "fast_red": ((0.06, 0.78, 0.62), (0.30, 0.82, 0.40)),
    "dab": ((0.48, 0.58, 0.66), (0.18, 0.49, 0.85)),
}
MELANIN = ((0.31, 0.47, 0.83), (0.577, 0.577, 0.577))  # from wavelength^-3.5 to neutral black
HAEMOSIDERIN = ((0.24, 0.47, 0.85), (0.20, 0.58, 0.79))
RED_CELL = ((0.18, 0.50, 0.85), (0.12, 0.80, 0.58))
TINT = ((0.07, 0.90, 0.42), (0.45, 0.65, 0.60), (0.30, 0.60, 0.74), (0.60, 0.70, 0.38))


@dataclass(frozen=True)
class Draw:
    """One imaginary slide: its colours, its camera and its habits. `vectors` are unit optical densities."""

    chromogen: str
    mpp_um: float
    white: Array
    vectors: dict[str, Array]
    strength: dict[str, float]
    blur_um: float
    camera: dict[str, Any]


def turned(rng: np.random.Generator, vector: Any, degrees: float) -> Array:
    """A unit colour turned by an angle of half of `degrees` as its standard deviation, in any direction."""
    base = np.asarray(vector, float)
    base = base / np.linalg.norm(base)
    side = np.cross(base, rng.normal(size=3))
    angle = np.radians(rng.normal(0, degrees / 2))
    away = np.maximum(np.cos(angle) * base + np.sin(angle) * side / np.linalg.norm(side), 0.02)
    return np.asarray(away / np.linalg.norm(away))


def between(rng: np.random.Generator, family: Any, degrees: float) -> Array:
    """A unit colour somewhere among those of a family, turned by some degrees."""
    weight = rng.dirichlet(np.full(len(family), 0.7))
    return turned(rng, weight @ np.asarray(family), degrees)


def chromogen_colour(rng: np.random.Generator, chromogen: str) -> Array:
    """The published colour turned a little on half of the slides, on the others anywhere in its family."""
    if rng.uniform() < 0.5:
        return turned(rng, CHROMOGEN[chromogen], 7)
    return between(rng, CHROMOGEN_FAMILY[chromogen], 5)


def draw_slide(rng: np.random.Generator, chromogen: str, mpp_um: float) -> Draw:
    """Colours, camera and habits of one imaginary slide."""
    return Draw(
        chromogen=chromogen,
        mpp_um=mpp_um,
        white=rng.uniform(225, 252) + rng.normal(0, 3, 3),
        vectors={
            "haematoxylin": between(rng, HAEMATOXYLIN, 5),
            "chromogen": chromogen_colour(rng, chromogen),
            "tint": between(rng, TINT, 8),
            "red_cell": between(rng, RED_CELL, 5),
            "melanin": between(rng, MELANIN, 4),
        },
        strength={
            "nucleus": rng.uniform(0.2, 0.8) if rng.uniform() < 0.8 else rng.uniform(0.8, 1.4),
            "texture": rng.uniform(0.05, 0.6) if rng.uniform() < 0.5 else rng.uniform(0.02, 0.25),
            "melanin_spread_deg": rng.choice([2.0, 5.0, 12.0]),  # one person's pigment is much alike
            "tint": rng.uniform(0.0, 0.10) if rng.uniform() < 0.75 else rng.uniform(0.08, 0.30),
            "dot": rng.uniform(0.25, 0.95) if rng.uniform() < 0.75 else rng.uniform(0.95, 1.8),
            "dot_spread": rng.uniform(0.15, 0.55),
            "dot_sigma_um": rng.uniform(0.20, 0.40) if rng.uniform() < 0.75 else rng.uniform(0.40, 0.65),
            "confounders": rng.choice([0.0, 0.3, 1.0, 2.0]),
            "more_copies": rng.choice([0.5, 2.0, 6.0, 25.0], p=[0.4, 0.3, 0.2, 0.1]),  # mean beyond the first
            "prevalence": rng.choice([0.0, 0.03, 0.15, 0.4], p=[0.25, 0.2, 0.25, 0.3]),
        },
        blur_um=rng.uniform(0.08, 0.45),
        camera={
            "matrix": np.eye(3) + rng.normal(0, 0.05, (3, 3)),
            "gamma": rng.uniform(0.85, 1.2),
            "sharpen": rng.choice([0.0, rng.uniform(0, 1.0)]),
            "noise": rng.uniform(0.3, 4.0),
            "shift_px": rng.normal(0, 0.25 if rng.uniform() < 0.5 else 0.02, (2, 2)) * 0.25 / mpp_um,
            "quality": int(rng.integers(55, 96)),
            "subsampling": str(rng.choice(["420", "422", "444"], p=[0.55, 0.2, 0.25])),
            "vignette": rng.normal(0, 0.03, 2),
        },
    )
