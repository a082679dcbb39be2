"""One phantom slide: lay out, place, paint, expose; its truth stays with it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ishcount.truth.phantom.answers import Truth, tell_truth
from ishcount.truth.phantom.camera import draw_camera, expose
from ishcount.truth.phantom.confounders import draw_regions, draw_specks
from ishcount.truth.phantom.dots import paint_dots, place_dots
from ishcount.truth.phantom.nuclei import place_nuclei
from ishcount.truth.phantom.paintwork import Painting, textures, transmitted
from ishcount.truth.phantom.spec import PhantomSpec
from ishcount.truth.phantom.stains import draw_stains
from ishcount.truth.phantom.tissue import lay_out

STRIP_ROWS = 512
MARGIN_PX = 40  # of a strip, more than blur, folds and sharpening reach


@dataclass(frozen=True)
class Phantom:
    """A drawn slide. rgb: uint8 (h, w, 3) before any JPEG. truth: everything that is really on it."""

    rgb: npt.NDArray[np.uint8]
    truth: Truth


def draw_phantom(spec: PhantomSpec) -> Phantom:
    """Draw the slide that `spec` asks for; equal specs give equal pixels and equal truth.

    Memory: three bytes a pixel for the answer, and float planes for strips of `STRIP_ROWS` rows only.
    """
    layout, stains, camera = lay_out(spec), draw_stains(spec), draw_camera(spec)
    nuclei = place_nuclei(spec, layout)
    dots = place_dots(spec, layout, nuclei, stains)
    specks = draw_specks(spec, layout, nuclei, stains)
    regions = draw_regions(spec, layout)
    dot_blobs = paint_dots(dots, stains, spec.rng("dot shape"))
    painting = Painting(
        spec, layout, stains, nuclei, specks.blobs, dot_blobs, regions, *textures(spec)
    )
    shape = (round(spec.height_um / spec.mpp_um), round(spec.width_um / spec.mpp_um))
    rgb = np.empty((*shape, 3), np.uint8)
    for number, top in enumerate(range(0, shape[0], STRIP_ROWS)):
        first, last = max(0, top - MARGIN_PX), min(shape[0], top + STRIP_ROWS + MARGIN_PX)
        light = transmitted(painting, first, last, shape[1], focus_um=camera.focus_um)
        grain = spec.camera_rng(f"grain {number}")
        strip = expose(camera, light, grain, first_row=first, shape=shape, um=spec.mpp_um)
        rgb[top : top + STRIP_ROWS] = strip[top - first : top - first + STRIP_ROWS]
    truth = tell_truth(
        spec, layout=layout, nuclei=nuclei, dots=dots, specks=specks, regions=regions, stains=stains,
        camera=camera,
    )  # fmt: skip
    return Phantom(rgb, truth)
