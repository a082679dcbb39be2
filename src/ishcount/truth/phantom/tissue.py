"""Where things are: outline, epidermis, dermis, vessels, nests and holes of a skin section on glass."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ishcount.truth.phantom.brush import Array, line_noise, noise
from ishcount.truth.phantom.spec import PhantomSpec

GRID_UM = 1.0  # geometry is laid out on cells of this width, whatever the pixel size
COMPARTMENTS = ("none", "epidermis", "stratum_corneum", "dermis", "adnexa")
EPIDERMIS, CORNEUM, DERMIS, ADNEXA = 1, 2, 3, 4
SPEED_UM = 40.0  # raster cells farther than this from a border need no exact distance


@dataclass(frozen=True)
class Round:
    """An ellipse: centre, semi-axes and angle (radians) in micrometres; `name` says what it is."""

    name: str
    x_um: float
    y_um: float
    a_um: float
    b_um: float
    angle: float


@dataclass(frozen=True)
class Layout:
    """The section. Rasters are float32 (h, w) of `GRID_UM` cells.

    outline: distance to the section's edge, positive inside. depth: below the surface of the viable
    epidermis. junction:
    distance below the dermo-epidermal junction. hole: positive inside holes. nest: positive inside follicles
    and glands.
    infiltrate: 0-1, how packed with lymphocytes. angle: of the skin surface, radians. epidermis_mm: length of
    the surface
    of the epidermis, junction_mm: of the dermo-epidermal junction.
    """

    outline: Array
    depth: Array
    junction: Array
    hole: Array
    nest: Array
    infiltrate: Array
    angle: float
    vessels: tuple[Round, ...]
    nests: tuple[Round, ...]
    epidermis_mm: float
    junction_mm: float

    def at(self, raster: Array, x_um: Array, y_um: Array) -> npt.NDArray[np.float32]:
        """Values of a raster at places (bilinear, edges repeated). x, y: float (n,)."""
        map_x = (np.asarray(x_um, np.float32) / GRID_UM - 0.5).reshape(-1, 1)
        map_y = (np.asarray(y_um, np.float32) / GRID_UM - 0.5).reshape(-1, 1)
        out = [
            cv2.remap(raster, map_x[i : i + 30_000], map_y[i : i + 30_000], cv2.INTER_LINEAR,
                      borderMode=cv2.BORDER_REPLICATE).ravel()
            for i in range(0, len(map_x), 30_000)
        ]  # fmt: skip
        return np.concatenate(out) if out else np.zeros(0, np.float32)

    def compartments(self) -> npt.NDArray[np.uint8]:
        """Place in `COMPARTMENTS` of every cell; holes too belong to the compartment around them."""
        code = np.where(self.depth < 0, CORNEUM, np.where(self.junction < 0, EPIDERMIS, DERMIS))
        code[(self.nest > 0) & (code == DERMIS)] = ADNEXA
        return np.where(self.outline > 0, code, 0).astype(np.uint8)


def lay_out(spec: PhantomSpec) -> Layout:
    """Draw the geometry of one section, leaving glass on all sides."""
    rng = spec.rng("layout")
    shape = (math.ceil(spec.height_um / GRID_UM), math.ceil(spec.width_um / GRID_UM))
    x, y = np.meshgrid(
        (np.arange(shape[1], dtype=np.float32) + 0.5) * GRID_UM,
        (np.arange(shape[0], dtype=np.float32) + 0.5) * GRID_UM,
    )
    facing = int(rng.integers(2)) * 2 if rng.random() < 0.7 else int(rng.integers(2)) * 2 + 1
    angle = facing * math.pi / 2 + math.radians(rng.uniform(-5, 5))
    along_um = spec.width_um if facing % 2 == 0 else spec.height_um
    across_um = spec.height_um if facing % 2 == 0 else spec.width_um
    u = (x - spec.width_um / 2) * math.cos(angle) + (y - spec.height_um / 2) * math.sin(angle)
    v = (y - spec.height_um / 2) * math.cos(angle) - (x - spec.width_um / 2) * math.sin(angle)

    margin = rng.uniform(0.05, 0.075) * min(spec.width_um, spec.height_um) + 20
    line_u = np.arange(-along_um, along_um, 1.0, dtype=np.float32)
    surface, junction, corneum = _skin_lines(rng, spec, line_u)
    surface += -across_um / 2 + margin + 55

    def on(line: Array) -> Array:
        return np.interp(u, line_u, line).astype(np.float32)

    depth = v - on(surface)
    slope = np.gradient(surface + junction)
    below = (depth - on(junction)) / on(np.sqrt(1 + slope**2))
    ragged = noise(rng, 16.0, smooth=1.5).at(x, y) * 5 + noise(rng, 70.0, smooth=1.2).at(x, y) * 10
    box = np.minimum(
        np.minimum(x, spec.width_um - x), np.minimum(y, spec.height_um - y)
    ) - np.float32(margin)
    outline = np.minimum(box + np.clip(ragged, -0.8 * margin, 25), depth + on(corneum))
    junction_mm = _line_mm(line_u, surface + junction, outline, angle, spec)
    epidermis_mm = _line_mm(line_u, surface, outline, angle, spec)

    vessels, nests = _place_rounds(rng, spec, below, outline)
    hole = _holes(rng, spec, below, outline, vessels, angle, x, y)
    nest = np.full(shape, -SPEED_UM, np.float32)
    for one in nests:
        _raise_to(nest, one)
    layout = Layout(
        outline=outline, depth=depth, junction=below, hole=hole, nest=nest,
        infiltrate=_infiltrate(rng, spec, below, vessels, nest), angle=angle, vessels=tuple(vessels),
        nests=tuple(nests), epidermis_mm=epidermis_mm, junction_mm=junction_mm,
    )  # fmt: skip
    return layout


def _skin_lines(rng: np.random.Generator, spec: PhantomSpec, u: Array) -> tuple[Array, Array, Array]:
    """Surface, depth of the junction and thickness of the corneum along the skin, micrometres."""
    surface = line_noise(rng, u, 420) * 9 + line_noise(rng, u, 90) * 2
    thick = rng.uniform(42, 62) * (1.25 if spec.state == "inflamed" else 1.0)
    ridge_um = rng.uniform(70, 120)
    phase = u / ridge_um * 2 * np.pi + line_noise(rng, u, 300) * 1.5
    ridge = rng.uniform(14, 32) * (1 + np.sin(phase)) * (0.75 + 0.25 * line_noise(rng, u, 260))
    junction = np.maximum(thick + 5 * line_noise(rng, u, 60) + ridge, 22)
    corneum = np.maximum(rng.uniform(14, 32) + 4 * line_noise(rng, u, 50), 6)
    return surface, junction.astype(np.float32), corneum.astype(np.float32)


def _line_mm(u: Array, v: Array, outline: Array, angle: float, spec: PhantomSpec) -> float:
    """Length of that part of the line v(u) that lies in the section."""
    x = u * math.cos(angle) - v * math.sin(angle) + spec.width_um / 2
    y = u * math.sin(angle) + v * math.cos(angle) + spec.height_um / 2
    column = np.clip((x / GRID_UM).astype(int), 0, outline.shape[1] - 1)
    row = np.clip((y / GRID_UM).astype(int), 0, outline.shape[0] - 1)
    inside = (x > 0) & (y > 0) & (x < spec.width_um) & (y < spec.height_um) & (outline[row, column] > 0)
    step = np.hypot(np.diff(x), np.diff(y))
    return float(step[inside[1:] & inside[:-1]].sum() / 1000)


def _somewhere(rng: np.random.Generator, allowed: Array) -> tuple[float, float] | None:
    cells = np.flatnonzero(allowed)
    if not len(cells):
        return None
    row, column = divmod(int(cells[rng.integers(len(cells))]), allowed.shape[1])
    return (column + rng.random()) * GRID_UM, (row + rng.random()) * GRID_UM


def _place_rounds(
    rng: np.random.Generator, spec: PhantomSpec, below: Array, outline: Array
) -> tuple[list[Round], list[Round]]:
    """Vessels, then follicles and glands, none touching another."""
    area_mm2 = float(((below > 0) & (outline > 0)).sum()) * GRID_UM**2 / 1e6
    room = ((below > 25) & (outline > 25)).astype(np.uint8)
    made: dict[str, list[Round]] = {"vessel": [], "nest": []}
    wanted = ["follicle"] * rng.poisson(2 * area_mm2) + ["gland"] * rng.poisson(5 * area_mm2)
    wanted += ["vessel"] * max(3, rng.poisson((45 if spec.state == "inflamed" else 35) * area_mm2))
    for name in wanted:
        low, high = {"follicle": (45, 75), "gland": (22, 38), "vessel": (6, 20)}[name]
        a = rng.uniform(low, high) if name != "vessel" else low + (high - low) * rng.random() ** 2
        b = a * rng.uniform(0.5 if name == "vessel" else 0.7, 1.0)
        grown = room if name == "vessel" else (room & (below > a + 20) & (outline > a + 20))
        place = _somewhere(rng, grown)
        if place is None:
            continue
        one = Round(name, *place, a, b, rng.uniform(0, np.pi))
        made["vessel" if name == "vessel" else "nest"].append(one)
        cv2.circle(room, (int(one.x_um), int(one.y_um)), int(2 * a + 12), 0, -1)
    return made["vessel"], made["nest"]


def _raise_to(field: Array, one: Round) -> None:
    """field = max(field, about the distance inside the ellipse), in its neighbourhood."""
    reach = max(one.a_um, one.b_um) + 12
    top, left = max(0, int(one.y_um - reach)), max(0, int(one.x_um - reach))
    part = field[top : max(0, int(one.y_um + reach)), left : max(0, int(one.x_um + reach))]
    dy, dx = np.mgrid[0 : part.shape[0], 0 : part.shape[1]].astype(np.float32)
    dx, dy = dx + left + 0.5 - one.x_um, dy + top + 0.5 - one.y_um
    along = (dx * math.cos(one.angle) + dy * math.sin(one.angle)) / one.a_um
    across = (dy * math.cos(one.angle) - dx * math.sin(one.angle)) / one.b_um
    np.maximum(part, (1 - np.hypot(along, across)) * min(one.a_um, one.b_um), out=part)


def _holes(
    rng: np.random.Generator, spec: PhantomSpec, below: Array, outline: Array, vessels: list[Round],
    angle: float, x: Array, y: Array,
) -> Array:  # fmt: skip
    """Lumina, clefts, tears, oedema and blisters: positive where there is glass inside the section."""
    hole = np.full(outline.shape, -SPEED_UM, np.float32)
    for one in vessels:
        _raise_to(hole, Round("lumen", one.x_um, one.y_um, one.a_um - 2.2, one.b_um - 2.2, one.angle))
    area_mm2 = float((outline > 0).sum()) * GRID_UM**2 / 1e6
    dermis = (below > 15) & (outline > 15)
    for _ in range(rng.poisson(12 * area_mm2)):  # clefts between bundles
        if place := _somewhere(rng, dermis):
            a = rng.uniform(15, 60)
            tilt = angle + rng.normal(0, 0.35)
            _raise_to(hole, Round("cleft", *place, a, rng.uniform(2.5, 7), tilt))
    if spec.state == "inflamed":
        for _ in range(rng.poisson(60 * area_mm2)):  # oedema of the papillary dermis
            if place := _somewhere(rng, (below > 6) & (below < 90) & (outline > 15)):
                a = rng.uniform(4, 13)
                _raise_to(hole, Round("oedema", *place, a, a * rng.uniform(0.5, 1), rng.uniform(0, 3)))
        if spec.preset != "easy":
            for _ in range(1 + rng.poisson(0.8 * area_mm2)):
                if place := _somewhere(rng, (np.abs(below - 6) < 3) & (outline > 60)):
                    a = rng.uniform(45, 110)
                    _raise_to(hole, Round("blister", *place, a, a * rng.uniform(0.18, 0.35), angle))
    rough = noise(rng, 9.0, smooth=1.2).at(x, y) * 1.0
    return np.where(hole > -SPEED_UM, hole + rough, hole).astype(np.float32)


def _infiltrate(
    rng: np.random.Generator, spec: PhantomSpec, below: Array, vessels: list[Round], nest: Array
) -> Array:
    """How packed with lymphocytes, 0 to 1: cuffs around some vessels, a band at the interface when inflamed."""
    field = np.zeros(below.shape, np.float32)
    inflamed = spec.state == "inflamed"
    for one in vessels:
        if rng.random() > (0.75 if inflamed else 0.25):
            continue
        sigma = rng.uniform(16, 34) * (1.15 if inflamed else 0.7)
        reach = int(3 * sigma)
        top, left = max(0, int(one.y_um) - reach), max(0, int(one.x_um) - reach)
        part = field[top : int(one.y_um) + reach, left : int(one.x_um) + reach]
        dy, dx = np.mgrid[0 : part.shape[0], 0 : part.shape[1]].astype(np.float32)
        square = (dx + left - one.x_um) ** 2 + (dy + top - one.y_um) ** 2
        np.maximum(part, rng.uniform(0.5, 1.0) * np.exp(-square / (2 * sigma**2)), out=part)
    if inflamed:
        rows, columns = np.indices(below.shape, dtype=np.float32)
        patchy = np.clip(0.5 + 0.5 * noise(rng, 60.0, smooth=1.2).at(columns, rows), 0, 1)
        band = np.exp(-np.maximum(below, 0) / 28) * (below > -12) * patchy * 0.75
        field = np.maximum(field, band.astype(np.float32))
    return np.where((nest > -4), 0, field).astype(np.float32)
