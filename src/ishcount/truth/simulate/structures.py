"""Vessels, follicles, glands and tears, cut into the dermis of a section."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ishcount.truth.simulate.randomness import Array, field, stream
from ishcount.truth.simulate.spec import PhantomSpec
from ishcount.truth.simulate.tissue import (
    DERMIS,
    FOLLICLE,
    GLAND,
    GLASS,
    GRID_UM,
    HAIR,
    HOLE,
    Tissue,
)

VESSELS_PER_MM2, GLAND_COILS_PER_MM2, FOLLICLES_PER_MM, TEARS_PER_MM2 = 60.0, 1.6, 0.7, 5.0
SMALLEST_HOLE_UM2 = 50.0  # smaller openings are pinholes and stay tissue


@dataclass(frozen=True)
class Ring:
    """A tube cut across: a vessel or one turn of a gland. Lengths in um, angle from x towards y."""

    kind: str
    x_um: float
    y_um: float
    lumen_um: tuple[float, float]  # semi-axes of the opening
    wall_um: float
    angle_rad: float


@dataclass(frozen=True)
class Skin:
    """A whole section: its rasters, its tubes, and where inflammatory cells gather (0-1)."""

    tissue: Tissue
    rings: tuple[Ring, ...]
    infiltrate: Array


def draw_skin(spec: PhantomSpec) -> Skin:
    """Skin with everything in it but cells."""
    from ishcount.truth.simulate.tissue import draw_tissue

    tissue = draw_tissue(spec)
    code = tissue.code.copy()
    _cut_follicles(spec, tissue, code)
    rings = [*_vessels(spec, tissue, code), *_glands(spec, tissue, code)]
    for ring in rings:
        _cut_ring(code, ring)
    _cut_tears(spec, code)
    _close_pinholes(code)
    tissue = replace(tissue, code=code)
    return Skin(tissue, tuple(rings), _infiltrate(spec, tissue, rings))


def rho(shape: tuple[int, int], ring: Ring, grow_um: float) -> tuple[tuple[slice, slice], Array]:
    """The window of a ring's grown ellipse on the grid and the elliptic radius in it (1 at the border)."""
    a, b = ring.lumen_um[0] + grow_um, ring.lumen_um[1] + grow_um
    reach = max(a, b) + GRID_UM
    rows = slice(
        max(int((ring.y_um - reach) / GRID_UM), 0), min(int((ring.y_um + reach) / GRID_UM) + 1, shape[0])
    )
    columns = slice(
        max(int((ring.x_um - reach) / GRID_UM), 0), min(int((ring.x_um + reach) / GRID_UM) + 1, shape[1])
    )
    y, x = np.mgrid[rows, columns].astype(np.float32)
    x, y = (x + 0.5) * GRID_UM - ring.x_um, (y + 0.5) * GRID_UM - ring.y_um
    cos, sin = np.cos(ring.angle_rad), np.sin(ring.angle_rad)
    return (rows, columns), np.hypot((cos * x + sin * y) / a, (cos * y - sin * x) / b).astype(np.float32)


def _cut_ring(code: npt.NDArray[np.uint8], ring: Ring) -> None:
    window, wall = rho(code.shape, ring, ring.wall_um)
    if ring.kind == "gland":
        code[window][(wall < 1) & (code[window] == DERMIS)] = GLAND
    window, lumen = rho(code.shape, ring, 0.0)
    code[window][(lumen < 1) & (code[window] != GLASS)] = HOLE


def _places(
    rng: np.random.Generator, allowed: npt.NDArray[np.bool_], per_mm2: float
) -> npt.NDArray[np.float64]:
    """Random places (n, 2) in um, x then y, inside a mask."""
    rows, columns = np.nonzero(allowed)
    n = rng.poisson(per_mm2 * len(rows) * GRID_UM**2 * 1e-6)
    if not len(rows) or not n:
        return np.empty((0, 2))
    chosen = rng.integers(len(rows), size=n)
    return np.column_stack([columns[chosen], rows[chosen]]) * GRID_UM + rng.uniform(0, GRID_UM, (n, 2))


def _vessels(spec: PhantomSpec, tissue: Tissue, code: npt.NDArray[np.uint8]) -> list[Ring]:
    rng = stream(spec.seed, "vessels")
    inside = (code == DERMIS) & (ndimage.distance_transform_edt(code == DERMIS) * GRID_UM > 12)
    rings: list[Ring] = []
    for x, y in _places(rng, inside, VESSELS_PER_MM2):
        radius = 3.2 * np.exp(abs(rng.normal(0, 0.55))) * (1.25 if spec.state == "inflamed" else 1.0)
        flat = rng.uniform(0.45, 1.0)
        rings.append(
            Ring(
                "vessel",
                float(x),
                float(y),
                (radius / np.sqrt(flat), radius * np.sqrt(flat)),
                2.5,
                rng.uniform(0, np.pi),
            )
        )
    return rings


def _glands(spec: PhantomSpec, tissue: Tissue, code: npt.NDArray[np.uint8]) -> list[Ring]:
    rng = stream(spec.seed, "glands")
    inside = (code == DERMIS) & (tissue.depth_um > 150)
    inside &= ndimage.distance_transform_edt(code == DERMIS) * GRID_UM > 60
    rings: list[Ring] = []
    for x, y in _places(rng, inside, GLAND_COILS_PER_MM2):
        for _ in range(int(rng.integers(4, 9))):
            lumen = rng.uniform(3.5, 6.5)
            angle = rng.uniform(0, np.pi)
            centre = rng.normal(0, 28, 2)
            turn = Ring(
                "gland", x + centre[0], y + centre[1], (lumen * rng.uniform(1, 2.2), lumen), 11.0, angle
            )
            if all(np.hypot(turn.x_um - r.x_um, turn.y_um - r.y_um) > 38 for r in rings):
                rings.append(turn)
    return rings


def _cut_follicles(spec: PhantomSpec, tissue: Tissue, code: npt.NDArray[np.uint8]) -> None:
    rng = stream(spec.seed, "follicles")
    profile = tissue.profile
    for _ in range(rng.poisson(FOLLICLES_PER_MM * (profile.end_um - profile.start_um) / 1000)):
        u0 = rng.uniform(profile.start_um + 60, max(profile.end_um - 60, profile.start_um + 61))
        slope, length, radius = rng.normal(0, 0.35), rng.uniform(180, 520), rng.uniform(24, 42)
        top = profile.surface_um[int(u0 / GRID_UM)]
        s = (
            tissue.surface_um
            + profile.surface_um[
                np.clip((tissue.along_um / GRID_UM).astype(int), 0, len(profile.surface_um) - 1)
            ]
            - top
        )
        aside = (tissue.along_um - u0 - slope * s) / np.sqrt(1 + slope**2)
        beyond = np.maximum(s - length, 0)
        distance = np.hypot(aside * (1 + 0.25 * np.clip(s / length, 0, 1)), beyond)
        tube = (s > -30) & (distance < radius) & (code == DERMIS)
        code[tube] = FOLLICLE
        hair = (s > -40) & (s < length - 15) & (np.abs(aside) < 0.22 * radius) & (code != GLASS)
        code[hair] = HAIR


def _cut_tears(spec: PhantomSpec, code: npt.NDArray[np.uint8]) -> None:
    rng = stream(spec.seed, "tears")
    tears = np.zeros(code.shape, np.uint8)
    for x, y in _places(rng, code == DERMIS, TEARS_PER_MM2 * spec.preset_numbers.tears):
        heading, n = rng.uniform(0, 2 * np.pi), int(rng.integers(8, 30))
        width = rng.uniform(2, 9)
        for step in range(n):
            radius = width * np.sin(np.pi * (step + 0.5) / n) * np.exp(rng.normal(0, 0.15))
            centre = (round(x / GRID_UM * 16), round(y / GRID_UM * 16))
            cv2.circle(tears, centre, max(round(radius / GRID_UM * 16), 4), 1, -1, shift=4)
            heading += rng.normal(0, 0.25)
            x, y = x + 7 * np.cos(heading), y + 7 * np.sin(heading)
    code[(tears > 0) & (code == DERMIS)] = HOLE


def _close_pinholes(code: npt.NDArray[np.uint8]) -> None:
    labels, _ = ndimage.label(code == HOLE)
    small = np.bincount(labels.ravel()) * GRID_UM**2 < SMALLEST_HOLE_UM2
    small[0] = False
    code[small[labels]] = DERMIS


def _infiltrate(spec: PhantomSpec, tissue: Tissue, rings: list[Ring]) -> Array:
    """Where lymphocytes gather: round vessels, and along the interface where inflamed."""
    rng = stream(spec.seed, "infiltrate")
    inflamed = spec.state == "inflamed"
    rows, columns = tissue.code.shape
    cuffs = np.zeros((rows, columns), np.float32)
    for ring in rings:
        share = rng.random()
        if ring.kind != "vessel" or share > (0.75 if inflamed else 0.25):
            continue
        spread = rng.uniform(16, 38) if inflamed else rng.uniform(8, 14)
        window, r = rho((rows, columns), ring, 3 * spread)
        strength = rng.uniform(0.5, 1.0) if inflamed else rng.uniform(0.15, 0.4)
        cuffs[window] = np.maximum(cuffs[window], strength * np.exp(-((r * 3) ** 2) / 2))
    patches = np.clip(0.6 + 0.6 * field(rng, (rows, columns), 90), 0, 1)
    if inflamed:
        band = np.exp(-np.maximum(tissue.depth_um, 0) / 28) * (tissue.depth_um > -14) * rng.uniform(0.3, 0.75)
        cuffs = np.maximum(cuffs, band * patches)
    return np.asarray(
        np.clip(cuffs + (0.05 if inflamed else 0.02), 0, 1) * (tissue.code == DERMIS), np.float32
    ) + (np.asarray(0.05 * patches * inflamed * (tissue.depth_um > -25) * (tissue.depth_um < 0), np.float32))
