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
from typing import Any

import cv2
import imagecodecs
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

SIZE_PX = 640
HAEMATOXYLIN = ((0.65, 0.70, 0.29), (0.79, 0.51, 0.33), (0.55, 0.76, 0.35))  # spread of real slides
CHROMOGEN = {"fast_red": (0.21, 0.85, 0.48), "dab": (0.27, 0.57, 0.78)}
MELANIN = ((0.31, 0.47, 0.83), (0.577, 0.577, 0.577))  # from wavelength^-3.5 to neutral black
HAEMOSIDERIN = ((0.24, 0.47, 0.85), (0.20, 0.58, 0.79))
RED_CELL = ((0.18, 0.50, 0.85), (0.12, 0.80, 0.58))
TINT = ((0.07, 0.90, 0.42), (0.45, 0.65, 0.60), (0.30, 0.60, 0.74), (0.60, 0.70, 0.38))


@dataclass(frozen=True)
class Draw:
    """One imaginary slide: its colours, its camera and its habits. `vectors` are unit optical densities."""

    chromogen: str
    mpp_um: float
    white: Array
    vectors: dict[str, Array]
    strength: dict[str, float]
    blur_um: float
    camera: dict[str, Any]


@dataclass(frozen=True)
class Patch:
    """uint8 RGB; its dots (x, y in pixels, pixel centres at whole numbers; strength in OD); and what else may
    be taken for one: a reason (`core.tables.DOT_REASONS`) with x, y and reach in pixels each."""

    rgb: npt.NDArray[np.uint8]
    dots: Array
    others: tuple[tuple[str, float, float, float], ...]


def _turned(rng: np.random.Generator, vector: Any, degrees: float) -> Array:
    base = np.asarray(vector, float)
    base = base / np.linalg.norm(base)
    side = np.cross(base, rng.normal(size=3))
    angle = np.radians(rng.normal(0, degrees / 2))
    turned = np.maximum(np.cos(angle) * base + np.sin(angle) * side / np.linalg.norm(side), 0.02)
    return np.asarray(turned / np.linalg.norm(turned))


def _between(rng: np.random.Generator, family: Any, degrees: float) -> Array:
    weight = rng.dirichlet(np.full(len(family), 0.7))
    return _turned(rng, weight @ np.asarray(family), degrees)


def draw_slide(rng: np.random.Generator, chromogen: str, mpp_um: float) -> Draw:
    """Colours, camera and habits of one imaginary slide."""
    return Draw(
        chromogen=chromogen,
        mpp_um=mpp_um,
        white=rng.uniform(225, 252) + rng.normal(0, 3, 3),
        vectors={
            "haematoxylin": _between(rng, HAEMATOXYLIN, 5),
            "chromogen": _turned(rng, CHROMOGEN[chromogen], 7),
            "tint": _between(rng, TINT, 8),
            "red_cell": _between(rng, RED_CELL, 5),
            "melanin": _between(rng, MELANIN, 4),
        },
        strength={
            "nucleus": rng.uniform(0.2, 0.8),
            "texture": rng.uniform(0.05, 0.6),
            "melanin_spread_deg": rng.choice([2.0, 5.0, 12.0]),  # one person's pigment is much alike
            "tint": rng.uniform(0.0, 0.10) if rng.uniform() < 0.75 else rng.uniform(0.08, 0.30),
            "dot": rng.uniform(0.25, 0.95),
            "dot_spread": rng.uniform(0.15, 0.55),
            "dot_sigma_um": rng.uniform(0.20, 0.40),
            "confounders": rng.choice([0.0, 0.3, 1.0, 2.0]),
            "prevalence": rng.choice([0.0, 0.03, 0.15, 0.4], p=[0.25, 0.2, 0.25, 0.3]),
        },
        blur_um=rng.uniform(0.08, 0.45),
        camera={
            "matrix": np.eye(3) + rng.normal(0, 0.05, (3, 3)),
            "gamma": rng.uniform(0.85, 1.2),
            "sharpen": rng.choice([0.0, rng.uniform(0, 1.0)]),
            "noise": rng.uniform(0.3, 4.0),
            "shift_px": rng.normal(0, 0.25 if rng.uniform() < 0.5 else 0.02, (2, 2)) * 0.25 / mpp_um,
            "quality": int(rng.integers(55, 96)),
            "subsampling": str(rng.choice(["420", "422", "444"], p=[0.55, 0.2, 0.25])),
            "vignette": rng.normal(0, 0.03, 2),
        },
    )


class _Canvas:
    """Optical density (size, size, 3) under construction, in micrometres at the pixel size of the draw."""

    def __init__(self, draw: Draw, rng: np.random.Generator) -> None:
        self.draw, self.rng, self.mpp = draw, rng, draw.mpp_um
        self.od = np.zeros((SIZE_PX, SIZE_PX, 3))
        self.others: list[tuple[str, float, float, float]] = []

    def note(self, reason: str, x: float, y: float, reach_um: float) -> None:
        """Keep in mind that what is seen here is no dot, and why."""
        self.others.append((reason, x, y, reach_um / self.mpp))

    def place(self) -> tuple[float, float]:
        x, y = self.rng.uniform(0, SIZE_PX, 2)
        return float(x), float(y)

    def noise(self, scale_um: float, stretch: float = 1.0) -> Array:
        """Smooth noise of unit variance with the given grain, drawn out along a random direction."""
        sigma = max(scale_um / self.mpp, 0.6)
        field: Any = self.rng.normal(size=(SIZE_PX, SIZE_PX))
        field = cv2.GaussianBlur(field, (0, 0), sigmaX=sigma * stretch, sigmaY=sigma)
        if stretch > 1:
            angle = self.rng.uniform(0, 180)
            turn = cv2.getRotationMatrix2D((SIZE_PX / 2, SIZE_PX / 2), angle, 1.0)
            field = cv2.warpAffine(field, turn, (SIZE_PX, SIZE_PX), borderMode=cv2.BORDER_REFLECT)
        return np.asarray(field / field.std())

    def window(self, x: float, y: float, reach_um: float) -> tuple[Any, Array, Array]:
        """Slices about a place and the offsets from it in um; empty where the place is outside."""
        reach = reach_um / self.mpp
        top, bottom = (int(np.clip(v, 0, SIZE_PX)) for v in (y - reach, y + reach + 2))
        left, right = (int(np.clip(v, 0, SIZE_PX)) for v in (x - reach, x + reach + 2))
        rows, cols = np.mgrid[top:bottom, left:right]
        return np.s_[top:bottom, left:right], (cols - x) * self.mpp, (rows - y) * self.mpp

    def add(self, where: Any, amount: Array, vector: Array) -> None:
        self.od[where] += amount[..., None] * vector

    def spot(
        self, x: float, y: float, sigma_um: float, amount: float, vector: Array, *,
        aspect: float = 1.0, reason: str = "",
    ) -> None:  # fmt: skip
        if reason:
            self.note(reason, x, y, 2 * sigma_um)
        where, dx, dy = self.window(x, y, 4 * sigma_um * aspect + 0.5)
        turn = self.rng.uniform(0, np.pi)
        along, across = dx * np.cos(turn) + dy * np.sin(turn), dy * np.cos(turn) - dx * np.sin(turn)
        self.add(where, amount * np.exp(-((along / aspect) ** 2 + across**2) / (2 * sigma_um**2)), vector)

    def blob(
        self, x: float, y: float, radius_um: float, aspect: float, edge_um: float, turn: float
    ) -> tuple[Any, Array]:
        """A soft ellipse with a wobbling outline: slices and a mask 0-1."""
        where, dx, dy = self.window(x, y, radius_um * max(aspect, 1) * 1.5 + 1)
        along, across = dx * np.cos(turn) + dy * np.sin(turn), dy * np.cos(turn) - dx * np.sin(turn)
        phase = np.arctan2(across, along)
        wobble = 1 + sum(
            self.rng.normal(0, 0.05) * np.cos(k * phase + self.rng.uniform(0, 6)) for k in (2, 3, 5)
        )
        distance = (1 - np.hypot(along / (radius_um * aspect), across / radius_um) / wobble) * radius_um
        return where, 1 / (1 + np.exp(-np.clip(distance / edge_um, -30, 30)))


def draw_patch(rng: np.random.Generator, draw: Draw) -> Patch:
    """One patch of a slide with its dots."""
    canvas = _Canvas(draw, rng)
    tint = draw.strength["tint"] * rng.uniform(0.3, 1.5)
    fibres = 1 + 0.5 * canvas.noise(rng.uniform(0.3, 2.5), rng.choice([1.0, 4.0, 12.0]))
    canvas.add(np.s_[:], tint * np.maximum(fibres * (1 + 0.4 * canvas.noise(8.0)), 0), draw.vectors["tint"])
    nuclei = _nuclei(canvas)
    _confounders(canvas, nuclei)
    dots = _dots(canvas, nuclei)
    return Patch(_photograph(canvas.od, draw, rng), dots, tuple(canvas.others))


def _nuclei(canvas: _Canvas) -> list[tuple[float, float, float]]:
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


def _confounders(canvas: _Canvas, nuclei: list[tuple[float, float, float]]) -> None:
    """Everything that is no dot and may look like one."""
    rng, level = canvas.rng, canvas.draw.strength["confounders"]
    if level and rng.uniform() < 0.35:
        _pigmented_cells(canvas, nuclei)
    for draw_one, mean in (
        (_melanin, 2.0), (_red_cell, 3.0), (_precipitate, 2.5), (_haze, 1.5), (_crystal, 0.8), (_speck, 1.5),
        (_corneum, 0.25), (_edge, 0.3),
    ):  # fmt: skip
        if rng.uniform() < 0.6:
            for _ in range(rng.poisson(mean * level)):
                draw_one(canvas)


def _melanin(canvas: _Canvas) -> None:
    """A clump of granules: basal (loose) or in a macrophage (dense), melanin or golden haemosiderin."""
    rng = canvas.rng
    x, y = canvas.place()
    colour = _pigment(canvas) if rng.uniform() < 0.75 else _between(rng, HAEMOSIDERIN, 4)
    spread, strength = rng.uniform(0.5, 6), rng.uniform(0.1, 1.2)
    for _ in range(rng.poisson(rng.choice([1, 4, 20, 60])) + 1):
        canvas.spot(
            x + rng.normal(0, spread) / canvas.mpp, y + rng.normal(0, spread) / canvas.mpp,
            rng.uniform(0.12, 0.5), strength * rng.lognormal(0, 0.4), colour, aspect=rng.uniform(1, 1.8),
            reason="melanin",
        )  # fmt: skip


def _pigment(canvas: _Canvas) -> Array:
    """The slide's melanin, a little darker or browner from clump to clump."""
    draw = canvas.draw
    return _turned(canvas.rng, draw.vectors["melanin"], draw.strength["melanin_spread_deg"])


def _pigmented_cells(canvas: _Canvas, nuclei: list[tuple[float, float, float]]) -> None:
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


def _red_cell(canvas: _Canvas) -> None:
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


def _precipitate(canvas: _Canvas) -> None:
    """Haematoxylin precipitate: blue to blue-black specks of any size."""
    rng = canvas.rng
    colour = _between(rng, (*HAEMATOXYLIN, MELANIN[1]), 4)
    x, y = canvas.place()
    for _ in range(rng.poisson(rng.choice([0, 3, 10])) + 1):
        canvas.spot(
            x, y, rng.lognormal(np.log(0.35), 0.4), rng.uniform(0.2, 1.4), colour, aspect=rng.uniform(1, 2),
            reason="precipitate",
        )  # fmt: skip
        x, y = x + rng.normal(0, 4) / canvas.mpp, y + rng.normal(0, 4) / canvas.mpp


def _haze(canvas: _Canvas) -> None:
    """Diffuse chromogen: in cytoplasm, in fibres, as a cloud, smooth or mottled."""
    rng = canvas.rng
    x, y = canvas.place()
    where, mask = canvas.blob(
        x, y, rng.uniform(1.0, 12), rng.uniform(1, 4), rng.uniform(0.4, 3), rng.uniform(0, 3)
    )
    canvas.note("diffuse", x, y, 8.0)
    mottle = np.exp(rng.uniform(0, 0.5) * canvas.noise(rng.uniform(0.4, 3))[where])
    canvas.add(where, rng.uniform(0.03, 0.35) * mask * mottle, canvas.draw.vectors["chromogen"])


def _crystal(canvas: _Canvas) -> None:
    """Crystals and lumps of chromogen: sharp, large or needle-like."""
    rng = canvas.rng
    x, y = canvas.place()
    where, mask = canvas.blob(
        x, y, rng.uniform(0.9, 5), rng.uniform(1, 6), rng.uniform(0.05, 0.2), rng.uniform(0, 3)
    )
    canvas.note("size", x, y, 2.0)
    canvas.add(where, rng.uniform(0.3, 1.5) * mask, canvas.draw.vectors["chromogen"])


def _speck(canvas: _Canvas) -> None:
    """Dust, carbon, ink, pigment of formalin: any colour, round or not."""
    rng = canvas.rng
    colour = _between(rng, (MELANIN[1], MELANIN[0], (0.3, 0.5, 0.5), (0.5, 0.3, 0.8), (0.8, 0.4, 0.4)), 10)
    x, y = canvas.place()
    canvas.spot(
        x, y, rng.lognormal(np.log(0.4), 0.6), rng.uniform(0.1, 1.5), colour, aspect=rng.uniform(1, 3)
    )


def _corneum(canvas: _Canvas) -> None:
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


def _edge(canvas: _Canvas) -> None:
    """A tear, fold or edge: half of the field lighter or darker, refracting at its border."""
    rng = canvas.rng
    field = canvas.noise(30.0) + rng.normal(0, 0.5)
    inside = 1 / (1 + np.exp(-np.clip(field * 30 / rng.uniform(0.5, 4), -30, 30)))
    canvas.od *= (1 - rng.uniform(-0.8, 1.0) * inside)[..., None]
    rim = np.exp(-((field * 30) ** 2) / rng.uniform(0.5, 6))
    canvas.add(np.s_[:], rng.uniform(0, 0.25) * rim, _between(rng, (*TINT, MELANIN[1]), 6))


def _dots(canvas: _Canvas, nuclei: list[tuple[float, float, float]]) -> Array:
    """Dots of positive cells, of cells out of plane, and stray ones; clusters among them."""
    rng, habits = canvas.rng, canvas.draw.strength
    places: list[tuple[float, float]] = []
    for x, y, radius in nuclei:
        if rng.uniform() < habits["prevalence"]:
            for _ in range(1 + rng.poisson(rng.choice([0.5, 2, 8], p=[0.6, 0.3, 0.1]))):
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
