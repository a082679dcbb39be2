"""Skin sections drawn coarsely (1 um) and very differently from each other, to learn compartments from.

Nothing here is shared with `truth.simulate`: phantoms of that generator stay unseen. What varies: which way
the skin faces, whether the picture cuts it off, how thick its layers are and how they are woven and tinted,
ridges, erosions, blisters, infiltrates, follicles, glands, hair, fat, artefacts, colours, focus and light.
A quarter of the sections hold no epidermis. Ranges are choices, wide on purpose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ishcount.core.optical_density import block_mean
from ishcount.truth.training.skin_layout import Layout, draw_layout
from ishcount.truth.training.skin_noise import Array, fibres, noise

CELL_UM = 4
HAEMATOXYLIN = ((0.65, 0.70, 0.29), (0.76, 0.58, 0.28), (0.58, 0.76, 0.30))
TINTS = (
    (0.57, 0.57, 0.59), (0.50, 0.62, 0.60), (0.30, 0.75, 0.55), (0.20, 0.85, 0.45), (0.60, 0.68, 0.42),
    (0.65, 0.70, 0.29), (0.35, 0.55, 0.75),
)  # fmt: skip
CHROMOGENS = ((0.21, 0.85, 0.48), (0.27, 0.57, 0.78), (0.27, 0.68, 0.68), (0.75, 0.61, 0.27))


@dataclass(frozen=True)
class Section:
    """overview: uint8 (h, w, 3) of 4 um cells; code: uint8 (h, w), place in `skin_layout.CODES`."""

    overview: npt.NDArray[np.uint8]
    code: npt.NDArray[np.uint8]


def draw_section(seed: int) -> Section:
    """One section on its glass; equal seeds give equal sections."""
    rng = np.random.default_rng([20261123, seed])
    layout = draw_layout(rng)
    od = _matrix(rng, layout)
    od += _nuclei(rng, layout)
    _spoil(rng, od, layout)
    rgb = _photograph(rng, od)
    return Section(block_mean(rgb, CELL_UM), _majority(layout.code))


def _majority(code: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    height, width = (size // CELL_UM * CELL_UM for size in code.shape)
    parts = code[:height, :width].reshape(height // CELL_UM, CELL_UM, width // CELL_UM, CELL_UM)
    votes = np.stack([(parts == number).sum(axis=(1, 3)) for number in range(9)])
    return votes.argmax(axis=0).astype(np.uint8)


def _unit(vector: npt.ArrayLike) -> npt.NDArray[np.float64]:
    array = np.asarray(vector, float)
    return np.asarray(array / np.linalg.norm(array))


def _colour(rng: np.random.Generator, corners: Sequence[Any], spread: float = 0.05) -> Any:
    mixed = rng.dirichlet(np.full(len(corners), 0.5)) @ np.array([_unit(corner) for corner in corners])
    return _unit(np.maximum(mixed + rng.normal(0, spread, 3), 0.03)).astype(np.float32)


def _matrix(rng: np.random.Generator, layout: Layout) -> Array:
    """What lies between the nuclei, (h, w, 3)."""
    code, shape = layout.code, layout.code.shape
    haematoxylin, collagen = _colour(rng, HAEMATOXYLIN, 0.03), _colour(rng, TINTS)
    tint = float(np.exp(rng.uniform(np.log(0.03), np.log(0.40))))
    blue = rng.uniform(0, 1)
    cytoplasm = _unit(blue * haematoxylin + (1 - blue) * _colour(rng, (collagen, *TINTS))).astype(np.float32)
    horn = _unit(rng.uniform(0, 1) * collagen + rng.uniform(0, 1) * _colour(rng, TINTS)).astype(np.float32)
    flat = 1 + rng.uniform(0.02, 0.15) * noise(rng, shape, rng.uniform(2, 40))
    stroma = tint * fibres(rng, shape, layout.angle) * (1 + rng.uniform(0, 0.3) * noise(rng, shape, 100))
    loose = 1 - rng.uniform(0, 0.6) * np.exp(-np.maximum(layout.below_um, 0) / rng.uniform(30, 150))
    epithelium = tint * float(np.exp(rng.normal(0, 0.5))) * flat
    planes = {
        "dermis": (collagen, stroma * loose),
        "epidermis": (cytoplasm, epithelium),
        "adnexa": (cytoplasm, epithelium * (rng.uniform(0.4, 1.2) if rng.random() < 0.5 else 1.0)),
        "stratum_corneum": (horn, tint * float(np.exp(rng.normal(0, 0.6))) * _horn(rng, layout)),
        "fat": (collagen, tint * rng.uniform(0.5, 1.2) * flat),
        "hair": (_colour(rng, (*TINTS, horn)), tint * rng.uniform(1.0, 3.0) + rng.uniform(0, 0.6) * flat),
    }
    od = np.zeros((*shape, 3), np.float32)
    for name, (vector, amount) in planes.items():
        here = layout.where(name)
        if here.any():
            od[here] += np.maximum(amount[here], 0)[:, None] * vector
    if rng.random() < 0.25:  # an even chromogen background, or one held by the epithelium or the horn
        chromogen = _colour(rng, CHROMOGENS, 0.03)
        for name in (("epidermis", "adnexa"), ("stratum_corneum",), ("dermis",))[int(rng.integers(3))]:
            strength = rng.uniform(0.03, 0.5) * np.clip(1 + 0.5 * noise(rng, shape, 15), 0.1, 3)
            od += (layout.where(name) * strength)[..., None] * chromogen
    return od * (code > 0)[..., None]


def _horn(rng: np.random.Generator, layout: Layout) -> Array:
    """Compact, woven or flaking."""
    shape = layout.code.shape
    style = rng.integers(3)
    if style == 0:
        return np.asarray(1 + 0.15 * noise(rng, shape, 6))
    lines = noise(rng, shape, rng.uniform(12, 30), across=rng.uniform(1.5, 4), angle=layout.angle)
    if style == 1:
        return np.asarray(rng.uniform(0.1, 0.6) + 1.2 * np.exp(-((lines / 0.4) ** 2)))
    return np.asarray(np.clip(1.2 * (lines > rng.uniform(-0.8, 0.2)), rng.uniform(0, 0.3), 2))


def _nuclei(rng: np.random.Generator, layout: Layout) -> Array:
    """Nuclei of all kinds as blunt ellipses, (h, w, 3)."""
    shape = layout.code.shape
    canvas = np.zeros(shape, np.float32)
    epithelial = layout.where("epidermis") | layout.where("adnexa")
    spacing = rng.uniform(7.5, 13.5)
    size = spacing * rng.uniform(0.28, 0.38)
    _stamp(rng, canvas, _lattice(rng, shape, spacing), epithelial, size, rng.uniform(0.6, 1.0), 1.3)
    basal = layout.where("epidermis") & (layout.below_um > -9)
    _stamp(rng, canvas, _lattice(rng, shape, spacing * 0.7), basal, size * 0.9, 1.1, 1.5)
    stroma = layout.where("dermis")
    free = rng.uniform(0, 1, (int(rng.uniform(200, 3500) * stroma.size * 1e-6), 2)) * np.array(shape)[::-1]
    _stamp(rng, canvas, free, stroma, rng.uniform(2.6, 4.0), rng.uniform(0.7, 1.2), rng.uniform(1.2, 3.5),
           turn=layout.angle)  # fmt: skip
    packed = _lattice(rng, shape, rng.uniform(5.8, 9.0))
    row, col = packed[:, 1].astype(int), packed[:, 0].astype(int)
    wanted = rng.random(len(packed)) < layout.infiltrate[row, col]
    _stamp(rng, canvas, packed[wanted], stroma, rng.uniform(2.6, 3.4), rng.uniform(0.9, 1.4), 1.1)
    canvas *= 1 + 0.2 * noise(rng, shape, 2)
    strength = float(np.exp(rng.uniform(np.log(0.18), np.log(0.8))))
    return np.asarray(strength * canvas[..., None] * _colour(rng, HAEMATOXYLIN, 0.03), np.float32)


def _lattice(rng: np.random.Generator, shape: tuple[int, ...], spacing: float) -> Array:
    """Jittered hexagonal places (n, 2), x then y, inside the picture."""
    rows, cols = int(shape[0] / (spacing * 0.87)) + 1, int(shape[1] / spacing) + 1
    row, col = np.mgrid[0:rows, 0:cols]
    x = (col + 0.5 * (row % 2)) * spacing + rng.normal(0, 0.17 * spacing, row.shape)
    y = row * spacing * 0.87 + rng.normal(0, 0.17 * spacing, row.shape)
    kept = (x >= 0) & (y >= 0) & (x < shape[1]) & (y < shape[0])
    return np.stack([x[kept], y[kept]], axis=-1)


def _stamp(
    rng: np.random.Generator, canvas: Array, places: Array, allowed: npt.NDArray[np.bool_], radius: float,
    amount: float, stretch: float, *, turn: float | None = None,
) -> None:  # fmt: skip
    row, col = places[:, 1].astype(int), places[:, 0].astype(int)
    places = places[allowed[row, col]]
    for x, y in places:
        a = radius * np.exp(rng.normal(0, 0.12))
        angle = rng.uniform(0, 180) if turn is None else np.degrees(turn) + rng.normal(0, 25)
        axes = (a * stretch**0.5, a / stretch**0.5)
        level = amount * np.exp(rng.normal(0, 0.2))
        cv2.ellipse(
            canvas, (round(x * 16), round(y * 16)), (round(axes[0] * 16), round(axes[1] * 16)), angle, 0, 360,
            float(level), -1, shift=4,
        )  # fmt: skip


def _spoil(rng: np.random.Generator, od: Array, layout: Layout) -> None:
    """Melanin, red cells, folds, dried edges and haze, in place."""
    shape = layout.code.shape
    if rng.random() < 0.3:
        caps = layout.where("epidermis") & (layout.below_um > -12) & (noise(rng, shape, 3) > 0.8)
        od += (caps * rng.uniform(0.1, 0.9))[..., None] * _colour(rng, ((0.31, 0.47, 0.83), TINTS[0]), 0.02)
    if rng.random() < 0.4:
        red = (noise(rng, shape, 25) > 2.0) & (noise(rng, shape, 3) > 0) & layout.where("dermis")
        od += (red * 0.4)[..., None] * _colour(rng, ((0.18, 0.50, 0.85), (0.14, 0.72, 0.66)), 0.02)
    if rng.random() < 0.2:
        band = np.abs(noise(rng, shape, 150)) < rng.uniform(0.03, 0.08)
        od *= 1 + (band & (noise(rng, shape, 300) > 0.5))[..., None]
    if rng.random() < 0.25:
        reach = rng.uniform(10, 40) * np.clip(noise(rng, shape, 160), 0.05, 2)
        rim = np.exp(-layout.inward_um / reach) * (layout.code > 0)
        od += (rim * rng.uniform(0.05, 0.4))[..., None] * _colour(rng, (*CHROMOGENS, *TINTS))
    if rng.random() < 0.4:
        haze = np.clip(noise(rng, shape, rng.uniform(20, 80)) - 1.2, 0, 2) * (layout.code > 0)
        od += (haze * rng.uniform(0.02, 0.3))[..., None] * _colour(rng, CHROMOGENS, 0.03)


def _photograph(rng: np.random.Generator, od: Array) -> npt.NDArray[np.uint8]:
    """Lens, lamp and camera."""
    light = 10.0 ** -np.maximum(od, 0)
    sharp = cv2.GaussianBlur(light, (0, 0), rng.uniform(0.4, 1.0))
    if rng.random() < 0.3:
        soft = cv2.GaussianBlur(light, (0, 0), rng.uniform(2, 6))
        share = np.clip(noise(rng, od.shape[:2], 300) - 0.5, 0, 1)[..., None]
        sharp = sharp * (1 - share) + soft * share
    sharp = np.clip(sharp + rng.uniform(0, 0.015), 0, 1) ** rng.uniform(0.85, 1.15)
    y, x = (np.linspace(-1, 1, size, dtype=np.float32) for size in od.shape[:2])
    sharp *= (1 + rng.normal(0, 0.02) * x[None, :] + rng.normal(0, 0.02) * y[:, None])[..., None]
    white = rng.uniform(225, 252) + rng.uniform(-5, 3, 3)
    grain = rng.normal(0, rng.uniform(0.5, 4), od.shape)
    return np.clip(np.rint(sharp * white + grain), 0, 255).astype(np.uint8)
