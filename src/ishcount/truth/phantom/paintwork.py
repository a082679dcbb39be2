"""A slide's optical density and the light that leaves it, strip by strip."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ishcount.truth.phantom.brush import Array, Blobs, Noise, noise, stamp
from ishcount.truth.phantom.nuclei import Nuclei, paint_nuclei
from ishcount.truth.phantom.spec import PhantomSpec
from ishcount.truth.phantom.stains import Stains, unit
from ishcount.truth.phantom.tissue import GRID_UM, Layout

COARSEST_UM = 0.35  # larger pixels are painted at half their width and averaged, as a camera does
BLUR_UM = 1.8  # sigma inside a region out of focus
MOST_OD = 3.5
INKS = ((0.85, 0.50, 0.15), (0.80, 0.35, 0.48), (0.58, 0.58, 0.58), (0.10, 0.72, 0.68), (0.75, 0.62, 0.20))


@dataclass(frozen=True)
class Painting:
    """All that painting a strip needs, drawn once per slide."""

    spec: PhantomSpec
    layout: Layout
    stains: Stains
    nuclei: Nuclei
    specks: Blobs
    dots: Blobs
    regions: dict[str, Array]
    noises: dict[str, Noise]
    look: dict[str, float]
    ink: Array


def textures(spec: PhantomSpec) -> tuple[dict[str, Noise], dict[str, float], Array]:
    """Random fields, habits of texture and the colour of the pen of this slide."""
    rng = spec.rng("texture")
    noises = {
        "wave": noise(rng, 24.0, smooth=1.5),
        "fibre": noise(rng, 1.0, side=1024, smooth=1.1),
        "fine": noise(rng, 0.5, side=1024, smooth=0.9),
        "chromatin": noise(rng, 0.35, side=1024, smooth=1.1),
        "clumps": noise(rng, 0.9, side=1024, smooth=1.0),
        "patch": noise(rng, 45.0, smooth=1.5),
    }
    look = {
        "texture": rng.uniform(0.10, 0.22),
        "wavy_um": rng.uniform(4, 10),
        "haze_od": rng.uniform(0.02, 0.05) * spec.habits.amount,
        "drying_od": rng.uniform(0.03, 0.08) * spec.habits.amount,
        "drying_um": rng.uniform(8, 20),
        "fold": rng.uniform(0.7, 1.1),
        "ink_od": rng.uniform(0.5, 1.1),
        "gaps": rng.uniform(-0.1, 0.35),  # how loosely the collagen lies
    }
    return noises, look, unit(INKS[int(rng.integers(len(INKS)))])


def transmitted(
    painting: Painting, first: int, last: int, width: int, *, focus_um: float
) -> npt.NDArray[np.float32]:
    """Light through rows first to last at the final pixel size: float32 (h, w, 3), blurred by the optics."""
    fine = 2 if painting.spec.mpp_um > COARSEST_UM else 1
    um = painting.spec.mpp_um / fine
    od, blur = _optical_density(painting, first * fine, (last - first) * fine, width * fine, um)
    np.clip(od, 0, MOST_OD, out=od)
    od *= np.float32(-math.log(10))
    light: Any = cv2.exp(od)
    sharp: Any = cv2.GaussianBlur(light, (0, 0), focus_um / um)
    if blur is not None and blur.any():
        soft: Any = cv2.GaussianBlur(light, (0, 0), BLUR_UM / um)
        sharp += blur[..., None] * (soft - sharp)
    if fine > 1:
        sharp = cv2.resize(sharp, (width, last - first), interpolation=cv2.INTER_AREA)
    return np.asarray(sharp, np.float32)


def _optical_density(
    painting: Painting, first: int, rows: int, width: int, um: float
) -> tuple[Any, Array | None]:
    """Optical density (float32 (h, w, 3)) of painted rows and how far each pixel is out of focus (0-1)."""
    layout, stains, noises, look = painting.layout, painting.stains, painting.noises, painting.look
    x, y = np.meshgrid(
        (np.arange(width, dtype=np.float32) + np.float32(0.5)) * np.float32(um),
        (np.arange(rows, dtype=np.float32) + np.float32(first + 0.5)) * np.float32(um),
    )
    map_x, map_y = x / np.float32(GRID_UM) - np.float32(0.5), y / np.float32(GRID_UM) - np.float32(0.5)

    def field(raster: Array) -> Any:
        return cv2.remap(raster, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    outline = field(layout.outline)
    cover = _step(outline, 1.2) * (1 - _step(field(layout.hole), 1.0))
    od = _background(painting, x, y, field(layout.depth), field(layout.junction), field(layout.nest))
    od *= cover[..., None]
    chromogen = stains.chromogen[0].astype(np.float32)
    if "edge_drying" in painting.spec.kinds:
        rim = np.exp(-np.maximum(outline, 0) / np.float32(look["drying_um"])) * cover
        rim *= np.clip(0.3 + noises["patch"].at(x, y), 0, 2) * np.float32(look["drying_od"])
        od += rim[..., None] * chromogen
    if "haze" in painting.spec.kinds:
        cloud = np.clip(noises["patch"].at(x + 333, y + 77) - 0.8, 0, 2) * cover * np.float32(look["haze_od"])
        od += cloud[..., None] * chromogen

    haematoxylin = np.zeros((rows, width), np.float32)
    y0_um = first * um
    paint_nuclei(haematoxylin, painting.nuclei, y0_um=y0_um, um=um)
    grain = 1 + 0.20 * noises["chromatin"].at(x, y) + 0.16 * noises["clumps"].at(x, y)
    haematoxylin *= np.clip(grain, 0.35, 1.8)
    od += haematoxylin[..., None] * stains.haematoxylin.astype(np.float32)
    stamp(od, painting.specks, y0_um=y0_um, um=um)
    stamp(od, painting.dots, y0_um=y0_um, um=um)
    return _with_regions(painting, od, field, um)


def _step(distance: Array, width_um: float) -> Any:
    return np.clip(distance / np.float32(width_um) + np.float32(0.5), 0, 1)


def _background(
    painting: Painting, x: Array, y: Array, depth: Array, junction: Array, nest: Array
) -> npt.NDArray[np.float32]:
    """Stroma, cytoplasm and horn without nuclei, as if there were tissue everywhere."""
    noises, stains, look, angle = painting.noises, painting.stains, painting.look, painting.layout.angle
    stroma_od, cytoplasm_od, horn_od = stains.tissue_od
    wave = noises["wave"].at(x, y) * np.float32(look["wavy_um"])
    u = x * np.float32(math.cos(angle)) + y * np.float32(math.sin(angle))
    v = y * np.float32(math.cos(angle)) - x * np.float32(math.sin(angle)) + wave
    fine = noises["fine"].at(x, y)
    fibre = noises["fibre"]
    bundle = fibre.at(u / 9, v / 1.5)  # collagen bundles a few um thick
    strand = fibre.at(u / 6 + 100, v / 0.8 + 50)
    broad = fibre.at(u / 30 + 200, v / 6 + 90)
    body = np.clip((bundle + 0.15 * broad + np.float32(1.0 - look["gaps"])) / 0.5, 0.2, 1)
    dermis = body * np.clip(1.1 + 0.16 * strand + 0.22 * broad + 0.08 * fine, 0.2, 2.2) * np.float32(stroma_od)
    # basket weave: thin sheets of horn with air between them
    weave = np.abs(fibre.at(u / 5 + 300, (v - wave) / 1.3 + 10))
    horn = np.clip(1.5 - 1.9 * weave, 0.12, 1.5) * np.float32(horn_od)
    cells = np.clip(1 + look["texture"] * fine + 0.10 * broad, 0.2, 2).astype(np.float32) * np.float32(cytoplasm_od)
    in_dermis = _step(junction, 1.5) * (1 - _step(nest, 1.5))
    in_horn = _step(-depth, 2.0)
    cells *= (1 - in_dermis) * (1 - in_horn)
    dermis *= in_dermis
    horn *= in_horn
    out = cells[..., None] * stains.cytoplasm.astype(np.float32)
    out += dermis[..., None] * stains.stroma.astype(np.float32)
    out += horn[..., None] * stains.corneum.astype(np.float32)
    return np.asarray(out, np.float32)


def _with_regions(
    painting: Painting, od: Any, field: Callable[[Array], Any], um: float
) -> tuple[Any, Array | None]:
    """Folds, bubbles and ink on top; the second answer is how far out of focus."""
    regions, look = painting.regions, painting.look
    blur = np.zeros(od.shape[:2], np.float32) if regions else None
    if blur is None:
        return od, None
    if "fold" in regions:
        inside = _step(field(regions["fold"]), 4)
        shifted = np.roll(od, round(4 / um), 1)
        od += inside[..., None] * np.float32(look["fold"]) * (shifted + np.float32(0.03))
        blur = 0.35 * inside
    if "bubble" in regions:
        inside = field(regions["bubble"])
        rim = np.exp(-((inside - 3) ** 2) / 18) * 0.5 + np.exp(-((inside - 12) ** 2) / 12) * 0.12
        od *= (1 - 0.25 * _step(inside, 3))[..., None]
        od += rim[..., None].astype(np.float32)
        blur = np.maximum(blur, 0.8 * _step(inside, 6))
    if "ink" in regions:
        inside = _step(field(regions["ink"]), 5)
        od += inside[..., None] * (np.float32(look["ink_od"]) * painting.ink.astype(np.float32))
    if "blur" in regions:
        blur = np.maximum(blur, np.clip(field(regions["blur"]) / 25 + 0.5, 0, 1))
    return od, blur
