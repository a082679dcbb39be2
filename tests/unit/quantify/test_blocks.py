"""Half-millimetre squares of tissue."""

import numpy as np
import pytest

from ishcount.core.tissue_map import RegionKind, TissueMap
from ishcount.core.units import PixelSize
from ishcount.quantify.blocks import tissue_blocks


def a_map() -> TissueMap:
    rng = np.random.default_rng(5)
    shape = (301, 270)
    kind = np.where(rng.uniform(size=shape) < 0.7, RegionKind.TISSUE, RegionKind.GLASS).astype(np.uint8)
    kind[:, 130:] = RegionKind.GLASS  # a whole column of squares without tissue
    everywhere = np.ones(shape, np.bool_)
    return TissueMap(
        kind=kind, section=everywhere.astype(np.uint16),
        compartment=rng.integers(0, 3, shape).astype(np.uint8),
        compartment_names=("", "epidermis", "dermis"), low=everywhere, high=everywhere, depth_um=None,
        factor_px=16, width_px=270 * 16 - 5, height_px=301 * 16 - 9, pixel_size=PixelSize(0.25, 0.26),
    )  # fmt: skip


def test_squares_hold_the_tissue_whose_centre_lies_in_them() -> None:
    tissue = a_map()
    blocks = tissue_blocks(tissue)
    areas = tissue.areas()
    for name, part in blocks.groupby("compartment"):
        assert part["area_mm2"].sum() == pytest.approx(areas[str(name)]["area_mm2"], abs=1e-5)
        assert part["column"].max() == 1  # 130 cells of 4 um: a square and a bit
    assert set(blocks["compartment"]) == set(areas) == {"tissue", "epidermis", "dermis", "viable"}
    rows, columns = np.nonzero(tissue.kind == RegionKind.TISSUE)
    inside = ((rows + 0.5) * 16 * 0.26 // 500 == 1) & ((columns + 0.5) * 16 * 0.25 // 500 == 1)
    one = blocks[(blocks["compartment"] == "tissue") & (blocks["row"] == 1) & (blocks["column"] == 1)]
    assert one["area_mm2"].item() == pytest.approx(inside.sum() * 256 * 0.25 * 0.26 / 1e6, abs=1e-6)
