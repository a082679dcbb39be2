"""How far each slide's stain colours lie from those of its study: drift between runs, batches or scanners."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ishcount.core.stain_model import angle_deg

FAR_DEG = 5.0  # an error of 5 degrees in a stain's colour adds half the false count (docs/methods.md)
LEAST_SLIDES = 3  # with fewer there is no middle to drift from


def stain_drift_deg(summaries: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Slide and stain -> degrees from the median colour of that stain over the study's slides.

    Only colours measured on the slide count; a stain measured on fewer than three slides has no entry.
    """
    measured: dict[str, dict[str, list[float]]] = defaultdict(dict)
    for summary in summaries:
        for stain in (summary.get("stains") or {}).get("vectors", []):
            if stain.get("source") == "measured":
                measured[stain["stain"]][str(summary["slide_id"])] = stain["rgb_od"]
    drift: dict[str, dict[str, float]] = defaultdict(dict)
    for name, colours in measured.items():
        if len(colours) >= LEAST_SLIDES:
            middle = np.median(np.array(list(colours.values())), axis=0)
            for slide, colour in colours.items():
                drift[slide][name] = angle_deg(colour, middle)
    return dict(drift)


def far_slides(drift: Mapping[str, Mapping[str, float]]) -> list[tuple[str, str]]:
    """Slide and what is to be said of it, for each stain more than `FAR_DEG` from the study's."""
    return [
        (slide, f"{name.replace('_', ' ')} is {angle:.0f} degrees from its median colour in this study")
        for slide, stains in drift.items()
        for name, angle in stains.items()
        if angle > FAR_DEG
    ]
