"""Everything that can be taken for a dot or for tissue and is neither, by kind."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from ishcount.truth.phantom.brush import Array, Blobs, blobs, join
from ishcount.truth.phantom.nuclei import BASAL, Nuclei
from ishcount.truth.phantom.spec import PhantomSpec
from ishcount.truth.phantom.stains import NEUTRAL, Stains, unit
from ishcount.truth.phantom.tissue import GRID_UM, Layout

MELANOPHAGE_UM = 5.0


@dataclass(frozen=True)
class Specks:
    """Small things: `blobs` to be stamped and, per blob, which kind (place in `names`)."""

    blobs: Blobs
    kind: Array
    names: tuple[str, ...]


@dataclass(frozen=True)
class _Scene:
    spec: PhantomSpec
    layout: Layout
    nuclei: Nuclei
    stains: Stains
    rng: np.random.Generator
    amount: float

    def somewhere(self, n: int, allowed: Array) -> tuple[Array, Array]:
        """n places where `allowed` (bool, geometry grid) holds; none where it never does."""
        cells = np.flatnonzero(allowed)
        if not len(cells):
            return np.zeros(0), np.zeros(0)
        row, column = np.divmod(cells[self.rng.integers(len(cells), size=n)], allowed.shape[1])
        return (column + self.rng.random(n)) * GRID_UM, (row + self.rng.random(n)) * GRID_UM

    def number(self, per_mm2: float, allowed: Array) -> int:
        """How many of a thing that comes `per_mm2` times on medium slides; at least one."""
        return max(1, int(self.rng.poisson(per_mm2 * self.amount * allowed.sum() * GRID_UM**2 / 1e6)))

    @property
    def dermis(self) -> Array:
        """Where there is dermis, off the holes."""
        return (self.layout.junction > 2) & (self.layout.outline > 3) & (self.layout.hole < -1)

    @property
    def tissue(self) -> Array:
        """Where there is tissue."""
        return (self.layout.outline > 1) & (self.layout.hole < -1)


def draw_specks(spec: PhantomSpec, layout: Layout, nuclei: Nuclei, stains: Stains) -> Specks:
    """All small confounders the slide is to have."""
    parts, kinds, names = [], [], tuple(kind for kind in sorted(spec.kinds) if kind in _SPECKS)
    for number, name in enumerate(names):
        scene = _Scene(spec, layout, nuclei, stains, spec.rng(f"specks {name}"), spec.habits.amount)
        part = _SPECKS[name](scene)
        parts.append(part)
        kinds.append(np.full(len(part), number))
    whole = join([])
    if parts:
        # join sorts by place; the kinds have to follow
        kind = np.concatenate(kinds)
        x = np.concatenate([part.x_um for part in parts])
        y = np.concatenate([part.y_um for part in parts])
        whole, kind = join(parts), kind[np.lexsort((x, y))]
    else:
        kind = np.zeros(0, int)
    return Specks(whole, kind, names)


def _repeat(scene: _Scene, x: Array, y: Array, counts: Array, spread: Array) -> tuple[Array, Array]:
    """A cloud of places around each centre."""
    n = int(counts.sum())
    step = scene.rng.normal(0, 1, (2, n)) * np.repeat(spread, counts)
    return np.repeat(x, counts) + step[0], np.repeat(y, counts) + step[1]


def _grains(scene: _Scene, x: Array, y: Array, size: tuple[float, float], od: tuple[float, float],
            vector: Array) -> Blobs:  # fmt: skip
    n = len(x)
    a = scene.rng.uniform(*size, n) / 2
    strength = scene.rng.uniform(*od, n)[:, None] * vector
    return blobs(x, y, a, a * scene.rng.uniform(0.7, 1, n), scene.rng.uniform(0, 3.1, n), 0.6 * a, strength)


def _melanin(scene: _Scene) -> Blobs:
    """Caps of granules over basal nuclei, dust in the epidermis, and melanophages below it."""
    rng, nuclei, pigment = scene.rng, scene.nuclei, scene.spec.pigment
    basal = np.flatnonzero(nuclei.kind == BASAL)
    carriers = basal[rng.random(len(basal)) < 0.15 + 0.8 * pigment]
    counts = rng.poisson(2 + 22 * pigment, len(carriers))
    up = scene.layout.angle - np.pi / 2
    x = nuclei.x_um[carriers] + 2.5 * math.cos(up)
    y = nuclei.y_um[carriers] + 2.5 * math.sin(up)
    gx, gy = _repeat(scene, x, y, counts, np.full(len(x), 1.9))
    parts = [_grains(scene, gx, gy, (0.35, 0.9), (0.2, 0.75), scene.stains.melanin)]
    papillary = scene.dermis & (scene.layout.junction < 120)
    n = rng.poisson(max(0.3, pigment) * 25 * scene.amount * scene.dermis.sum() * GRID_UM**2 / 1e6)
    mx, my = scene.somewhere(max(1, n), papillary)
    counts = rng.integers(8, 45, len(mx))
    gx, gy = _repeat(scene, mx, my, counts, rng.uniform(1.5, 3.2, len(mx)))
    dark = unit(0.5 * scene.stains.melanin + 0.5 * unit(NEUTRAL))
    parts.append(_grains(scene, gx, gy, (0.5, 1.6), (0.3, 1.1), dark))
    return join(parts)


def _red_cell(scene: _Scene) -> Blobs:
    """Red cells packed in lumina and, when inflamed, loose in the dermis."""
    rng = scene.rng
    x, y = [], []
    for one in scene.layout.vessels:
        if one.a_um < 6 or rng.random() < 0.4:
            continue
        n = rng.poisson(0.5 * one.a_um * one.b_um / 9)
        r, t = np.sqrt(rng.random(n)) * 0.75, rng.uniform(0, 2 * np.pi, n)
        p, q = one.a_um * r * np.cos(t), one.b_um * r * np.sin(t)
        x.append(one.x_um + p * math.cos(one.angle) - q * math.sin(one.angle))
        y.append(one.y_um + p * math.sin(one.angle) + q * math.cos(one.angle))
    many = 60 if scene.spec.state == "inflamed" else 8
    loose = scene.somewhere(scene.number(many, scene.dermis), scene.dermis)
    gx, gy = np.concatenate([*x, loose[0]]), np.concatenate([*y, loose[1]])
    n = len(gx)
    a = rng.uniform(2.6, 3.6, n)
    od = rng.uniform(0.1, 0.38, n)[:, None] * scene.stains.red_cell
    return blobs(gx, gy, a, a * rng.uniform(0.5, 1, n), rng.uniform(0, 3.1, n), 0.7, od)


def _haemosiderin(scene: _Scene) -> Blobs:
    x, y = scene.somewhere(scene.number(6, scene.dermis), scene.dermis)
    gx, gy = _repeat(scene, x, y, scene.rng.integers(4, 26, len(x)), scene.rng.uniform(1.5, 5, len(x)))
    return _grains(scene, gx, gy, (0.8, 2.6), (0.2, 0.8), scene.stains.haemosiderin)


def _precipitate(scene: _Scene) -> Blobs:
    """Haematoxylin grains on tissue and glass, single and in sprays."""
    everywhere = np.ones(scene.layout.outline.shape, bool)
    x, y = scene.somewhere(scene.number(35, everywhere), everywhere)
    gx, gy = _repeat(scene, x, y, 1 + scene.rng.poisson(2.0, len(x)), scene.rng.uniform(1, 18, len(x)))
    dark = unit(scene.stains.haematoxylin + 0.25 * unit(NEUTRAL))
    return _grains(scene, gx, gy, (0.4, 2.0), (0.35, 1.2), dark)


def _chromatin(scene: _Scene) -> Blobs:
    """Nucleoli and clumps of chromatin, and the dense balls of dying cells."""
    rng, nuclei = scene.rng, scene.nuclei
    some = np.flatnonzero(rng.random(len(nuclei)) < min(0.7, 0.3 * scene.amount))
    owner = np.repeat(some, 1 + rng.poisson(0.9, len(some)))
    r, t = rng.random(len(owner)) * 0.7, rng.uniform(0, 6.3, len(owner))
    p, q = nuclei.a_um[owner] * r * np.cos(t), nuclei.b_um[owner] * r * np.sin(t)
    cosine, sine = np.cos(nuclei.angle[owner]), np.sin(nuclei.angle[owner])
    x, y = nuclei.x_um[owner] + cosine * p - sine * q, nuclei.y_um[owner] + sine * p + cosine * q
    parts = [_grains(scene, x, y, (0.6, 1.3), (0.15, 0.5), scene.stains.haematoxylin)]
    dx, dy = scene.somewhere(scene.number(8, scene.tissue), scene.tissue)
    gx, gy = _repeat(scene, dx, dy, 1 + rng.poisson(1.5, len(dx)), np.full(len(dx), 1.6))
    parts.append(_grains(scene, gx, gy, (1.0, 2.8), (0.6, 1.2), scene.stains.haematoxylin))
    return join(parts)


def _crystal(scene: _Scene) -> Blobs:
    """Lumps of undissolved chromogen, larger than any dot."""
    everywhere = scene.layout.outline > -40
    x, y = scene.somewhere(scene.number(6, everywhere), everywhere)
    gx, gy = _repeat(scene, x, y, scene.rng.integers(1, 6, len(x)), scene.rng.uniform(1, 4, len(x)))
    vector = scene.stains.chromogen[0]
    return _grains(scene, gx, gy, (1.8, 7.0), (0.4, 1.3), vector)


def _dust(scene: _Scene) -> Blobs:
    """Specks and short fibres above the plane of focus, on glass and tissue."""
    rng = scene.rng
    everywhere = np.ones(scene.layout.outline.shape, bool)
    x, y = scene.somewhere(scene.number(6, everywhere), everywhere)
    n = len(x)
    a = rng.uniform(1.5, 9, n)
    long = np.where(rng.random(n) < 0.4, rng.uniform(3, 9, n), 1.0)
    od = rng.uniform(0.2, 0.8, n)[:, None] * unit(np.abs(rng.normal(0.58, 0.08, (n, 3)))[0])
    return blobs(x, y, a * long / np.sqrt(long), a / np.sqrt(long), rng.uniform(0, 3.1, n), a * 0.5, od)


def _corneum(scene: _Scene) -> Blobs:
    """Chromogen caught in the horn: streaks and grains along the surface."""
    horn = (scene.layout.depth < -1) & (scene.layout.outline > 0)
    x, y = scene.somewhere(scene.number(1500, horn), horn)
    n = len(x)
    a = scene.rng.uniform(0.5, 4.5, n)
    od = scene.rng.uniform(0.05, 0.4, n)[:, None] * scene.stains.chromogen[0]
    return blobs(x, y, a, scene.rng.uniform(0.3, 0.7, n), scene.layout.angle, 0, od)


_SPECKS: dict[str, Callable[[_Scene], Blobs]] = {
    "melanin": _melanin, "red_cell": _red_cell, "haemosiderin": _haemosiderin, "precipitate": _precipitate,
    "chromatin": _chromatin, "crystal": _crystal, "dust": _dust, "corneum": _corneum,
}  # fmt: skip


def draw_regions(spec: PhantomSpec, layout: Layout) -> dict[str, Array]:
    """Artefacts that take area away: fold, ink, bubble and blur, as distance inside (float32, geometry
    grid).

    A kind asked for by name is always there; where it comes with the preset it is there three times in four.
    """
    found = {}
    for name, draw in (("fold", _fold), ("ink", _ink), ("bubble", _bubble), ("blur", _blur)):
        rng = spec.rng(f"region {name}")
        if name in spec.kinds and (spec.confounders is not None or rng.random() < 0.75):
            found[name] = draw(rng, layout.outline)
    return found


def _inside(mask: Array) -> Array:
    """Distance inside (positive) and outside (negative) of a mask, in micrometres."""
    drawn = mask.astype(np.uint8)
    inside = cv2.distanceTransform(drawn, cv2.DIST_L2, 5)
    outside = cv2.distanceTransform(1 - drawn, cv2.DIST_L2, 5)
    return np.asarray((inside - outside) * GRID_UM, np.float32)


def _stroke(rng: np.random.Generator, shape: tuple[int, int], start: Array, angle: float, length: float,
            width: float, bend: float) -> Array:  # fmt: skip
    """A bent stroke as a mask."""
    drawn = np.zeros(shape, np.uint8)
    steps = max(2, int(length / 8))
    turn = angle + np.cumsum(rng.normal(0, bend, steps))
    path = np.array(start) + np.cumsum(np.stack([np.cos(turn), np.sin(turn)], 1) * length / steps, 0)
    for one, other in zip(path[:-1], path[1:], strict=True):
        ends = [tuple(int(value) for value in point) for point in (one, other)]
        cv2.line(drawn, ends[0], ends[1], 1, max(1, int(width * rng.uniform(0.85, 1.15))))
    return drawn > 0


def _tissue_place(rng: np.random.Generator, outline: Array, depth_um: float) -> Array:
    cells = np.flatnonzero(outline > depth_um)
    if not len(cells):
        cells = np.flatnonzero(outline > outline.max() - 5)
    row, column = divmod(int(cells[rng.integers(len(cells))]), outline.shape[1])
    return np.array([column, row], float)


def _fold(rng: np.random.Generator, outline: Array) -> Array:
    start = _tissue_place(rng, outline, 30)
    length = rng.uniform(150, 400)
    stroke = _stroke(rng, outline.shape, start, rng.uniform(0, 6.28), length, rng.uniform(12, 28), 0.06)
    return _inside(stroke & (outline > 0))


def _ink(rng: np.random.Generator, outline: Array) -> Array:
    """A pen stroke that runs in from a corner of the glass over the edge of the section."""
    height, width = outline.shape
    start = np.array([rng.choice([0.02, 0.98]) * width, rng.choice([0.02, 0.98]) * height])
    aim = _tissue_place(rng, outline, 10)
    angle = math.atan2(aim[1] - start[1], aim[0] - start[0])
    length = min(float(np.hypot(*(aim - start))), 0.35 * min(height, width))
    return _inside(_stroke(rng, outline.shape, start, angle, length, rng.uniform(25, 55), 0.02))


def _bubble(rng: np.random.Generator, outline: Array) -> Array:
    centre, radius = _tissue_place(rng, outline, -20), rng.uniform(35, 80)
    drawn = np.zeros(outline.shape, np.uint8)
    cv2.ellipse(drawn, (int(centre[0]), int(centre[1])), (int(radius), int(radius * rng.uniform(0.7, 1))),
                rng.uniform(0, 180), 0, 360, 1, -1)  # fmt: skip
    return _inside(drawn > 0)


def _blur(rng: np.random.Generator, outline: Array) -> Array:
    centre, radius = _tissue_place(rng, outline, 20), rng.uniform(60, 130)
    drawn = np.zeros(outline.shape, np.uint8)
    cv2.ellipse(drawn, (int(centre[0]), int(centre[1])), (int(radius), int(radius * rng.uniform(0.6, 1))),
                rng.uniform(0, 180), 0, 360, 1, -1)  # fmt: skip
    return _inside(drawn > 0)
