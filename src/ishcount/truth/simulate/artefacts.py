"""What spoils an area: folds, pen, bubbles, dust, dried edges, defocus. Drawn as fields on the 2 um grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ishcount.truth.simulate.randomness import Array, field, stream
from ishcount.truth.simulate.spec import PhantomSpec
from ishcount.truth.simulate.staining import Vector, unit
from ishcount.truth.simulate.structures import Skin
from ishcount.truth.simulate.tissue import GRID_UM

ARTEFACT_BITS = {"fold": 1, "pen": 2, "bubble": 4, "dust": 8, "edge_drying": 16, "defocus": 32}
# With this much more blur (sd) a dot of 1 um keeps a fifth of its peak: nothing can be counted there.
DEFOCUS_LIMIT_UM = 0.9
INKS = (
    (0.75, 0.30, 0.59),
    (0.85, 0.48, 0.20),
    (0.57, 0.57, 0.60),
    (0.15, 0.80, 0.55),
)  # green, blue, black, red


@dataclass(frozen=True)
class Artefacts:
    """Rasters of (grid rows, columns): `bits` by `ARTEFACT_BITS`, the rest as float32.

    `fold` is how many layers more there are (0-1), `ink_od` and `edge_od` optical densities, `dust_od`
    likewise, `bubble` the elliptic radius (1 at the rim, large elsewhere), `blur_um` what is added to the
    optics' blur.
    """

    bits: npt.NDArray[np.uint8]
    fold: Array
    ink_od: Array
    ink: Vector
    dust_od: Array
    edge_od: Array
    bubble: Array
    blur_um: Array


def draw_artefacts(spec: PhantomSpec, skin: Skin) -> Artefacts:
    """The spoilt areas of one slide. An artefact with amount 1 or more is there for sure."""
    shape = skin.tissue.code.shape
    fold, ink_od = _fold(spec, skin), _pen(spec, skin)
    dust_od, edge_od, blur_um = _dust(spec, shape), _dried_edge(spec, skin), _defocus(spec, shape)
    bubble = _bubble(spec, skin)
    bits = np.zeros(shape, np.uint8)
    for name, here in (
        ("fold", fold > 0.5),
        ("pen", ink_od > 0.12),
        ("bubble", bubble < 1.05),
        ("dust", dust_od > 0.2),
        ("edge_drying", edge_od > 0.06),
        ("defocus", blur_um >= DEFOCUS_LIMIT_UM),
    ):
        bits[here] |= ARTEFACT_BITS[name]
    ink = unit(INKS[int(stream(spec.seed, "ink").integers(len(INKS)))])
    return Artefacts(bits, fold, ink_od, ink, dust_od, edge_od, bubble, blur_um)


def _present(spec: PhantomSpec, kind: str, rng: np.random.Generator) -> float:
    """The amount of an artefact, or 0 where chance leaves it out."""
    amount = spec.preset_numbers.confounders.get(kind, 0.0)
    return amount if rng.random() < amount else 0.0


def _somewhere(rng: np.random.Generator, mask: npt.NDArray[np.bool_]) -> tuple[float, float]:
    rows, columns = np.nonzero(mask)
    if not len(rows):
        return mask.shape[1] / 2, mask.shape[0] / 2
    chosen = rng.integers(len(rows))
    return float(columns[chosen]), float(rows[chosen])


def _line_distance(shape: tuple[int, int], x: float, y: float, heading: float) -> tuple[Array, Array]:
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    along = np.cos(heading) * (columns - x) + np.sin(heading) * (rows - y)
    aside = np.cos(heading) * (rows - y) - np.sin(heading) * (columns - x)
    return along.astype(np.float32) * GRID_UM, aside.astype(np.float32) * GRID_UM


def _fold(spec: PhantomSpec, skin: Skin) -> Array:
    rng, shape = stream(spec.seed, "fold"), skin.tissue.code.shape
    if not _present(spec, "fold", rng):
        return np.zeros(shape, np.float32)
    x, y = _somewhere(rng, skin.tissue.code == 3)
    along, aside = _line_distance(shape, x, y, rng.uniform(0, np.pi))
    half_length = rng.uniform(0.15, 0.4) * min(shape) * GRID_UM
    width = rng.uniform(7, 18) * np.sqrt(np.maximum(1 - (along / half_length) ** 2, 0))
    distance = np.abs(aside + 5 * field(rng, shape, 40))
    weight = np.clip((width - distance) / 3 + 0.5, 0, 1) * (width > 2)
    return np.asarray(weight * np.isin(skin.tissue.code, (1, 2, 3, 4, 5, 6)), np.float32)


def _pen(spec: PhantomSpec, skin: Skin) -> Array:
    rng, shape = stream(spec.seed, "pen"), skin.tissue.code.shape
    if not _present(spec, "pen", rng):
        return np.zeros(shape, np.float32)
    edge = skin.tissue.outline ^ ndimage.binary_erosion(skin.tissue.outline)
    x, y = _somewhere(rng, edge)
    heading = rng.uniform(0, np.pi)
    along, aside = _line_distance(shape, x, y, heading)
    width = rng.uniform(0.03, 0.07) * min(shape) * GRID_UM
    streaks = 1 + 0.25 * np.sin(aside / 6 + 0.5 * field(rng, shape, 50))
    inside = np.clip((width - np.abs(aside + 4 * field(rng, shape, 30))) / 4 + 0.5, 0, 1)
    inside *= along < rng.uniform(0.1, 0.6) * min(shape) * GRID_UM
    return np.asarray(inside * streaks * rng.uniform(0.4, 1.3), np.float32)


def _bubble(spec: PhantomSpec, skin: Skin) -> Array:
    rng, shape = stream(spec.seed, "bubble"), skin.tissue.code.shape
    nearest = np.full(shape, 99, np.float32)
    if not _present(spec, "bubble", rng):
        return nearest
    for _ in range(1 + rng.poisson(0.5)):
        x, y = _somewhere(rng, skin.tissue.outline)
        along, aside = _line_distance(shape, x, y, rng.uniform(0, np.pi))
        radius = rng.uniform(0.04, 0.09) * min(shape) * GRID_UM
        nearest = np.minimum(nearest, np.hypot(along, aside * rng.uniform(1, 1.3)) / radius)
    return np.asarray(nearest, np.float32)


def _dust(spec: PhantomSpec, shape: tuple[int, int]) -> Array:
    rng = stream(spec.seed, "dust")
    amount = spec.preset_numbers.confounders.get("dust", 0.0)
    od = np.zeros(shape, np.float32)
    area_mm2 = shape[0] * shape[1] * GRID_UM**2 * 1e-6
    for _ in range(rng.poisson(6 * amount * area_mm2) + (amount >= 1)):
        x, y = rng.uniform(0, shape[1]), rng.uniform(0, shape[0])
        fibre = rng.random() < 0.3
        a, b = (rng.uniform(25, 70), rng.uniform(2.5, 4)) if fibre else rng.uniform(3, 11, 2)
        along, aside = _line_distance(shape, x, y, rng.uniform(0, np.pi))
        bend = (along / 50) ** 2 * rng.normal(0, 14) if fibre else 0
        radius = np.hypot(along / a, (aside + bend) / b)
        od = np.maximum(od, np.clip((1.1 - radius) * min(a, b) / 2, 0, 1) * rng.uniform(0.5, 1.5))
    return np.asarray(od, np.float32)


def _dried_edge(spec: PhantomSpec, skin: Skin) -> Array:
    rng, shape = stream(spec.seed, "edge_drying"), skin.tissue.code.shape
    if not _present(spec, "edge_drying", rng):
        return np.zeros(shape, np.float32)
    reach = rng.uniform(12, 30)
    inwards = ndimage.distance_transform_edt(skin.tissue.outline) * GRID_UM
    stretch = np.clip(1.5 * field(rng, shape, 160) + 0.3, 0, 1)
    od = np.clip(1.3 - inwards / (reach * stretch + 1), 0, 1) * rng.uniform(0.12, 0.35)
    return np.asarray(od * (stretch > 0.2) * (skin.tissue.code != 0) * (skin.tissue.code != 7), np.float32)


def _defocus(spec: PhantomSpec, shape: tuple[int, int]) -> Array:
    rng = stream(spec.seed, "defocus")
    amount = spec.preset_numbers.confounders.get("defocus", 0.0)
    if not amount:
        return np.zeros(shape, np.float32)
    height = field(rng, shape, max(min(shape) / 1.5, 20.0))
    return np.asarray(1.5 * amount * np.clip(height - 0.9, 0, 1.3), np.float32)
