"""How much tissue lies in each half-millimetre square: what the interval between blocks is made from."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ishcount.core.block_interval import BLOCK_UM
from ishcount.core.decisions import VIABLE
from ishcount.core.tissue_map import RegionKind, TissueMap
from ishcount.steps.density import BLOCK_COLUMNS

Array = npt.NDArray[np.int64]


def tissue_blocks(tissue: TissueMap) -> pd.DataFrame:
    """`BLOCK_COLUMNS` of every compartment of `TissueMap.areas`; rows and columns from the image's corner.

    The cells of the tissue raster go to the square their centre lies in; the areas of a compartment's squares
    add up to its area.
    """
    pixels, names = _pixels(tissue), tissue.compartment_names
    parts = []
    for name in tissue.areas():
        chosen = [name == "tissue" or own == name or (name == "viable" and own in VIABLE) for own in names]
        squares = pixels[chosen].sum(axis=0)
        row, column = np.nonzero(squares)
        area = (squares[row, column] * tissue.pixel_size.area_mm2(1)).round(6)
        parts.append(pd.DataFrame({"compartment": name, "row": row, "column": column, "area_mm2": area}))
    return pd.concat(parts, ignore_index=True)[list(BLOCK_COLUMNS)]


def _pixels(tissue: TissueMap) -> npt.NDArray[np.int64]:
    """Level-0 pixels of tissue in each compartment's squares (compartments, rows, columns)."""
    (height, rows), (width, columns) = (
        _along(n, size, tissue.factor_px, edge)
        for n, size, edge in zip(
            tissue.kind.shape, (tissue.height_px, tissue.width_px),
            (tissue.pixel_size.y_um, tissue.pixel_size.x_um), strict=True,
        )
    )  # fmt: skip
    n_names, wide = len(tissue.compartment_names), int(columns.max(initial=0)) + 1
    found = np.zeros((n_names, int(rows.max(initial=0)) + 1, wide), np.int64)
    for square in range(found.shape[1]):
        own = slice(*np.searchsorted(rows, (square, square + 1)))
        row, column = np.nonzero(tissue.kind[own] == RegionKind.TISSUE)
        places = tissue.compartment[own][row, column].astype(np.int64) * wide + columns[column]
        sums = np.bincount(places, height[own][row] * width[column], n_names * wide)
        found[:, square] = sums.astype(np.int64).reshape(n_names, wide)
    return found


def _along(n_cells: int, size_px: int, factor_px: int, um_per_px: float) -> tuple[Array, Array]:
    """Level-0 pixels of each cell along one axis, and the square its centre lies in."""
    start = np.arange(n_cells) * factor_px
    square = ((np.arange(n_cells) + 0.5) * (factor_px * um_per_px) // BLOCK_UM).astype(np.int64)
    return np.minimum(factor_px, size_px - start), square


def blocks_to_json(blocks: pd.DataFrame) -> dict[str, Any]:
    """Squares as `summary.json` has them: {"side_um", compartment: [[row, column, mm2], ...]}."""
    listed: dict[str, Any] = {"side_um": BLOCK_UM}
    for name, part in blocks.groupby("compartment", sort=False):
        listed[str(name)] = [
            [int(row), int(column), float(area)]
            for row, column, area in zip(part["row"], part["column"], part["area_mm2"], strict=True)
        ]
    return listed
