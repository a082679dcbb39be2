"""A small slide for tests of the whole path: glass, tissue, nuclei and red dots at known places."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile

HAEMATOXYLIN = np.array([0.65, 0.70, 0.29]) / np.linalg.norm([0.65, 0.70, 0.29])
FAST_RED = np.array([0.21, 0.85, 0.48]) / np.linalg.norm([0.21, 0.85, 0.48])
MPP_UM = 0.25


def draw(
    width: int = 2400, height: int = 1600, *, seed: int = 1, n_dots: int = 60
) -> tuple[np.ndarray, np.ndarray]:
    """RGB and the dots' (x, y) in pixels, centre of pixel (0, 0) at 0, 0. Tissue leaves a margin of glass."""
    rng = np.random.default_rng(seed)
    od = np.zeros((height, width, 3))
    od[200:-200, 200:-200] += 0.12 * np.array([0.4, 0.7, 0.6])
    y, x = np.mgrid[-14:15, -14:15]
    centres = []
    for row in range(218, height - 217, 44):
        for col in range(218, width - 217, 44):
            cy, cx = row + int(rng.integers(-6, 7)), col + int(rng.integers(-6, 7))
            od[cy - 14 : cy + 15, cx - 14 : cx + 15] += 0.55 * (x**2 + y**2 < 121)[..., None] * HAEMATOXYLIN
            centres.append((cx, cy))
    chosen = rng.choice(len(centres), n_dots, replace=False)
    dots = np.array([centres[i] for i in chosen], float).reshape(-1, 2) + rng.uniform(-7, 7, (n_dots, 2))
    y, x = np.mgrid[-8:9, -8:9]
    for dx, dy in dots:
        row, col = round(dy), round(dx)
        spot = 0.7 * np.exp(-((x - (dx - col)) ** 2 + (y - (dy - row)) ** 2) / (2 * 1.6**2))
        od[row - 8 : row + 9, col - 8 : col + 9] += spot[..., None] * FAST_RED
    light = 243 * 10**-od + rng.normal(0, 1.2, od.shape)
    return np.clip(np.rint(light), 0, 255).astype(np.uint8), dots


def write(path: Path, rgb: np.ndarray, *, mpp_um: float = MPP_UM) -> Path:
    """A tiled, lossless TIFF with its pixel size."""
    tifffile.imwrite(
        path, rgb, tile=(256, 256), photometric="rgb", compression="deflate",
        resolution=(1e4 / mpp_um, 1e4 / mpp_um), resolutionunit="CENTIMETER",
    )  # fmt: skip
    return path
