"""Noise fields and fibres on a 1 um grid."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def noise(
    rng: np.random.Generator,
    shape: tuple[int, ...],
    um: float,
    *,
    across: float | None = None,
    angle: float = 0.0,
) -> Array:
    """Smooth noise of unit variance, float32 (h, w); `across` makes it long in the direction of `angle`."""
    across = um if across is None else across
    step = max(1.0, min(um, across) / 2.5)
    side = int(np.hypot(shape[0], shape[1]) / step) + 8
    grain = rng.standard_normal((side, side), dtype=np.float32)
    along_px, across_px = max(um / step, 0.3), max(across / step, 0.3)
    grain = np.asarray(cv2.GaussianBlur(grain, (0, 0), sigmaX=along_px, sigmaY=across_px), np.float32)
    cos, sin = np.cos(angle) / step, np.sin(angle) / step
    middle = np.array([shape[1] / 2, shape[0] / 2])
    turn = np.array([[cos, sin], [-sin, cos]])
    offset = side / 2 - turn @ middle
    drawn = cv2.warpAffine(
        grain, np.column_stack([turn, offset]), (shape[1], shape[0]),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REFLECT,
    )  # fmt: skip
    return np.asarray((drawn - drawn.mean()) / max(float(drawn.std()), 1e-6), np.float32)


def wave(rng: np.random.Generator, n: int, um: float) -> Array:
    """Smooth noise of unit variance along a line of n um, float32 (n,)."""
    coarse = rng.standard_normal(int(n / um) + 8)
    place = 3 + np.arange(n) / um
    first = place.astype(int)
    t = place - first
    t = t * t * (3 - 2 * t)
    line = coarse[first] * (1 - t) + coarse[first + 1] * t
    return np.asarray(line / 0.75, np.float32)


def fibres(rng: np.random.Generator, shape: tuple[int, ...], angle: float) -> Array:
    """Collagen about 1: nearly even, clouded, or bundles with pale or empty clefts between them."""
    style = rng.integers(4)
    if style == 0:
        return np.asarray(1 + rng.uniform(0.02, 0.2) * noise(rng, shape, rng.uniform(2, 30)), np.float32)
    found = np.full(shape, -9, np.float32)
    for _ in range(int(style)):
        along, across = rng.uniform(15, 70), rng.uniform(1.5, 9)
        turn = angle + rng.normal(0, 0.5)
        found = np.maximum(found, noise(rng, shape, along, across=across, angle=turn))
    lowest, steep = rng.uniform(0, 0.7), rng.uniform(1, 6)
    bundle = 1 / (1 + np.exp(-steep * (found - rng.uniform(-0.6, 0.6))))
    return np.asarray(lowest + (1.2 - lowest) * bundle, np.float32)
