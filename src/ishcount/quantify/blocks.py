"""How much tissue lies in each half-millimetre square: what the interval between blocks is made from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ishcount.core.block_interval import BLOCK_UM
from ishcount.core.decisions import VIABLE
from ishcount.core.tissue_map import RegionKind, TissueMap
from ishcount.steps.density import BLOCK_COLUMNS


def tissue_blocks(tissue: TissueMap) -> pd.DataFrame:
    """`BLOCK_COLUMNS` of every compartment of `TissueMap.areas`; rows and columns from the image's corner.

    The cells of the tissue raster go to the square their centre lies in; the areas of a compartment's squares
    add up to its area.
    """
    height = np.minimum(
        tissue.factor_px, tissue.height_px - np.arange(tissue.kind.shape[0]) * tissue.factor_px
    )
    width = np.minimum(tissue.factor_px, tissue.width_px - np.arange(tissue.kind.shape[1]) * tissue.factor_px)
    rows, columns = np.nonzero(tissue.kind == RegionKind.TISSUE)
    step_y, step_x = (tissue.factor_px * edge for edge in (tissue.pixel_size.y_um, tissue.pixel_size.x_um))
    places = np.column_stack([(rows + 0.5) * step_y // BLOCK_UM, (columns + 0.5) * step_x // BLOCK_UM])
    area = tissue.pixel_size.area_mm2(1) * (height[rows] * width[columns])
    names = np.array(["tissue", *tissue.compartment_names], dtype=object)
    of = names[1 + tissue.compartment[rows, columns]]
    parts = []
    for name in tissue.areas():
        here = np.isin(of, VIABLE) if name == "viable" else of == name
        here = np.ones(len(of), np.bool_) if name == "tissue" else here
        squares, inverse = np.unique(places[here].astype(np.int64), axis=0, return_inverse=True)
        parts.append(
            pd.DataFrame(
                {
                    "compartment": name,
                    "row": squares[:, 0],
                    "column": squares[:, 1],
                    "area_mm2": np.bincount(inverse.ravel(), area[here], len(squares)).round(6),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)[list(BLOCK_COLUMNS)]


def blocks_to_json(blocks: pd.DataFrame) -> dict[str, Any]:
    """Squares as `summary.json` has them: {"side_um", compartment: [[row, column, mm2], ...]}."""
    listed: dict[str, Any] = {"side_um": BLOCK_UM}
    for name, part in blocks.groupby("compartment", sort=False):
        listed[str(name)] = [
            [int(row), int(column), float(area)]
            for row, column, area in zip(part["row"], part["column"], part["area_mm2"], strict=True)
        ]
    return listed
