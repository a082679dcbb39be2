"""Areas out of focus, judged over all blocks of a slide at once, and whether a slide is mostly spoilt."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ishcount.core import files
from ishcount.core.flags import Flag
from ishcount.core.tissue_map import ARTEFACTS, RegionKind, TissueMap
from ishcount.quantify.block import block_path
from ishcount.quantify.job import Plan, SlideJob
from ishcount.steps.artefacts import find_blur


def without_artefacts(job: SlideJob, plan: Plan, tissue: TissueMap) -> TissueMap:
    """The tissue map with out-of-focus areas taken out, and flagged where artefacts are many."""
    rows, cols = np.nonzero(tissue.section.any(axis=1))[0], np.nonzero(tissue.section.any(axis=0))[0]
    if len(rows) == 0:
        return tissue
    window = (slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1))
    kind = np.asarray(tissue.kind[window])
    solid = kind == RegionKind.TISSUE
    energy = _energy(job, plan, tissue, window)
    cell_um = plan.pixel_size.scaled(tissue.factor_px).mean_um
    glass = (kind == RegionKind.GLASS) & (energy[1] > 0)
    blurred = find_blur(energy, solid, glass, cell_um, job.params.artefacts)
    spoilt = blurred | (np.isin(kind, ARTEFACTS) & (kind != RegionKind.EXCLUDED))
    inside = tissue.section[window] > 0
    flags = Flag(tissue.flags)
    if blurred.sum() > job.params.artefacts.blurred_slide * max(int(solid.sum()), 1):
        flags |= Flag.BLURRED
    if (spoilt & inside).sum() > job.params.artefacts.many_artefacts * inside.sum():
        flags |= Flag.MANY_ARTEFACTS
    whole = np.zeros(tissue.kind.shape, np.bool_)
    whole[window] = blurred
    return replace(tissue.without(np.flatnonzero(whole), RegionKind.BLUR), flags=int(flags))


def _energy(job: SlideJob, plan: Plan, tissue: TissueMap, window: tuple[slice, slice]) -> np.ndarray:
    """What the blocks measured, uint16 (2, h, w) of the window; 0 where no block lies."""
    rows, cols = window
    energy = np.zeros((2, rows.stop - rows.start, cols.stop - cols.start), np.uint16)
    for key in sorted(plan.keys):
        cells = plan.blocks[key].core.coarser(tissue.factor_px)
        found = files.read_arrays(block_path(job, key), {"focus"})["focus"]
        top, left = cells.y - rows.start, cells.x - cols.start
        below, right = max(0, -top), max(0, -left)
        part = energy[:, max(0, top) : max(0, top + cells.height), max(0, left) : max(0, left + cells.width)]
        part[:] = found[:, below : below + part.shape[1], right : right + part.shape[2]]
    return energy
