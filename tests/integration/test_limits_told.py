"""A slide that asks too much of the method says so.

Coarse pixels, halved colour, saturated dots, dense stain, spots that may be pigment, another dye than named.
"""

import cv2
import numpy as np
import pytest
import tifffile

from ishcount.core.errors import SlideError
from ishcount.core.stain_model import REFERENCE, unit
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


def slide_with(path, dots, colour, *, radius_px=1.6, od=0.7):
    """A slide of nuclei with spots of `colour` at `dots` (x, y)."""
    rgb, _ = small_slide.draw(2000, 1600, n_dots=0)
    layer = np.zeros(rgb.shape[:2], np.float32)
    for x, y in np.rint(dots).astype(int):
        layer[y, x] += 1
    layer = cv2.GaussianBlur(layer, (0, 0), radius_px) * od * 2 * np.pi * radius_px**2
    return small_slide.write(path, np.rint(rgb * 10 ** -(layer[..., None] * unit(colour))).astype(np.uint8))


def spots(n_cells, per_cell, *, spread_px):
    """Spots (x, y) about `n_cells` of the nuclei of `small_slide`, which lie on a lattice of 44 pixels."""
    rng = np.random.default_rng(5)
    lattice = np.array([(x, y) for y in range(218, 1383, 44) for x in range(218, 1783, 44)], float)
    cells = lattice[rng.choice(len(lattice), n_cells, replace=False)]
    return np.repeat(cells, per_cell, axis=0) + rng.normal(0, spread_px, (n_cells * per_cell, 2))


def marker_flags(path, marker):
    result = count_slide(path, path.parent, markers=[marker])
    return set(result.markers["M"]["flags"]) | set(result.summary["flags"])


@pytest.mark.parametrize(("marker", "colour"), [("M:fast_red", "fast_red"), ("M:dab", "dab")])
def test_stain_too_dense_for_dots_is_told_and_dots_are_not_called_dense(tmp_path, marker, colour):
    dense = slide_with(
        tmp_path / "dense.tif", spots(300, 60, spread_px=5.0), REFERENCE[colour], radius_px=2.5
    )
    assert "DENSE_STAIN" in marker_flags(dense, marker)
    usual = slide_with(tmp_path / "usual.tif", spots(100, 2, spread_px=4.0), REFERENCE[colour])
    assert "DENSE_STAIN" not in marker_flags(usual, marker)


def test_nearly_black_dots_on_a_brown_slide_are_told(tmp_path):
    black = slide_with(tmp_path / "black.tif", spots(150, 2, spread_px=4.0), (0.52, 0.58, 0.63))
    assert "PIGMENT_OR_DOTS" in marker_flags(black, "M:dab")
    brown = slide_with(tmp_path / "brown.tif", spots(150, 2, spread_px=4.0), REFERENCE["dab"])
    assert "PIGMENT_OR_DOTS" not in marker_flags(brown, "M:dab")


@pytest.mark.parametrize(("named", "drawn"), [("fast_red", "dab"), ("dab", "fast_red")])
def test_another_dye_than_was_named_is_told(tmp_path, named, drawn):
    path = slide_with(tmp_path / "slide.tif", spots(100, 2, spread_px=4.0), REFERENCE[drawn])
    assert "STAIN_MISMATCH" in marker_flags(path, f"M:{named}")
    assert "STAIN_MISMATCH" not in marker_flags(path, f"M:{drawn}")


def test_auto_on_a_slide_without_dots_is_refused(tmp_path):
    path = slide_with(tmp_path / "slide.tif", spots(0, 2, spread_px=4.0), REFERENCE["dab"])
    with pytest.raises(SlideError, match="cannot tell the chromogen") as caught:
        count_slide(path, tmp_path, markers=["M:auto"])
    assert caught.value.code == "E_STAIN"
