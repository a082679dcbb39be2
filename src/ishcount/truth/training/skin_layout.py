"""Which compartment every micrometre of a drawn section belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ishcount.truth.training.skin_noise import Array, noise, wave

CODES = ("glass", "epidermis", "stratum_corneum", "dermis", "adnexa", "fat", "hair", "hole")
GLASS, EPIDERMIS, CORNEUM, DERMIS, ADNEXA, FAT, HAIR, HOLE = range(8)
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Layout:
    """Rasters (h, w) of 1 um: `code` (place in CODES, holes as glass), `below_um` the junction (negative in
    the epidermis), `inward_um` from the outline, `infiltrate` 0-1; `angle` of the surface in radians.
    """

    code: npt.NDArray[np.uint8]
    below_um: Array
    inward_um: Array
    infiltrate: Array
    angle: float

    def where(self, name: str) -> Mask:
        """Mask of a code by its name."""
        return np.asarray(self.code == CODES.index(name))


def draw_layout(rng: np.random.Generator) -> Layout:
    """One section of skin (three in four), of deep skin only, or of another tissue."""
    width, height = (int(rng.uniform(*span)) // 4 * 4 for span in ((450, 1400), (400, 1000)))
    kind = rng.choice(["skin", "deep", "other"], p=[0.78, 0.12, 0.10])
    quarter = rng.integers(4) * np.pi / 2 + rng.normal(0, 0.12)
    angle = float(quarter if rng.random() < 0.6 else rng.uniform(0, 2 * np.pi))
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    x, y = x - width / 2, y - height / 2
    u, v = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    warp = rng.uniform(0, 6) * noise(rng, (height, width), 40)
    long = abs(width * np.cos(angle)) + abs(height * np.sin(angle))
    deep = abs(width * np.sin(angle)) + abs(height * np.cos(angle))
    v = v + warp + deep / 2 - rng.uniform(0.04, 0.25) * deep
    index = np.clip(u + warp + long / 2, 0, long - 1).astype(int)
    depth, below, thick = _layers(rng, int(long) + 1, index, v)
    code = _stacked(rng, kind, depth, below, thick)
    outline = _outline(rng, u, depth + thick, v, long, deep)
    code[~outline] = GLASS
    inward = cv2.distanceTransform(np.pad(outline, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    if kind != "other":
        _follicles(rng, code, u, depth, long)
        _fat(rng, code, depth)
    _nests(rng, code, below, inward)
    infiltrate = _infiltrate(rng, kind, code, below)
    _holes(rng, code, below, u, long)
    return Layout(np.where(code == HOLE, GLASS, code).astype(np.uint8), below, inward, infiltrate, angle)


def _layers(
    rng: np.random.Generator, n: int, index: npt.NDArray[np.int64], v: Array
) -> tuple[Array, Array, Array]:
    """Depth below the top of the viable epidermis, below the junction, and thickness of the corneum."""
    surface = rng.uniform(2, 45) * wave(rng, n, rng.uniform(150, 600)) + rng.uniform(0, 6) * wave(rng, n, 40)
    bow = rng.normal(0, 0.00012) * (np.arange(n) - n / 2) ** 2
    plate = np.exp(rng.uniform(np.log(25), np.log(130))) * np.exp(rng.uniform(0, 0.25) * wave(rng, n, 150))
    ridge = np.zeros(n)
    if rng.random() < 0.8:
        phase = np.cumsum(2 * np.pi / rng.uniform(60, 200) * np.exp(0.35 * wave(rng, n, 100)))
        height = rng.uniform(8, 90) * np.exp(0.35 * wave(rng, n, 70))
        ridge = height * (0.5 + 0.5 * np.sin(phase)) ** rng.uniform(0.7, 2.5)
    style = rng.random()
    thick = rng.uniform(6, 40) if style < 0.8 else rng.uniform(40, 200) if style < 0.9 else 0.0
    corneum = thick * np.exp(rng.uniform(0, 0.4) * wave(rng, n, rng.uniform(30, 150)))
    depth = v - (surface + bow)[index]
    below = depth - (plate + ridge)[index]
    slope = np.gradient(plate + ridge)[index]
    return depth.astype(np.float32), (below / np.sqrt(1 + slope**2)).astype(np.float32), corneum[index]


def _stacked(
    rng: np.random.Generator, kind: str, depth: Array, below: Array, thick: Array
) -> npt.NDArray[np.uint8]:
    code = np.full(depth.shape, DERMIS, np.uint8)
    if kind != "skin":
        return code
    code[below < 0] = EPIDERMIS
    code[(depth < 0) & (thick > 0)] = CORNEUM
    if rng.random() < 0.12:  # an erosion: dermis open to the outside
        lost = noise(rng, depth.shape, 250) > 0.6
        code[lost & ((code == EPIDERMIS) | (code == CORNEUM)) & (depth < 15)] = GLASS
        code[lost & (code == EPIDERMIS) & (noise(rng, depth.shape, 120) > 0)] = DERMIS
    if rng.random() < 0.25:  # papillae cut across
        code[(noise(rng, depth.shape, 14) > 2.2) & (code == EPIDERMIS) & (depth > 15)] = DERMIS
    return code


def _outline(rng: np.random.Generator, u: Array, outer: Array, v: Array, long: float, deep: float) -> Mask:
    """Where the section lies; the picture may cut it off at the sides and below."""
    ragged = rng.uniform(1, 12) * noise(rng, u.shape, 30)
    reach = long * rng.uniform(0.6, 0.94) / 2 if rng.random() < 0.7 else long
    bottom = deep * rng.uniform(0.5, 0.92) if rng.random() < 0.8 else 2 * deep
    floor = bottom + rng.uniform(5, 40) * noise(rng, u.shape, 150)
    if rng.random() < 0.25:  # a shave: its floor rises to both sides
        floor = bottom * np.sqrt(np.maximum(1 - (u / reach) ** 2, 0))
    inside = (np.abs(u) + ragged < reach) & (v + ragged < floor) & (outer > 0)
    labels, _ = ndimage.label(inside)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(sizes[labels] > 0.1 * max(sizes.max(), 1)) & inside


def _follicles(rng: np.random.Generator, code: npt.NDArray[np.uint8], u: Array, depth: Array, long: float
) -> None:  # fmt: skip
    for _ in range(rng.poisson(1.2 * long / 1000)):
        at, slope = rng.uniform(-long / 2, long / 2), rng.normal(0, 0.4)
        length, radius = rng.uniform(120, 900), rng.uniform(18, 65)
        aside = (u - at - slope * depth) / np.sqrt(1 + slope**2)
        tube = np.hypot(aside, np.maximum(depth - length, 0)) < radius * (1 + 0.2 * np.sin(depth / 60))
        code[tube & (depth > -10) & (code == DERMIS)] = ADNEXA
        if rng.random() < 0.6:
            shaft = (np.abs(aside) < radius * rng.uniform(0.1, 0.35)) & (depth < length - 20)
            code[shaft & (depth > -30) & (code != GLASS)] = HAIR


def _nests(rng: np.random.Generator, code: npt.NDArray[np.uint8], below: Array, inward: Array) -> None:
    """Follicles cut across, glands and their coils."""
    rows, cols = np.nonzero((code == DERMIS) & (below > 40) & (inward > 30))
    if not len(rows):
        return
    mm2 = len(rows) * 1e-6
    for _ in range(rng.poisson(6 * mm2)):
        place = int(rng.integers(len(rows)))
        x, y, style = int(cols[place]), int(rows[place]), rng.integers(3)
        if style == 0:  # one nest, perhaps with a hair
            a, b = rng.uniform(25, 100), rng.uniform(20, 70)
            _ellipse(code, x, y, a, b, rng.uniform(0, 180), ADNEXA)
            if rng.random() < 0.4:
                _ellipse(code, x, y, a * 0.25, b * 0.25, 0, HAIR, inside=ADNEXA)
            continue
        for _ in range(int(rng.integers(1, 9))):  # tubes with an opening
            dx, dy = rng.normal(0, 32, 2)
            r, lumen = rng.uniform(13, 28), rng.uniform(1, 9)
            _ellipse(code, x + dx, y + dy, r * rng.uniform(1, 1.5), r, rng.uniform(0, 180), ADNEXA)
            _ellipse(code, x + dx, y + dy, lumen * rng.uniform(1, 1.5), lumen, 0, HOLE, inside=ADNEXA)


def _ellipse(
    code: npt.NDArray[np.uint8], x: float, y: float, a: float, b: float, angle: float, value: int,
    *, inside: int = DERMIS,
) -> None:  # fmt: skip
    drawn = np.zeros(code.shape, np.uint8)
    cv2.ellipse(drawn, (round(x), round(y)), (max(round(a), 1), max(round(b), 1)), angle, 0, 360, 1, -1)
    code[(drawn > 0) & (code == inside)] = value


def _fat(rng: np.random.Generator, code: npt.NDArray[np.uint8], depth: Array) -> None:
    """Fat cells below a wavy border: empty, with thin walls."""
    if rng.random() > 0.3:
        return
    shape, spacing = code.shape, rng.uniform(40, 95)
    limit = np.quantile(depth[code == DERMIS], rng.uniform(0.3, 0.85)) if (code == DERMIS).any() else 0.0
    region = (depth + 40 * noise(rng, shape, 120) > max(limit, 180)) & (code == DERMIS)
    seeds = np.ones(shape, np.uint8)
    rows, cols = np.mgrid[0 : shape[0] : spacing, 0 : shape[1] : spacing]
    rows, cols = (
        np.clip(grid + rng.normal(0, 0.2 * spacing, grid.shape), 0, size - 1).astype(int)
        for grid, size in zip((rows, cols), shape, strict=True)
    )
    seeds[rows, cols] = 0
    _, owner = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5)
    wall: Any = np.zeros(shape, np.uint8)
    wall[1:] |= owner[1:] != owner[:-1]
    wall[:, 1:] |= owner[:, 1:] != owner[:, :-1]
    side = int(rng.integers(2, 6))
    wall = cv2.dilate(wall, np.ones((side, side), np.uint8))
    code[region] = np.where(wall[region] > 0, FAT, HOLE)


def _infiltrate(rng: np.random.Generator, kind: str, code: npt.NDArray[np.uint8], below: Array) -> Array:
    """Where lymphocytes gather: cuffs, a band under the epidermis, or sheets."""
    shape = code.shape
    field = np.full(shape, rng.uniform(0, 0.06), np.float32)
    if rng.random() < 0.7:
        cuffs = np.clip(noise(rng, shape, rng.uniform(15, 60)) - rng.uniform(0.8, 2.0), 0, 1)
        field = np.maximum(field, cuffs * rng.uniform(0.3, 1.2))
    if rng.random() < 0.4:
        band = np.exp(-np.maximum(below, 0) / rng.uniform(15, 70)) * np.clip(
            0.7 + noise(rng, shape, 70), 0, 1
        )
        field = np.maximum(field, band * rng.uniform(0.2, 0.9))
    if kind == "other":
        field = np.maximum(field, rng.uniform(0.2, 1) * (noise(rng, shape, 150) > rng.uniform(-2, 1)))
    return np.asarray(np.clip(field, 0, 1), np.float32)


def _holes(rng: np.random.Generator, code: npt.NDArray[np.uint8], below: Array, u: Array, long: float
) -> None:  # fmt: skip
    """Vessels, clefts, tears, blisters."""
    shape = code.shape
    stroma = code == DERMIS
    if rng.random() < 0.8:
        code[(noise(rng, shape, rng.uniform(6, 14)) > rng.uniform(2.2, 3)) & stroma] = HOLE
    if rng.random() < 0.6:
        turn = rng.uniform(0, np.pi)
        tears = noise(rng, shape, rng.uniform(20, 60), across=rng.uniform(3, 9), angle=turn)
        code[(tears > rng.uniform(2, 3)) & stroma] = HOLE
    if rng.random() < 0.3:
        half, at = rng.uniform(30, 250), rng.uniform(-long / 2, long / 2)
        dome = np.sqrt(np.maximum(1 - ((u - at) / half) ** 2, 0)) * rng.uniform(8, 60)
        code[(below >= 0) & (below < dome) & stroma] = HOLE
