"""Known dots planted into the user's own slide: how many are found again, on that tissue and scanner.

Dots are drawn by Beer-Lambert's law in colours, widths and strengths wider than anything the slide taught
ishcount: the chromogen strays by 6 degrees about its reference (never about the estimate), sigma is 0.20-0.45
um, peak OD 0.2-0.9. Where a positive control is given, real dots are cut from it instead. Dots lose as much
colour detail as the slide's own JPEG took from its dots. The unspiked slide is counted too: on a slide
declared blank its positive cells are false ones, and give the limits of blank and of detection.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import tifffile

from ishcount.core.errors import UsageError
from ishcount.core.files import replacing, write_json, write_parquet
from ishcount.core.geometry import Region
from ishcount.core.units import PixelSize
from ishcount.params import Params
from ishcount.quantify import count_slide
from ishcount.result import SlideResult
from ishcount.slide.open import open_slide
from ishcount.stats.rates import limit_of_blank, limit_of_detection, rate_upper_limit
from ishcount.steps.colour_shift import ColourShift, measure_colour_shift, registered
from ishcount.truth.matching import match_points, scores

Rgb = npt.NDArray[np.uint8]
REFERENCE_OD = {"fast_red": (0.21, 0.85, 0.48), "dab": (0.27, 0.57, 0.78)}  # as published, not as estimated
STRAY_DEG = 6.0  # slides differ by about as much from the published colours
SIGMA_UM = (0.20, 0.45)  # dots of 0.6 to 1.4 um at a tenth of their height
PEAK_OD = (0.2, 0.9)
PATCH_UM = 1.2  # half of a patch cut from a positive control
MOST_MEGAPIXELS = 150.0  # of the part that is spiked: 450 MB of pixels
FAR_UM = 6.0  # planted dots lie up to this far from the centroid's nucleus radius


@dataclass(frozen=True, kw_only=True)
class SpikeSpec:
    """What is planted: how many cells get dots, how many dots each (1 + Poisson), and the seed."""

    n_cells: int = 200
    mean_extra_dots: float = 1.5
    seed: int = 0


def spike(
    slide: str | Path,
    out: str | Path,
    *,
    marker: str = "spike",
    chromogen: str,
    spec: SpikeSpec = SpikeSpec(),
    params: Params | None = None,
    mpp: float | None = None,
    region_um: tuple[float, float, float, float] | None = None,
    positive_control: str | Path | None = None,
    blank: bool = False,
) -> dict[str, Any]:
    """Count a slide, plant dots at known cells, count again; returns and writes `spike.json`.

    region_um: x, y, width, height of the part to use (default: the whole slide up to 150 megapixels). blank:
    the slide is declared to hold no signal. Keys: recovery of dots and cells, owners, copies, what the dots
    were drawn with; with `blank`, false cells per mm2, limit of blank and limit of detection of this tissue
    and scanner, else those are None.
    """
    out, params = Path(out), params or Params()
    if chromogen not in REFERENCE_OD:
        raise UsageError(f"cannot plant {chromogen!r}; choose one of {', '.join(REFERENCE_OD)}")
    rgb, pixel_size, subsampling = _read(slide, mpp, region_um)
    plain = _count(rgb, pixel_size, out, "plain", marker, chromogen, params)
    rng = np.random.default_rng([20261122, spec.seed])
    patches = _patches(positive_control, chromogen, params, out, pixel_size) if positive_control else None
    planted, pixels = plant(
        rgb, plain.cells, pixel_size, chromogen, spec, rng, patches=patches, marker=marker
    )
    pixels = with_coarse_colour(rgb, pixels, subsampling)
    spiked = _count(pixels, pixel_size, out, "spiked", marker, chromogen, params)
    write_parquet(out / "planted.parquet", planted)
    summary = report(plain, spiked, planted, marker, blank=blank) | {
        "source": "positive control" if patches else "synthetic",
        "drawn_with": {"n_patches": len(patches)} if patches else _variation(chromogen),
        "chroma_subsampling": list(subsampling),
        "seed": spec.seed,
        "chromogen": chromogen,
    }
    write_json(out / "spike.json", summary)
    return summary


def _variation(chromogen: str) -> dict[str, Any]:
    """What synthetic dots were drawn with: ranges, none of them taken from the slide."""
    return {
        "reference_rgb_od": list(REFERENCE_OD[chromogen]), "stray_sd_deg": STRAY_DEG / 2,
        "sigma_um": list(SIGMA_UM), "peak_od": list(PEAK_OD),
    }  # fmt: skip


def with_coarse_colour(before: Rgb, after: Rgb, subsampling: tuple[int, int]) -> Rgb:
    """Pixels whose change from `before` keeps its light but has its colour averaged as JPEG averages chroma.

    subsampling: luminance pixels per chroma sample across and down; (1, 1) changes nothing.
    """
    across, down = subsampling
    if (across, down) == (1, 1):
        return after
    change = after.astype(np.float32) - before
    light = change @ np.array([0.299, 0.587, 0.114], np.float32)
    colour = change - light[..., None]
    rows, columns = (-(-n // step) * step for n, step in zip(light.shape, (down, across), strict=True))
    padded = np.pad(colour, ((0, rows - len(colour)), (0, columns - colour.shape[1]), (0, 0)), mode="edge")
    coarse = padded.reshape(rows // down, down, columns // across, across, 3).mean(axis=(1, 3))
    blurred = np.repeat(np.repeat(coarse, down, 0), across, 1)[: len(colour), : colour.shape[1]]
    return np.asarray(np.clip(np.rint(before + light[..., None] + blurred), 0, 255), np.uint8)


def _read(slide: str | Path, mpp: float | None, region_um: Any) -> tuple[Rgb, PixelSize, tuple[int, int]]:
    from ishcount.slide.calibration import resolve_pixel_size

    with open_slide(slide) as opened:
        pixel_size, _ = resolve_pixel_size(opened, option_mpp=mpp)
        whole = Region(0, 0, opened.width, opened.height)
        if region_um:
            x, y, width, height = region_um
            edges = (
                x / pixel_size.x_um,
                y / pixel_size.y_um,
                width / pixel_size.x_um,
                height / pixel_size.y_um,
            )
            whole = Region(*(round(edge) for edge in edges)).clip(opened.width, opened.height)
        if whole.width * whole.height > MOST_MEGAPIXELS * 1e6:
            raise UsageError(
                f"the slide has {whole.width * whole.height / 1e6:.0f} megapixels and "
                f"at most {MOST_MEGAPIXELS:.0f} "
                "can be spiked at once; give a part of it with --region X,Y,W,H (um)"
            )
        return _in_register(opened.read(whole)), pixel_size, opened.chroma_subsampling or (1, 1)


def _in_register(rgb: Rgb) -> Rgb:
    """The image with its colours laid over each other, so that planted dots are as displaced as all else."""
    side = 512
    rows, columns = (range(0, size, side) for size in rgb.shape[:2])
    return registered(
        rgb, measure_colour_shift([rgb[y : y + side, x : x + side] for y in rows for x in columns])
    )


def _count(
    rgb: Rgb, pixel_size: PixelSize, out: Path, name: str, marker: str, chromogen: str, params: Params
) -> SlideResult:
    path = out / f"{name}.tif"
    with replacing(path) as temporary:
        tifffile.imwrite(
            temporary,
            rgb,
            tile=(512, 512),
            photometric="rgb",
            compression="deflate",
            resolution=(1e4 / pixel_size.x_um, 1e4 / pixel_size.y_um),
            resolutionunit="CENTIMETER",
        )
    return count_slide(path, out, markers=[f"{marker}:{chromogen}"], params=params, slide_id=name)


def plant(
    rgb: Rgb,
    cells: pd.DataFrame,
    pixel_size: PixelSize,
    chromogen: str,
    spec: SpikeSpec,
    rng: np.random.Generator,
    *,
    marker: str,
    patches: list[npt.NDArray[np.float64]] | None = None,
) -> tuple[pd.DataFrame, Rgb]:
    """Dots planted at random cells that hold none: their table (x_um, y_um, cell_id, peak_od) and the new
    pixels."""
    empty = cells[cells[f"{marker}_score"] < 0.05]
    if empty.empty:
        raise UsageError("there is no cell without a candidate to plant dots at; choose another region")
    chosen = empty.iloc[rng.choice(len(empty), min(spec.n_cells, len(empty)), replace=False)]
    colour = stray_colour(rng, REFERENCE_OD[chromogen])
    light = rgb.astype(np.float64)
    rows = []
    for cell in _rows(chosen):
        radius = float(np.sqrt(cell.nucleus_area_um2 / np.pi))
        for _ in range(1 + rng.poisson(spec.mean_extra_dots)):
            reach = min(radius * rng.uniform(0, 1.1) + rng.exponential(0.6), radius + FAR_UM)
            angle = rng.uniform(0, 2 * np.pi)
            x_um, y_um = cell.x_um + reach * np.cos(angle), cell.y_um + reach * np.sin(angle)
            patch = patches[rng.integers(len(patches))] if patches else gaussian(rng, pixel_size, colour)
            if _darken(light, patch, x_um / pixel_size.x_um - 0.5, y_um / pixel_size.y_um - 0.5):
                rows.append((x_um, y_um, int(cell.cell_id), float(np.linalg.norm(patch, axis=-1).max())))
    table = pd.DataFrame(rows, columns=["x_um", "y_um", "cell_id", "peak_od"])
    return table, np.clip(np.rint(light), 0, 255).astype(np.uint8)


def _rows(table: pd.DataFrame) -> Iterator[Any]:
    return table.itertuples()


def _places(table: pd.DataFrame) -> npt.NDArray[np.float64]:
    return table[["x_um", "y_um"]].to_numpy(np.float64)


def stray_colour(rng: np.random.Generator, reference: tuple[float, float, float]) -> npt.NDArray[np.float64]:
    """The published colour turned by a random angle: a unit vector of optical densities."""
    base = np.asarray(reference) / np.linalg.norm(reference)
    side = np.cross(base, rng.normal(size=3))
    angle = np.radians(rng.normal(0, STRAY_DEG / 2))
    turned = np.maximum(np.cos(angle) * base + np.sin(angle) * side / np.linalg.norm(side), 0.01)
    return np.asarray(turned / np.linalg.norm(turned))


def gaussian(
    rng: np.random.Generator, pixel_size: PixelSize, colour: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Optical density (n, n, 3) of one synthetic dot, its centre within half a pixel of the patch's
    centre."""
    sigma = rng.uniform(*SIGMA_UM) / pixel_size.mean_um
    half = int(np.ceil(4 * sigma))
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    return np.asarray(rng.uniform(*PEAK_OD) * np.exp(-(x**2 + y**2) / (2 * sigma**2))[..., None] * colour)


def _darken(light: npt.NDArray[np.float64], patch: npt.NDArray[np.float64], x_px: float, y_px: float) -> bool:
    """Multiply a patch's transmission into the picture at the nearest pixel; False where it would not fit."""
    half = patch.shape[0] // 2
    row, col = round(y_px), round(x_px)
    where = np.s_[row - half : row + half + 1, col - half : col + half + 1]
    if row < half or col < half or light[where].shape != patch.shape:
        return False
    light[where] *= 10.0**-patch
    return True


def _patches(
    control: str | Path, chromogen: str, params: Params, out: Path, pixel_size: PixelSize
) -> list[npt.NDArray[np.float64]]:
    """Real dots from a positive control: optical density above the darkest-to-brightest rim of each patch."""
    result = count_slide(control, out, markers=[f"control:{chromogen}"], params=params, slide_id="control")
    dots = result.dots[(result.dots["reason"] == "") & (result.dots["n_copies"] == 1)].head(2000)
    size = PixelSize(result.summary["mpp_x_um"], result.summary["mpp_y_um"])
    if abs(size.mean_um / pixel_size.mean_um - 1) > 0.05:
        raise UsageError(
            f"the positive control has {size.mean_um:.3g} um per pixel and the slide "
            f"{pixel_size.mean_um:.3g}; dots can only be cut from a control of the same scan"
        )
    half, rim_px = round(size.to_px(PATCH_UM)), 4  # farther than pixels in register depend on each other
    shift = ColourShift(**result.summary["qc"]["colour_shift_px"])
    reach = half + rim_px
    patches = []
    with open_slide(control) as slide:
        for dot in _rows(dots):
            col, row = int(dot.x_um / size.x_um), int(dot.y_um / size.y_um)
            if min(col, row, slide.width - 1 - col, slide.height - 1 - row) < reach:
                continue
            around = slide.read(Region(col - reach, row - reach, 2 * reach + 1, 2 * reach + 1))
            rgb = registered(around, shift)[rim_px:-rim_px, rim_px:-rim_px].astype(np.float64)
            rim = np.concatenate([rgb[0], rgb[-1], rgb[:, 0], rgb[:, -1]])
            patches.append(np.maximum(np.log10(np.median(rim, axis=0) / np.maximum(rgb, 1)), 0))
    if not patches:
        raise UsageError(f"the positive control {str(control)!r} holds no single dot to cut; leave it out")
    return patches


def report(
    plain: SlideResult, spiked: SlideResult, planted: pd.DataFrame, marker: str, *, blank: bool = False
) -> dict[str, Any]:
    """Recovery, ownership, copies and, for a slide declared blank, its limits, in numbers."""
    area = float(plain.summary["tissue_area_mm2"])
    counted = spiked.dots[spiked.dots["reason"] == ""]
    found, true = match_points(_places(counted), _places(planted), 0.5)
    cells = spiked.cells
    where = cells.set_index("cell_id")[["x_um", "y_um"]]
    owner = where.reindex(counted["cell_id"].to_numpy()[found]).to_numpy(float)
    home = (
        plain.cells.set_index("cell_id")[["x_um", "y_um"]]
        .loc[planted["cell_id"].to_numpy()[true]]
        .to_numpy(float)
    )
    right = np.hypot(*(owner - home).T) < 3.0  # both counts outline the same nucleus within its radius
    homes = (
        plain.cells.set_index("cell_id").loc[planted["cell_id"].unique(), ["x_um", "y_um"]].to_numpy(float)
    )
    called = cells[cells[f"{marker}_positive"]]
    hit, _ = match_points(_places(called), homes, 3.0)
    again, _ = match_points(_places(cells), homes, 3.0)
    copies = int(cells[f"{marker}_copies"].to_numpy()[again].sum())
    return {
        "area_mm2": area,
        "dots": scores(len(found), len(counted), len(planted)),
        "cells": scores(len(hit), len(called), len(homes)),
        "owner_right": float(right.mean()) if len(right) else None,
        "copies": {"planted": len(planted), "found": copies},
        "unspiked": _unspiked(int(plain.cells[f"{marker}_positive"].sum()), area, blank=blank),
    }


def _unspiked(n_positive: int, area_mm2: float, *, blank: bool) -> dict[str, Any]:
    """What the slide held before; its limits where it was declared blank."""
    limit = limit_of_blank([n_positive], [area_mm2]) if blank else None
    return {
        "declared_blank": blank,
        "n_positive": n_positive,
        "per_mm2": n_positive / area_mm2 if area_mm2 else None,
        "per_mm2_upper": rate_upper_limit(n_positive, area_mm2) if area_mm2 else None,
        "limit_of_blank": limit,
        "limit_of_detection": None if limit is None else limit_of_detection(limit),
    }
