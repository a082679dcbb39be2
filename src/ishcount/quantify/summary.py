"""`summary.json`: a slide in one page. It holds no timings, so that equal runs give equal bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ishcount._version import __version__
from ishcount.core.flags import Flag, names
from ishcount.core.tissue_map import RegionKind, TissueMap
from ishcount.params import protocol_digest
from ishcount.quantify.blocks import blocks_to_json, tissue_blocks
from ishcount.quantify.job import Plan, SlideJob
from ishcount.slide.digest import slide_digest
from ishcount.steps.cells import Ownership
from ishcount.steps.dense_stain import LEAST_SHARE
from ishcount.steps.density import copy_score, densities_from_tables, expected_false, in_compartment
from ishcount.steps.evidence import training_prevalence

SWEEP_CUTS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.97, 0.99)
SWEEP_MIN_DOTS = (1, 2, 3)
DARK_OD = 0.25  # a usual single dot has 0.3; chromatin less
POSSIBLE = 0.02  # most chromatin scores less, melanin more
# Share of cells: up to .034 on 70 slides of two simulators without dots or with rare ones, twice the usual
# haematoxylin, melanin and colours displaced by .7 px among them; .038-.11 where DAB was lost at 12 %.
LEAST_DOUBTFUL, FEW_CELLS = 0.035, 10


def summarise(
    job: SlideJob,
    plan: Plan,
    tissue: TissueMap,
    cells: pd.DataFrame,
    dots: pd.DataFrame,
    owners: Mapping[Ownership, npt.NDArray[np.uint32]],
) -> dict[str, Any]:
    """The slide's summary as plain data, keys in the order of the contract."""
    counting: dict[str, Any] = {
        "dot_cut": job.params.density.dot_cut,
        "min_dots": job.params.density.min_dots,
        "training_prevalence": training_prevalence(job.params.evidence),
        "primary_area": job.params.density.primary_area,
    }
    areas, blocks = tissue.areas(), tissue_blocks(tissue)
    sections, artefacts = tissue.sections(), tissue.artefact_areas_mm2()
    tissue.let_go()
    doubts = names(tissue.flags).split(";")  # what the blocks showed, beside what was known before
    flags = [*filter(None, plan.flags), *(name for name in doubts if name and name not in plan.flags)]
    damaged = artefacts.get(RegionKind.DAMAGED.name.lower(), 0.0)
    if damaged and Flag.DAMAGED_TILES.name not in flags:
        flags.append(str(Flag.DAMAGED_TILES.name))
    regions = pd.DataFrame([{"compartment": name, **entry} for name, entry in areas.items()])
    rows = densities_from_tables(
        cells, dots, regions, cut=counting["dot_cut"], min_dots=counting["min_dots"],
        params=job.params.density, training_prevalence=counting["training_prevalence"], blocks=blocks,
    )  # fmt: skip
    return {
        "slide_id": job.slide_id,
        "status": "partial" if damaged else "ok",
        "error_code": "E_TILE" if damaged else "",
        "reason": f"{damaged:.4g} mm2 of tissue could not be read and is left out"
        if damaged
        else _no_tissue(areas),
        "width_px": plan.width,
        "height_px": plan.height,
        "mpp_x_um": plan.pixel_size.x_um,
        "mpp_y_um": plan.pixel_size.y_um,
        "mpp_source": plan.mpp_source,
        "tissue_area_mm2": areas["tissue"]["area_mm2"],
        "area_low_mm2": areas["tissue"]["area_low_mm2"],
        "area_high_mm2": areas["tissue"]["area_high_mm2"],
        "sections": sections,
        "artefacts": artefacts,
        "n_cells": len(cells),
        "epidermis_mm": tissue.epidermis_mm,
        "compartments": areas,
        "blocks": blocks_to_json(blocks),
        "counting": counting,
        "markers": {
            marker: _marker(job, place, marker, plan, cells, dots, regions, rows, owners)
            for place, (marker, _) in enumerate(job.markers)
        },
        "stains": _stains(plan),
        "qc": {
            **plan.about,
            "noise_od": [noise.noise_od for noise in plan.noise],
            "colour_shift_px": asdict(plan.colour_shift),
        },
        "flags": flags,
        "digests": {
            "slide": job.slide_digest or slide_digest(job.slide),
            "params": job.params.digest(),
            "protocol": protocol_digest(job.params.protocol),
            "ishcount_version": __version__,
        },
    }


def area_band(row: pd.Series[Any]) -> list[float | None]:
    """Density with the area at its upper and its lower limit: a systematic band beside the interval."""
    areas = (float(row["area_high_mm2"]), float(row["area_low_mm2"]))
    return [int(row["n_positive"]) / area if area > 0 else None for area in areas]


def _no_tissue(areas: Mapping[str, Any]) -> str:
    return "" if areas["tissue"]["area_mm2"] > 0 else "no tissue was found"


def _marker(
    job: SlideJob,
    place: int,
    marker: str,
    plan: Plan,
    cells: pd.DataFrame,
    dots: pd.DataFrame,
    regions: pd.DataFrame,
    rows: pd.DataFrame,
    owners: Mapping[Ownership, npt.NDArray[np.uint32]],
) -> dict[str, Any]:
    row = rows[(rows["marker"] == marker) & (rows["compartment"] == "tissue")].iloc[0]
    mine = dots.loc[dots["marker"] == marker, ["cell_id", "peak_od", "score", "in_nucleus", "reason"]]
    area = float(row["area_mm2"])
    doubt = expected_false(
        cells[f"{marker}_score"].to_numpy(np.float64), cells[f"{marker}_positive"].to_numpy(),
        training_prevalence(job.params.evidence),
    )  # fmt: skip
    false_per_mm2 = doubt / area if area > 0 else None
    not_small = false_per_mm2 is not None and doubt > 0.2 * max(int(row["n_positive"]), 1)
    saturated = (
        mine["peak_od"].to_numpy()[mine["score"] >= job.params.density.dot_cut]
        > job.params.clusters.saturation_od
    )
    n_positive, n_cells, n_doubtful = int(row["n_positive"]), int(row["n_cells"]), pigment_or_dots(mine)
    dense = plan.about["dense_share"][place]
    flags = {
        Flag.FALSE_COUNT_NOT_SMALL: not_small,
        Flag.DENSE_STAIN: dense > max(LEAST_SHARE, n_positive / max(n_cells, 1)),
        Flag.PIGMENT_OR_DOTS: n_doubtful > max(LEAST_DOUBTFUL * n_cells, n_positive, FEW_CELLS),
        Flag.SATURATED: bool(saturated.mean() > 0.1) if len(saturated) else False,
    }
    bits = sum(int(flag) for flag, raised in flags.items() if raised)
    return {
        "chromogen": plan.stains.names[1 + place],
        "n_positive": n_positive,
        "positive_per_mm2": row["positive_per_mm2"],
        "ci_low": row["ci_low"],
        "ci_high": row["ci_high"],
        "ci_method": row["ci_method"],
        "area_band_per_mm2": area_band(row),
        "estimated_per_mm2": row["estimated_per_mm2"],
        "expected_false_per_mm2": false_per_mm2,
        "n_candidates": len(mine),
        "n_pigment_or_dots": n_doubtful,
        "rejected": {str(k): int(v) for k, v in sorted(mine["reason"].value_counts().items()) if k and v},
        "sensitivity": _sensitivity(marker, cells, dots, regions, owners),
        "flags": [name for name in names(bits).split(";") if name],
    }


def pigment_or_dots(dots: pd.DataFrame) -> int:
    """Cells with a dark compact spot on their nucleus that did not count for looking like pigment.

    dots: of one marker, columns of `dots.parquet`.
    """
    doubtful = (dots["reason"] == "melanin") & dots["in_nucleus"]
    doubtful &= (dots["peak_od"] > DARK_OD) & (dots["score"] > POSSIBLE)
    return int(dots.loc[doubtful.to_numpy(np.bool_), "cell_id"].nunique())


def _sensitivity(
    marker: str,
    cells: pd.DataFrame,
    dots: pd.DataFrame,
    regions: pd.DataFrame,
    owners: Mapping[Ownership, npt.NDArray[np.uint32]],
) -> list[dict[str, Any]]:
    """Counts in tissue under other cuts, copies and ownership rules.

    A cell holds k copies at a cut when the score of its k-th best copy reaches it, so each rule needs its
    dots sorted once; `densities_from_tables` gives the same numbers (tests/unit/quantify).
    """
    area = float(regions.loc[regions["compartment"] == "tissue", "area_mm2"].iloc[0])
    in_tissue = in_compartment(cells["compartment"].to_numpy(dtype=object), "tissue")
    score = dots["score"].to_numpy()
    mine = np.flatnonzero((dots["marker"] == marker).to_numpy() & (score >= np.float32(min(SWEEP_CUTS))))
    copies = dots["n_copies"].to_numpy()[mine]
    sweep = []
    for rule, owner in owners.items():
        best = {
            k: copy_score(owner[mine], score[mine], copies, len(cells), k)[in_tissue] for k in SWEEP_MIN_DOTS
        }
        for cut, min_dots in product(SWEEP_CUTS, SWEEP_MIN_DOTS):
            n_positive = int(np.count_nonzero(best[min_dots] >= np.float32(cut)))
            sweep.append(
                {
                    "dot_cut": cut,
                    "min_dots": min_dots,
                    "ownership": rule,
                    "n_positive": n_positive,
                    "positive_per_mm2": n_positive / area if area > 0 else np.nan,
                }
            )
    return sweep


def _stains(plan: Plan) -> dict[str, Any]:
    stains = plan.stains
    return {
        "vectors": [
            {
                "stain": name,
                "rgb_od": list(vector),
                "source": source,
                "n_pixels": n_pixels,
                "angle_to_reference_deg": angle,
                "uncertainty_deg": spread,
            }
            for name, vector, source, n_pixels, angle, spread in zip(
                stains.names,
                stains.vectors,
                stains.sources,
                stains.n_pixels,
                stains.angle_to_reference_deg,
                stains.uncertainty_deg,
                strict=True,
            )
        ],
        "source": ";".join(stains.sources),
        "white": list(stains.white),
        "white_source": stains.white_source,
        "mismatch": stains.mismatch,
        "ill_conditioned": stains.ill_conditioned,
        "diffuse_od": list(stains.diffuse_od),
    }
