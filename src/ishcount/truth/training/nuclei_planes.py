"""Imaginary haematoxylin planes with known nuclei, for training the judge of nuclei.

Like `patches` a generator of its own, unseen by and sharing no code with the phantoms of `truth.simulate`.
It draws optical density alone (no colours): what reaches the judge is one plane on the nuclei grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

FINE_UM = 0.25  # drawn at this pixel size, then averaged 2 x 2 to the nuclei grid
SIDE_PX = 560  # of the drawing: 140 um
LEVELS_PER_OD = 200


@dataclass(frozen=True)
class NucleiPlane:
    """uint8 plane (280, 280; 200 levels per OD; 0.5 um pixels) and its nuclei, int32 labels of the same
    shape.
    """

    plane: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int32]


KINDS: dict[str, dict[str, Any]] = {  # half axes in um, shorter over longer axis, rim and chromatin
    "lymphocyte": {"size_um": (2.3, 3.4), "aspect": (0.8, 1.0), "clump": (0.1, 0.4), "rim": (0.0, 0.1)},
    "keratinocyte": {"size_um": (3.2, 5.5), "aspect": (0.6, 0.95), "clump": (0.05, 0.3), "rim": (0.0, 0.7)},
    "fibroblast": {"size_um": (4.0, 8.5), "aspect": (0.15, 0.45), "clump": (0.0, 0.2), "rim": (0.0, 0.2)},
    "macrophage": {"size_um": (3.5, 6.5), "aspect": (0.5, 0.9), "clump": (0.1, 0.5), "rim": (0.1, 0.9)},
}


def draw_plane(seed: int) -> NucleiPlane:
    """Nuclei of several kinds, loose to packed, over haze, with blur, noise and dots that dent or raise
    the stain.
    """
    rng = np.random.default_rng(seed)
    od, labels = np.zeros((SIDE_PX, SIDE_PX)), np.zeros((SIDE_PX, SIDE_PX), np.int32)
    strength, spread = rng.uniform(0.18, 0.75), rng.uniform(0.1, 0.6)
    mixture = rng.dirichlet(np.full(len(KINDS), 0.6))
    n = 0
    for _ in range(rng.integers(3, 14)):  # groups share a place, a kind and a direction
        centre, reach = rng.uniform(0, SIDE_PX, 2), rng.uniform(20, 200)
        kind = list(KINDS)[rng.choice(len(KINDS), p=mixture)]
        turn, gap = rng.uniform(0, np.pi), rng.choice([0.75, 0.9, 1.0, 1.2, 1.6])
        for _ in range(rng.integers(3, 60)):
            place = centre + rng.normal(0, reach, 2)
            od_of_one = strength * np.exp(rng.normal(0, spread))
            n += _add_nucleus(rng, od, labels, n + 1, place, KINDS[kind], turn, gap, od_of_one)
    od += _haze(rng) + _dots(rng)
    return NucleiPlane(*_seen(rng, od, labels))


def _noise(rng: np.random.Generator, sigma_px: float, shape: tuple[int, int] = (SIDE_PX, SIDE_PX)) -> Array:
    """Smooth noise of unit variance."""
    field = cv2.GaussianBlur(rng.normal(size=shape), (0, 0), sigma_px)
    return np.asarray(field / max(float(field.std()), 1e-9))


def _add_nucleus(
    rng: np.random.Generator, od: Array, labels: npt.NDArray[np.int32], number: int, place: Array,
    kind: dict[str, Any], turn: float, gap: float, strength: float,
) -> int:  # fmt: skip
    """Lay one nucleus over the others; 1 when it was drawn, 0 where another stands too near."""
    longer = rng.uniform(*kind["size_um"]) / FINE_UM
    shorter = longer * rng.uniform(*kind["aspect"])
    half = int(longer * 1.4) + 3
    x, y = (round(float(v)) for v in place)
    if not (half < x < SIDE_PX - half and half < y < SIDE_PX - half):
        return 0
    v, u = np.mgrid[-half : half + 1, -half : half + 1].astype(float)
    angle = turn + rng.normal(0, 0.4)
    along, across = u * np.cos(angle) + v * np.sin(angle), -u * np.sin(angle) + v * np.cos(angle)
    bent = across + rng.normal(0, 0.12) * along * along / longer
    around = np.arctan2(bent / shorter, along / longer)
    wobble = sum(rng.normal(0, 0.05) * np.cos(k * around + rng.uniform(0, 6.3)) for k in (2, 3, 4))
    radius = np.hypot(along / longer, bent / shorter) / (1 + np.asarray(wobble))
    body = radius < 1
    box = (slice(y - half, y + half + 1), slice(x - half, x + half + 1))
    if np.count_nonzero(labels[box][radius < gap]) > max(0.0, 1.2 - gap) * np.count_nonzero(body):
        return 0
    texture = 1 + rng.uniform(*kind["clump"]) * _noise(rng, rng.uniform(1.5, 4), body.shape)
    texture *= 1 - rng.uniform(*kind["rim"]) * np.clip(1 - radius**3, 0, 1)
    od[box] += np.where(body, strength * np.clip(texture, 0.1, 3), 0)
    labels[box][body] = number
    return 1


def _haze(rng: np.random.Generator) -> Array:
    """Cytoplasm and fibres: broad, low, of several grains."""
    haze = rng.uniform(0, 0.12) * (1 + 0.5 * _noise(rng, rng.uniform(20, 80)))
    haze += rng.uniform(0, 0.05) * _noise(rng, rng.uniform(3, 12)) + rng.uniform(0, 0.03) * _noise(rng, 1.5)
    return np.asarray(np.maximum(haze, 0))


def _dots(rng: np.random.Generator) -> Array:
    """What a chromogen dot or a granule leaves in the haematoxylin plane after unmixing: a dent or a bump."""
    dots = np.zeros((SIDE_PX, SIDE_PX))
    for _ in range(int(rng.choice([0, 0, 20, 150]))):
        x, y = (int(v) for v in rng.uniform(8, SIDE_PX - 8, 2))
        cv2.circle(dots, (x, y), int(rng.integers(1, 4)), float(rng.normal(0.03, 0.15)), -1)
    return np.asarray(cv2.GaussianBlur(dots, (0, 0), 1.0))


def _seen(
    rng: np.random.Generator, od: Array, labels: npt.NDArray[np.int32]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]:
    """Through lens, camera and file; nuclei hidden by others to less than 8 um2 or two fifths are no
    truth.
    """
    drawn = np.bincount(labels.ravel())
    od = np.asarray(cv2.GaussianBlur(od, (0, 0), rng.uniform(0.1, 0.8) / FINE_UM), np.float64)
    light = 10**-od + rng.uniform(0.002, 0.015) * rng.normal(size=od.shape)
    light = np.asarray(cv2.resize(light, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.float64)
    plane = -np.log10(np.maximum(light, 0.01)) * rng.uniform(0.85, 1.15)
    if rng.uniform() < 0.5:  # colour at half resolution
        small = cv2.resize(plane, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        coarse = cv2.resize(small, plane.shape[::-1], interpolation=cv2.INTER_LINEAR)
        plane = plane + rng.uniform(0, 0.7) * (coarse - plane)
    grid = labels[::2, ::2].copy()
    area_um2 = np.bincount(grid.ravel(), minlength=len(drawn)) * (2 * FINE_UM) ** 2
    hidden = area_um2 < 8
    hidden[0] = False
    grid[hidden[grid]] = 0
    return np.clip(np.rint(plane * LEVELS_PER_OD), 0, 255).astype(np.uint8), grid
