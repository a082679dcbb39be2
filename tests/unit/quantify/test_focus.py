"""Detail is measured block by block and must not know the blocks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ishcount.core.geometry import block_grid
from ishcount.core.optical_density import block_mean
from ishcount.core.units import PixelSize
from ishcount.quantify.focus import block_focus
from ishcount.steps.artefacts import find_blur, focus_energy


@pytest.mark.parametrize("cells_per_block", [16, 21])
@pytest.mark.parametrize("cell_px", [16, 18], ids=["even cells", "odd cells"])
def test_detail_is_the_same_to_the_bit_whatever_the_blocks(
    cells_per_block: int, cell_px: int, rng: np.random.Generator
) -> None:
    picture = rng.integers(60, 250, (43 * cell_px + 7, 50 * cell_px + 3, 3)).astype(np.uint8)
    height, width = picture.shape[:2]
    plan: Any = SimpleNamespace(grid_factor=2, grid_pixel_size=PixelSize(0.5, 0.5))
    whole = focus_energy(block_mean(picture, 2), 0.5, cell_px // 2)
    found = np.zeros_like(whole)
    for block in block_grid(width, height, cells_per_block * cell_px, 112):
        read, cells = block.read, block.core.coarser(cell_px)
        grid_rgb = block_mean(picture[read.y : read.y_end, read.x : read.x_end], 2)
        found[:, cells.y : cells.y_end, cells.x : cells.x_end] = block_focus(grid_rgb, block, plan, cell_px)
    assert np.array_equal(found, whole)


def test_a_slide_out_of_focus_all_over_is_called_blurred(rng: np.random.Generator) -> None:
    tissue = np.ones((60, 60), np.bool_)
    energy = np.stack([np.full((60, 60), 40), np.full((60, 60), 400)]).astype(np.uint16)
    assert find_blur(energy, tissue, ~tissue, 4.0).all()
    energy[0] = 160
    assert not find_blur(energy, tissue, ~tissue, 4.0).any()
