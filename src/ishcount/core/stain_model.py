"""The frozen colours of one slide: unit vectors of optical density, and the tables that separate them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ishcount.core.optical_density import unmixing_tables

# Haematoxylin and DAB as in Ruifrok and Johnston 2001; Fast Red, Fast Blue and AEC as in CellProfiler's
# UnmixColors. No measured vector of HRP-Green was at hand: absorbs red most, a starting guess.
REFERENCE: dict[str, tuple[float, float, float]] = {
    "haematoxylin": (0.65, 0.70, 0.29),
    "fast_red": (0.21, 0.85, 0.48),
    "dab": (0.27, 0.57, 0.78),
    "hrp_green": (0.80, 0.35, 0.49),
    "fast_blue": (0.749, 0.606, 0.267),
    "aec": (0.274, 0.679, 0.680),
}

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class StainModel:
    """The frozen colours of one slide. `vectors` are unit rows in the order of `names`, haematoxylin
    first."""

    white: tuple[float, float, float]
    white_source: str
    names: tuple[str, ...]
    vectors: tuple[tuple[float, float, float], ...]
    sources: tuple[str, ...]
    n_pixels: tuple[int, ...]
    angle_to_reference_deg: tuple[float, ...]
    uncertainty_deg: tuple[float, ...]
    diffuse_od: tuple[float, ...]
    mismatch: str = ""
    ill_conditioned: str = ""

    def rows(self) -> Array:
        """Three unit rows: the stains, and for a single chromogen the direction that neither absorbs in."""
        rows = [np.asarray(vector) for vector in self.vectors]
        if len(rows) == 2:
            rows.append(unit(np.cross(rows[0], rows[1])))
        return np.stack(rows)

    def tables(self) -> npt.NDArray[np.int32]:
        """The tables `core.optical_density.separate` sums."""
        return unmixing_tables(self.white, self.rows())


def unit(vector: npt.ArrayLike) -> Array:
    """`vector` at length 1."""
    array = np.asarray(vector, dtype=np.float64)
    return np.asarray(array / np.linalg.norm(array))


def angle_deg(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Angle between two colours in degrees."""
    return float(np.degrees(np.arccos(np.clip(unit(a) @ unit(b), -1, 1))))
