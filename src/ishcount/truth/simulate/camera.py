"""Optics and camera: from optical density to the pixels a scanner stores, before JPEG."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ishcount.truth.simulate.randomness import Array, stream
from ishcount.truth.simulate.spec import PhantomSpec


@dataclass(frozen=True)
class Camera:
    """One scanner. Shifts in um, `white` in grey levels, shading as share of the light."""

    blur_um: float
    shift_um: npt.NDArray[np.float64]  # (3, 2) x, y of each colour against green
    stray: float  # light that bypasses the tissue
    white: npt.NDArray[np.float64]
    matrix: npt.NDArray[np.float64]  # (3, 3), rows sum to 1
    gamma: float
    contrast: float
    sharpening: float
    sharpening_px: float
    noise: float
    shading: npt.NDArray[np.float64]  # (3, 4): along x, along y, square of both, over the slide
    seed: int


def draw_camera(spec: PhantomSpec) -> Camera:
    """The scanner of `camera_seed`, or of the scene's seed."""
    seed = spec.seed + 1_000_003 if spec.camera_seed is None else spec.camera_seed
    rng, preset = stream(seed, "camera"), spec.preset_numbers
    uneven = preset.confounders.get("uneven_light", 0.0)
    matrix = np.eye(3) + rng.uniform(-0.05, 0.07, (3, 3)) * (1 - np.eye(3))
    return Camera(
        blur_um=preset.blur_um * (1.0 if spec.blur_um is not None else float(np.exp(rng.normal(0, 0.12)))),
        shift_um=np.stack([rng.normal(0, 0.06, 2), np.zeros(2), rng.normal(0, 0.06, 2)]),
        stray=rng.uniform(0.002, 0.012),
        white=rng.uniform(228, 252) + rng.uniform(-6, 4, 3),
        matrix=matrix / matrix.sum(axis=1, keepdims=True),
        gamma=rng.uniform(0.88, 1.12),
        contrast=rng.uniform(-0.05, 0.18),
        sharpening=preset.sharpening * rng.uniform(0.3, 1.4),
        sharpening_px=rng.uniform(0.7, 1.3),
        noise=preset.noise * rng.uniform(0.7, 1.3),
        shading=np.outer(np.ones(3), rng.normal(0, 0.035, 4)) * uneven
        + rng.normal(0, 0.006, (3, 4)) * uneven,
        seed=seed,
    )


def transmit(camera: Camera, od: Array, step_um: float, more_blur_um: Array | None) -> Array:
    """Light through the tissue after the lens: (3, rows, columns) in 0-1.

    The lens blurs light, not optical density. Regional defocus blends three blurs.
    """
    light = np.exp(od * np.float32(-np.log(10)))
    blurs = _blurred(light, camera.blur_um / step_um)
    if more_blur_um is not None and more_blur_um.max() > 0.05:
        most = float(more_blur_um.max())
        stages = [blurs] + [
            _blurred(light, np.hypot(camera.blur_um, most * part) / step_um) for part in (0.5, 1.0)
        ]
        place = np.clip(more_blur_um / most, 0, 1) * 2
        blurs = np.where(
            place < 1,
            stages[0] * (1 - place) + stages[1] * place,
            stages[1] * (2 - place) + stages[2] * (place - 1),
        )
    for channel in (0, 2):
        move = np.array(
            [[1, 0, camera.shift_um[channel, 0] / step_um], [0, 1, camera.shift_um[channel, 1] / step_um]]
        )
        blurs[channel] = cv2.warpAffine(
            blurs[channel],
            move,
            blurs[channel].shape[::-1],
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
    return np.asarray(camera.stray + (1 - camera.stray) * blurs, np.float32)


def _blurred(light: Array, sigma_px: float) -> Array:
    return np.stack([cv2.GaussianBlur(plane, (0, 0), max(sigma_px, 0.05)) for plane in light])


def expose(
    camera: Camera, light: Array, place: tuple[Array, Array], block: tuple[int, int]
) -> npt.NDArray[np.uint8]:
    """Grey levels (rows, columns, 3) of light (3, rows, columns).

    `place` is x and y of the pixels over the slide, each from -1 to 1; `block` numbers the noise.
    """
    x, y = place
    terms = np.stack([x, y, x * x, y * y]).astype(np.float32)
    shading = 1 + np.tensordot(camera.shading.astype(np.float32), terms, 1)
    value = np.tensordot(camera.matrix.astype(np.float32), light * shading, 1)
    value = np.clip(value, 1e-4, 1.2) ** np.float32(camera.gamma)
    value = value + np.float32(camera.contrast) * value * (1 - value) * (2 * value - 1)
    soft = _blurred(value, camera.sharpening_px)
    value = value + np.float32(camera.sharpening) * (value - soft)
    rng = stream(camera.seed, "noise", *block)
    grain = rng.standard_normal(value.shape, dtype=np.float32)
    value = value + np.float32(camera.noise) * grain * np.sqrt(0.15 + 0.85 * np.clip(value, 0, 1))
    grey = value * camera.white.astype(np.float32)[:, None, None]
    return np.ascontiguousarray(np.clip(np.rint(grey), 0, 255).astype(np.uint8).transpose(1, 2, 0))
