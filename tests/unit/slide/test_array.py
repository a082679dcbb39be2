"""Arrays and pictures are slides of one level."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import imagecodecs
import numpy as np
import pytest

from ishcount.core.errors import SlideError
from ishcount.core.geometry import Region
from ishcount.slide import array
from ishcount.slide.open import open_slide
from ishcount.slide.protocol import Slide
from tests.slide_files import tissue


def test_array_is_a_slide():
    pixels = tissue(50, 70)
    slide = open_slide(pixels)
    assert isinstance(slide, Slide)
    assert (slide.width, slide.height, slide.reader, slide.format) == (70, 50, "array", "array")
    assert np.array_equal(slide.read(Region(10, 5, 20, 30)), pixels[5:35, 10:30])
    rgb, valid = slide.read_masked(Region(0, 0, 70, 50))
    assert np.array_equal(rgb, pixels)
    assert valid.all()


def test_what_is_read_is_a_copy():
    pixels = tissue(50, 70)
    slide = open_slide(pixels)
    slide.read(Region(0, 0, 5, 5))[:] = 0
    assert np.array_equal(slide.read(Region(0, 0, 5, 5)), pixels[:5, :5])


def test_array_travels_to_another_process_with_its_pixel_size():
    slide = open_slide(tissue(50, 70), mpp=0.25)
    copy = pickle.loads(pickle.dumps(slide))
    assert copy.pixel_size == slide.pixel_size
    assert np.array_equal(copy.read(Region(0, 0, 70, 50)), tissue(50, 70))


def test_16_bit_and_alpha_follow_the_rules_of_tiff():
    pixels = tissue(50, 70)
    whole = Region(0, 0, 70, 50)
    assert np.array_equal(open_slide(pixels.astype(np.uint16) * 257).read(whole), pixels)
    clear = np.dstack([pixels, np.zeros((50, 70), np.uint8)])
    assert (open_slide(clear).read(whole) == 255).all()


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((5, 5), np.uint8),
        np.zeros((5, 5, 3)),
        np.zeros((5, 5, 2), np.uint8),
        np.zeros((0, 5, 3), np.uint8),
        np.zeros((2, 5, 5, 3), np.uint8),
        np.zeros((5, 5, 3), np.int8),
        np.zeros((5, 5, 3), np.bool_),
    ],
)
def test_arrays_that_are_no_colour_image_are_refused(pixels):
    with pytest.raises(SlideError) as caught:
        open_slide(pixels)
    assert caught.value.code == "E_PIXELTYPE"


def test_reading_outside_or_another_level_is_a_mistake_of_the_caller():
    slide = open_slide(tissue(50, 70))
    with pytest.raises(ValueError, match="does not lie inside"):
        slide.read(Region(60, 0, 20, 5))
    with pytest.raises(ValueError, match="one level"):
        slide.read(Region(0, 0, 5, 5), 1)


@pytest.mark.parametrize("kind", ["png", "png16", "pnga", "jpeg"])
def test_picture_files_are_read(tmp_path: Path, kind: str):
    pixels = tissue(90, 70)
    path = tmp_path / "picture"
    encoded = {
        "png": lambda: imagecodecs.png_encode(pixels),
        "png16": lambda: imagecodecs.png_encode(pixels.astype(np.uint16) * 257),
        "pnga": lambda: imagecodecs.png_encode(np.dstack([pixels, np.full((90, 70), 255, np.uint8)])),
        "jpeg": lambda: imagecodecs.jpeg8_encode(pixels, level=90),
    }[kind]()
    path.write_bytes(encoded)
    expected = imagecodecs.jpeg8_decode(encoded) if kind == "jpeg" else pixels
    with open_slide(path) as slide:
        assert slide.reader == "array"
        assert np.array_equal(slide.read(Region(0, 0, 70, 90)), expected)
        assert (slide.chroma_subsampling is not None) == (kind == "jpeg")
        copy = pickle.loads(pickle.dumps(slide))
        assert np.array_equal(copy.read(Region(0, 0, 70, 90)), expected)
        copy.close()


@pytest.mark.parametrize("pixels", [tissue(50, 50)[:, :, 0], np.dstack([tissue(50, 50)[:, :, 0]] * 2)])
def test_grey_pictures_are_refused(tmp_path, pixels):
    (tmp_path / "grey.png").write_bytes(imagecodecs.png_encode(np.ascontiguousarray(pixels)))
    with pytest.raises(SlideError, match="greyscale") as caught:
        open_slide(tmp_path / "grey.png")
    assert caught.value.code == "E_PIXELTYPE"


def test_picture_too_large_for_memory_is_refused_before_decoding(tmp_path, monkeypatch):
    monkeypatch.setattr(array, "MAX_PIXELS", 1000)
    (tmp_path / "large.png").write_bytes(imagecodecs.png_encode(tissue(50, 50)))
    with pytest.raises(SlideError, match="tiled TIFF") as caught:
        open_slide(tmp_path / "large.png")
    assert caught.value.code == "E_PIXELTYPE"


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="open files are counted the Linux way")
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_closing_gives_the_file_back(tmp_path, suffix):
    from tests.slide_files import write_tiff

    path = tmp_path / f"slide.{suffix}"
    if suffix == "png":
        path.write_bytes(imagecodecs.png_encode(tissue(50, 50)))
    else:
        write_tiff(path, tissue(50, 50))
    open_slide(path).close()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        with open_slide(path) as slide:
            slide.read(Region(0, 0, 9, 9))
        slide.close()
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.real
def test_the_tile_of_scikit_image_is_read():
    data = pytest.importorskip("skimage.data")
    pixels = data.immunohistochemistry()
    slide = open_slide(pixels, mpp=0.25)
    assert np.array_equal(slide.read(Region(0, 0, 512, 512)), pixels)
