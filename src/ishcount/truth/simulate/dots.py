"""Which cells are positive, and every dot: whose it is, where, how strong, in focus or not."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from ishcount.truth.simulate.randomness import stream
from ishcount.truth.simulate.spec import PhantomSpec, Preset
from ishcount.truth.simulate.structures import Skin
from ishcount.truth.simulate.tissue import CORNEUM, GLASS, GRID_UM, HAIR, HOLE

Floats = npt.NDArray[np.float64]
# How likely a kind of cell is to express, relative to the others.
EXPRESSION = {
    "lymphocyte": 3.0,
    "macrophage": 2.0,
    "basal": 0.8,
    "spinous": 0.8,
    "granular": 0.4,
    "pyknotic": 0.4,
}
DIAMETER_UM = (0.6, 1.4)  # of a dot, before the optics
FARTHEST_UM = 6.0  # from the nucleus' edge
FAR = {"macrophage": 2.0, "spinous": 1.6, "granular": 1.6, "basal": 1.2, "lymphocyte": 0.6}  # by cytoplasm
COLUMNS = ("marker", "x_um", "y_um", "nucleus_id", "strength_od_um2", "diameter_um", "in_focus", "clustered")


def draw_dots(spec: PhantomSpec, skin: Skin, nuclei: pd.DataFrame) -> pd.DataFrame:
    """One row per dot of every marker.

    Columns: dot_id, marker, x_um, y_um, nucleus_id (0: no cell's), strength_od_um2 (integrated optical
    density along its stain vector), diameter_um, in_focus, clustered.
    """
    parts = []
    for number, marker in enumerate(spec.markers):
        rng = stream(spec.seed, "dots", number)
        parts.append(_of_cells(spec.preset_numbers, rng, nuclei, marker))
        parts.append(_background(spec.preset_numbers, rng, skin, marker))
    table = pd.concat(parts, ignore_index=True)
    rows, columns = skin.tissue.code.shape
    row = np.clip((table["y_um"] / GRID_UM).astype(int), 0, rows - 1)
    column = np.clip((table["x_um"] / GRID_UM).astype(int), 0, columns - 1)
    table = table[~np.isin(skin.tissue.code[row, column], (GLASS, HOLE))]  # a dot needs tissue to lie in
    table = table.sort_values(["y_um", "x_um"], kind="stable", ignore_index=True)
    table.insert(0, "dot_id", np.arange(1, len(table) + 1, dtype=np.uint32))
    return table


def _positive(preset: Preset, rng: np.random.Generator, nuclei: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Rows of the expressing cells: some lie at random, some in foci, as clones of T cells do."""
    mean = preset.prevalence * len(nuclei)
    n = min(round(mean) if mean > 20 else int(rng.poisson(mean)), len(nuclei))
    if not n:
        return np.empty(0, np.int64)
    weight = nuclei["kind"].map(EXPRESSION).fillna(0.5).to_numpy(float)
    x, y = nuclei["x_um"].to_numpy(), nuclei["y_um"].to_numpy()
    for centre in rng.integers(len(nuclei), size=max(1, len(nuclei) // 1500)):
        weight = weight * (1 + 2.0 * np.exp(-((x - x[centre]) ** 2 + (y - y[centre]) ** 2) / (2 * 70.0**2)))
    return np.sort(rng.choice(len(nuclei), size=n, replace=False, p=weight / weight.sum()))


def _of_cells(preset: Preset, rng: np.random.Generator, nuclei: pd.DataFrame, marker: str) -> pd.DataFrame:
    rows = _positive(preset, rng, nuclei)
    copies = 1 + rng.poisson((preset.copies_mean - 1) * rng.gamma(1.2, 1 / 1.2, len(rows)))
    clustered = (copies >= 4) & (rng.random(len(rows)) < preset.clustered)
    owner = np.repeat(rows, copies)
    x, y = _places(preset, rng, nuclei, owner)
    first = np.repeat(np.cumsum(copies) - copies, copies)
    together = np.repeat(clustered, copies) & (rng.random(len(owner)) < 0.75)
    x = np.where(together, x[first] + rng.normal(0, 0.55, len(owner)), x)
    y = np.where(together, y[first] + rng.normal(0, 0.55, len(owner)), y)
    cell_od = np.repeat(np.exp(rng.normal(0, preset.dot_od_spread / 2, len(rows))), copies)
    return _table(preset, rng, marker, (x, y), nuclei["nucleus_id"].to_numpy()[owner], together, cell_od)


def _places(
    preset: Preset, rng: np.random.Generator, nuclei: pd.DataFrame, owner: npt.NDArray[np.int64]
) -> tuple[Floats, Floats]:
    """Dots lie over the nucleus, close round it, or as far as 6 um from its edge."""
    n = len(owner)
    far_share = preset.far * np.array([FAR.get(name, 1.0) for name in nuclei["kind"].to_numpy()[owner]])
    turn, lot, inside = rng.uniform(0, 2 * np.pi, n), rng.random(n), np.sqrt(rng.random(n))
    beyond = np.where(lot < far_share, rng.uniform(2.0, FARTHEST_UM, n), rng.exponential(0.5, n).clip(0, 2.5))
    over_nucleus = lot > 0.42 + 0.58 * far_share
    out, scale = np.where(over_nucleus, 0.0, beyond), np.where(over_nucleus, inside, 1.0)
    dx = (nuclei["long_um"].to_numpy()[owner] * scale + out) * np.cos(turn)
    dy = (nuclei["short_um"].to_numpy()[owner] * scale + out) * np.sin(turn)
    angle = nuclei["angle_rad"].to_numpy()[owner]
    x = nuclei["x_um"].to_numpy()[owner] + np.cos(angle) * dx - np.sin(angle) * dy
    y = nuclei["y_um"].to_numpy()[owner] + np.sin(angle) * dx + np.cos(angle) * dy
    return x, y


def _background(preset: Preset, rng: np.random.Generator, skin: Skin, marker: str) -> pd.DataFrame:
    rows, columns = np.nonzero(~np.isin(skin.tissue.code, (GLASS, HOLE, CORNEUM, HAIR)))
    n = rng.poisson(preset.background_per_mm2 * len(rows) * GRID_UM**2 * 1e-6)
    chosen = rng.integers(max(len(rows), 1), size=n)
    place = (columns[chosen] + rng.random(n)) * GRID_UM, (rows[chosen] + rng.random(n)) * GRID_UM
    return _table(preset, rng, marker, place, np.zeros(n, np.uint32), np.zeros(n, bool), np.full(n, 0.85))


def _table(
    preset: Preset,
    rng: np.random.Generator,
    marker: str,
    place_um: tuple[Floats, Floats],
    nucleus_id: npt.NDArray[np.uint32],
    clustered: npt.NDArray[np.bool_],
    relative_od: Floats,
) -> pd.DataFrame:
    x, y = place_um
    n = len(x)
    diameter = np.clip(np.exp(rng.normal(np.log(0.92), 0.2, n)), *DIAMETER_UM)
    peak_od = preset.dot_od * relative_od * np.exp(rng.normal(0, preset.dot_od_spread, n))
    values = (
        np.full(n, marker, object), x, y, nucleus_id.astype(np.uint32), peak_od * np.pi * (diameter / 2) ** 2,
        diameter, rng.random(n) >= preset.out_of_focus, clustered,
    )  # fmt: skip
    return pd.DataFrame(dict(zip(COLUMNS, values, strict=True)))
