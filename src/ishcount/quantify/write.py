"""The files of one slide that people and other programs look at."""

from __future__ import annotations

import gc
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ishcount.core import files
from ishcount.core.memory import give_back
from ishcount.core.tissue_map import RegionKind, TissueMap
from ishcount.outputs.contours import Contours
from ishcount.outputs.tissue_geojson import tissue_geojson
from ishcount.quantify.job import Plan, SlideJob


def write_pictures(
    job: SlideJob,
    plan: Plan,
    tissue: TissueMap,
    overview: npt.NDArray[np.uint8],
    cells: pd.DataFrame,
    nuclei: Iterable[Contours],
    summary: dict[str, Any],
) -> None:
    """`tissue.geojson`, and unless only tables are wanted `cells.geojson`, `qc.png` and `density.png`."""
    inside = tissue.kind == RegionKind.TISSUE
    compartments = {
        name: inside & (tissue.compartment == place)
        for place, name in enumerate(tissue.compartment_names)
        if name
    }
    artefacts = tissue.artefact_masks()
    regions = tissue_geojson(tissue.section, inside, compartments, artefacts, factor=tissue.factor_px)
    del compartments
    files.write_json(job.folder / "tissue.geojson", regions)
    if job.outputs == "tables":
        return
    from ishcount.outputs.geojson import write_cells_geojson
    from ishcount.outputs.pictures import write_density_picture, write_qc_picture

    markers = [marker for marker, _ in job.markers]
    width_um, height_um = plan.width * plan.pixel_size.x_um, plan.height * plan.pixel_size.y_um
    write_cells_geojson(
        job.folder / "cells.geojson",
        cells,
        markers=markers,
        pixel_size=plan.pixel_size,
        nuclei=nuclei,
        slide_digest=summary["digests"]["slide"],
    )
    write_qc_picture(
        job.folder / "qc.png",
        overview,
        slide_width_um=width_um,
        tissue=inside,
        sections=tissue.section,
        artefacts=artefacts,
        cells=cells,
        markers=markers,
        title=job.slide_id,
        notes=_notes(summary),
    )
    gc.collect()  # figures hold themselves
    give_back()
    write_density_picture(
        job.folder / "density.png",
        slide_width_um=width_um,
        slide_height_um=height_um,
        tissue=inside,
        cells=cells,
        markers=markers,
        title=job.slide_id,
    )


def _notes(summary: dict[str, Any]) -> list[str]:
    notes = []
    for name, marker in summary["markers"].items():
        density = marker["positive_per_mm2"]
        if density is None or np.isnan(density):
            notes.append(f"{name} ({marker['chromogen']}): no tissue, no density")
            continue
        notes.append(
            f"{name} ({marker['chromogen']}): {marker['n_positive']} positive cells, {density:.2f} per mm2 "
            f"({_interval(marker)}) in "
            f"{summary['tissue_area_mm2']:.2f} mm2 of tissue"
        )
    return notes + ([f"flags: {', '.join(summary['flags'])}"] if summary["flags"] else [])


def _interval(marker: dict[str, Any]) -> str:
    if np.isnan(marker["ci_low"]):
        return str(marker["ci_method"]).split(";")[0]
    return f"95% {marker['ci_low']:.2f} to {marker['ci_high']:.2f}"
