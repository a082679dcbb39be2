"""The fast path gives the stored pixels, the true pyramid and nothing else."""

from __future__ import annotations

import pickle

import imagecodecs
import numpy as np
import openslide
import pytest
import tifffile

from ishcount.core.errors import SlideError
from ishcount.core.geometry import Region
from ishcount.slide import tiff
from ishcount.slide.open import open_slide
from ishcount.slide.tiff import TiffSlide
from tests.slide_files import (
    SIDE,
    TILE,
    read_whole,
    tissue,
    write_tiff,
)

WHOLE = Region(0, 0, SIDE, SIDE)


@pytest.mark.parametrize(
    ("compression", "predictor"),
    [
        (codec, predictor)
        for codec in ("lzw", "deflate", "adobe_deflate", "zstd", "lzma")
        for predictor in (0, 1)
    ]
    + [("packbits", 0), (None, 0)],
)
@pytest.mark.parametrize("layout", ["tiles", "strips"])
def test_lossless_codecs_give_back_what_was_written(tmp_path, layout, compression, predictor):
    pixels = tissue()
    options = {"compression": compression} | ({"predictor": True} if predictor else {})
    options |= {"tile": None, "rowsperstrip": 37} if layout == "strips" else {}
    path = write_tiff(tmp_path / "slide.tif", pixels, **options)
    assert np.array_equal(read_whole(path), pixels)


@pytest.mark.parametrize(
    "options", [{"bigtiff": True}, {"byteorder": ">"}, {"tile": (64, 256)}, {"tile": (48, 48)}]
)
def test_file_layout_does_not_change_pixels(tmp_path, options):
    pixels = tissue()
    assert np.array_equal(read_whole(write_tiff(tmp_path / "slide.tif", pixels, **options)), pixels)


@pytest.mark.parametrize("planar", ["tiles", "strips"])
def test_planes_stored_apart_are_put_together(tmp_path, planar):
    pixels = tissue()
    options = {"tile": None, "rowsperstrip": 50} if planar == "strips" else {}
    path = tmp_path / "slide.tif"
    write_tiff(path, np.moveaxis(pixels, 2, 0), planarconfig="separate", compression="deflate", **options)
    assert np.array_equal(read_whole(path), pixels)


def test_one_uncompressed_strip_is_read_without_reading_all_of_it(tmp_path, monkeypatch):
    monkeypatch.setattr(tiff, "WHOLE_STRIP_BYTES", 1000)
    pixels = tissue()
    path = write_tiff(tmp_path / "slide.tif", pixels, tile=None, rowsperstrip=SIDE)
    with open_slide(path) as slide:
        assert isinstance(slide, TiffSlide)
        fetched = []
        read = slide._source.read
        monkeypatch.setattr(
            slide._source, "read", lambda offset, length: fetched.append(length) or read(offset, length)
        )
        assert np.array_equal(slide.read(Region(200, 301, 50, 40)), pixels[301:341, 200:250])
    assert sum(fetched) == 50 * 40 * 3


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_large_strips_of_16_bit_keep_their_byte_order(tmp_path, monkeypatch, planar):
    monkeypatch.setattr(tiff, "WHOLE_STRIP_BYTES", 1000)
    pixels = tissue()
    stored = pixels.astype(np.uint16) * 257
    stored = np.moveaxis(stored, 2, 0) if planar == "separate" else stored
    path = write_tiff(
        tmp_path / "slide.tif", stored, planarconfig=planar, tile=None, rowsperstrip=SIDE, byteorder=">"
    )
    assert np.array_equal(read_whole(path), pixels)


# -- JPEG and JPEG 2000: the same pixels as two independent readers ------------------------------------------


@pytest.mark.parametrize(
    ("photometric", "subsampling"), [("ycbcr", (2, 2)), ("ycbcr", (2, 1)), ("ycbcr", (1, 1)), ("rgb", (1, 1))]
)
def test_jpeg_pixels_are_those_of_openslide_and_tifffile(tmp_path, photometric, subsampling):
    path = tmp_path / "slide.tif"
    jpeg = {"compression": "jpeg", "compressionargs": {"level": 80}, "subsampling": subsampling}
    write_tiff(path, tissue(), photometric=photometric, **jpeg)
    with open_slide(path) as slide:
        ours = slide.read(WHOLE)
        assert slide.chroma_subsampling == subsampling
    with openslide.OpenSlide(path) as other:
        assert np.array_equal(ours, np.asarray(other.read_region((0, 0), 0, (SIDE, SIDE)))[:, :, :3])
    assert np.array_equal(ours, tifffile.imread(path))


def test_jpeg_called_rgb_but_holding_ycbcr_is_turned_into_rgb(tmp_path):
    # Bio-Formats writes such files: the JFIF marker in the stream is right, the directory is not.
    pixels = tissue(TILE, TILE)
    data = imagecodecs.jpeg8_encode(pixels, level=95, colorspace="RGB", outcolorspace="YCBCR")
    assert b"JFIF" in data[:32]
    path = tmp_path / "slide.tif"
    with tifffile.TiffWriter(path) as out:
        out.write(iter([data]), shape=pixels.shape, dtype=np.uint8, tile=(TILE, TILE), photometric="rgb",
                  compression="jpeg", metadata=None)  # fmt: skip
    with open_slide(path) as slide:
        ours = slide.read(Region(0, 0, TILE, TILE))
    assert np.array_equal(ours, imagecodecs.jpeg8_decode(data))


@pytest.mark.parametrize("compression", ["jpeg2000", "APERIO_JP2000_RGB", "APERIO_JP2000_YCBC"])
def test_lossless_jpeg_2000_gives_back_what_was_written(tmp_path, compression):
    pixels = tissue(256, 256)
    stored = np.full_like(pixels, 128) if compression == "APERIO_JP2000_YCBC" else pixels
    stored[:, :, 0] = pixels[:, :, 0]
    tiles = [
        imagecodecs.jpeg2k_encode(
            np.ascontiguousarray(stored[y : y + 128, x : x + 128]), level=0, codecformat="j2k"
        )
        for y in (0, 128)
        for x in (0, 128)
    ]
    path = tmp_path / "slide.tif"
    with tifffile.TiffWriter(path) as out:
        out.write(iter(tiles), shape=pixels.shape, dtype=np.uint8, tile=(128, 128), photometric="rgb",
                  compression=compression, metadata=None)  # fmt: skip
    expected = np.repeat(stored[:, :, :1], 3, axis=2) if compression == "APERIO_JP2000_YCBC" else stored
    with open_slide(path) as slide:
        assert np.array_equal(slide.read(Region(0, 0, 256, 256)), expected)


def test_lossless_webp_gives_back_what_was_written(tmp_path):
    pixels = tissue()
    path = write_tiff(tmp_path / "slide.tif", pixels, compression="webp", compressionargs={"lossless": True})
    assert np.array_equal(read_whole(path), pixels)


def test_ycbcr_formula_is_that_of_jfif():
    from ishcount.slide.tiff_pixels import ycbcr_to_rgb

    # White, and the three primaries as ITU-R BT.601 full range writes them.
    stored = np.array([[[255, 128, 128], [76, 85, 255], [150, 44, 21], [29, 255, 107]]], np.uint8)
    wanted = np.array([[[255, 255, 255], [254, 0, 0], [0, 255, 1], [0, 0, 254]]], np.uint8)
    assert np.abs(ycbcr_to_rgb(stored).astype(int) - wanted).max() <= 1


# -- kinds of pixels -----------------------------------------------------------------------------------------


def test_16_bit_comes_back_as_the_8_bit_it_was_made_from(tmp_path):
    pixels = tissue()
    path = write_tiff(
        tmp_path / "slide.tif", pixels.astype(np.uint16) * 257, compression="zstd", predictor=True
    )
    assert np.array_equal(read_whole(path), pixels)


def test_alpha_is_laid_over_white(tmp_path):
    pixels = np.dstack([tissue(), np.full((SIDE, SIDE), 255, np.uint8)])
    pixels[:100, :, 3] = 0
    pixels[100:200, :, :] = (100, 100, 100, 128)
    ours = read_whole(write_tiff(tmp_path / "slide.tif", pixels, extrasamples=["unassalpha"]))
    assert (ours[:100] == 255).all()
    assert (ours[100:200] == round(100 * 128 / 255 + 127)).all()
    assert np.array_equal(ours[200:], pixels[200:, :, :3])


def test_samples_of_no_stated_meaning_are_dropped(tmp_path):
    pixels = np.dstack([tissue(), tissue(seed=2)[:, :, 0]])
    path = write_tiff(tmp_path / "slide.tif", pixels, extrasamples=["unspecified"])
    assert np.array_equal(read_whole(path), pixels[:, :, :3])


def test_palette_is_looked_up(tmp_path):
    rng = np.random.default_rng(3)
    index = rng.integers(0, 256, (SIDE, SIDE)).astype(np.uint8)
    colours = rng.integers(0, 256, (3, 256)).astype(np.uint16)
    path = write_tiff(tmp_path / "slide.tif", index, photometric="palette", colormap=colours * 257)
    assert np.array_equal(read_whole(path), np.moveaxis(colours, 0, 1)[index])


@pytest.mark.parametrize(
    ("pixels", "options", "found"),
    [
        (tissue()[:, :, 0], {"photometric": "minisblack"}, "greyscale"),
        (tissue()[:, :, :2], {"photometric": "minisblack", "extrasamples": ["unassalpha"]}, "greyscale"),
        (tissue().astype(np.float32), {}, "not unsigned"),
        (tissue().astype(np.uint32), {}, "32/32/32 bits"),
        (tissue().astype(np.int16), {}, "not unsigned"),
        (np.dstack([tissue(), tissue()[:, :, 0]]), {"photometric": "separated"}, "CMYK"),
        (tissue(), {"photometric": "cielab"}, "CIELab"),
        (np.stack([tissue(), tissue(seed=2)]), {}, "2 images"),
    ],
)
def test_pixels_without_a_rule_are_refused_by_name(tmp_path, pixels, options, found):
    path = write_tiff(tmp_path / "slide.tif", pixels, **options)
    with pytest.raises(SlideError, match=found) as caught:
        open_slide(path)
    assert caught.value.code == "E_PIXELTYPE"


def test_orientation_is_ignored_with_a_warning(tmp_path):
    path = write_tiff(tmp_path / "slide.tif", tissue(), extratags=[(274, 3, 1, 6, True)])
    with open_slide(path) as slide:
        assert np.array_equal(slide.read(WHOLE), tissue())
        assert any("orientation" in warning for warning in slide.warnings)


# -- the slide as an object ----------------------------------------------------------------------------------


def test_reading_outside_the_slide_is_a_mistake_of_the_caller(tmp_path):
    with open_slide(write_tiff(tmp_path / "slide.tif", tissue())) as slide:
        for region in (
            Region(-1, 0, 5, 5),
            Region(0, 0, SIDE + 1, 5),
            Region(SIDE, 0, 1, 1),
            Region(0, 0, 0, 5),
        ):
            with pytest.raises(ValueError, match="does not lie inside"):
                slide.read(region)


def test_pickled_slide_opens_again_with_its_pixel_size(tmp_path):
    path = write_tiff(tmp_path / "slide.tif", tissue())
    with open_slide(path, mpp=0.5) as slide:
        copy = pickle.loads(pickle.dumps(slide))
        with copy:
            assert copy.pixel_size == slide.pixel_size
            assert copy.mpp_source == "given"
            assert np.array_equal(copy.read(WHOLE), slide.read(WHOLE))


def test_decoded_tiles_are_kept_within_bounds(tmp_path, monkeypatch):
    monkeypatch.setattr(tiff, "CACHE_BYTES", 3 * TILE * TILE * 3)
    with open_slide(write_tiff(tmp_path / "slide.tif", tissue())) as slide:
        assert isinstance(slide, TiffSlide)
        slide.read(WHOLE)
        assert sum(tile.nbytes for tile in slide._cache.values()) == slide._cache_bytes <= tiff.CACHE_BYTES
        assert np.array_equal(slide.read(WHOLE), tissue())


def test_profile_is_noticed_and_pixels_are_left_alone(tmp_path):
    path = write_tiff(tmp_path / "slide.tif", tissue(), iccprofile=b"\0" * 200)
    with open_slide(path) as slide:
        assert slide.icc
        assert np.array_equal(slide.read(WHOLE), tissue())


# -- real slides ---------------------------------------------------------------------------------------------


@pytest.mark.real
@pytest.mark.parametrize("name", ["cmu-1-small-region.svs", "tcga-cr-7395-01a-01-ts1.svs", "boxes.tiff"])
def test_real_slides_read_as_openslide_reads_them(real_data, name):
    path = real_data / "slides" / name
    with open_slide(path) as slide, openslide.OpenSlide(path) as other:
        assert slide.reader == "tiff"
        for number, level in enumerate(slide.levels):
            wanted = other.read_region((0, 0), number, (level.width, level.height))
            ours = slide.read(Region(0, 0, level.width, level.height), number)
            assert np.array_equal(ours, np.asarray(wanted)[:, :, :3])


@pytest.mark.real
def test_ome_tiff_that_openslide_cannot_read_is_read(real_data):
    path = real_data / "slides" / "OS-2-ndpi.ome.tif"
    with open_slide(path) as slide:
        assert (slide.format, slide.width, slide.height) == ("ome-tiff", 2202, 2202)
        assert slide.pixel_size is not None
        assert slide.pixel_size.mean_um == pytest.approx(0.2271, abs=1e-4)
        assert np.array_equal(slide.read(Region(0, 0, 2202, 2202)), tifffile.imread(path))
