"""Tissue between the nuclei: cytoplasm, collagen fibres, the weave of the corneum, hair; and what lies on
it.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ishcount.truth.simulate.artefacts import Artefacts
from ishcount.truth.simulate.randomness import Array, noise_tile, sample_tile
from ishcount.truth.simulate.staining import Staining
from ishcount.truth.simulate.tissue import (
    CORNEUM,
    EPIDERMIS,
    FOLLICLE,
    GLAND,
    GLASS,
    GRID_UM,
    HAIR,
    HOLE,
    Tissue,
)

_FIBRES, _WEAVE, _CLOUDS = (1, 4.0), (2, 4.0), (3, 16.0)  # keys of the shared noise tiles
NEUTRAL = np.full(3, 3**-0.5)


@dataclass(frozen=True)
class Layers:
    """Smoothed weights on the 2 um grid, ready to be enlarged."""

    solid: Array
    corneum: Array
    epithelium: Array
    hair: Array


@dataclass(frozen=True)
class Window:
    """A block's pixel centres in um, and how to enlarge a grid raster to them."""

    x_um: Array
    y_um: Array

    def enlarge(self, raster: Array) -> Array:
        """A grid raster at the block's pixels, linearly."""
        return np.asarray(
            cv2.remap(
                raster, self.x_um / GRID_UM - 0.5, self.y_um / GRID_UM - 0.5, cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            )
        )  # fmt: skip


def window(origin_x_um: float, origin_y_um: float, columns: int, rows: int, step_um: float) -> Window:
    """The window of a block with its corner at the origin."""
    x = (origin_x_um + (np.arange(columns) + 0.5) * step_um).astype(np.float32)
    y = (origin_y_um + (np.arange(rows) + 0.5) * step_um).astype(np.float32)
    return Window(*(np.ascontiguousarray(plane) for plane in np.meshgrid(x, y)))


def smooth_layers(tissue: Tissue) -> Layers:
    """Weights whose half-height lies on the borders of the grid's codes."""

    def weight(mask: npt.NDArray[np.bool_]) -> Array:
        return np.asarray(cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.7))

    code = tissue.code
    return Layers(
        weight(~np.isin(code, (GLASS, HOLE))),
        weight(code == CORNEUM),
        weight(np.isin(code, (EPIDERMIS, FOLLICLE, GLAND))),
        weight(code == HAIR),
    )


def _edge(weight: Array) -> Array:
    return np.asarray(np.clip((weight - 0.5) * 2.5 + 0.5, 0, 1))


def _fibres(tissue: Tissue, place: Window) -> Array:
    """Wavy bundles in two directions with finer fibrils, about 0.3 to 1.2."""
    x, y = place.x_um, place.y_um
    clouds = noise_tile(*_CLOUDS)
    warp = sample_tile(clouds, x * 0.35, y * 0.35)
    turn = tissue.angle_rad + 0.25
    bundles = np.full(x.shape, -9, np.float32)
    for number, (angle, along, across) in enumerate(((turn, 0.42, 1.5), (turn + 0.8, 0.5, 1.8))):
        u = np.cos(angle) * x + np.sin(angle) * y + 300 * number
        v = np.cos(angle) * y - np.sin(angle) * x + 9 * warp
        bundles = np.maximum(bundles, sample_tile(noise_tile(*_FIBRES), u * along, v * across))
    u, v = np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x + 9 * warp
    fibrils = sample_tile(noise_tile(*_FIBRES), u * 1.1 + 500, v * 5.5)
    return np.asarray(0.30 + 0.85 / (1 + np.exp(-2.6 * (bundles - 0.25))) + 0.10 * fibrils)


def _weave(along_um: Array, surface_um: Array) -> Array:
    """Thin crossing lamellae: the zero lines of noise stretched along the surface."""
    noise = sample_tile(noise_tile(*_WEAVE), along_um * 0.75, surface_um * 3.6)
    return np.asarray(0.35 + 1.1 * np.exp(-((noise / 0.3) ** 2)))


def _cells(labels: npt.NDArray[np.uint32]) -> Array:
    """1 in cells, less along the borders between them (half-way between nuclei)."""
    if not labels.any():
        return np.ones(labels.shape, np.float32)
    _, nearest = cv2.distanceTransformWithLabels((labels == 0).astype(np.uint8), cv2.DIST_L2, 3)
    border = np.zeros(labels.shape, np.float32)
    border[1:] = nearest[1:] != nearest[:-1]
    border[:, 1:] = np.maximum(border[:, 1:], nearest[:, 1:] != nearest[:, :-1])
    return np.asarray(1 - 1.5 * cv2.GaussianBlur(border, (0, 0), 2.2))


def solid_weight(place: Window, layers: Layers) -> Array:
    """Where there is tissue: 0-1, half at its border."""
    return _edge(place.enlarge(layers.solid))


def add_tissue(
    od: Array,
    place: Window,
    tissue: Tissue,
    layers: Layers,
    solid: Array,
    staining: Staining,
    labels: npt.NDArray[np.uint32],
) -> None:
    """Add the tissue between nuclei to `od` (3, rows, columns)."""
    clouds = 1 + 0.10 * sample_tile(noise_tile(*_CLOUDS), place.x_um * 1.2, place.y_um * 1.2)
    grain = 1 + 0.10 * sample_tile(noise_tile(5, 1.2), place.x_um * 4, place.y_um * 4)
    corneum, epithelium, hair = (
        _edge(place.enlarge(raster)) for raster in (layers.corneum, layers.epithelium, layers.hair)
    )
    dermis = np.clip(1 - corneum - epithelium - hair, 0, 1)
    amounts = [
        (
            staining.collagen,
            dermis * staining.collagen_od * place.enlarge(tissue.collagen) * _fibres(tissue, place),
        ),
        (
            staining.cytoplasm,
            epithelium * staining.cytoplasm_od * np.clip(_cells(labels), 0.35, 1)
            if epithelium.any()
            else None,
        ),
        (staining.collagen, hair * (staining.corneum_od + 0.25)),
    ]
    if corneum.any():
        weave = _weave(place.enlarge(tissue.along_um), place.enlarge(tissue.surface_um))
        amounts.append((staining.collagen, corneum * staining.corneum_od * weave))
    for vector, amount in amounts:
        if amount is not None:
            textured = amount * solid * clouds * grain
            for channel in range(3):
                od[channel] += np.float32(vector[channel]) * textured


def add_chromogen_background(
    od: Array,
    place: Window,
    tissue: Tissue,
    layers: Layers,
    solid: Array,
    vector: npt.NDArray[np.float64],
    od_tissue: float,
    od_corneum: float,
) -> None:
    """Add the faint overall background of a chromogen, and what the corneum holds of it."""
    amount = od_tissue * solid
    if od_corneum:
        streaks = 1 + 0.5 * sample_tile(
            noise_tile(*_CLOUDS), place.enlarge(tissue.along_um) * 1.5, place.enlarge(tissue.surface_um) * 7
        )
        amount = amount + od_corneum * _edge(place.enlarge(layers.corneum)) * np.clip(streaks, 0.2, 3) * solid
    for channel in range(3):
        od[channel] += np.float32(vector[channel]) * amount


def add_artefacts(od: Array, place: Window, artefacts: Artefacts, chromogen: npt.NDArray[np.float64]) -> None:
    """Double folds, then lay ink, dust and dried chromogen over the block, in place."""
    grain = sample_tile(noise_tile(5, 1.2), place.x_um * 2, place.y_um * 2)
    if artefacts.fold.any():
        layers = place.enlarge(artefacts.fold)
        od *= 1 + layers * (1.0 + 0.15 * sample_tile(noise_tile(*_CLOUDS), place.x_um, place.y_um))
    for raster, vector, roughness in (
        (artefacts.ink_od, artefacts.ink, 0.12),
        (artefacts.dust_od, NEUTRAL, 0.25),
        (artefacts.edge_od, chromogen, 0.35),
    ):
        if raster.any():
            amount = place.enlarge(raster) * np.clip(1 + roughness * grain, 0.1, None)
            for channel in range(3):
                od[channel] += np.float32(vector[channel]) * amount
    if (artefacts.bubble < 2).any():
        radius = place.enlarge(artefacts.bubble)
        od += 0.9 * np.exp(-(((radius - 1) / 0.035) ** 2)) + 0.03 * (radius < 1)
