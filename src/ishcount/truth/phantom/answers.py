"""The truth about a phantom: tables, rasters and areas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ishcount.truth.phantom.brush import Array
from ishcount.truth.phantom.camera import Camera
from ishcount.truth.phantom.confounders import Specks
from ishcount.truth.phantom.dots import DOT_KINDS, Dots
from ishcount.truth.phantom.nuclei import KINDS, Nuclei, compartment_names, label_nuclei
from ishcount.truth.phantom.spec import PhantomSpec
from ishcount.truth.phantom.stains import Stains
from ishcount.truth.phantom.tissue import COMPARTMENTS, GRID_UM, Layout

LABEL_UM = 0.5  # labels lie on the grid of round(LABEL_UM / pixel size) level-0 pixels
CODES = ("glass", "tissue", "hole", "fold", "ink", "bubble", "blur")


@dataclass(frozen=True)
class Truth:
    """What is really on a phantom slide.

    nuclei, dots, specks: tables of places in micrometres from the corner of the image. labels: uint32, nucleus_id
    of each cell of `label_factor_px` level-0 pixels. tissue, compartments: uint8, places in `CODES` and
    `COMPARTMENTS`, cells of `GRID_UM`. facts: spec, areas (mm2), lengths (mm), stains and counts, ready for JSON.
    """

    spec: PhantomSpec
    nuclei: pd.DataFrame
    dots: pd.DataFrame
    specks: pd.DataFrame
    labels: npt.NDArray[np.uint32]
    label_factor_px: int
    tissue: npt.NDArray[np.uint8]
    compartments: npt.NDArray[np.uint8]
    facts: dict[str, Any]


def tell_truth(
    spec: PhantomSpec,
    *,
    layout: Layout,
    nuclei: Nuclei,
    dots: Dots,
    specks: Specks,
    regions: dict[str, Array],
    stains: Stains,
    camera: Camera,
) -> Truth:
    """Put together what was drawn."""
    tissue, compartments = tissue_codes(layout, regions), layout.compartments()
    factor = max(1, round(LABEL_UM / spec.mpp_um))
    shape = tuple(
        -(-round(size / spec.mpp_um) // factor) for size in (spec.height_um, spec.width_um)
    )
    labels = label_nuclei(nuclei, (shape[0], shape[1]), factor * spec.mpp_um)
    cells = _nuclei_table(spec, nuclei, dots, tissue)
    return Truth(
        spec=spec,
        nuclei=cells,
        dots=_dots_table(spec, dots),
        specks=pd.DataFrame(
            {
                "x_um": specks.blobs.x_um.astype(np.float64),
                "y_um": specks.blobs.y_um.astype(np.float64),
                "kind": np.array(specks.names, dtype=object)[specks.kind],
            }
        ),
        labels=labels,
        label_factor_px=factor,
        tissue=tissue,
        compartments=compartments,
        facts=_facts(spec, layout, cells, tissue, compartments, factor)
        | {
            "stains": stains.as_json(spec.chromogens),
            "stains_seen": {
                name: [round(float(v), 4) for v in camera.vector(np.array(vector))]
                for name, vector in stains.as_json(spec.chromogens).items()
            },
            "white": [round(float(255 * level), 1) for level in camera.white],
            "dot_od": stains.dot_od,
            "tissue_od": list(stains.tissue_od),
        },
    )


def tissue_codes(layout: Layout, regions: dict[str, Array]) -> npt.NDArray[np.uint8]:
    """Place in `CODES` of every cell of the geometry grid; an artefact counts where it covers the section, and
    ink and bubbles on glass too."""
    code = np.where(layout.outline > 0, 1, 0).astype(np.uint8)
    code[(layout.hole > 0) & (code == 1)] = 2
    for name, raster in regions.items():
        inside = raster > 0
        if name in ("fold", "blur"):
            inside &= layout.outline > 0
        code[inside] = CODES.index(name)
    return code


def _nuclei_table(
    spec: PhantomSpec, nuclei: Nuclei, dots: Dots, tissue: npt.NDArray[np.uint8]
) -> pd.DataFrame:
    row = np.clip((nuclei.y_um / GRID_UM).astype(int), 0, tissue.shape[0] - 1)
    column = np.clip((nuclei.x_um / GRID_UM).astype(int), 0, tissue.shape[1] - 1)
    region = tissue[row, column]
    squared = 0.5 * (nuclei.bumps.astype(np.float64) ** 2).sum(1)
    table = {
        "nucleus_id": np.arange(1, len(nuclei) + 1, dtype=np.uint32),
        "x_um": nuclei.x_um.astype(np.float64),
        "y_um": nuclei.y_um.astype(np.float64),
        "kind": np.array(KINDS, dtype=object)[nuclei.kind],
        "compartment": np.array(compartment_names(nuclei), dtype=object),
        "area_um2": np.pi * nuclei.a_um.astype(np.float64) * nuclei.b_um * (1 + squared),
        "haematoxylin_od": nuclei.od.astype(np.float64),
        "region": np.array(CODES, dtype=object)[region],
        # a nucleus at the rim of a hole belongs to the tissue; only artefacts take it away
        "counted": region <= 2,
    }
    for number, marker in enumerate(spec.markers):
        owned = np.bincount(dots.owner[dots.marker == number], minlength=len(nuclei) + 1)[1:]
        table[f"{marker}_copies"] = owned.astype(np.int32)
        table[f"{marker}_positive"] = owned > 0
    return pd.DataFrame(table)


def _dots_table(spec: PhantomSpec, dots: Dots) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "x_um": dots.x_um,
            "y_um": dots.y_um,
            "marker": np.array(spec.markers, dtype=object)[dots.marker],
            "nucleus_id": dots.owner.astype(np.uint32),
            "strength_od": dots.strength_od,
            "width_um": dots.width_um,
            "in_focus": dots.in_focus,
            "kind": np.array(DOT_KINDS, dtype=object)[dots.kind],
        }
    )


def _facts(
    spec: PhantomSpec,
    layout: Layout,
    cells: pd.DataFrame,
    tissue: npt.NDArray[np.uint8],
    compartments: npt.NDArray[np.uint8],
    factor: int,
) -> dict[str, Any]:
    cell_mm2 = GRID_UM**2 / 1e6
    inside = tissue == 1
    area = {"outline": float((layout.outline > 0).sum() * cell_mm2), "tissue": float(inside.sum() * cell_mm2)}
    area |= {
        name: float((inside & (compartments == code)).sum() * cell_mm2)
        for code, name in enumerate(COMPARTMENTS)
        if code
    }
    area["hole"] = float((tissue == 2).sum() * cell_mm2)
    artefacts = {
        name: float(((tissue == code) & (layout.outline > 0)).sum() * cell_mm2)
        for code, name in enumerate(CODES)
        if code > 2 and (tissue == code).any()
    }
    counted = cells[cells["counted"]]
    positive = {marker: int(counted[f"{marker}_positive"].sum()) for marker in spec.markers}
    return {
        "spec": spec.as_json(),
        "area_mm2": area,
        "artefacts_mm2": artefacts,
        "epidermis_mm": layout.epidermis_mm,
        "junction_mm": layout.junction_mm,
        "n_nuclei": len(cells),
        "n_counted": len(counted),
        "n_positive": positive,
        "positive_per_mm2": {marker: n / area["tissue"] for marker, n in positive.items()},
        "nuclei_per_mm2": len(counted) / area["tissue"],
        "grid_um": GRID_UM,
        "label_factor_px": factor,
        "tissue_codes": dict(enumerate(CODES)),
        "compartment_codes": dict(enumerate(COMPARTMENTS)),
    }
