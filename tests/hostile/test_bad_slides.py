"""A foreign, cut or lying file ends in pixels or in exactly one clean error, never in invented pixels."""

import os
import struct
import sys
import zipfile
from collections import Counter

import imagecodecs
import numpy as np
import pytest
import tifffile

from ishcount.core.errors import SlideError
from ishcount.core.geometry import Region
from ishcount.slide.calibration import resolve_pixel_size
from ishcount.slide.open import open_slide
from tests.slide_files import (
    SIDE,
    aperio_description,
    code_of,
    shrunk,
    tissue,
    write_pyramid,
    write_tiff,
)

WHOLE = Region(0, 0, SIDE, SIDE)
JPEG = {"compression": "jpeg", "compressionargs": {"level": 80}}


# -- not a slide ---------------------------------------------------------------------------------------------


def payloads() -> dict[str, tuple[bytes, str]]:
    zipped = b"PK\x03\x04" + bytes(200)
    return {
        "empty": (b"", "E_FORMAT"),
        "one byte": (b"I", "E_FORMAT"),
        "TIFF header alone": (b"II*\0\x08\0\0\0", "E_FORMAT"),
        "TIFF header and nothing behind it": (b"II*\0\x08\0\0\0" + bytes(100), "E_FORMAT"),
        "directory past the end": (b"II*\0" + struct.pack("<I", 4000) + bytes(100), "E_TRUNCATED"),
        "text": (b"this is not a slide, it is a letter\n" * 20, "E_FORMAT"),
        "zip": (zipped, "E_FORMAT"),
        "pdf": (b"%PDF-1.7\n" + bytes(500), "E_FORMAT"),
        "html": (b"<!doctype html><html><body>502 Bad Gateway</body></html>" * 9, "E_FORMAT"),
        "xml": (
            b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
            "E_FORMAT",
        ),
        "gif": (b"GIF89a" + bytes(100), "E_FORMAT"),
        "elf": (b"\x7fELF" + bytes(100), "E_FORMAT"),
        "zeros": (bytes(5000), "E_FORMAT"),
        "random": (np.random.default_rng(1).bytes(5000), "E_FORMAT"),
        "sqlite": (b"SQLite format 3\0" + bytes(5000), "E_FORMAT"),
        "png header alone": (b"\x89PNG\r\n\x1a\n" + bytes(30), "E_FORMAT"),
        "jpeg header alone": (b"\xff\xd8\xff\xe0" + bytes(30), "E_FORMAT"),
        "numpy": (b"\x93NUMPY\x01\0" + bytes(200), "E_FORMAT"),
        "pickle": (b"\x80\x04\x95" + bytes(200), "E_FORMAT"),
        "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(200), "E_FORMAT"),
    }


@pytest.mark.parametrize("name", payloads())
@pytest.mark.parametrize("suffix", [".svs", ".tif", ".ndpi", ".mrxs", ""])
def test_foreign_file_is_refused_whatever_its_name(tmp_path, name, suffix):
    data, code = payloads()[name]
    path = tmp_path / f"slide{suffix}"
    path.write_bytes(data)
    assert code_of(path) == code


def test_content_decides_not_the_name(tmp_path):
    pixels = tissue(64, 64)
    path = tmp_path / "slide.svs"
    path.write_bytes(imagecodecs.png_encode(pixels))
    with open_slide(path) as slide:
        assert slide.format == "png"
    write_tiff(tmp_path / "picture.png", pixels)
    with open_slide(tmp_path / "picture.png") as slide:
        assert slide.format == "tiff"


def test_mirax_slide_without_its_folder_is_not_taken_for_the_picture_it_begins_with(tmp_path):
    (tmp_path / "slide.mrxs").write_bytes(imagecodecs.jpeg8_encode(tissue(64, 64)))
    with pytest.raises(SlideError, match="folder") as caught:
        open_slide(tmp_path / "slide.mrxs")
    assert caught.value.code == "E_FORMAT"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_named_pipe_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "slide.svs")
    assert code_of(tmp_path / "slide.svs") == "E_IO"


def test_missing_file_folder_loop_and_nul_are_refused(tmp_path):
    (tmp_path / "folder.svs").mkdir()
    names = ["absent.svs", "folder.svs", "nul\0.svs", "x" * 300 + ".svs"]
    if os.name != "nt":
        (tmp_path / "loop.svs").symlink_to(tmp_path / "loop.svs")
        names.append("loop.svs")
    assert [code_of(tmp_path / name) for name in names] == ["E_IO"] * len(names)


@pytest.mark.parametrize(
    "name",
    ["a b.svs", "'q\".svs", "-x.svs", "\u00e9\u4e2d\U0001f52c.svs", "new\nline.svs", "x" * 251 + ".svs"],
)
def test_any_file_name_is_opened(tmp_path, name):
    if os.name == "nt":
        pytest.skip("Windows forbids most of these names")
    write_tiff(tmp_path / "slide.tif", tissue())
    (tmp_path / "slide.tif").rename(tmp_path / name)
    assert code_of(tmp_path / name) == "ok"


def test_file_name_that_is_no_utf8_is_opened(tmp_path):
    if sys.platform != "linux":
        pytest.skip("file names are Unicode here")
    write_tiff(tmp_path / "slide.tif", tissue())
    name = os.fsencode(tmp_path) + b"/\xff.svs"
    os.rename(tmp_path / "slide.tif", name)
    with open_slide(name) as slide:
        assert np.array_equal(slide.read(WHOLE), tissue())


# -- cut files -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["jpeg", "plain", "pyramid", "strips", "bigtiff", "directory first"])
def test_cut_file_is_never_read_as_a_smaller_one(tmp_path, kind):
    path = tmp_path / "slide.tif"
    if kind == "pyramid":
        write_pyramid(path, tissue(), (2, 4), **JPEG)
    else:
        options = {
            "jpeg": JPEG,
            "plain": {},
            "strips": {"tile": None, "rowsperstrip": 16},
            "bigtiff": {"bigtiff": True, "compression": "deflate"},
            "directory first": {"compression": "zstd"},
        }[kind]
        write_tiff(path, tissue(), **options)
    whole = path.read_bytes()
    codes = []
    for percent in range(1, 100):
        path.write_bytes(whole[: len(whole) * percent // 100])
        codes.append(code_of(path))
    assert set(codes) <= {"E_TRUNCATED", "E_FORMAT"}
    # The header alone is no TIFF; from there on the file is called cut.
    assert codes[10:] == ["E_TRUNCATED"] * 89


@pytest.mark.parametrize("name", ["slide.png", "slide.jpg"])
def test_cut_picture_is_refused(tmp_path, name):
    encode = imagecodecs.png_encode if name.endswith("png") else imagecodecs.jpeg8_encode
    whole = encode(tissue())
    for percent in range(5, 100, 5):
        (tmp_path / name).write_bytes(whole[: len(whole) * percent // 100])
        assert code_of(tmp_path / name) == "E_TRUNCATED"


# -- structure that lies -------------------------------------------------------------------------------------


def test_level_that_claims_another_size_is_dropped(tmp_path):
    path = tmp_path / "slide.tif"
    with tifffile.TiffWriter(path) as out:
        out.write(tissue(), subifds=2, tile=(128, 128), photometric="rgb", metadata=None)
        out.write(tissue(400, 300), subfiletype=1, tile=(128, 128), photometric="rgb", metadata=None)
        out.write(shrunk(tissue(), 4), subfiletype=1, tile=(128, 128), photometric="rgb", metadata=None)
    with open_slide(path) as slide:
        assert [level.downsample for level in slide.levels] == [1, 4]
        assert any("not a smaller copy" in warning for warning in slide.warnings)


def test_entity_in_ome_xml_is_not_expanded(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("0.25")
    text = (
        f'<?xml version="1.0"?><!DOCTYPE OME [<!ENTITY s SYSTEM "file://{secret}">]>'
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0">'
        f'<Pixels SizeX="{SIDE}" SizeY="{SIDE}" PhysicalSizeX="&s;" PhysicalSizeY="&s;"/></Image></OME>'
    )
    path = write_tiff(tmp_path / "slide.ome.tif", tissue(), description=text, resolution=None)
    with open_slide(path) as slide:
        assert slide.pixel_size is None


def test_names_of_patients_in_the_header_go_nowhere(tmp_path):
    canary = "DOE^JANE 1970-01-01"
    head = aperio_description(f"MPP = {canary}|Patient = {canary}|User = {canary}")
    path = write_tiff(tmp_path / "slide.svs", tissue(), description=head, software=canary)
    with open_slide(path) as slide:
        kept = [str(value) for value in vars(slide).values()]
        assert not any("DOE" in text for text in (*slide.warnings, slide.mpp_source, *kept))
        with pytest.raises(SlideError) as caught:
            resolve_pixel_size(slide)
        assert "DOE" not in str(caught.value)


# -- real files ----------------------------------------------------------------------------------------------


@pytest.mark.real
def test_fuzzed_tiffs_end_in_one_clean_error(real_data):
    codes = [code_of(path) for path in sorted((real_data / "bad_tiff").iterdir())]
    assert len(codes) == 13
    assert set(codes) <= {"E_FORMAT", "E_TRUNCATED", "E_PIXELTYPE", "E_TILE"}


@pytest.mark.real
def test_odd_tiffs_end_in_pixels_or_one_clean_error(real_data):
    codes = Counter(code_of(path) for path in sorted((real_data / "odd_tiff").iterdir()))
    assert sum(codes.values()) == 88
    assert set(codes) <= {"ok", "E_FORMAT", "E_TRUNCATED", "E_PIXELTYPE", "E_TILE"}
    assert codes["ok"] >= 34


@pytest.mark.real
@pytest.mark.parametrize(("name", "code"), [("unreadable.svs", "E_TILE"), ("unopenable.tiff", "E_FORMAT")])
def test_broken_real_slides_say_what_is_wrong(real_data, name, code):
    assert code_of(real_data / "slides" / name) == code


def test_zip_is_no_slide_even_when_it_holds_one(tmp_path):
    write_tiff(tmp_path / "slide.tif", tissue())
    with zipfile.ZipFile(tmp_path / "slide.svs", "w") as archive:
        archive.write(tmp_path / "slide.tif", "slide.tif")
    assert code_of(tmp_path / "slide.svs") == "E_FORMAT"
