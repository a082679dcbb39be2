"""Random patches of stained texture with known dots, for training alone.

This is a second generator on purpose. It shares no code with the phantoms of `truth.simulate`, which stay
unseen
until the model is tested on them: a model that only knows one generator's habits fails there. Nothing here
tries
to look like skin as a whole; everything that can be mistaken for a dot is drawn over as wide a range as
could be
thought of, colours and cameras anew for every draw.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import imagecodecs
import numpy as np
import numpy.typing as npt

from ishcount.truth.training.canvas import SIZE_PX, Canvas
from ishcount.truth.training.confounders import add_confounders
from ishcount.truth.training.imaginary_slide import Array, Draw


@dataclass(frozen=True)
class Patch:
    """uint8 RGB; its dots (x, y in pixels, pixel centres at whole numbers; strength in OD); and what else may
    be taken for one: a reason (`core.tables.DOT_REASONS`) with x, y and reach in pixels each."""

    rgb: npt.NDArray[np.uint8]
    dots: Array
    others: tuple[tuple[str, float, float, float], ...]


def draw_patch(rng: np.random.Generator, draw: Draw) -> Patch:
    """One patch of a slide with its dots."""
    canvas = Canvas(draw, rng)
    tint = draw.strength["tint"] * rng.uniform(0.3, 1.5)
    fibres = 1 + 0.5 * canvas.noise(rng.uniform(0.3, 2.5), rng.choice([1.0, 4.0, 12.0]))
    canvas.add(np.s_[:], tint * np.maximum(fibres * (1 + 0.4 * canvas.noise(8.0)), 0), draw.vectors["tint"])
    nuclei = _nuclei(canvas)
    add_confounders(canvas, nuclei)
    dots = _dots(canvas, nuclei)
    return Patch(_photograph(canvas.od, draw, rng), dots, tuple(canvas.others))


def _nuclei(canvas: Canvas) -> list[tuple[float, float, float]]:
    """Nuclei with chromatin: (x, y, radius um) of each."""
    rng, draw = canvas.rng, canvas.draw
    area_mm2 = (SIZE_PX * canvas.mpp / 1000) ** 2
    number = rng.poisson(area_mm2 * rng.choice([800, 3000, 6000, 12000]))
    fine = canvas.noise(rng.uniform(0.25, 0.6))
    coarse = canvas.noise(rng.uniform(0.6, 1.4))
    chromatin = np.exp(draw.strength["texture"] * (0.6 * fine + 0.6 * coarse))
    places = []
    for _ in range(min(number, 400)):
        x, y = canvas.place()
        radius = float(np.clip(rng.lognormal(np.log(3.4), 0.25), 1.6, 7))
        aspect = float(rng.choice([rng.uniform(1, 1.5), rng.uniform(1.5, 4)], p=[0.75, 0.25]))
        where, mask = canvas.blob(
            x, y, radius / np.sqrt(aspect), aspect, rng.uniform(0.1, 0.5), rng.uniform(0, np.pi)
        )
        amount = draw.strength["nucleus"] * rng.lognormal(0, 0.35) * (0.25 if rng.uniform() < 0.15 else 1)
        canvas.add(where, amount * mask * chromatin[where], draw.vectors["haematoxylin"])
        for _ in range(rng.poisson(0.8)):  # chromocentres and nucleoli: the red false dots
            canvas.spot(
                x + rng.normal(0, radius / 2) / canvas.mpp, y + rng.normal(0, radius / 2) / canvas.mpp,
                rng.uniform(0.2, 0.6), amount * rng.uniform(0.2, 1.0), draw.vectors["haematoxylin"],
            )  # fmt: skip
        places.append((x, y, radius))
        canvas.note("haematoxylin", x, y, radius)
    return places


def _dots(canvas: Canvas, nuclei: list[tuple[float, float, float]]) -> Array:
    """Dots of positive cells, of cells out of plane, and stray ones; clusters among them."""
    rng, habits = canvas.rng, canvas.draw.strength
    places: list[tuple[float, float]] = []
    for x, y, radius in nuclei:
        if rng.uniform() < habits["prevalence"]:
            for _ in range(1 + rng.poisson(habits["more_copies"] * rng.gamma(1.5) / 1.5)):  # cells differ
                reach = radius * rng.uniform(0, 1.2) + rng.exponential(0.8) * (rng.uniform() < 0.5)
                angle = rng.uniform(0, 2 * np.pi)
                places.append(
                    (x + reach * np.cos(angle) / canvas.mpp, y + reach * np.sin(angle) / canvas.mpp)
                )
    for _ in range(rng.poisson(20 * habits["prevalence"])):
        places.append(canvas.place())
    dots = []
    for x, y in places:
        focus = rng.exponential(0.12)
        sigma = float(np.hypot(habits["dot_sigma_um"] * rng.lognormal(0, 0.15), focus))
        amount = (
            habits["dot"] * rng.lognormal(0, habits["dot_spread"]) * (habits["dot_sigma_um"] / sigma) ** 2
        )
        canvas.spot(x, y, sigma, amount, canvas.draw.vectors["chromogen"], aspect=rng.uniform(1, 1.25))
        if 0 <= x < SIZE_PX and 0 <= y < SIZE_PX:
            dots.append((x, y, amount))
    return np.array(dots, float).reshape(-1, 3)


def _photograph(od: Array, draw: Draw, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Optics, camera and JPEG."""
    camera = draw.camera
    light = 10.0 ** -np.maximum(od, 0)
    sigma = draw.blur_um / draw.mpp_um
    planes = [
        cv2.GaussianBlur(np.ascontiguousarray(light[..., k]), (0, 0), max(sigma, 0.3)) for k in range(3)
    ]
    for k, (dx, dy) in zip((0, 2), camera["shift_px"], strict=True):
        move = np.array([[1, 0, dx], [0, 1, dy]], float)
        planes[k] = cv2.warpAffine(planes[k], move, (SIZE_PX, SIZE_PX), borderMode=cv2.BORDER_REPLICATE)
    light = np.stack(planes, axis=-1)
    ramp = np.linspace(-1, 1, SIZE_PX)
    light *= (1 + camera["vignette"][0] * ramp[:, None] + camera["vignette"][1] * ramp[None, :])[..., None]
    mixed = np.maximum(light @ (camera["matrix"] / camera["matrix"].sum(axis=1, keepdims=True)).T, 1e-4)
    value = draw.white * mixed ** camera["gamma"]
    if camera["sharpen"]:
        value += camera["sharpen"] * (value - cv2.GaussianBlur(value, (0, 0), 1.0))
    value += rng.normal(size=value.shape) * camera["noise"] * np.sqrt(np.maximum(value, 1) / 255)
    pixels = np.clip(np.rint(value), 0, 255).astype(np.uint8)
    coded = imagecodecs.jpeg8_encode(pixels, level=camera["quality"], subsampling=camera["subsampling"])
    return np.asarray(imagecodecs.jpeg8_decode(coded))
