"""A small result folder made by hand, by the contract of the files, with the slide it belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile

from ishcount.core import files, tables
from ishcount.core.units import PixelSize
from ishcount.outputs.labels import write_labels
from ishcount.result import load_slide_result, write_densities

MPP = 0.25
WIDTH_PX, HEIGHT_PX = 2400, 1800
FACTOR = 2  # level-0 pixels per label pixel
PITCH_UM = 24.0
CUT = 0.9
MARKER = "IFNG"
# Tissue with an epidermis on top, in level-0 pixels: x, y, width, height.
TISSUE = (160, 160, 2080, 1480)
EPIDERMIS = (160, 160, 2080, 400)
DERMIS = (160, 560, 2080, 1080)


@dataclass(frozen=True)
class MadeResult:
    """A result folder, its slide's folder and image."""

    out: Path
    slide_folder: Path
    image: Path
    slide_id: str


def make_result(out: Path, *, slide_ids: tuple[str, ...] = ("EM-01",), seed: int = 1) -> list[MadeResult]:
    """Write result folders for slides of the same layout, each with its own scores; densities and run.json
    too.
    """
    made = [_make_slide(out, slide_id, seed + n) for n, slide_id in enumerate(slide_ids)]
    rows = []
    for item in made:
        counts = load_slide_result(item.slide_folder).densities()
        rows.append(counts.assign(slide_id=item.slide_id, patient=item.slide_id[:4], group="EM", status="ok"))
    table = pd.concat(rows, ignore_index=True)
    for name in tables.DENSITIES:
        if name not in table:
            table[name] = None
    write_densities(out, tables.check(table, tables.DENSITIES))
    slides = [{"slide_id": item.slide_id, "path": str(item.image)} for item in made]
    files.write_json(out / "run.json", {"slides": slides})
    return made


def _make_slide(out: Path, slide_id: str, seed: int) -> MadeResult:
    rng = np.random.default_rng(seed)
    folder = out / "slides" / files.folder_name(slide_id)
    cells, labels = _cells_and_labels(rng)
    dots = _dots(cells, rng)
    files.write_parquet(folder / "cells.parquet", cells)
    files.write_parquet(folder / "dots.parquet", dots)
    write_labels(
        folder / "labels.ome.zarr",
        [labels],
        height=labels.shape[0],
        width=labels.shape[1],
        pixel_size=PixelSize(MPP * FACTOR, MPP * FACTOR),
    )
    files.write_json(folder / "tissue.geojson", _outlines())
    files.write_json(folder / "summary.json", _summary(slide_id, cells))
    image = out.parent / "slides" / f"{slide_id}.tif"
    _write_image(image, labels, dots)
    return MadeResult(out, folder, image, slide_id)


def _cells_and_labels(rng: np.random.Generator) -> tuple[pd.DataFrame, np.ndarray]:
    x, y, width, height = (value * MPP for value in TISSUE)
    axes = [np.arange(low + 15, low + side - 15, PITCH_UM) for low, side in ((x, width), (y, height))]
    grid = np.meshgrid(*axes)
    x_um, y_um = (axis.ravel() + rng.uniform(-5, 5, axis.size) for axis in grid)
    order = np.lexsort((x_um, y_um))
    x_um, y_um = x_um[order], y_um[order]
    n = len(x_um)
    score = np.zeros(n, np.float32)
    candidates = rng.permutation(n)[: n // 4]
    score[candidates] = rng.uniform(0.02, 0.85, len(candidates))
    score[candidates[: n // 20]] = rng.uniform(0.91, 0.999, n // 20)
    positive = score >= np.float32(CUT)
    cells = pd.DataFrame({
        "cell_id": np.arange(1, n + 1), "x_um": x_um, "y_um": y_um, "nucleus_area_um2": 50.0,
        "cell_area_um2": 90.0, "section": 1, "depth_um": y_um - EPIDERMIS[3] * MPP, "flags": 0,
        "compartment": np.where(y_um < DERMIS[1] * MPP, "epidermis", "dermis"),
        f"{MARKER}_dots": positive, f"{MARKER}_dots_nucleus": positive, f"{MARKER}_copies": positive,
        f"{MARKER}_score": score, f"{MARKER}_positive": positive,
    })  # fmt: skip
    rows, cols = np.mgrid[: HEIGHT_PX // FACTOR, : WIDTH_PX // FACTOR]
    labels = np.zeros(rows.shape, np.uint32)
    for cell, cx, cy in zip(range(1, n + 1), x_um / (MPP * FACTOR), y_um / (MPP * FACTOR), strict=True):
        box = np.s_[int(cy) - 14 : int(cy) + 15, int(cx) - 14 : int(cx) + 15]
        labels[box][((cols[box] + 0.5 - cx) / 11) ** 2 + ((rows[box] + 0.5 - cy) / 8.5) ** 2 <= 1] = cell
    return tables.check(cells, tables.cells_schema([MARKER])), labels


def _dots(cells: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    owners = cells[cells[f"{MARKER}_score"] > 0]
    n = len(owners)
    reasons = np.array(["low_score", "melanin", "red_cell", "precipitate"])[rng.integers(0, 4, n)]
    score = owners[f"{MARKER}_score"].to_numpy()
    dots = pd.DataFrame({
        "dot_id": np.arange(1, n + 1), "marker": MARKER, "x_um": owners["x_um"] + rng.uniform(-2, 2, n),
        "y_um": owners["y_um"] + rng.uniform(-2, 2, n), "area_um2": 0.4, "peak_od": 0.8, "integrated_od": 0.2,
        "n_copies": 1, "copies_low": 1, "copies_high": 1, "cell_id": owners["cell_id"], "in_nucleus": True,
        "score": score, "reason": np.where(score >= np.float32(CUT), "", reasons),
    })  # fmt: skip
    return tables.check(dots, tables.DOTS).reset_index(drop=True)


def _area_mm2(box: tuple[int, int, int, int]) -> float:
    return box[2] * box[3] * MPP**2 * 1e-6


def _outlines() -> dict[str, object]:
    features = []
    for name, (x, y, width, height) in (("Tissue", TISSUE), ("epidermis", EPIDERMIS), ("dermis", DERMIS)):
        ring = [[x, y], [x + width, y], [x + width, y + height], [x, y + height], [x, y]]
        features.append({
            "type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]},
            "properties": {"objectType": "annotation", "classification": {"name": name}},
        })  # fmt: skip
    return {"type": "FeatureCollection", "features": features}


def _summary(slide_id: str, cells: pd.DataFrame) -> dict[str, object]:
    areas = {
        name: {"area_mm2": area, "area_low_mm2": area, "area_high_mm2": area, "outline_mm2": area}
        for name, area in (
            ("tissue", _area_mm2(TISSUE)), ("viable", _area_mm2(TISSUE)),
            ("epidermis", _area_mm2(EPIDERMIS)), ("dermis", _area_mm2(DERMIS)),
        )
    }  # fmt: skip
    return {
        "slide_id": slide_id, "status": "ok", "error_code": "", "reason": "", "width_px": WIDTH_PX,
        "height_px": HEIGHT_PX, "mpp_x_um": MPP, "mpp_y_um": MPP, "mpp_source": "given",
        "tissue_area_mm2": _area_mm2(TISSUE), "n_cells": len(cells), "compartments": areas,
        "counting": {
            "dot_cut": CUT, "min_dots": 1, "training_prevalence": 0.5, "primary_area": "tissue",
        },
        "markers": {MARKER: {"chromogen": "fast_red", "n_positive": int(cells[f"{MARKER}_positive"].sum())}},
        "flags": [], "digests": {"slide": "0" * 64, "params": "0" * 64, "ishcount_version": "0"},
    }  # fmt: skip


def _write_image(path: Path, labels: np.ndarray, dots: pd.DataFrame) -> None:
    """Blue nuclei and red dots on pale tissue, as a tiled TIFF with two levels."""
    rgb = np.full((HEIGHT_PX, WIDTH_PX, 3), 244, np.uint8)
    x, y, width, height = TISSUE
    rgb[y : y + height, x : x + width] = (231, 220, 230)
    rgb[y : y + EPIDERMIS[3], x : x + width] = (219, 203, 222)
    nuclei = np.repeat(np.repeat(labels > 0, FACTOR, axis=0), FACTOR, axis=1)
    rgb[nuclei] = (120, 122, 178)
    for dot in dots.itertuples():
        row, col, shade = int(dot.y_um / MPP), int(dot.x_um / MPP), 0.25 + 0.75 * float(dot.score)
        patch = rgb[row - 3 : row + 4, col - 3 : col + 4].astype(float)
        rgb[row - 3 : row + 4, col - 3 : col + 4] = patch * (1 - shade) + np.array((200, 30, 60)) * shade
    path.parent.mkdir(parents=True, exist_ok=True)
    per_cm = 1e4 / MPP
    with tifffile.TiffWriter(path) as writer:
        options = {"tile": (256, 256), "photometric": "rgb", "resolutionunit": "CENTIMETER"}
        writer.write(rgb, resolution=(per_cm, per_cm), **options)
        half = rgb.reshape(HEIGHT_PX // 2, 2, WIDTH_PX // 2, 2, 3).mean(axis=(1, 3)).astype(np.uint8)
        writer.write(half, resolution=(per_cm / 2, per_cm / 2), subfiletype=1, **options)
