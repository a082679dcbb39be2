"""From transmitted light to 8-bit pixels: what one scanner does to a scene."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ishcount.truth.phantom.brush import Array
from ishcount.truth.phantom.spec import PhantomSpec


@dataclass(frozen=True)
class Camera:
    """One scanner. white: (3,) level of glass, 0-1. matrix: (3, 3), rows sum to 1. gamma, contrast: of the
    tone curve. sharpen: share of the unsharp mask. noise: standard deviation at white, 0-1. shift_um: (3, 2) of
    each channel. uneven: (4,) fall-off of the light, its slopes and its centre. focus_um: sigma of the optics."""

    white: Array
    matrix: Array
    gamma: float
    contrast: float
    sharpen: float
    noise: float
    shift_um: Array
    uneven: Array
    focus_um: float

    def colour(self, light: Array) -> Array:
        """Levels (0-1) of transmitted light (..., 3) at the middle of the field, without noise."""
        toned = np.clip(light @ self.matrix.T, 1e-4, None) ** self.gamma
        toned = toned + self.contrast * toned * (1 - toned) * (toned - 0.5)
        return np.asarray(toned * self.white)

    def vector(self, stain: Array, od: float = 0.4) -> Array:
        """Unit vector of a stain as this camera shows it at optical density `od`."""
        seen = -np.log10(np.clip(self.colour(10.0 ** (-od * np.asarray(stain))) / self.white, 1e-3, 1))
        return np.asarray(seen / np.linalg.norm(seen))


def draw_camera(spec: PhantomSpec) -> Camera:
    """The scanner of this slide; `camera_seed` gives another one for the same scene."""
    rng, kinds, amount = spec.camera_rng("camera"), spec.kinds, spec.habits.amount
    mixing = rng.normal(0, 0.03, (3, 3)) * (1 - np.eye(3))
    white = rng.uniform(0.90, 0.97) * np.clip(1 + rng.normal(0, 0.008, 3), 0.975, 1.015)
    shift = rng.normal(0, 0.03, (3, 2)) * amount
    shift[1] = 0
    slopes = np.array([rng.uniform(0, 0.03), *rng.normal(0, 0.02, 2), rng.uniform(0.3, 0.7)])
    slopes[:3] *= min(amount, 1.5)
    return Camera(
        white=np.minimum(white, 0.985),
        matrix=np.eye(3) + mixing - np.diag(mixing.sum(1)),
        gamma=float(rng.uniform(0.88, 1.15)),
        contrast=float(rng.uniform(0, 0.4)),
        sharpen=float(rng.uniform(0, 0.6)),
        noise=float(rng.uniform(0.004, 0.008) * (0.5 + amount)) if "noise" in kinds else 0.0,
        shift_um=shift if "chromatic_shift" in kinds else np.zeros((3, 2)),
        uneven=slopes if "uneven_light" in kinds else np.zeros(4),
        focus_um=float(rng.uniform(*spec.habits.focus_um)),
    )


def expose(
    camera: Camera,
    light: Array,
    rng: np.random.Generator,
    *,
    first_row: int,
    shape: tuple[int, int],
    um: float,
) -> npt.NDArray[np.uint8]:
    """Pixels (uint8 (h, w, 3)) of a strip. light: float32 (h, w, 3), 1 = glass, already blurred and at the final
    pixel size `um`; `first_row` is its place in an image of `shape`."""
    height, width = light.shape[:2]
    seen: Any = light
    if camera.uneven.any():
        v = (np.arange(height, dtype=np.float32) + first_row)[:, None] / shape[0] - camera.uneven[3]
        u = np.arange(width, dtype=np.float32)[None, :] / shape[1] - camera.uneven[3]
        fall, slope_x, slope_y, _ = camera.uneven.astype(np.float32)
        seen = seen * (1 - fall * 2 * (u * u + v * v) + slope_x * u + slope_y * v)[..., None]
    seen = np.clip(cv2.transform(np.ascontiguousarray(seen, np.float32), camera.matrix), 1e-4, None)
    if camera.shift_um.any():
        for channel in (0, 2):
            dx, dy = camera.shift_um[channel] / um
            move = np.array([[1, 0, dx], [0, 1, dy]], np.float64)
            seen[..., channel] = cv2.warpAffine(
                seen[..., channel], move, (width, height), borderMode=cv2.BORDER_REPLICATE
            )
    if camera.noise > 0:
        grain = rng.standard_normal(seen.shape, dtype=np.float32)
        seen = np.clip(seen + np.sqrt(seen) * grain * np.float32(camera.noise), 1e-4, None)
    toned: Any = cv2.pow(seen.astype(np.float32), camera.gamma)
    toned += np.float32(camera.contrast) * toned * (1 - toned) * (toned - 0.5)
    toned *= camera.white.astype(np.float32)
    if camera.sharpen > 0:
        toned += np.float32(camera.sharpen) * (toned - cv2.GaussianBlur(toned, (0, 0), 1.0))
    return np.asarray(np.clip(toned * 255 + 0.5, 0, 255).astype(np.uint8))
