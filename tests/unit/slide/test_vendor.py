"""OpenSlide's slides obey the same contract."""

from __future__ import annotations

import pickle

import numpy as np
import openslide
import pytest

from ishcount.core.geometry import Region
from ishcount.slide.open import open_slide
from ishcount.slide.tiff import TiffSlide
from ishcount.slide.vendor import VendorSlide
from tests.slide_files import aperio_description, tissue, write_pyramid


def vendor(path) -> VendorSlide:
    return VendorSlide(str(path), reopen=(open_slide, (str(path),)))


@pytest.mark.parametrize("name", ["slide.tif", "slide.svs"])
def test_both_readers_give_the_same_levels_and_pixels(tmp_path, name):
    path = tmp_path / name
    options = {"compression": "jpeg", "compressionargs": {"level": 80}, "below": False}
    if name.endswith("svs"):
        options["description"] = aperio_description()
    write_pyramid(path, tissue(640, 768), (2, 4), **options)
    with open_slide(path) as fast, vendor(path) as slow:
        assert isinstance(fast, TiffSlide)
        assert fast.levels == slow.levels
        assert fast.pixel_size == slow.pixel_size
        assert fast.format == slow.format.replace("generic-tiff", "tiff")
        for level in range(3):
            for region in (Region(0, 0, 160, 160), Region(7, 31, 133, 101)):
                assert np.array_equal(fast.read(region, level), slow.read(region, level))


def test_what_no_tile_covers_is_white():
    from ishcount.slide.vendor import _on_white

    rgba = np.array([[[10, 20, 30, 255], [10, 20, 30, 0], [0, 0, 0, 128]]], np.uint8)
    assert _on_white(rgba).tolist() == [[[10, 20, 30], [255, 255, 255], [127, 127, 127]]]


def test_label_and_macro_are_never_asked_for(tmp_path, monkeypatch):
    def refuse(self):
        raise AssertionError("associated images were opened")

    path = write_pyramid(tmp_path / "slide.tif", tissue(640, 768), (2,), below=False)
    monkeypatch.setattr(openslide.OpenSlide, "associated_images", property(refuse))
    with vendor(path) as slide:
        slide.read(Region(0, 0, 100, 100))
        slide.read_masked(Region(0, 0, 100, 100), 1)


def test_vendor_slide_travels_to_another_process(tmp_path):
    path = write_pyramid(tmp_path / "slide.tif", tissue(640, 768), (2,), below=False)
    with vendor(path) as slide:
        copy = pickle.loads(pickle.dumps(slide))
        with copy:
            assert np.array_equal(copy.read(Region(0, 0, 99, 99)), slide.read(Region(0, 0, 99, 99)))


@pytest.mark.real
@pytest.mark.parametrize("name", ["boxes_0.dcm", "boxes_1.dcm"])
def test_dicom_is_read(real_data, name):
    with open_slide(real_data / "slides" / name) as slide:
        assert (slide.reader, slide.format, slide.width, slide.height) == ("openslide", "dicom", 16, 16)
        assert slide.pixel_size is not None
        assert slide.read(Region(0, 0, 16, 16)).mean() > 200


@pytest.mark.real
def test_dicom_and_svs_of_the_same_slide_have_the_same_pixels(real_data):
    with (
        open_slide(real_data / "slides" / "boxes_0.dcm") as dicom,
        open_slide(real_data / "slides" / "small.svs") as svs,
    ):
        assert np.array_equal(dicom.read(Region(0, 0, 16, 16)), svs.read(Region(0, 0, 16, 16)))
