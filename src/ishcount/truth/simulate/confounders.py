"""What can be mistaken for a dot or a nucleus: small things, one row each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ishcount.truth.simulate.randomness import field, stream
from ishcount.truth.simulate.spec import PhantomSpec
from ishcount.truth.simulate.structures import Skin
from ishcount.truth.simulate.tissue import CORNEUM, DERMIS, GLASS, GRID_UM, HAIR, HOLE

Floats = npt.NDArray[np.float64]
COLUMNS = ("kind", "stain", "x_um", "y_um", "long_um", "short_um", "angle_rad", "softness_um", "peak_od")
RED_CELL_UM = 3.3  # radius in a section


@dataclass(frozen=True)
class Order:
    """What is to be drawn: a kind, its amount (1 is plenty), and everything it depends on."""

    kind: str
    amount: float
    spec: PhantomSpec
    skin: Skin
    nuclei: pd.DataFrame
    rng: np.random.Generator


def draw_confounders(spec: PhantomSpec, skin: Skin, nuclei: pd.DataFrame) -> pd.DataFrame:
    """Every small confounder, sorted by place.

    Columns: kind, stain (whose colour), x_um, y_um, long_um, short_um (semi-axes), angle_rad, softness_um,
    peak_od. Large artefacts are areas, not rows: see `artefacts`.
    """
    amounts = spec.preset_numbers.confounders
    drawers = {
        "melanin_brown": _melanin, "melanin_black": _melanin, "melanophage": _clumps, "haemosiderin": _clumps,
        "red_cell": _red_cells, "precipitate": _specks, "chromatin": _chromatin, "haze": _haze,
        "crystal": _crystals,
    }  # fmt: skip
    parts = [
        draw(Order(kind, amounts[kind], spec, skin, nuclei, stream(spec.seed, kind)))
        for kind, draw in drawers.items()
        if amounts.get(kind, 0) > 0
    ]
    parts = [part for part in parts if len(part)]
    empty = np.empty(0)
    table = (
        pd.concat(parts, ignore_index=True)
        if parts
        else _rows("none", "none", empty, empty, empty, empty, 0.0, empty)
    )
    return table.sort_values(["y_um", "x_um"], kind="stable", ignore_index=True)


def _rows(
    kind: str,
    stain: str | npt.NDArray[np.object_],
    x: Floats,
    y: Floats,
    long_um: Floats,
    short_um: Floats,
    softness_um: float,
    peak_od: Floats,
    angle_rad: Floats | None = None,
) -> pd.DataFrame:
    n = len(x)
    angle = np.zeros(n) if angle_rad is None else angle_rad
    stains = np.full(n, stain, object) if isinstance(stain, str) else stain
    values = (
        np.full(n, kind, object),
        stains,
        x,
        y,
        long_um,
        short_um,
        angle,
        np.full(n, softness_um),
        peak_od,
    )
    return pd.DataFrame(dict(zip(COLUMNS, values, strict=True)))


def _inside(rng: np.random.Generator, mask: npt.NDArray[np.bool_], per_mm2: float) -> tuple[Floats, Floats]:
    rows, columns = np.nonzero(mask)
    n = rng.poisson(per_mm2 * len(rows) * GRID_UM**2 * 1e-6)
    chosen = rng.integers(max(len(rows), 1), size=n)
    return (columns[chosen] + rng.random(n)) * GRID_UM, (rows[chosen] + rng.random(n)) * GRID_UM


def _granules(
    order: Order,
    stains: tuple[str, str],
    second_share: float,
    heaps: tuple[Floats, Floats, npt.NDArray[np.int64], Floats],
    radius_um: tuple[float, float],
    peak_od: float,
) -> pd.DataFrame:
    """Heaps (x, y, number, spread) of granules; each granule is of one of two stains."""
    rng, (x, y, counts, spread_um) = order.rng, heaps
    n = int(counts.sum())
    sd = np.repeat(spread_um, counts)
    radius = np.exp(rng.uniform(np.log(radius_um[0]), np.log(radius_um[1]), n))
    stain = np.where(rng.random(n) < second_share, stains[1], stains[0]).astype(object)
    return _rows(
        order.kind,
        stain,
        np.repeat(x, counts) + rng.normal(0, 1, n) * sd,
        np.repeat(y, counts) + rng.normal(0, 1, n) * sd,
        radius,
        radius * rng.uniform(0.55, 1, n),
        0.12,
        peak_od * np.exp(rng.normal(0, 0.35, n)),
        rng.uniform(0, np.pi, n),
    )


def _melanin(order: Order) -> pd.DataFrame:
    """Caps of granules over basal nuclei, in stretches, fewer higher up."""
    nuclei, rng, tissue = order.nuclei, order.rng, order.skin.tissue
    patches = 0.7 + 0.6 * field(rng, tissue.code.shape, 60)
    row, column = ((nuclei[axis] / GRID_UM).astype(int).to_numpy() for axis in ("y_um", "x_um"))
    here = patches[np.clip(row, 0, patches.shape[0] - 1), np.clip(column, 0, patches.shape[1] - 1)]
    reach = nuclei["kind"].map({"basal": 1.0, "spinous": 0.12}).fillna(0).to_numpy(float)
    share = order.spec.pigment * order.amount * np.clip(here, 0, 2) * reach
    counts = rng.poisson(26 * share * rng.gamma(1.0, 1.0, len(nuclei)))
    side = tissue.angle_rad - np.pi / 2 + rng.normal(0, 0.5, len(nuclei))  # the cap faces the surface
    x = nuclei["x_um"].to_numpy() + 3.2 * np.cos(side)
    y = nuclei["y_um"].to_numpy() + 3.2 * np.sin(side)
    black = 0.85 if order.kind == "melanin_black" else 0.08
    heaps = x, y, counts, np.full(len(nuclei), 1.7)
    return _granules(order, ("melanin_brown", "melanin_black"), black, heaps, (0.2, 0.55), 0.55)


def _clumps(order: Order) -> pd.DataFrame:
    """Granules in dermal macrophages: melanin below the junction, haemosiderin anywhere."""
    rng, dermis = order.rng, order.skin.tissue.code == DERMIS
    if order.kind == "melanophage":
        x, y = _inside(
            rng, dermis & (order.skin.tissue.depth_um < 120), 70 * order.spec.pigment * order.amount
        )
        stains, radius, peak = ("melanin_brown", "melanin_black"), (0.25, 0.8), 0.75
    else:
        x, y = _inside(rng, dermis, 12 * order.amount)
        stains, radius, peak = ("haemosiderin", "haemosiderin"), (0.4, 1.3), 0.45
    counts = 3 + rng.poisson(rng.gamma(2.0, 9.0, len(x)))
    return _granules(order, stains, 0.6, (x, y, counts, rng.uniform(1.2, 3.4, len(x))), radius, peak)


def _red_cells(order: Order) -> pd.DataFrame:
    """Packed in some vessels, spilled singly and in groups between fibres."""
    rng, amount = order.rng, order.amount
    xs, ys = [], []
    for ring in order.skin.rings:
        if ring.kind == "vessel" and rng.random() < 0.7 * min(amount, 1):
            a, b = ring.lumen_um
            n = rng.poisson(0.8 * max(a * b / RED_CELL_UM**2, 0.5))
            r, turn = np.sqrt(rng.random(n)) * 0.85, rng.uniform(0, 2 * np.pi, n)
            dx, dy = a * r * np.cos(turn), b * r * np.sin(turn)
            cos, sin = np.cos(ring.angle_rad), np.sin(ring.angle_rad)
            xs.append(ring.x_um + cos * dx - sin * dy)
            ys.append(ring.y_um + sin * dx + cos * dy)
    per_mm2 = 22 * amount * (1.6 if order.spec.state == "inflamed" else 1.0)
    x, y = _inside(rng, order.skin.tissue.code == DERMIS, per_mm2)
    counts = 1 + rng.poisson(2.5, len(x))
    n_spilled = int(counts.sum())
    x = np.concatenate([*xs, np.repeat(x, counts) + rng.normal(0, 9, n_spilled)])
    y = np.concatenate([*ys, np.repeat(y, counts) + rng.normal(0, 9, n_spilled)])
    radius = RED_CELL_UM * np.exp(rng.normal(0, 0.1, len(x)))
    return _rows(
        order.kind, "red_cell", x, y, radius, radius, 0.25, 0.42 * np.exp(rng.normal(0, 0.3, len(x)))
    )


def _specks(order: Order) -> pd.DataFrame:
    """Haematoxylin precipitate: blue-black specks in loose groups, on glass as on tissue."""
    rng = order.rng
    x, y = _inside(rng, np.ones(order.skin.tissue.code.shape, bool), 45 * order.amount)
    heaps = x, y, 1 + rng.poisson(2.2, len(x)), rng.uniform(1, 14, len(x))
    return _granules(order, ("haematoxylin", "haematoxylin"), 0.0, heaps, (0.25, 0.8), 1.1)


def _chromatin(order: Order) -> pd.DataFrame:
    """Coarse dark clumps in a share of the nuclei that lie in the section."""
    nuclei, rng = order.nuclei, order.rng
    coarse = np.flatnonzero((rng.random(len(nuclei)) < 0.3 * order.amount) & nuclei["in_plane"].to_numpy())
    counts = 1 + rng.poisson(1.8, len(coarse))
    of = {
        name: np.repeat(nuclei[name].to_numpy(float)[coarse], counts)
        for name in ("x_um", "y_um", "long_um", "short_um", "angle_rad")
    }
    n = int(counts.sum())
    r, turn = 0.75 * np.sqrt(rng.random(n)), rng.uniform(0, 2 * np.pi, n)
    dx, dy = of["long_um"] * r * np.cos(turn), of["short_um"] * r * np.sin(turn)
    cos, sin = np.cos(of["angle_rad"]), np.sin(of["angle_rad"])
    radius = rng.uniform(0.25, 0.6, n)
    return _rows(
        order.kind,
        "haematoxylin",
        of["x_um"] + cos * dx - sin * dy,
        of["y_um"] + sin * dx + cos * dy,
        radius,
        radius * rng.uniform(0.6, 1, n),
        0.15,
        0.55 * np.exp(rng.normal(0, 0.3, n)),
        rng.uniform(0, np.pi, n),
    )


def _haze(order: Order) -> pd.DataFrame:
    """Clouds of chromogen without an edge."""
    rng = order.rng
    x, y = _inside(rng, ~np.isin(order.skin.tissue.code, (GLASS, HOLE)), 45 * order.amount)
    spread = np.exp(rng.uniform(np.log(2.5), np.log(22), len(x)))
    return _rows(order.kind, "chromogen", x, y, spread, spread, 0.0, rng.uniform(0.03, 0.14, len(x)))


def _crystals(order: Order) -> pd.DataFrame:
    """Particles of chromogen far larger than a dot, angular and long, on glass too."""
    rng = order.rng
    x, y = _inside(rng, ~np.isin(order.skin.tissue.code, (CORNEUM, HAIR)), 9 * order.amount)
    long_um = rng.uniform(1.3, 4.0, len(x))
    short_um, peak = long_um * rng.uniform(0.25, 0.8, len(x)), rng.uniform(0.7, 1.6, len(x))
    return _rows(order.kind, "chromogen", x, y, long_um, short_um, 0.12, peak, rng.uniform(0, np.pi, len(x)))
