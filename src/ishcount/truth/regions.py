"""How right the areas, the compartments and the epidermis' length of a result are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ishcount.result import SlideResult

Mask = npt.NDArray[np.bool_]
# A result calls follicles and glands adnexa, or where it knows no adnexa, dermis.
PART_OF = {"follicle": ("adnexa", "dermis"), "gland": ("adnexa", "dermis")}


def region_scores(slide: SlideResult, folder: Path) -> dict[str, Any]:
    """Relative area error and Dice of each compartment the result names, and relative error of the length.

    folder: `<slide_id>.truth`. `compartments`: {name: {"area_error", "dice"}}; Dice from the polygons of
    `tissue.geojson`, None where the result draws none. `epidermis_error`: None where no epidermis was
    found.
    """
    facts = json.loads((folder / "truth.json").read_text("utf-8"))
    length, true_length = slide.summary.get("epidermis_mm"), facts.get("epidermis_mm")
    named = [name for name in slide.summary["compartments"] if name != "tissue"]
    polygons = _polygons(slide.folder / "tissue.geojson")
    truth = _masks(folder, facts, named)
    scores = {}
    for name in [name for name in named if name in truth]:
        true_mm2 = float(truth[name].sum()) * facts["grid_um"] ** 2 * 1e-6
        found_mm2 = slide.summary["compartments"][name]["area_mm2"]
        drawn = _filled(polygons.get(name, []), truth[name].shape, facts)
        scores[name] = {
            "area_error": (found_mm2 - true_mm2) / true_mm2 if true_mm2 else None,
            "dice": None if drawn is None else dice(drawn, truth[name]),
        }
    known = length is not None and true_length
    return {
        "compartments": scores,
        "epidermis_error": (length - true_length) / true_length if known else None,
    }


def dice(found: Mask, true: Mask) -> float | None:
    """Twice the shared area over the sum of both; None where both are empty."""
    total = int(found.sum()) + int(true.sum())
    return 2 * int((found & true).sum()) / total if total else None


def _masks(folder: Path, facts: dict[str, Any], named: list[str]) -> dict[str, Mask]:
    """True compartments on the truth's grid, in the result's words, without spoilt tissue."""
    import tifffile

    if not (folder / "regions.tif").is_file():
        return {}
    code, artefacts = tifffile.imread(folder / "regions.tif")
    masks: dict[str, Mask] = {}
    for number, name in facts["codes"].items():
        if name in ("glass", "hole"):
            continue
        word = name if name in named else _word(name, named)
        here = (code == int(number)) & (artefacts == 0)
        masks[word] = masks[word] | here if word in masks else here
    return masks


def _word(name: str, named: list[str]) -> str:
    """What a result that does not know `name` calls it."""
    return next((word for word in PART_OF.get(name, ()) if word in named), name)


def _polygons(path: Path) -> dict[str, list[list[list[list[float]]]]]:
    """Rings in level-0 pixels, by the class of the feature."""
    found: dict[str, list[list[list[list[float]]]]] = {}
    if not path.is_file():
        return found
    content = json.loads(path.read_text("utf-8"))
    for feature in content["features"]:
        name = feature["properties"].get("classification", {}).get("name")
        geometry = feature["geometry"]
        parts = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
        if name:
            found.setdefault(str(name).lower().replace(" ", "_"), []).extend(parts)
    return found


def _filled(
    polygons: list[list[list[list[float]]]], shape: tuple[int, int], facts: dict[str, Any]
) -> Mask | None:
    """Polygons with their holes as a mask on the truth's grid."""
    import cv2

    if not polygons:
        return None
    mask = np.zeros(shape, np.uint8)
    scale = facts["spec"]["mpp_um"] / facts["grid_um"]
    for rings in polygons:
        corners = [np.rint((np.array(ring) * scale - 0.5) * 16).astype(np.int32) for ring in rings]
        part = np.zeros(shape, np.uint8)
        cv2.fillPoly(part, corners[:1], 1, shift=4)
        if len(corners) > 1:
            cv2.fillPoly(part, corners[1:], 0, shift=4)
        mask |= part
    return np.asarray(mask > 0)
