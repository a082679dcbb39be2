"""Real tissue without probe signal: every positive cell on it is false. Nothing of it is copied.

`OS-2` is stained brown for Ki-67: only what lies farther than 7 um from any nucleus that is not plainly blue
counts, in area and in cells. `Lung1` gives the second of its six panels, which has haematoxylin alone.
`kidney-48-5` and the H&E skin `cmu-1` count whole; on H&E every chromogen is a mismatch, and eosin is red.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import tifffile

from ishcount.core.files import write_json
from ishcount.core.geometry import Region
from ishcount.quantify import count_slide
from ishcount.result import SlideResult
from ishcount.slide.open import open_slide
from tests.benchmarks.accuracy_phantoms import CHROMOGENS, state_of_code

Rgb = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
AWAY_UM = 7.0  # from the edge of a stained nucleus: dots of its own lie up to 6 um out
STAINED_UM2 = 6.0  # smaller brown things are no nuclei: they may be called and are then false


@dataclass(frozen=True)
class Field:
    """One real picture: where it lies, its pixel size, and how its pixels are got."""

    file: str
    mpp_um: float
    part: Callable[[Rgb], Rgb] = lambda rgb: rgb
    stained: bool = False  # it holds brown nuclei, whose neighbourhood does not count


FIELDS = {
    "OS-2, away from brown nuclei": Field("slides/OS-2-ndpi.ome.tif", 0.2271, stained=True),
    "deepliif Lung1, haematoxylin": Field("deepliif/Lung1.png", 0.25, lambda rgb: rgb[:, 512:1024]),
    "kidney-48-5 (0.5 um/px assumed)": Field("slides/kidney-48-5.tif", 0.5),
    "cmu-1, H&E skin": Field("slides/cmu-1-small-region.svs", 0.499),
}


def real_blanks(folder: Path, numbers: Path, *, count: bool) -> list[dict[str, Any]]:
    """One row of figures per field and chromogen, kept in `numbers` as those of the phantoms are."""
    rows = []
    for name, field in FIELDS.items():
        for chromogen in CHROMOGENS:
            path = numbers / f"real-{Path(field.file).stem}-{chromogen}.json"
            if count and not path.is_file():
                write_json(path, one(folder, name, field, chromogen) | {"counted_by": state_of_code()})
            if path.is_file():
                rows.append(json.loads(path.read_text("utf-8")))
    return rows


def one(folder: Path, name: str, field: Field, chromogen: str) -> dict[str, Any]:
    """Count one field as if it held a probe."""
    rgb = np.ascontiguousarray(field.part(_read(folder / field.file)))
    with TemporaryDirectory() as out:
        path = Path(out) / "field.tif"
        per_cm = 1e4 / field.mpp_um
        tifffile.imwrite(
            path, rgb, tile=(256, 256), photometric="rgb", compression="deflate",
            resolution=(per_cm, per_cm), resolutionunit="CENTIMETER",
        )  # fmt: skip
        slide = count_slide(path, out, markers=[f"blank:{chromogen}"])
        counted = ~_near_stained(rgb, field.mpp_um) if field.stained else np.ones(rgb.shape[:2], bool)
        return {"field": name, "chromogen": chromogen} | _figures(slide, rgb, counted, field.mpp_um)


def _read(path: Path) -> Rgb:
    with open_slide(path) as slide:
        return slide.read(Region(0, 0, slide.width, slide.height))


def _near_stained(rgb: Rgb, mpp_um: float) -> Mask:
    """Within `AWAY_UM` of a dark thing as large as a nucleus that is not plainly blue.

    Blue nuclei of this field have red below blue by 0.3 to 0.5 of the light; brown and grey ones, which hold
    some DAB, by less than 0.12.
    """
    light = cv2.GaussianBlur(rgb, (0, 0), 0.4 / mpp_um).astype(np.float32)
    most = np.maximum(light.max(axis=-1), 1)
    brown = ((light[..., 0] - light[..., 2]) / most > -0.12) & (most < 200)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(brown.astype(np.uint8))
    large = stats[:, cv2.CC_STAT_AREA] * mpp_um**2 >= STAINED_UM2
    large[0] = False
    distance = cv2.distanceTransform((~large[labels]).astype(np.uint8), cv2.DIST_L2, 5)
    return np.asarray(distance * mpp_um < AWAY_UM, np.bool_)


def _figures(slide: SlideResult, rgb: Rgb, counted: Mask, mpp_um: float) -> dict[str, Any]:
    cells = slide.cells
    row = np.clip((cells["y_um"] / mpp_um).astype(int), 0, rgb.shape[0] - 1)
    column = np.clip((cells["x_um"] / mpp_um).astype(int), 0, rgb.shape[1] - 1)
    cells = cells[counted[row, column]]
    marker = slide.markers["blank"]
    share = 1.0 if counted.all() else _share_of_tissue(slide, counted, mpp_um)
    return {
        "area_mm2": slide.summary["tissue_area_mm2"] * share,
        "n_cells": len(cells),
        "n_positive": int(cells["blank_positive"].sum()),
        "n_at_half": int((cells["blank_score"] >= 0.5).sum()),
        "expected_false_per_mm2": marker["expected_false_per_mm2"],
        "flags": ";".join([*slide.summary["flags"], *marker["flags"]]),
    }


def _share_of_tissue(slide: SlideResult, counted: Mask, mpp_um: float) -> float:
    """Share of the tissue, as the result outlines it, that counts."""
    tissue = np.zeros(counted.shape, np.uint8)
    content = json.loads((slide.folder / "tissue.geojson").read_text("utf-8"))
    for feature in content["features"]:
        if feature["properties"].get("classification", {}).get("name", "").lower() != "tissue":
            continue
        geometry = feature["geometry"]
        parts = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
        for rings in parts:
            outer, *holes = (np.rint(np.array(ring)).astype(np.int32) for ring in rings)
            cv2.fillPoly(tissue, [outer], 1)
            for hole in holes:
                cv2.fillPoly(tissue, [hole], 0)
    return float((counted & (tissue > 0)).sum() / max((tissue > 0).sum(), 1))
