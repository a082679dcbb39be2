"""Detail of one block on the cells of the tissue raster, the same whatever block a cell lies in."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ishcount.core.geometry import Block
from ishcount.quantify.job import Plan
from ishcount.steps.artefacts import focus_energy


def block_focus(
    grid_rgb: npt.NDArray[np.uint8], block: Block, plan: Plan, cell_px: int
) -> npt.NDArray[np.uint16]:
    """`focus_energy` of the cells in a block's core, uint16 (2, rows, cols).

    grid_rgb: all the block read, on the nuclei grid. cell_px: level-0 pixels a cell.
    """
    step = cell_px // plan.grid_factor
    phase = step if step % 2 == 0 else 2 * step  # pixels are paired: every block must pair the same ones
    x, y = block.read.x // plan.grid_factor, block.read.y // plan.grid_factor
    skip_x, skip_y = -x % phase, -y % phase
    energy = focus_energy(grid_rgb[skip_y:, skip_x:], plan.grid_pixel_size.mean_um, step)
    core = block.core.coarser(cell_px)
    left, top = core.x - (x + skip_x) // step, core.y - (y + skip_y) // step
    return energy[:, top : top + core.height, left : left + core.width]
