"""A pixel size is believed only when it can be true, and its source is always said."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest

from ishcount.core.errors import SlideError
from ishcount.core.units import PixelSize
from ishcount.slide.calibration import (
    calibrate_openslide,
    judge,
    pixel_size_conflict,
    resolve_pixel_size,
    with_power,
)
from ishcount.slide.open import open_slide
from tests.slide_files import SIDE, aperio_description, tissue, write_tiff


@dataclass
class Known:
    """Just enough of a slide."""

    pixel_size: PixelSize | None = None
    mpp_source: str = ""
    warnings: tuple[str, ...] = ()
    path: str = "slide.svs"


@pytest.mark.parametrize("value", [0.05, 0.1, 0.25, 0.499, 1.0, 5.0])
def test_sizes_of_scanners_are_believed(value):
    assert judge(value, value, "x").pixel_size == PixelSize(value, value)


@pytest.mark.parametrize("value", [None, 0.0, -0.5, math.nan, math.inf, 0.0499, 5.01, 352.78, 1e9, 1e-300])
def test_sizes_of_no_scanner_are_refused_with_the_reason(value):
    for pair in ((value, value), (0.25, value), (value, 0.25)):
        found = judge(*pair, "some field")
        assert found.pixel_size is None
        assert found.source == ""
        assert "some field" in found.warnings[0]


def test_edges_may_differ_by_ten_percent_and_no_more():
    assert judge(0.50, 0.45, "x").pixel_size == PixelSize(0.50, 0.45)
    assert "not square" in judge(0.50, 0.45, "x").warnings[0]
    assert judge(0.50, 0.4975, "x").warnings == ()
    assert judge(0.50, 0.449, "x").pixel_size is None
    assert judge(0.5, 1.0, "x").pixel_size is None


def aperio(tmp_path, fields):
    path = write_tiff(tmp_path / "slide.svs", tissue(), description=aperio_description(fields))
    return open_slide(path)


@pytest.mark.parametrize(
    "text", ["0", "-0.5", "nan", "inf", "1e9", "", "abc", "0,5", "0.25 um", "0x1", "0.25.1"]
)
def test_aperio_mpp_that_is_no_size_is_not_replaced_by_the_resolution_tag(tmp_path, text):
    with aperio(tmp_path, f"AppMag = 40|MPP = {text}") as slide:
        assert slide.pixel_size is None
        with pytest.raises(SlideError, match=r"--mpp 0\.25") as caught:
            resolve_pixel_size(slide)
        assert caught.value.code == "E_MPP"


def test_aperio_mpp_is_read(tmp_path):
    with aperio(tmp_path, "AppMag = 20|MPP = 0.4990|Left = 1") as slide:
        assert slide.pixel_size == PixelSize(0.499, 0.499)
        assert slide.mpp_source == "Aperio MPP"
        assert slide.warnings == ()


def test_aperio_without_mpp_says_so(tmp_path):
    with aperio(tmp_path, "AppMag = 20") as slide, pytest.raises(SlideError, match="holds no MPP"):
        resolve_pixel_size(slide)


@pytest.mark.parametrize(
    ("mpp", "power", "warned"), [(0.25, 20, True), (0.25, 40, False), (0.5, 40, True), (0.34, 20, False)]
)
def test_objective_that_speaks_against_the_size_is_warned_about(tmp_path, mpp, power, warned):
    with aperio(tmp_path, f"AppMag = {power}|MPP = {mpp}") as slide:
        assert slide.pixel_size == PixelSize(mpp, mpp)
        assert any("objective" in warning for warning in slide.warnings) == warned


@pytest.mark.parametrize("power", [None, 0, -20, math.nan, math.inf])
def test_objective_without_meaning_is_passed_over(power):
    known = judge(0.25, 0.25, "x")
    assert with_power(known, power) == known


@pytest.mark.parametrize(
    ("unit", "value", "size"),
    [
        ("\u00b5m", 0.25, 0.25),
        ("\u03bcm", 0.25, 0.25),
        ("nm", 250, 0.25),
        ("mm", 0.00025, 0.25),
        ("cm", 0.000025, 0.25),
        ("m", 2.5e-7, 0.25),
        ("\u00c5", 2500, 0.25),
        ("in", 1e-5, 0.254),
        ("pixel", 0.25, None),
        ("reference frame", 0.25, None),
        ("mm", 0.25, None),
        ("nm", 0.25, None),
        ("\u00b5m", 0, None),
        ("\u00b5m", -1, None),
    ],
)
def test_ome_size_is_read_with_its_unit(tmp_path, unit, value, size):
    keys = {
        "PhysicalSizeX": value,
        "PhysicalSizeY": value,
        "PhysicalSizeXUnit": unit,
        "PhysicalSizeYUnit": unit,
    }
    path = write_tiff(tmp_path / "slide.ome.tif", tissue(), metadata={"axes": "YXS", **keys})
    with open_slide(path) as slide:
        assert slide.format == "ome-tiff"
        if size is None:
            assert slide.pixel_size is None
            assert any("OME" in warning for warning in slide.warnings)
        else:
            assert slide.pixel_size is not None
            assert slide.pixel_size.x_um == pytest.approx(size)
            assert slide.mpp_source == "OME PhysicalSize"


def test_ome_without_a_size_falls_back_to_the_resolution(tmp_path):
    path = write_tiff(tmp_path / "slide.ome.tif", tissue(), metadata={"axes": "YXS"})
    with open_slide(path) as slide:
        assert (slide.pixel_size, slide.mpp_source) == (PixelSize(0.25, 0.25), "TIFF resolution")


def test_ome_default_unit_is_the_micrometre(tmp_path):
    text = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0"><Pixels '
        f'SizeX="{SIDE}" SizeY="{SIDE}" PhysicalSizeX="0.3" PhysicalSizeY="0.3"/></Image></OME>'
    )
    path = write_tiff(tmp_path / "slide.ome.tif", tissue(), description=text)
    with open_slide(path) as slide:
        assert slide.pixel_size == PixelSize(0.3, 0.3)


@pytest.mark.parametrize(
    ("resolution", "unit", "size"),
    [
        ((20_000, 20_000), "CENTIMETER", 0.5),
        ((50_800, 50_800), "INCH", 0.5),
        ((72, 72), "INCH", None),
        ((96, 96), "INCH", None),
        ((300, 300), "INCH", None),
        ((0.25, 0.25), "NONE", None),
        ((0, 0), "CENTIMETER", None),
        ((20_000, 10_000), "CENTIMETER", None),
        ((1e9, 1e9), "CENTIMETER", None),
    ],
)
def test_tiff_resolution_is_read_with_its_unit(tmp_path, resolution, unit, size):
    path = write_tiff(tmp_path / "slide.tif", tissue(), resolution=resolution, resolutionunit=unit)
    with open_slide(path) as slide:
        if size is None:
            assert slide.pixel_size is None
            assert slide.warnings
        else:
            assert slide.pixel_size == PixelSize(size, size)
            assert slide.mpp_source == "TIFF resolution"


def test_imagej_unit_is_read(tmp_path):
    path = write_tiff(
        tmp_path / "slide.tif",
        tissue(),
        resolution=(4, 4),
        resolutionunit="NONE",
        description="ImageJ=1.54f\nunit=micron\n",
    )
    with open_slide(path) as slide:
        assert (slide.pixel_size, slide.mpp_source) == (PixelSize(0.25, 0.25), "ImageJ resolution")


@pytest.mark.parametrize(
    ("x", "y", "ok"),
    [
        ("0.25", "0.25", True),
        ("0", "0", False),
        ("-0.5", "-0.5", False),
        ("inf", "inf", False),
        ("1e9", "1e9", False),
        ("0.25", "0.5", False),
        ("0.25", None, True),
        (None, None, False),
    ],
)
def test_what_openslide_passes_through_is_judged(x, y, ok):
    fields = {"openslide.mpp-x": x, "openslide.mpp-y": y, "openslide.vendor": "hamamatsu"}
    found = calibrate_openslide({name: value for name, value in fields.items() if value is not None})
    assert (found.pixel_size is not None) == ok
    assert (found.source == "OpenSlide hamamatsu") == ok
    assert bool(found.warnings) != ok


def test_order_of_trust_is_sheet_option_file():
    slide = Known(PixelSize(0.5, 0.5), "Aperio MPP")
    assert resolve_pixel_size(slide, sheet_mpp=0.2, option_mpp=0.3) == (PixelSize(0.2, 0.2), "sheet")
    assert resolve_pixel_size(slide, option_mpp=0.3) == (PixelSize(0.3, 0.3), "--mpp")
    assert resolve_pixel_size(slide, sheet_mpp=math.nan) == (PixelSize(0.5, 0.5), "Aperio MPP")
    assert resolve_pixel_size(slide) == (PixelSize(0.5, 0.5), "Aperio MPP")


@pytest.mark.parametrize("mpp", [0.0, -1.0, math.inf, 250.0, 0.01])
def test_absurd_size_from_a_person_is_refused_not_passed_over(mpp):
    slide = Known(PixelSize(0.5, 0.5), "Aperio MPP")
    for options in ({"sheet_mpp": mpp}, {"option_mpp": mpp}):
        with pytest.raises(SlideError) as caught:
            resolve_pixel_size(slide, **options)
        assert caught.value.code == "E_MPP"
    with pytest.raises(SlideError):
        open_slide(tissue(), mpp=mpp)


def test_conflict_with_the_file_is_said():
    slide = Known(PixelSize(0.5, 0.5), "Aperio MPP")
    assert "0.5" in pixel_size_conflict(slide, PixelSize(0.25, 0.25))
    assert pixel_size_conflict(slide, PixelSize(0.502, 0.502)) == ""
    assert pixel_size_conflict(Known(), PixelSize(0.25, 0.25)) == ""


def test_array_has_the_size_it_is_given():
    assert open_slide(tissue()).pixel_size is None
    slide = open_slide(tissue(), mpp=0.25)
    assert resolve_pixel_size(slide) == (PixelSize(0.25, 0.25), "given")


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("cmu-1-small-region.svs", 0.499),
        ("OS-2-ndpi.ome.tif", 0.2271),
        ("boxes_0.dcm", 0.499),
        ("boxes.tiff", None),
        ("tcga-cr-7395-01a-01-ts1.svs", None),
        ("kidney-48-5.tif", None),
    ],
)
def test_real_slides_have_their_size_or_a_line_that_says_how_to_give_one(real_data, name, size):
    with open_slide(real_data / "slides" / name) as slide:
        if size is not None:
            assert resolve_pixel_size(slide)[0].mean_um == pytest.approx(size, abs=1e-4)
        else:
            with pytest.raises(SlideError, match="give one with --mpp"):
                resolve_pixel_size(slide)
            assert resolve_pixel_size(slide, option_mpp=0.25) == (PixelSize(0.25, 0.25), "--mpp")
