"""Nuclei: where they lie, how they look, and which label raster they make."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from ishcount.core.compiled import njit
from ishcount.truth.phantom.brush import Array
from ishcount.truth.phantom.spec import PhantomSpec
from ishcount.truth.phantom.tissue import ADNEXA, COMPARTMENTS, DERMIS, EPIDERMIS, GRID_UM, Layout

KINDS = ("keratinocyte", "basal", "fibroblast", "endothelium", "lymphocyte", "macrophage", "adnexal")
KERATINOCYTE, BASAL, FIBROBLAST, ENDOTHELIUM, LYMPHOCYTE, MACROPHAGE, ADNEXAL = range(7)
# semi-axes (long, short; um) with their spread, optical density, space kept to neighbours as a share of
# the sum of the two mean radii (below 1: nuclei may overlap)
LOOKS = {
    KERATINOCYTE: (4.6, 3.7, 0.12, 0.36, 1.06),
    BASAL: (4.6, 2.6, 0.12, 0.50, 0.86),
    FIBROBLAST: (6.3, 1.8, 0.25, 0.50, 1.20),
    ENDOTHELIUM: (4.6, 1.7, 0.20, 0.55, 1.00),
    LYMPHOCYTE: (3.2, 2.8, 0.10, 0.68, 0.80),
    MACROPHAGE: (4.8, 3.3, 0.15, 0.36, 1.10),
    ADNEXAL: (3.7, 3.1, 0.10, 0.45, 0.95),
}
HARMONICS = 3


@dataclass(frozen=True)
class Nuclei:
    """One entry per nucleus, sorted by y, then x. All float32 (n,) but kind, compartment (int) and bumps
    (n, 6): sine and
    cosine amplitudes of the outline's harmonics 2 to 4 as a share of the radius. od: haematoxylin in the
    middle."""

    x_um: Array
    y_um: Array
    a_um: Array
    b_um: Array
    angle: Array
    od: Array
    kind: Array
    compartment: Array
    bumps: Array

    def __len__(self) -> int:
        return len(self.x_um)

    def take(self, which: Array) -> Nuclei:
        """Those chosen by index or mask."""
        return Nuclei(*(getattr(self, field.name)[which] for field in fields(self)))


@njit
def _thin(x: Array, y: Array, radius: Array, space: Array, cell_um: float) -> npt.NDArray[np.bool_]:
    """Keep each candidate that has room among those kept before it (grid hash)."""
    columns, rows = int(x.max() / cell_um) + 1, int(y.max() / cell_um) + 1
    first = np.full(columns * rows, -1, np.int64)
    following = np.full(len(x), -1, np.int64)
    kept = np.zeros(len(x), np.bool_)
    for i in range(len(x)):
        column, row = int(x[i] / cell_um), int(y[i] / cell_um)
        free = True
        for r in range(max(0, row - 1), min(rows, row + 2)):
            for c in range(max(0, column - 1), min(columns, column + 2)):
                j = first[r * columns + c]
                while j >= 0 and free:
                    near = (radius[i] + radius[j]) * max(space[i], space[j])
                    if (x[i] - x[j]) ** 2 + (y[i] - y[j]) ** 2 < near * near:
                        free = False
                    j = following[j]
        if free:
            kept[i] = True
            following[i] = first[row * columns + column]
            first[row * columns + column] = i
    return kept


def _scatter(rng: np.random.Generator, layout: Layout, per_mm2: Array) -> tuple[Array, Array]:
    """Places with the given density (float (h, w) on the geometry grid)."""
    counts = rng.poisson(np.clip(per_mm2, 0, None) * (GRID_UM**2 / 1e6))
    cells = np.repeat(np.arange(counts.size), counts.ravel())
    rng.shuffle(cells)
    row, column = np.divmod(cells, layout.outline.shape[1])
    return (column + rng.random(len(cells))) * GRID_UM, (row + rng.random(len(cells))) * GRID_UM


def _around(rng: np.random.Generator, layout: Layout) -> list[tuple[int, Array, Array, Array]]:
    """Endothelium around vessels and rings of cells in follicles and glands: (kind, x, y, angle)."""
    found = []
    for one in (*layout.vessels, *layout.nests):
        vessel = one.name == "vessel"
        step = 9.0 if vessel else 6.6
        rings = [one.a_um - 0.6] if vessel else list(np.arange(one.a_um - 4, 6, -6.8))
        for ring in rings:
            n = max(2, int(2 * math.pi * ring * (0.5 + 0.5 * one.b_um / one.a_um) / step))
            t = (np.arange(n) + rng.uniform(-0.25, 0.25, n)) * 2 * np.pi / n
            ex, ey = ring * np.cos(t), ring * one.b_um / one.a_um * np.sin(t)
            tangent = np.arctan2(one.b_um / one.a_um * np.cos(t), -np.sin(t)) + one.angle
            cosine, sine = math.cos(one.angle), math.sin(one.angle)
            x, y = one.x_um + cosine * ex - sine * ey, one.y_um + sine * ex + cosine * ey
            if vessel:
                found.append((ENDOTHELIUM, x, y, tangent))
            else:
                outer = ring > one.a_um - 5
                turn = tangent + np.pi / 2 if outer else rng.uniform(0, np.pi, n)
                found.append((ADNEXAL, x, y, turn))
    return found


def _candidates(rng: np.random.Generator, spec: PhantomSpec, layout: Layout) -> list[tuple[int, Array, ...]]:  # type: ignore[misc]
    inflamed = spec.state == "inflamed"
    epidermis = (layout.depth > 5) & (layout.junction < -8) & (layout.outline > 3)
    dermis = (layout.junction > 3) & (layout.outline > 3) & (layout.nest < -3)
    row = (np.abs(layout.junction + 4.5) < 1.2) & (layout.outline > 3)
    found = _around(rng, layout)
    wanted = [
        (BASAL, row * 200_000.0),
        (LYMPHOCYTE, dermis * layout.infiltrate * 45_000),
        (LYMPHOCYTE, epidermis * (450.0 if inflamed else 60.0)),
        (KERATINOCYTE, epidermis * 40_000.0),
        (MACROPHAGE, dermis * (600.0 + 2500 * layout.infiltrate)),
        (FIBROBLAST, dermis * (2900.0 + 1500 * np.exp(-np.maximum(layout.junction, 0) / 80))),
    ]
    slope_y, slope_x = np.gradient(layout.junction)
    for kind, density in wanted:
        x, y = _scatter(rng, layout, density)
        normal = np.arctan2(layout.at(slope_y, x, y), layout.at(slope_x, x, y))
        if kind == BASAL:
            turn = normal + rng.normal(0, 0.2, len(x))
        elif kind == KERATINOCYTE:  # flattened towards the surface
            high = np.clip(1 - layout.at(layout.depth, x, y) / 25, 0, 1)
            turn = layout.angle + rng.normal(0, 0.3, len(x)) + (high < 0.2) * rng.uniform(0, 3, len(x))
        elif kind == FIBROBLAST:
            turn = layout.angle + rng.normal(0, 0.5, len(x))
        else:
            turn = rng.uniform(0, np.pi, len(x))
        found.append((kind, x, y, turn))
    return found


def place_nuclei(spec: PhantomSpec, layout: Layout) -> Nuclei:
    """Draw all nuclei that lie in the plane of the section."""
    rng = spec.rng("nuclei")
    parts = _candidates(rng, spec, layout)
    kind = np.concatenate([np.full(len(part[1]), part[0]) for part in parts])
    x, y, angle = (np.concatenate([part[i] for part in parts]).astype(np.float32) for i in (1, 2, 3))
    looks = np.array([LOOKS[number] for number in range(len(KINDS))], np.float32)[kind]
    size = np.exp(rng.normal(0, looks[:, 2]))
    squash = np.exp(rng.normal(0, looks[:, 2] / 2))
    a, b = looks[:, 0] * size * squash, looks[:, 1] * size / squash
    flat = np.where(kind == KERATINOCYTE, np.clip(1 - layout.at(layout.depth, x, y) / 22, 0, 1), 0)
    a, b = a * (1 + 0.5 * flat), b * (1 - 0.5 * flat)
    od = looks[:, 3] * np.exp(rng.normal(0, 0.16, len(x))) * rng.uniform(0.85, 1.2)
    od = np.where(rng.random(len(x)) < spec.habits.faint_nuclei, od * rng.uniform(0.3, 0.55, len(x)), od)
    bumps = rng.normal(0, 1, (len(x), 2 * HARMONICS)) * np.repeat([0.045, 0.03, 0.02], 2)

    inside = (layout.at(layout.outline, x, y) > 2.5) & (x > 1) & (y > 1)
    inside &= (layout.at(layout.hole, x, y) < -0.7) | (kind == ENDOTHELIUM)
    inside &= (x < spec.width_um - 1) & (y < spec.height_um - 1)
    kept = np.flatnonzero(inside)
    radius = np.sqrt(a * b)
    kept = kept[_thin(x[kept], y[kept], radius[kept], looks[kept, 4], 16.0)]
    code = layout.compartments()
    compartment = code[(y[kept] / GRID_UM).astype(int), (x[kept] / GRID_UM).astype(int)]
    made = Nuclei(
        x[kept], y[kept], a[kept].astype(np.float32), b[kept].astype(np.float32), angle[kept],
        np.clip(od[kept], 0.1, 1.1).astype(np.float32), kind[kept], compartment, bumps[kept].astype(np.float32),
    )  # fmt: skip
    return made.take(np.lexsort((made.x_um, made.y_um)))


@njit
def _paint(
    plane: Array, labels: Array, as_labels: bool, y0_um: float, um: float, x: Array, y: Array, a: Array,
    b: Array, angle: Array, od: Array, bumps: Array, first: int,
) -> None:  # fmt: skip
    height, width = plane.shape if not as_labels else labels.shape
    for i in range(len(x)):
        reach = max(a[i], b[i]) * 1.25 + 1
        top, bottom = max(0, int((y[i] - reach - y0_um) / um)), int((y[i] + reach - y0_um) / um) + 2
        left, right = max(0, int((x[i] - reach) / um)), int((x[i] + reach) / um) + 2
        cosine, sine = math.cos(angle[i]), math.sin(angle[i])
        small = min(a[i], b[i])
        for row in range(top, min(height, bottom)):
            dy = (row + 0.5) * um + y0_um - y[i]
            for column in range(left, min(width, right)):
                dx = (column + 0.5) * um - x[i]
                p, q = (cosine * dx + sine * dy) / a[i], (cosine * dy - sine * dx) / b[i]
                r = math.sqrt(p * p + q * q)
                if r > 1.3:
                    continue
                c, s = (p / r, q / r) if r > 1e-6 else (1.0, 0.0)
                edge, ck, sk = 1.0, c, s
                for k in range(3):
                    ck, sk = ck * c - sk * s, sk * c + ck * s
                    edge += bumps[i, 2 * k] * ck + bumps[i, 2 * k + 1] * sk
                inside = (edge - r) * small
                if as_labels:
                    if inside > 0:
                        labels[row, column] = first + i
                    continue
                cover = min(1.0, max(0.0, 0.5 + inside / 0.8))
                rim = 0.22 * math.exp(-(((inside - 0.5) / 0.5) ** 2))
                plane[row, column] += cover * od[i] * (0.9 + rim)


def paint_nuclei(plane: Array, nuclei: Nuclei, *, y0_um: float, um: float) -> None:
    """Add the nuclei's haematoxylin (without chromatin texture) to float32 (h, w) that starts at `y0_um`."""
    n, height_um = nuclei, plane.shape[0] * um
    low, high = np.searchsorted(n.y_um, [y0_um - 20, y0_um + height_um + 20])
    n = n.take(np.arange(low, high))
    _paint(plane, np.zeros((1, 1), np.uint32), False, float(y0_um), float(um), n.x_um, n.y_um, n.a_um, n.b_um,
           n.angle, n.od, n.bumps, 1)  # fmt: skip


def label_nuclei(nuclei: Nuclei, shape: tuple[int, int], um: float) -> npt.NDArray[np.uint32]:
    """Label raster: nucleus i is number i + 1; where two overlap the later one lies on top."""
    labels = np.zeros(shape, np.uint32)
    n = nuclei
    _paint(np.zeros((1, 1), np.float32), labels, True, 0.0, float(um), n.x_um, n.y_um, n.a_um, n.b_um, n.angle,
           n.od, n.bumps, 1)  # fmt: skip
    return labels


def compartment_names(nuclei: Nuclei) -> list[str]:
    """The compartment of each nucleus by name."""
    return [COMPARTMENTS[code] for code in nuclei.compartment]


__all__ = ["ADNEXA", "DERMIS", "EPIDERMIS", "KINDS", "Nuclei", "label_nuclei", "paint_nuclei", "place_nuclei"]
