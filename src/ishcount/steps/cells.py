"""Nuclei grown to cells, and the cell each dot belongs to.

A dot belongs to a nucleus in proportion to exp(-distance / scale) times a power of the dots that nucleus
already
has, by expectation-maximisation over the whole slide: the nearest-nucleus rule over-counts positive cells by
17-44 % even with perfect dots and nuclei (docs/methods.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from ishcount.core.compiled import njit
from ishcount.core.settings import Settings

Ids = npt.NDArray[np.uint32]
MOST_MET = 256  # labels within reach of a dot, looked at one by one: each covers a pixel or more
NOBODY = np.uint32(0xFFFFFFFF)
N_NEAR = 6  # nuclei remembered per dot; more than six never lie within 6 um at skin's densities

Ownership = Literal["expectation_maximisation", "nearest", "nuclear"]


class CellParams(Settings):
    """How nuclei become cells and dots find their owners."""

    cell_expansion_um: float = Field(
        2.5,
        ge=0,
        le=25,
        description="cells reach this far beyond their nucleus, um (architecture: the study's "
        "word for a cell)",
    )
    reach_um: float = Field(
        6.0,
        gt=0,
        le=15,
        description="a dot farther from every nucleus has no owner, um (IL15 dots lie up to 5-6 um out)",
    )
    distance_scale_um: float = Field(
        1.5,
        gt=0,
        description="a dot's chance falls by e over this distance, um (best of 0.7-3 with perfect dots and "
        "nuclei on phantoms whose dots lie up to 6 um out: F1 .97/.95/.93, bias +2/0/+6 %)",
    )
    rich_get_richer: float = Field(
        1.0,
        ge=0,
        le=4,
        description="power of a nucleus' own dots in its claim on another (0: distance alone)",
    )
    rounds: int = Field(
        10, ge=1, le=100, description="rounds of expectation-maximisation; owners stop changing after 5"
    )
    ownership: Ownership = Field(
        "expectation_maximisation", description="rule by which dots find their cells"
    )


@njit
def near_nuclei(
    labels: Any,
    first_row: Any,
    x: Any,
    y: Any,
    grid_x_um: Any,
    grid_y_um: Any,
    reach_um: Any,
    first_col: Any = 0,
) -> Any:
    """Nuclei within `reach_um` of each dot: ids uint32 (n, 6) by distance then id, and distances um (n, 6).

    labels: uint32 (h, w) window of the nuclei grid whose first pixel is (`first_row`, `first_col`); x, y:
    dots in um. The distance is from the dot to the nearest point of the nearest grid cell of the nucleus:
    0 inside it.
    """
    height, width = labels.shape
    n = len(x)
    ids = np.zeros((n, N_NEAR), np.uint32)
    distances = np.full((n, N_NEAR), np.inf, np.float32)
    rows = int(np.ceil(reach_um / grid_y_um)) + 1
    met, squares = np.zeros(MOST_MET, np.uint32), np.zeros(MOST_MET, np.float64)
    for i in range(n):
        n_met = 0
        row0 = int(np.floor(y[i] / grid_y_um)) - first_row
        col0 = int(np.floor(x[i] / grid_x_um)) - first_col
        for row in range(max(0, row0 - rows), min(height, row0 + rows + 1)):
            top = (row + first_row) * grid_y_um
            dy = max(0.0, top - y[i], y[i] - top - grid_y_um)
            if dy > reach_um:
                continue
            cols = int(np.ceil(np.sqrt(reach_um * reach_um - dy * dy) / grid_x_um)) + 1
            col, right = max(0, col0 - cols), min(width, col0 + cols + 1)
            while col < right:  # from run to run: within one only the pixel nearest to the dot matters
                label = labels[row, col]
                start = col
                col += 1
                while col < right and labels[row, col] == label:
                    col += 1
                if label == 0:
                    continue
                left = (min(max(col0, start), col - 1) + first_col) * grid_x_um
                dx = max(0.0, left - x[i], x[i] - left - grid_x_um)
                n_met = _note(met, squares, n_met, label, dx * dx + dy * dy)
        _keep_nearest(met, squares, n_met, reach_um, ids[i], distances[i])
    return ids, distances


@njit
def _note(met: Any, squares: Any, n_met: Any, label: Any, square: Any) -> Any:
    """Remember the least squared distance of a label; how many labels are remembered now."""
    for k in range(n_met):
        if met[k] == label:
            squares[k] = min(squares[k], square)
            return n_met
    if n_met < len(met):
        met[n_met], squares[n_met] = label, square
        return n_met + 1
    return n_met


@njit
def _keep_nearest(met: Any, squares: Any, n_met: Any, reach_um: Any, ids: Any, distances: Any) -> None:
    """Fill in the nearest labels within reach, by distance then id."""
    for k in range(n_met):
        label, distance = met[k], np.float32(np.sqrt(squares[k]))
        place = N_NEAR
        while place > 0 and (
            ids[place - 1] == 0 or (distances[place - 1], ids[place - 1]) > (distance, label)
        ):
            place -= 1
        if distance > reach_um or place == N_NEAR:
            continue
        for j in range(N_NEAR - 1, place, -1):
            ids[j], distances[j] = ids[j - 1], distances[j - 1]
        ids[place], distances[place] = label, distance


Near = tuple[Ids, npt.NDArray[np.float32], npt.NDArray[np.float32]]
"""Nuclei near some dots: ids and distances (n, 6) as `near_nuclei` gives them, and each dot's weight (n,)."""


def assign_owners(
    ids: Ids,
    distances: npt.NDArray[np.float32],
    weight: npt.NDArray[np.float32],
    params: CellParams = CellParams(),
) -> Ids:
    """The owner of each dot (0: none) where all dots are in memory; see `find_owners`."""
    return find_owners(lambda: [(ids, distances, weight)], int(ids.max(initial=0)), params)


def find_owners(parts: Callable[[], Iterable[Near]], n_cells: int, params: CellParams) -> Ids:
    """The owner of each dot (0: none) over the whole slide.

    parts: gives all dots piece by piece, in the same order each time it is called; their weight is how much
    each counts as evidence of its owner's richness (its score). Ids are at most `n_cells`. Ties go to the
    lower id.
    """
    if params.ownership == "nuclear":
        owners = [np.where(distances[:, 0] == 0, ids[:, 0], 0) for ids, distances, _ in parts()]
    elif params.ownership == "nearest":
        owners = [ids[:, 0].copy() for ids, _, _ in parts()]
    else:
        rule = params.distance_scale_um, params.rich_get_richer
        richness = np.zeros(0, np.float64)  # nothing known yet: distance alone
        for _ in range(params.rounds):
            grown = np.zeros(n_cells + 1, np.float64)
            for ids, distances, weight in parts():
                _share_claims(ids, distances, weight, *rule, richness, grown)
            richness = grown
        owners = [_highest_claims(ids, distances, *rule, richness) for ids, distances, _ in parts()]
    return np.concatenate(owners).astype(np.uint32) if owners else np.zeros(0, np.uint32)


@njit
def _claim(label: Any, distance: Any, scale_um: Any, power: Any, richness: Any) -> Any:
    """A nucleus' claim on a dot."""
    closeness = np.exp(-np.float64(distance) / scale_um)
    if len(richness) == 0:
        return closeness
    held = richness[label] + 1e-3
    return closeness * (held if power == 1.0 else held**power)


@njit
def _share_claims(
    ids: Any, distances: Any, weight: Any, scale_um: Any, power: Any, richness: Any, grown: Any
) -> None:
    """Add each dot's weight to `grown` (by id), shared among its nuclei in proportion to their claims."""
    claims = np.zeros(N_NEAR, np.float64)
    for i in range(len(ids)):
        total = 0.0
        n = 0
        while n < N_NEAR and ids[i, n] != 0:
            claims[n] = _claim(ids[i, n], distances[i, n], scale_um, power, richness)
            total += claims[n]
            n += 1
        for k in range(n):
            grown[ids[i, k]] += claims[k] / max(total, 1e-300) * np.float64(weight[i])


@njit
def _highest_claims(ids: Any, distances: Any, scale_um: Any, power: Any, richness: Any) -> Any:
    """The nucleus with the highest claim on each dot, the lower id where two are equal; 0 where none is."""
    owner = np.zeros(len(ids), np.uint32)
    for i in range(len(ids)):
        best = 0.0
        for k in range(N_NEAR):
            if ids[i, k] == 0:
                break
            claim = _claim(ids[i, k], distances[i, k], scale_um, power, richness)
            if claim > best or (claim == best and best > 0 and ids[i, k] < owner[i]):
                best, owner[i] = claim, ids[i, k]
    return owner


@njit
def grow(nuclei: Any, reach_x_px: Any, reach_y_px: Any) -> Any:
    """Cells uint32 (h, w): each nucleus grown to the pixels nearest to it within reach; ties to the lower id.

    `reach_x_px`, `reach_y_px`: the reach in grid pixels along each axis (an ellipse where pixels are not
    square).
    """
    height, width = nuclei.shape
    rows, cols = int(reach_y_px), int(reach_x_px)
    cells = nuclei.copy()
    label_at = np.zeros(width, np.uint32)  # of each column: the nucleus nearest along it, and how far
    away = np.zeros(width, np.float32)
    found = np.zeros(width, np.uint32)  # of each pixel of a row: the nearest nucleus so far, and how far
    nearest = np.zeros(width, np.float32)
    for y in range(height):
        _nearest_along_columns(nuclei, y, rows, reach_y_px, label_at, away)
        found[:], nearest[:] = NOBODY, 1
        for dx in range(-cols, cols + 1):
            left, right = max(0, -dx), max(0, -dx, min(width, width - dx))
            square = np.float32((dx / reach_x_px) ** 2)
            moved = slice(left + dx, right + dx)
            _take_nearer(label_at[moved], away[moved], square, found[left:right], nearest[left:right])
        row = cells[y]
        for x in range(width):
            grown = np.uint32(0) if found[x] == NOBODY else found[x]
            row[x] = row[x] if row[x] != 0 else grown
    return cells


@njit
def _take_nearer(label: Any, away: Any, square: Any, found: Any, nearest: Any) -> None:
    """Replace what was found by a label that is nearer, or as near and lower; no branches: fast."""
    for x in range(len(label)):
        distance = np.float32(away[x] + square)
        take = (distance < nearest[x]) | ((distance == nearest[x]) & (label[x] < found[x]))
        nearest[x] = distance if take else nearest[x]
        found[x] = label[x] if take else found[x]


@njit
def _nearest_along_columns(nuclei: Any, y: Any, rows: Any, reach_y_px: Any, label_at: Any, away: Any) -> None:
    """For each pixel of row `y` the nearest nucleus above or below, and its squared share of the reach."""
    here = nuclei[y]
    for x in range(len(here)):
        label_at[x] = here[x]
        away[x] = np.float32(0) if here[x] != 0 else np.float32(np.inf)
    for dy in range(1, rows + 1):
        square = np.float32((dy / reach_y_px) ** 2)
        for row in (y - dy, y + dy):
            if 0 <= row < nuclei.shape[0]:
                _take_farther(nuclei[row], square, label_at, away)


@njit
def _take_farther(labels: Any, square: Any, label_at: Any, away: Any) -> None:
    """Note the labels of a row where there is none yet, or one as far and higher."""
    for x in range(len(labels)):
        label = labels[x]
        take = (label != 0) & ((label_at[x] == 0) | ((away[x] == square) & (label < label_at[x])))
        label_at[x] = label if take else label_at[x]
        away[x] = square if take else away[x]


@njit
def add_areas(labels: Any, count: Any) -> None:
    """Add the pixels of each label of a label image to `count`, integers (n_labels + 1,)."""
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            count[labels[y, x]] += 1


@njit
def paint(
    labels: Any,
    first_row: Any,
    run_label: Any,
    run_row: Any,
    run_start: Any,
    run_stop: Any,
    first_col: Any = 0,
) -> Any:
    """Paint runs of pixels into a window of the label image; a pixel of two nuclei is the lower label's.

    `run_start` <= column < `run_stop` of grid row `run_row`; the window begins at (`first_row`, `first_col`).
    """
    height, width = labels.shape
    for i in range(len(run_label)):
        row = run_row[i] - first_row
        if 0 <= row < height:
            for col in range(max(0, run_start[i] - first_col), min(width, run_stop[i] - first_col)):
                if labels[row, col] == 0 or run_label[i] < labels[row, col]:
                    labels[row, col] = run_label[i]


@njit
def runs_of(labels: Any, keep: Any) -> Any:
    """Horizontal runs of the labels for which `keep[label]`: label, row, start, stop, in reading order."""
    height, width = labels.shape
    found = []
    for row in range(height):
        col = 0
        while col < width:
            label = labels[row, col]
            start = col
            while col < width and labels[row, col] == label:
                col += 1
            if label > 0 and keep[label]:
                found.append((label, row, start, col))
    runs = np.zeros((len(found), 4), np.int32)
    for i in range(len(found)):
        runs[i, 0], runs[i, 1], runs[i, 2], runs[i, 3] = found[i]
    return runs
