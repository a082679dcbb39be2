"""What a run would do, without doing it: which slides, how long, how much space."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ishcount.core.errors import SlideError
from ishcount.params import Params
from ishcount.slide.calibration import resolve_pixel_size
from ishcount.slide.open import open_slide
from ishcount.study.jobs import RunOptions, StudySlide, slides_of
from ishcount.study.sheet import Sheet
from ishcount.study.stages import check_input

TISSUE_SHARE = 0.3
"""Share of a slide that is taken to be tissue before anybody has looked."""
MEGAPIXELS_PER_SECOND = 5.0
"""Tissue counted per core and second, all outputs included; `tests/benchmarks/bench_run.py` prints it."""
MEGABYTES_PER_MEGAPIXEL = {"all": 0.25, "tables": 0.02}
"""What the files of a slide take, per megapixel of tissue; printed by the same script."""


def forecast(sheet: Sheet, out: Path, params: Params, options: RunOptions) -> dict[str, Any]:
    """Plain facts: each slide with what would become of it, and the sums. Opens slides, reads no pixels."""
    slides = [_look(slide) for slide in slides_of(sheet, out, params, options)]
    counted = [slide for slide in slides if slide["status"] == "to count"]
    megapixels = TISSUE_SHARE * sum(slide["megapixels"] for slide in counted)
    return {
        "slides": slides,
        "n_slides": len(slides),
        "n_to_count": len(counted),
        "minutes": megapixels / MEGAPIXELS_PER_SECOND / max(1, options.n_workers) / 60,
        "gigabytes": megapixels * MEGABYTES_PER_MEGAPIXEL[options.outputs] / 1000,
        "assumption": f"if {TISSUE_SHARE:.0%} of each slide is tissue; finished slides are kept for nothing",
    }


def _look(slide: StudySlide) -> dict[str, Any]:
    job = slide.job
    said: dict[str, Any] = {
        "slide_id": job.slide_id,
        "markers": " ".join(name for name, _ in job.markers),
        "status": "to count",
        "megapixels": None,
        "reason": "",
    }
    try:
        check_input(job)
        with open_slide(job.slide) as opened:
            said["megapixels"] = opened.width * opened.height / 1e6
            resolve_pixel_size(opened, sheet_mpp=job.sheet_mpp, option_mpp=job.option_mpp)
    except SlideError as error:
        said |= {"status": "would fail", "reason": f"{error.code} {error}"}
    return said
