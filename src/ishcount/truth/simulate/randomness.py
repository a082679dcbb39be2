"""Reproducible chance: one stream of numbers per purpose, and smooth noise.

A stream depends on the seed and on the purpose's name alone, so that a change in how dots are drawn leaves
the tissue as it was.
"""

from __future__ import annotations

import zlib
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

Array = npt.NDArray[np.float32]
TILE_PX = 1024  # side of the periodic noise tiles


def stream(seed: int, purpose: str, *more: int) -> np.random.Generator:
    """Random numbers of one purpose, independent of all others."""
    return np.random.default_rng(np.random.SeedSequence([seed, zlib.crc32(purpose.encode()), *more]))


def wave(rng: np.random.Generator, n: int, period: float) -> npt.NDArray[np.float64]:
    """Smooth noise along a line: (n,) float64, mean about 0, sd about 1; `period` in samples."""
    sigma = max(period / 4, 0.5)
    pad = int(4 * sigma)
    raw = ndimage.gaussian_filter1d(rng.standard_normal(n + 2 * pad), sigma)[pad : pad + n]
    return np.asarray(raw * np.sqrt(2 * np.sqrt(np.pi) * sigma))


def field(rng: np.random.Generator, shape: tuple[int, int], period: float) -> Array:
    """Smooth noise over a plane: float32, mean about 0, sd about 1; `period` in samples."""
    shrink = max(1, int(period / 12))
    small = (shape[0] // shrink + 3, shape[1] // shrink + 3)
    sigma = max(period / shrink / 4, 0.5)
    raw = ndimage.gaussian_filter(rng.standard_normal(small), sigma, mode="wrap") * 2 * np.sqrt(np.pi) * sigma
    grown = cv2.resize(
        raw.astype(np.float32), (small[1] * shrink, small[0] * shrink), interpolation=cv2.INTER_CUBIC
    )
    return np.asarray(grown[: shape[0], : shape[1]], np.float32)


@lru_cache(maxsize=16)
def noise_tile(key: int, sigma_px: float) -> Array:
    """A periodic tile of smooth noise, (1024, 1024) float32, mean 0, sd 1. Read-only: it is shared."""
    rng = np.random.default_rng(np.random.SeedSequence([key, 77]))
    tile = ndimage.gaussian_filter(rng.standard_normal((TILE_PX, TILE_PX)), sigma_px, mode="wrap")
    tile = ((tile - tile.mean()) / tile.std()).astype(np.float32)
    tile.setflags(write=False)
    return np.asarray(tile)


def sample_tile(tile: Array, x: Array, y: Array) -> Array:
    """The periodic tile at places x, y (in tile pixels), by linear interpolation."""
    wrapped_x, wrapped_y = np.mod(x, TILE_PX).astype(np.float32), np.mod(y, TILE_PX).astype(np.float32)
    return np.asarray(
        cv2.remap(
            np.ascontiguousarray(tile), wrapped_x, wrapped_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP
        )
    )
