"""Where nuclei lie and what each looks like: one row per nucleus."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import ndimage

from ishcount.truth.simulate.randomness import field, stream
from ishcount.truth.simulate.spec import PhantomSpec
from ishcount.truth.simulate.structures import Skin
from ishcount.truth.simulate.tissue import (
    CODE_NAMES,
    CORNEUM,
    DERMIS,
    EPIDERMIS,
    FOLLICLE,
    GLASS,
    GRID_UM,
    HAIR,
    HOLE,
    grid_shape,
)

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Kind:
    """Mean semi-axes and least spacing (um), spread of size (sd of its logarithm), stain against the
    slide's.
    """

    long_um: float
    short_um: float
    spread: float
    stain: float
    spacing_um: float
    lumpiness: float  # amplitude of the outline's harmonics


KINDS = {
    "endothelial": Kind(4.6, 1.5, 0.15, 1.0, 6.0, 0.05),
    "glandular": Kind(3.5, 3.0, 0.10, 0.9, 6.4, 0.05),
    "basal": Kind(4.2, 2.9, 0.12, 1.05, 6.5, 0.05),
    "spinous": Kind(4.6, 3.8, 0.12, 0.75, 9.2, 0.05),
    "granular": Kind(5.0, 2.4, 0.15, 0.7, 10.5, 0.06),
    "follicular": Kind(4.3, 3.2, 0.12, 0.95, 8.2, 0.05),
    "lymphocyte": Kind(3.2, 2.85, 0.10, 1.3, 6.3, 0.05),
    "macrophage": Kind(4.6, 3.2, 0.15, 0.7, 9.0, 0.14),
    "fibroblast": Kind(6.3, 1.7, 0.22, 0.95, 9.0, 0.10),
    "pyknotic": Kind(2.4, 2.1, 0.15, 1.7, 6.5, 0.06),
}
NAMES = list(KINDS)


def draw_nuclei(spec: PhantomSpec, skin: Skin) -> pd.DataFrame:
    """All nuclei of the section, numbered from 1 from top to bottom, left to right.

    Columns: nucleus_id, kind, compartment, x_um, y_um, long_um, short_um (semi-axes), angle_rad, stain
    (OD), faint, in_focus, in_plane, a2 .. a4, p2 .. p4 (harmonics of the outline), texture_x, texture_y.
    """
    rng = stream(spec.seed, "nuclei")
    x, y, kind = _candidates(spec, skin, rng)
    spacing = np.array([KINDS[name].spacing_um for name in NAMES])[kind]
    packed = kind == NAMES.index("lymphocyte")
    spacing = np.where(packed, spacing * spec.preset_numbers.packing, spacing)
    kept = _spaced(x, y, spacing * np.exp(rng.normal(0, 0.06, len(x))), grid_shape(spec))
    x, y, kind = x[kept], y[kept], kind[kept]
    order = np.lexsort((x, y))
    x, y, kind = x[order], y[order], kind[order]
    table = _looks(spec, skin, rng, x, y, np.array(NAMES, object)[kind])
    table.insert(0, "nucleus_id", np.arange(1, len(table) + 1, dtype=np.uint32))
    return table


def _densities(spec: PhantomSpec, skin: Skin) -> dict[str, Floats]:
    """Candidates per um2 over the grid, kind by kind, in the order of the right of way.

    For the packed kinds several times what fits, so that spacing decides; for loose ones the density
    itself.
    """
    tissue, inflamed = skin.tissue, spec.state == "inflamed"
    code, depth = tissue.code, tissue.depth_um
    viable, dermis = code == EPIDERMIS, code == DERMIS
    basal = viable & (depth > -9)
    granular = viable & (ndimage.distance_transform_edt(code != CORNEUM) * GRID_UM < 16) & ~basal
    interface = (np.abs(depth + 4) < 10) & (viable | dermis)
    patches = np.clip(1 + 0.5 * field(stream(spec.seed, "fibroblasts"), code.shape, 80), 0.2, 2)
    return {
        "pyknotic": 0.0012 * interface * inflamed,
        "basal": 0.08 * basal,
        "granular": 0.02 * granular,
        "spinous": 0.035 * (viable & ~basal & ~granular),
        "follicular": 0.045 * (code == FOLLICLE),
        "lymphocyte": 0.06 * skin.infiltrate**1.5 * (dermis | viable),
        "macrophage": 0.0009 * dermis * (0.4 + 3 * skin.infiltrate),
        "fibroblast": 0.0019 * dermis * patches,
    }


def _candidates(spec: PhantomSpec, skin: Skin, rng: np.random.Generator) -> tuple[Floats, Floats, Ints]:
    xs, ys, kinds = _on_rings(skin, rng)
    for name, density in _densities(spec, skin).items():
        n = rng.poisson(density * GRID_UM**2)
        rows, columns = np.nonzero(n)
        rows, columns = np.repeat(rows, n[rows, columns]), np.repeat(columns, n[rows, columns])
        shuffled = rng.permutation(len(rows))
        xs.append((columns[shuffled] + rng.random(len(rows))) * GRID_UM)
        ys.append((rows[shuffled] + rng.random(len(rows))) * GRID_UM)
        kinds.append(np.full(len(rows), NAMES.index(name)))
    x, y, kind = np.concatenate(xs), np.concatenate(ys), np.concatenate(kinds)
    height, width = (side * GRID_UM for side in skin.tissue.code.shape)
    inside = (x > 0) & (y > 0) & (x < width) & (y < height)
    solid = inside & ~np.isin(skin.tissue.code[_cell(skin, x, y)], (GLASS, HOLE, HAIR))
    return x[solid], y[solid], kind[solid]


def _cell(skin: Skin, x: Floats, y: Floats) -> tuple[Ints, Ints]:
    rows, columns = skin.tissue.code.shape
    row, column = (y / GRID_UM).astype(np.int64), (x / GRID_UM).astype(np.int64)
    return np.clip(row, 0, rows - 1), np.clip(column, 0, columns - 1)


def _on_rings(skin: Skin, rng: np.random.Generator) -> tuple[list[Floats], list[Floats], list[Ints]]:
    """Endothelium and gland cells stand round their openings."""
    xs, ys, kinds = [np.empty(0)], [np.empty(0)], [np.empty(0, np.int64)]
    for ring in skin.rings:
        vessel = ring.kind == "vessel"
        a, b = (side + (1.6 if vessel else 5.5) for side in ring.lumen_um)
        n = max(2, int(np.pi * (a + b) / (13.0 if vessel else 7.0)))
        turn = (np.arange(n) + rng.uniform(-0.2, 0.2, n)) * 2 * np.pi / n + rng.uniform(0, 6)
        dx, dy = a * np.cos(turn), b * np.sin(turn)
        cos, sin = np.cos(ring.angle_rad), np.sin(ring.angle_rad)
        xs.append(ring.x_um + cos * dx - sin * dy)
        ys.append(ring.y_um + sin * dx + cos * dy)
        kinds.append(np.full(n, NAMES.index("endothelial" if vessel else "glandular")))
    return xs, ys, kinds


@numba.njit(cache=True)  # pragma: no cover
def _spaced_kernel(x, y, spacing, cell_um, rows, columns):  # type: ignore[no-untyped-def]
    slots = 32
    count = np.zeros((rows, columns), np.int64)
    held = np.zeros((rows, columns, slots), np.int64)
    kept = np.zeros(len(x), np.bool_)
    for i in range(len(x)):
        row, column = int(y[i] / cell_um), int(x[i] / cell_um)
        free = count[row, column] < slots
        for r in range(max(row - 1, 0), min(row + 2, rows)):
            for c in range(max(column - 1, 0), min(column + 2, columns)):
                for k in range(count[r, c]):
                    j = held[r, c, k]
                    least = 0.5 * (spacing[i] + spacing[j])
                    if (x[i] - x[j]) ** 2 + (y[i] - y[j]) ** 2 < least * least:
                        free = False
        if free:
            held[row, column, count[row, column]] = i
            count[row, column] += 1
            kept[i] = True
    return kept


def _spaced(x: Floats, y: Floats, spacing_um: Floats, shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Which places remain when, in order, each must keep its distance to all kept before."""
    if not len(x):
        return np.zeros(0, bool)
    cell_um = float(spacing_um.max())
    rows, columns = (int(side * GRID_UM / cell_um) + 1 for side in shape)
    return np.asarray(_spaced_kernel(x, y, spacing_um, cell_um, rows, columns))


def _angles(
    skin: Skin, rng: np.random.Generator, x: Floats, y: Floats, kind: npt.NDArray[np.object_]
) -> Floats:
    """Long axes: across the junction for basal cells, along the surface for granular ones, along the
    fibres.
    """
    tissue = skin.tissue
    cell = _cell(skin, x, y)
    smooth = ndimage.gaussian_filter(tissue.depth_um, 3)
    normal = np.arctan2(ndimage.sobel(smooth, 0), ndimage.sobel(smooth, 1))[cell]
    fibres = tissue.angle_rad + 0.7 * field(rng, tissue.code.shape, 60)[cell]
    angle = rng.uniform(0, np.pi, len(x))
    for name, base, spread in (
        ("basal", normal, 0.25),
        ("granular", normal + np.pi / 2, 0.15),
        ("spinous", normal + np.pi / 2, 0.7),
        ("fibroblast", fibres, 0.45),
    ):
        here = kind == name
        angle[here] = base[here] + rng.normal(0, spread, here.sum())
    for ring in skin.rings:
        if ring.kind == "vessel":
            near = (kind == "endothelial") & (np.hypot(x - ring.x_um, y - ring.y_um) < max(ring.lumen_um) + 3)
            dx, dy = x[near] - ring.x_um, y[near] - ring.y_um
            cos, sin = np.cos(ring.angle_rad), np.sin(ring.angle_rad)
            u, v = cos * dx + sin * dy, cos * dy - sin * dx
            a, b = ring.lumen_um[0] + 1.6, ring.lumen_um[1] + 1.6
            angle[near] = ring.angle_rad + np.arctan2(b * u / a, -a * v / b)
    return angle


def _looks(
    spec: PhantomSpec,
    skin: Skin,
    rng: np.random.Generator,
    x: Floats,
    y: Floats,
    kind: npt.NDArray[np.object_],
) -> pd.DataFrame:
    preset, n = spec.preset_numbers, len(x)
    of = {
        name: np.array([getattr(KINDS[k], name) for k in kind], float)
        for name in ("long_um", "short_um", "spread", "stain", "lumpiness")
    }
    size = np.exp(rng.normal(0, of["spread"]))
    faint = rng.random(n) < preset.faint
    section = np.exp(0.12 * field(stream(spec.seed, "thickness"), skin.tissue.code.shape, 250))[
        _cell(skin, x, y)
    ]
    looks = {
        "kind": kind,
        "compartment": np.array(CODE_NAMES, object)[skin.tissue.code[_cell(skin, x, y)]],
        "x_um": x,
        "y_um": y,
        "long_um": of["long_um"] * size * np.exp(rng.normal(0, 0.08, n)),
        "short_um": of["short_um"] * size,
        "angle_rad": _angles(skin, rng, x, y, kind),
        "stain": of["stain"]
        * section
        * np.exp(rng.normal(0, preset.nuclear_od_spread, n))
        * np.where(faint, 0.38, 1),
        "faint": faint,
        "in_focus": rng.random(n) >= preset.out_of_focus,
        "in_plane": rng.random(n) >= preset.out_of_plane,
    }
    for k in (2, 3, 4):
        looks[f"a{k}"] = np.clip(rng.normal(0, of["lumpiness"] / (k - 1)), -0.25, 0.25)
        looks[f"p{k}"] = rng.uniform(0, 2 * np.pi, n)
    looks["texture_x"], looks["texture_y"] = rng.integers(0, 1024, n), rng.integers(0, 1024, n)
    return pd.DataFrame(looks)
