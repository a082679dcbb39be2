"""A slide that asks too much of the method says so: coarse pixels, halved colour, saturated dots."""

import numpy as np
import pytest
import tifffile

from ishcount.quantify import count_slide
from tests import small_slide

LIMITS = {"COARSE_PIXELS", "CHROMA_SUBSAMPLED"}


def flags_of(path, folder):
    return set(count_slide(path, folder, markers=["IFNG:fast_red"]).summary["flags"])


@pytest.mark.parametrize(
    ("mpp_um", "subsampling", "told"),
    [
        (0.25, (2, 2), set()),
        (0.50, (1, 1), {"COARSE_PIXELS"}),
        (0.50, (2, 2), {"COARSE_PIXELS", "CHROMA_SUBSAMPLED"}),
    ],
)
def test_coarse_pixels_and_their_halved_colour_are_told(tmp_path, mpp_um, subsampling, told):
    rgb, _ = small_slide.draw(1024, 1024)
    tifffile.imwrite(
        tmp_path / "slide.tif", rgb, tile=(256, 256), photometric="rgb", compression="jpeg",
        subsampling=subsampling, resolution=(1e4 / mpp_um,) * 2, resolutionunit="CENTIMETER",
    )  # fmt: skip
    assert flags_of(tmp_path / "slide.tif", tmp_path) & LIMITS == told


@pytest.mark.parametrize(("darkening", "told"), [(0, False), (3.0, True)])
def test_saturated_dots_are_told(tmp_path, darkening, told):
    rgb, dots = small_slide.draw(1024, 1024)
    y, x = np.mgrid[: rgb.shape[0], : rgb.shape[1]]
    for dot_x, dot_y in dots:
        od = darkening * np.exp(-((x - dot_x) ** 2 + (y - dot_y) ** 2) / (2 * 1.6**2))
        rgb = np.rint(rgb * 10 ** -(od[..., None] * small_slide.FAST_RED)).astype(np.uint8)
    path = small_slide.write(tmp_path / "slide.tif", rgb)
    result = count_slide(path, tmp_path, markers=["IFNG:fast_red"])
    assert ("SATURATED" in result.markers["IFNG"]["flags"]) is told
