"""Dots of the probe: who owns them, where they lie and how they look."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ishcount.truth.phantom.brush import Array, Blobs, blobs, join
from ishcount.truth.phantom.nuclei import (
    ADNEXAL,
    BASAL,
    ENDOTHELIUM,
    FIBROBLAST,
    KERATINOCYTE,
    LYMPHOCYTE,
    MACROPHAGE,
    Nuclei,
)
from ishcount.truth.phantom.spec import PhantomSpec
from ishcount.truth.phantom.stains import Stains
from ishcount.truth.phantom.tissue import GRID_UM, Layout

SINGLE, CLUSTER, BACKGROUND, OUT_OF_PLANE = range(4)
DOT_KINDS = ("single", "cluster", "background", "out_of_plane")
REACH_UM = 6.0  # farthest from the rim of its nucleus: transcripts lie in the cytoplasm too
# how often a kind of cell expresses, and how far from its nucleus its dots lie (um beyond the rim)
EXPRESSES = {
    KERATINOCYTE: (0.8, 1.4), BASAL: (0.8, 1.0), FIBROBLAST: (0.6, 1.0), ENDOTHELIUM: (0.5, 0.7),
    LYMPHOCYTE: (1.6, 0.5), MACROPHAGE: (1.6, 1.8), ADNEXAL: (0.6, 1.0),
}  # fmt: skip


@dataclass(frozen=True)
class Dots:
    """One entry per dot. x_um, y_um, strength_od (peak along the chromogen's unit vector), width_um (full at
    half maximum):
    float (n,). marker: place in the spec's markers. owner: nucleus number (from 1), 0 for none. kind: place
    in `DOT_KINDS`."""

    x_um: Array
    y_um: Array
    strength_od: Array
    width_um: Array
    in_focus: Array
    marker: Array
    owner: Array
    kind: Array


def place_dots(spec: PhantomSpec, layout: Layout, nuclei: Nuclei, stains: Stains) -> Dots:
    """Draw the dots of every marker."""
    parts = []
    for marker, name in enumerate(spec.markers):
        rng = spec.rng(f"dots {name}")
        parts += [
            _owned(rng, spec, layout, nuclei, marker),
            *_ownerless(rng, spec, layout, marker),
        ]
    x, y, marker_of, owner, kind = (np.concatenate([part[i] for part in parts]) for i in range(5))
    order = np.lexsort((x, y))
    x, y, marker_of, owner, kind = (one[order] for one in (x, y, marker_of, owner, kind))
    rng, n, habits = spec.rng("dot looks"), len(x), spec.habits
    in_focus = rng.random(n) >= habits.out_of_focus
    strength = stains.dot_od * np.exp(rng.normal(0, habits.dot_spread, n))
    width = np.clip(0.92 * np.exp(rng.normal(0, 0.2, n)), 0.6, 1.4)
    spread = np.where(in_focus, 1.0, rng.uniform(1.5, 2.4, n))
    strength = np.where(in_focus, strength, strength * rng.uniform(0.35, 0.6, n))
    return Dots(x, y, strength, width * spread, in_focus, marker_of, owner, kind)


def _owned(
    rng: np.random.Generator, spec: PhantomSpec, layout: Layout, nuclei: Nuclei, marker: int
) -> tuple[Array, ...]:
    weight = np.array([EXPRESSES[kind][0] for kind in range(len(EXPRESSES))])[nuclei.kind]
    share = np.clip(spec.share_positive * weight / max(weight.mean(), 1e-9) if len(weight) else weight, 0, 1)
    cells = np.flatnonzero(rng.random(len(nuclei)) < share)
    counts = np.minimum(1 + rng.poisson(rng.gamma(1.1, 3.0, len(cells))), 40)
    owner = np.repeat(cells, counts)
    n = len(owner)
    distance = np.array([EXPRESSES[kind][1] for kind in range(len(EXPRESSES))])[nuclei.kind[owner]]
    t = rng.uniform(0, 2 * np.pi, n)
    outside = rng.random(n) < 0.45
    beyond = np.where(outside, np.minimum(rng.exponential(distance), REACH_UM), 0)
    share_of_radius = np.where(outside, 1.0, np.sqrt(rng.random(n)) * 0.97)
    x, y = _from_nucleus(nuclei, owner, t, share_of_radius, beyond)
    # many copies pile up where transcription or transport is busy: a cluster around one of the cell's dots
    clustered = np.repeat((counts >= 6) & (rng.random(len(cells)) < 0.4), counts) & (rng.random(n) < 0.5)
    first = np.repeat(np.cumsum(counts) - counts, counts)
    x = np.where(clustered, x[first] + rng.normal(0, 0.5, n), x) if n else x
    y = np.where(clustered, y[first] + rng.normal(0, 0.5, n), y) if n else y
    off = (layout.at(layout.hole, x, y) > -0.5) | (layout.at(layout.outline, x, y) < 1)
    home = _from_nucleus(nuclei, owner, t, np.where(off, 0.6 * share_of_radius, 0), 0 * beyond)
    x, y = np.where(off, home[0], x), np.where(off, home[1], y)
    kind = np.where(clustered, CLUSTER, SINGLE)
    return x, y, np.full(n, marker), owner + 1, kind


def _from_nucleus(
    nuclei: Nuclei, owner: Array, t: Array, share_of_radius: Array, beyond: Array
) -> tuple[Array, Array]:
    """Places at an angle of the nucleus' ellipse: a share of its radius, then so far beyond the rim."""
    p, q = nuclei.a_um[owner] * np.cos(t), nuclei.b_um[owner] * np.sin(t)
    radius = np.maximum(np.hypot(p, q), 1e-3)
    scale = share_of_radius + beyond / radius
    cosine, sine = np.cos(nuclei.angle[owner]), np.sin(nuclei.angle[owner])
    x = nuclei.x_um[owner] + scale * (cosine * p - sine * q)
    y = nuclei.y_um[owner] + scale * (sine * p + cosine * q)
    return x.astype(np.float64), y.astype(np.float64)


def _ownerless(
    rng: np.random.Generator, spec: PhantomSpec, layout: Layout, marker: int
) -> list[tuple[Array, ...]]:
    """Background dots, and groups of dots of cells whose nucleus is in another section."""
    if spec.preset == "blank":
        return []
    inside = np.flatnonzero((layout.outline > 2) & (layout.hole < -1) & (layout.depth > 0))
    area_mm2 = len(inside) * GRID_UM**2 / 1e6
    background = 0 if spec.preset == "rare" else rng.poisson(spec.habits.background_dots_per_mm2 * area_mm2)
    expression = min(1.0, spec.share_positive / spec.habits.prevalence)
    cells = rng.poisson(spec.habits.out_of_plane_per_mm2 * expression * area_mm2)
    counts = 1 + rng.poisson(1.2, cells)
    found = []
    for n, kind, repeats in ((background, BACKGROUND, 1), (cells, OUT_OF_PLANE, counts)):
        if not len(inside) or not n:
            continue
        row, column = np.divmod(inside[rng.integers(len(inside), size=n)], layout.outline.shape[1])
        x = np.repeat((column + rng.random(n)) * GRID_UM, repeats)
        y = np.repeat((row + rng.random(n)) * GRID_UM, repeats)
        spread = 2.0 if kind == OUT_OF_PLANE else 0.0
        x, y = x + rng.normal(0, 1, len(x)) * spread, y + rng.normal(0, 1, len(y)) * spread
        ok = (layout.at(layout.outline, x, y) > 1) & (layout.at(layout.hole, x, y) < -0.5)
        x, y = x[ok], y[ok]
        found.append((x, y, np.full(len(x), marker), np.zeros(len(x), int), np.full(len(x), kind)))
    return found


def paint_dots(dots: Dots, stains: Stains, rng: np.random.Generator) -> Blobs:
    """The dots as blobs: round to slightly oval, with a soft rim; those out of focus are Gaussian."""
    vectors = np.array(stains.chromogen)[dots.marker] if len(dots.x_um) else np.zeros((0, 3))
    half = dots.width_um / 2
    a = np.where(dots.in_focus, half, dots.width_um / 2.355)
    oval = rng.uniform(0.8, 1.0, len(a))
    return join([
        blobs(dots.x_um, dots.y_um, a / np.sqrt(oval), a * np.sqrt(oval), rng.uniform(0, np.pi, len(a)),
              np.where(dots.in_focus, 0.9 * half, 0), vectors * dots.strength_od[:, None])
    ])  # fmt: skip
