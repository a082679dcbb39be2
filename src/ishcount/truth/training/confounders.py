"""Everything that is no dot and may look like one, drawn on a canvas with its reason."""

from __future__ import annotations

import numpy as np

from ishcount.truth.training.canvas import SIZE_PX, Canvas
from ishcount.truth.training.imaginary_slide import (
    HAEMATOXYLIN,
    HAEMOSIDERIN,
    MELANIN,
    TINT,
    Array,
    between,
    turned,
)


def add_confounders(canvas: Canvas, nuclei: list[tuple[float, float, float]]) -> None:
    """Everything that is no dot and may look like one."""
    rng, level = canvas.rng, canvas.draw.strength["confounders"]
    if level and rng.uniform() < 0.35:
        _pigmented_cells(canvas, nuclei)
    if level and rng.uniform() < 0.35:
        _pigmented_region(canvas, nuclei)
    for draw_one, mean in (
        (_melanin, 2.0), (_red_cell, 3.0), (_precipitate, 2.5), (_haze, 1.5), (_speck, 1.5), (_corneum, 0.25),
        (_edge, 0.3),
    ):  # fmt: skip
        if rng.uniform() < 0.6:
            for _ in range(rng.poisson(mean * level)):
                draw_one(canvas)
    if rng.uniform() < 0.6:
        for _ in range(rng.poisson(3.0 * level)):
            _crystal(canvas, nuclei)


def _melanin(canvas: Canvas) -> None:
    """A clump of granules: basal (loose) or in a macrophage (dense), melanin or golden haemosiderin."""
    rng = canvas.rng
    x, y = canvas.place()
    colour = _pigment(canvas) if rng.uniform() < 0.75 else between(rng, HAEMOSIDERIN, 4)
    spread, strength = rng.uniform(0.5, 6), rng.uniform(0.1, 1.2)
    for _ in range(rng.poisson(rng.choice([1, 4, 20, 60])) + 1):
        canvas.spot(
            x + rng.normal(0, spread) / canvas.mpp, y + rng.normal(0, spread) / canvas.mpp,
            rng.uniform(0.12, 0.5), strength * rng.lognormal(0, 0.4), colour, aspect=rng.uniform(1, 1.8),
            reason="melanin",
        )  # fmt: skip


def _pigment(canvas: Canvas) -> Array:
    """The slide's melanin, a little darker or browner from clump to clump."""
    draw = canvas.draw
    return turned(canvas.rng, draw.vectors["melanin"], draw.strength["melanin_spread_deg"])


def _pigmented_cells(canvas: Canvas, nuclei: list[tuple[float, float, float]]) -> None:
    """Basal pigment: single granules of dot size beside some nuclei, as brown as chromogen or darker."""
    rng = canvas.rng
    colour = _pigment(canvas)
    share, strength, sigma = rng.uniform(0.05, 0.8), rng.uniform(0.1, 1.0), rng.uniform(0.12, 0.4)
    for x, y, radius in nuclei:
        if rng.uniform() > share:
            continue
        for _ in range(1 + rng.poisson(rng.uniform(0.5, 5))):
            angle, reach = rng.uniform(0, 2 * np.pi), radius * rng.uniform(0.2, 1.4) / canvas.mpp
            canvas.spot(
                x + reach * np.cos(angle), y + reach * np.sin(angle), sigma * rng.lognormal(0, 0.25),
                strength * rng.lognormal(0, 0.4), colour, aspect=rng.uniform(1, 1.5), reason="melanin",
            )  # fmt: skip


def _pigmented_region(canvas: Canvas, nuclei: list[tuple[float, float, float]]) -> None:
    """Pigment of a stretch of epidermis: most of its cells hold grains, over one side, faint to dark."""
    rng = canvas.rng
    field, least = canvas.noise(rng.uniform(8, 40)), rng.uniform(-0.5, 1.5)
    number = rng.uniform(1, 25)
    strength, sigma = np.exp(rng.uniform(np.log(0.06), np.log(0.8))), rng.uniform(0.12, 0.4)
    side, spread = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 3)
    for x, y, radius in nuclei:
        if field[int(y), int(x)] < least:
            continue
        colour = _pigment(canvas)
        for _ in range(rng.poisson(number * rng.lognormal(0, 0.5))):
            angle, reach = rng.normal(side, spread), radius * rng.uniform(0.3, 1.5) / canvas.mpp
            canvas.spot(
                x + reach * np.cos(angle), y + reach * np.sin(angle), sigma * rng.lognormal(0, 0.25),
                strength * rng.lognormal(0, 0.5), colour, aspect=rng.uniform(1, 1.5), reason="melanin",
            )  # fmt: skip


def _red_cell(canvas: Canvas) -> None:
    rng = canvas.rng
    x, y = canvas.place()
    for _ in range(rng.poisson(4) + 1):
        canvas.note("red_cell", x, y, 3.0)
        where, mask = canvas.blob(
            x, y, rng.uniform(1.5, 4), rng.uniform(1, 1.8), rng.uniform(0.1, 0.4), rng.uniform(0, 3)
        )
        canvas.add(
            where,
            rng.uniform(0.1, 0.6) * mask * (1 - rng.uniform(0, 0.5) * mask**4),
            canvas.draw.vectors["red_cell"],
        )
        x, y = x + rng.normal(0, 6) / canvas.mpp, y + rng.normal(0, 6) / canvas.mpp


def _precipitate(canvas: Canvas) -> None:
    """Haematoxylin precipitate: blue to blue-black specks of any size."""
    rng = canvas.rng
    colour = between(rng, (*HAEMATOXYLIN, MELANIN[1]), 4)
    x, y = canvas.place()
    for _ in range(rng.poisson(rng.choice([0, 3, 10])) + 1):
        canvas.spot(
            x, y, rng.lognormal(np.log(0.35), 0.4), rng.uniform(0.2, 1.4), colour, aspect=rng.uniform(1, 2),
            reason="precipitate",
        )  # fmt: skip
        x, y = x + rng.normal(0, 4) / canvas.mpp, y + rng.normal(0, 4) / canvas.mpp


def _haze(canvas: Canvas) -> None:
    """Diffuse chromogen: in cytoplasm, in fibres, as a cloud, smooth or mottled."""
    rng = canvas.rng
    x, y = canvas.place()
    where, mask = canvas.blob(
        x, y, rng.uniform(1.0, 12), rng.uniform(1, 4), rng.uniform(0.4, 3), rng.uniform(0, 3)
    )
    canvas.note("diffuse", x, y, 8.0)
    mottle = np.exp(rng.uniform(0, 0.5) * canvas.noise(rng.uniform(0.4, 3))[where])
    canvas.add(where, rng.uniform(0.03, 0.35) * mask * mottle, canvas.draw.vectors["chromogen"])


def _crystal(canvas: Canvas, nuclei: list[tuple[float, float, float]]) -> None:
    """Crystals and lumps of chromogen: sharp, even, large or needle-like; half of them at a nucleus."""
    rng = canvas.rng
    x, y = canvas.place()
    if nuclei and rng.uniform() < 0.5:
        x, y, radius = nuclei[rng.integers(len(nuclei))]
        x, y = x + rng.normal(0, radius) / canvas.mpp, y + rng.normal(0, radius) / canvas.mpp
    where, mask = canvas.blob(
        x, y, rng.uniform(0.9, 5), rng.uniform(1, 6), rng.uniform(0.05, 0.2), rng.uniform(0, 3)
    )
    canvas.note("size", x, y, 2.0)
    canvas.add(where, rng.uniform(0.3, 1.8) * mask, canvas.draw.vectors["chromogen"])


def _speck(canvas: Canvas) -> None:
    """Dust, carbon, ink, pigment of formalin: any colour, round or not."""
    rng = canvas.rng
    colour = between(rng, (MELANIN[1], MELANIN[0], (0.3, 0.5, 0.5), (0.5, 0.3, 0.8), (0.8, 0.4, 0.4)), 10)
    x, y = canvas.place()
    canvas.spot(
        x, y, rng.lognormal(np.log(0.4), 0.6), rng.uniform(0.1, 1.5), colour, aspect=rng.uniform(1, 3)
    )


def _corneum(canvas: Canvas) -> None:
    """Basket weave: wavy layers in the colour of the background or of weak chromogen."""
    rng = canvas.rng
    rows = np.mgrid[:SIZE_PX, :SIZE_PX][0] * canvas.mpp
    wave = rows + 3 * canvas.noise(12.0) + 1.0 * canvas.noise(3.0)
    layers = np.maximum(np.sin(2 * np.pi * wave / rng.uniform(2, 6)), 0) ** rng.uniform(1, 6)
    colour = canvas.draw.vectors[str(rng.choice(["tint", "tint", "red_cell", "chromogen"]))]
    amount = rng.uniform(0.05, 0.35)
    shown = canvas.noise(20.0) > rng.uniform(-0.5, 1)
    canvas.add(np.s_[:], amount * layers * shown, colour)
    for y, x in np.argwhere(shown[::16, ::16]) * 16.0:
        canvas.note("diffuse", x, y, 12 * canvas.mpp)


def _edge(canvas: Canvas) -> None:
    """A tear, fold or edge: half of the field lighter or darker, refracting at its border."""
    rng = canvas.rng
    field = canvas.noise(30.0) + rng.normal(0, 0.5)
    inside = 1 / (1 + np.exp(-np.clip(field * 30 / rng.uniform(0.5, 4), -30, 30)))
    canvas.od *= (1 - rng.uniform(-0.8, 1.0) * inside)[..., None]
    rim = np.exp(-((field * 30) ** 2) / rng.uniform(0.5, 6))
    canvas.add(np.s_[:], rng.uniform(0, 0.25) * rim, between(rng, (*TINT, MELANIN[1]), 6))
