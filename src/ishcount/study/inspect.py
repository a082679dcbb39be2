"""What a slide is, before it is counted: size, pixel size, sections, likely stains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ishcount.core.errors import SlideError
from ishcount.core.tissue_map import RegionKind
from ishcount.core.units import PixelSize
from ishcount.params import Params
from ishcount.quantify.job import SlideJob, overview_factor
from ishcount.quantify.prepare import read_windows
from ishcount.slide.calibration import resolve_pixel_size
from ishcount.slide.open import open_slide
from ishcount.slide.overview import read_overview
from ishcount.slide.protocol import Slide
from ishcount.steps.colour_shift import in_register
from ishcount.steps.stains import estimate_white, learn_stains, refuse_dark_field
from ishcount.steps.tissue import find_tissue


def inspect_slide(path: Path, *, mpp: float | None = None, params: Params | None = None) -> dict[str, Any]:
    """Plain facts of a slide; SlideError when it cannot be opened.

    Sections and stains are looked for only where the pixel size is known; `pixel_size_problem` says why not.
    """
    with open_slide(str(path)) as slide:
        levels = [f"{level.width} x {level.height}" for level in slide.levels]
        facts: dict[str, Any] = {
            "slide": str(path),
            "format": slide.format,
            "reader": slide.reader,
            "width_px": slide.width,
            "height_px": slide.height,
            "megapixels": slide.width * slide.height / 1e6,
            "levels": levels,
            "chroma_subsampling": slide.chroma_subsampling,
            "icc_profile": slide.icc,
            "mpp_x_um": None,
            "mpp_y_um": None,
            "mpp_source": None,
            "pixel_size_problem": "",
            "warnings": list(slide.warnings),
        }
        try:
            size, source = resolve_pixel_size(slide, sheet_mpp=None, option_mpp=mpp)
        except SlideError as error:
            return facts | {"pixel_size_problem": str(error)}
        facts |= {"mpp_x_um": size.x_um, "mpp_y_um": size.y_um, "mpp_source": source}
        return facts | _tissue_and_stains(slide, str(path), size, params or Params())


def _tissue_and_stains(slide: Slide, path: str, size: PixelSize, params: Params) -> dict[str, Any]:
    factor = overview_factor(size)
    overview, valid, overview_source = read_overview(slide, factor)
    tissue = find_tissue(
        overview, valid, size, factor, params.tissue, width_px=slide.width, height_px=slide.height
    )
    white, white_source = estimate_white(overview, (tissue.kind == RegionKind.GLASS) & valid)
    nowhere = Path()
    job = SlideJob(slide=path, slide_id="", folder=nowhere, work=nowhere, markers=(), params=params)
    windows = read_windows(slide, tissue, size, job)
    return {
        "overview": overview_source,
        "tissue_area_mm2": tissue.area_mm2(tissue.kind == RegionKind.TISSUE),
        "sections": tissue.sections(),
        "white": list(white),
        "white_source": white_source,
        **_stains(overview, windows, white, white_source, size, params),
    }


def _stains(
    overview: np.ndarray,
    windows: list[np.ndarray],
    white: tuple[float, float, float],
    white_source: str,
    size: PixelSize,
    params: Params,
) -> dict[str, Any]:
    """The chromogen that `auto` would choose, or why it would refuse."""
    try:
        refuse_dark_field(overview)
        seen, _ = in_register(windows)
        model = learn_stains(seen, white, ["auto"], size, params.stains, white_source=white_source)
    except SlideError as error:
        return {"likely_chromogen": None, "stain_problem": str(error)}
    return {"likely_chromogen": model.names[1], "stain_problem": model.mismatch}
