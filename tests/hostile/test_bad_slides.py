"""A damaged, hostile or foreign file ends in pixels or in exactly one clean error, never in invented
pixels.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zipfile
import zlib
from collections import Counter
from pathlib import Path

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
    TILE,
    TILE_COUNTS,
    TILE_OFFSETS,
    aperio_description,
    overwrite,
    patch_tag,
    shrunk,
    tile_place,
    tissue,
    write_pyramid,
    write_tiff,
)

WHOLE = Region(0, 0, SIDE, SIDE)
MUTANTS = Path(__file__).with_name("mutants.py")
JPEG = {"compression": "jpeg", "compressionargs": {"level": 80}}
COLUMNS = -(-SIDE // TILE)


def code_of(path: Path) -> str:
    """How opening and reading all of a slide ends."""
    try:
        with open_slide(path) as slide:
            slide.read(Region(0, 0, slide.width, slide.height))
    except SlideError as error:
        return error.code if "\n" not in str(error) else "more than one line"
    return "ok"


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


# -- damaged tiles -------------------------------------------------------------------------------------------


def damage_tile(path: Path, kind: str, index: int) -> None:
    place, count = tile_place(path, index)
    size = path.stat().st_size
    if kind == "offset beyond the end":
        patch_tag(path, TILE_OFFSETS, index, size + 1000)
    elif kind == "offset zero":
        patch_tag(path, TILE_OFFSETS, index, 0)
    elif kind == "count zero":
        patch_tag(path, TILE_COUNTS, index, 0)
    elif kind == "zeros":
        overwrite(path, place, bytes(count))
    elif kind == "garbage":
        overwrite(path, place, np.random.default_rng(4).bytes(count))
    elif kind == "garbage inside":
        overwrite(path, place + count // 2, np.random.default_rng(4).bytes(count // 3))
    elif kind == "lost sector":
        overwrite(path, place + count // 2, bytes(count // 3))
    elif kind == "cut inside":
        patch_tag(path, TILE_COUNTS, index, count // 2)
    elif kind == "another tile's size":
        other = imagecodecs.jpeg8_encode(tissue(TILE // 2, TILE // 2), level=80)
        overwrite(path, place, other[:count] + bytes(max(0, count - len(other))))
        patch_tag(path, TILE_COUNTS, index, min(count, len(other)))


DAMAGES = [
    "offset beyond the end",
    "offset zero",
    "count zero",
    "zeros",
    "garbage",
    "garbage inside",
    "cut inside",
]


@pytest.mark.parametrize("kind", [*DAMAGES, "lost sector", "another tile's size"])
def test_damaged_tile_raises_or_is_masked_and_others_stay(tmp_path, kind):
    path = write_tiff(tmp_path / "slide.tif", tissue(), **JPEG)
    with open_slide(path) as slide:
        whole = slide.read(WHOLE)
    damaged = 2 * COLUMNS + 1
    damage_tile(path, kind, damaged)
    tile = np.s_[2 * TILE : 3 * TILE, TILE : 2 * TILE]
    with open_slide(path) as slide:
        with pytest.raises(SlideError, match=r"\(128, 256\) of level 0") as caught:
            slide.read(WHOLE)
        assert caught.value.code == "E_TILE"
        pixels, valid = slide.read_masked(WHOLE)
        expected = np.ones_like(valid)
        expected[tile] = False
        assert np.array_equal(valid, expected)
        assert (pixels[~valid] == 255).all()
        assert np.array_equal(pixels[valid], whole[valid])
        # What does not touch the tile is read as if nothing had happened.
        assert np.array_equal(slide.read(Region(0, 0, SIDE, 2 * TILE)), whole[: 2 * TILE])


@pytest.mark.parametrize("optimize", [False, True])
def test_flat_tiles_full_of_zeros_are_not_called_damaged(tmp_path, optimize):
    # With tables made for the tile, glass of one colour is nothing but zero bits.
    pixels = np.full((512, 512, 3), 243, np.uint8)
    pixels[150:200, 300:380] = tissue(50, 80)
    jpeg = {"compression": "jpeg", "compressionargs": {"level": 80, "optimize": optimize}}
    path = write_tiff(tmp_path / "slide.tif", pixels, tile=(256, 256), **jpeg)
    assert (bytes(32) in path.read_bytes()) == optimize
    assert code_of(path) == "ok"


@pytest.mark.parametrize("compression", ["deflate", "lzw", "zstd", "lzma", "packbits", "jpeg2000", "webp"])
@pytest.mark.parametrize("kind", ["zeros", "garbage", "cut inside", "offset zero"])
def test_damaged_tile_is_noticed_under_each_codec(tmp_path, compression, kind):
    path = write_tiff(tmp_path / "slide.tif", tissue(), compression=compression)
    damage_tile(path, kind, 0)
    with open_slide(path) as slide:
        _, valid = slide.read_masked(WHOLE)
        assert not valid[:TILE, :TILE].any()
        assert valid[TILE:].all()


def test_damaged_part_is_left_white_in_the_overview(tmp_path):
    from ishcount.slide.overview import read_overview

    path = write_pyramid(tmp_path / "slide.tif", tissue(), (2, 4))
    patch_tag(path, TILE_OFFSETS, 0, 0)
    with open_slide(path) as slide:
        rgb, valid, _ = read_overview(slide, 8)
    assert not valid[: TILE // 8, : TILE // 8].any()
    assert (rgb[~valid] == 255).all()
    assert valid[TILE // 8 :].all()


def test_openslide_reads_on_after_a_damaged_tile(tmp_path):
    from ishcount.slide.vendor import VendorSlide

    path = write_tiff(tmp_path / "slide.tif", tissue(), tile=(256, 256), **JPEG)
    with VendorSlide(str(path), reopen=(open_slide, (path,))) as slide:
        whole = slide.read(WHOLE)
    place, count = tile_place(path, 0)
    overwrite(path, place, bytes(count))
    with VendorSlide(str(path), reopen=(open_slide, (path,))) as slide:
        with pytest.raises(SlideError) as caught:
            slide.read(WHOLE)
        assert caught.value.code == "E_TILE"
        pixels, valid = slide.read_masked(WHOLE)
        assert not valid[:256, :256].any()
        assert valid[256:].all()
        assert valid[:256, 256:].all()
        assert np.array_equal(pixels[valid], whole[valid])


def test_file_cut_while_it_is_read_is_an_io_error(tmp_path):
    path = write_tiff(tmp_path / "slide.tif", tissue())
    with open_slide(path) as slide:
        os.truncate(path, 100_000)
        with pytest.raises(SlideError, match="shorter") as caught:
            slide.read_masked(WHOLE)
        assert caught.value.code == "E_IO"


def test_share_that_stops_answering_is_an_io_error(tmp_path, monkeypatch):
    from ishcount.slide.source import LocalFile

    def vanish(self: LocalFile, offset: int, length: int) -> bytes:
        raise OSError(5, "Input/output error")

    with open_slide(write_tiff(tmp_path / "slide.tif", tissue())) as slide:
        monkeypatch.setattr(LocalFile, "_read_at", vanish)
        with pytest.raises(SlideError, match="stopped answering") as caught:
            slide.read_masked(WHOLE)
        assert caught.value.code == "E_IO"


# -- bombs and loops -----------------------------------------------------------------------------------------


def bomb(folder: Path, kind: str) -> Path:
    path = folder / f"{kind}.tif"
    pixels = tissue(256, 256)
    if kind == "two million pixels a side":
        write_tiff(path, pixels)
        patch_tag(path, 256, 0, 2_000_000)
        patch_tag(path, 257, 0, 2_000_000)
    elif kind == "largest size there is":
        write_tiff(path, pixels)
        patch_tag(path, 256, 0, 65_535)
        patch_tag(path, 257, 0, 65_535)
    elif kind == "tile of 2**15 by 2**15":
        write_tiff(path, pixels)
        patch_tag(path, 322, 0, 2**15)
        patch_tag(path, 323, 0, 2**15)
    elif kind == "JPEG larger than its tile":
        write_tiff(path, pixels, tile=(256, 256), **JPEG)
        place, _ = tile_place(path, 0)
        start = path.read_bytes().index(b"\xff\xc0", place)
        overwrite(path, start + 5, struct.pack(">HH", 65_000, 65_000))
    elif kind == "JPEG 2000 larger than its tile":
        write_tiff(path, pixels, tile=(256, 256), compression="jpeg2000")
        place, _ = tile_place(path, 0)
        start = path.read_bytes().index(b"\xff\x4f\xff\x51", place)
        overwrite(path, start + 8, struct.pack(">II", 65_000, 65_000))
    elif kind in ("deflate", "lzma", "zstd"):
        encode = {"deflate": zlib.compress, "lzma": imagecodecs.lzma_encode, "zstd": imagecodecs.zstd_encode}[
            kind
        ]
        data = encode(bytes(300 << 20))
        with tifffile.TiffWriter(path) as out:
            out.write(iter([data]), shape=pixels.shape, dtype=np.uint8, tile=(256, 256), photometric="rgb",
                      compression=kind, metadata=None)  # fmt: skip
    elif kind == "directory that follows itself":
        write_tiff(path, pixels)
        with tifffile.TiffFile(path) as file:
            place, first = file.pages.next_page_offset, file.pages[0].offset
        overwrite(path, place, struct.pack("<I", first))
    elif kind in ("a million directories", "loop of 150 directories"):
        n_directories = 150 if kind.startswith("loop") else 1_000_000
        write_tiff(path, pixels)
        with tifffile.TiffFile(path) as file:
            place = file.pages.next_page_offset
        start = path.stat().st_size
        chain = b"".join(
            struct.pack("<HHHIII", 1, 254, 4, 1, 0, start + (number + 1) * 18)
            for number in range(n_directories)
        )
        last = struct.pack("<HHHIII", 1, 254, 4, 1, 0, start if kind.startswith("loop") else 0)
        overwrite(path, start, chain + last)
        overwrite(path, place, struct.pack("<I", start))
    elif kind == "count of four billion":
        write_tiff(path, pixels)
        with tifffile.TiffFile(path) as file:
            overwrite(path, file.pages[0].tags[TILE_OFFSETS].offset + 4, struct.pack("<I", 2**32 - 1))
    return path


BOMBS = {
    "two million pixels a side": {"E_FORMAT"},
    "largest size there is": {"E_FORMAT"},
    "tile of 2**15 by 2**15": {"E_PIXELTYPE"},
    "JPEG larger than its tile": {"ok"},  # read masked: the tile is out
    "JPEG 2000 larger than its tile": {"ok"},
    "deflate": {"ok"},
    "lzma": {"ok"},
    "zstd": {"ok"},
    "directory that follows itself": {"ok"},
    "loop of 150 directories": {"ok"},
    "a million directories": {"E_FORMAT"},
    "count of four billion": {"E_FORMAT"},
}
PROBE = """
import sys, time
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.hostile.mutants import limit_memory, outcome
import resource
import ishcount.slide.vendor, tifffile, imagecodecs, numpy
limit_memory(2000)
imagecodecs.jpeg8_encode(numpy.zeros((8, 8, 3), 'u1'))
for name in sys.argv[1:]:
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    code = outcome(Path(name))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(code, grown >> 10, round(time.perf_counter() - start, 2), Path(name).stem, sep=';', flush=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited and measured the Linux way")
def test_bombs_are_refused_before_they_are_allocated(tmp_path):
    root = str(Path(__file__).parents[2])
    paths = [bomb(tmp_path, kind) for kind in BOMBS]
    done = subprocess.run(
        [sys.executable, "-c", PROBE.format(root=root), *map(str, paths)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    rows = [line.split(";") for line in done.stdout.splitlines()]
    assert {row[3]: row[0] in BOMBS[row[3]] for row in rows} == dict.fromkeys(BOMBS, True), rows
    assert max(int(row[1]) for row in rows) < 200, rows
    assert max(float(row[2]) for row in rows) < 1, rows


# -- random damage -------------------------------------------------------------------------------------------


def seeds_folder(folder: Path) -> Path:
    """One small file of each kind that the readers know."""
    folder.mkdir()
    pixels = tissue(300, 300)
    write_pyramid(folder / "below.tif", pixels, **JPEG)
    write_pyramid(folder / "after.tif", pixels, below=False, **JPEG)
    for codec in ("lzw", "deflate", "zstd", "lzma", "packbits", "jpeg2000", "webp"):
        write_tiff(folder / f"{codec}.tif", pixels, compression=codec)
    write_tiff(folder / "strips.tif", pixels, tile=None, rowsperstrip=20)
    write_tiff(folder / "big.tif", pixels, bigtiff=True, compression="deflate")
    write_tiff(folder / "x.svs", pixels, description=aperio_description(), **JPEG)
    write_tiff(folder / "x.ome.tif", pixels, metadata={"axes": "YXS", "PhysicalSizeX": 0.25})
    (folder / "x.png").write_bytes(imagecodecs.png_encode(pixels))
    (folder / "x.jpg").write_bytes(imagecodecs.jpeg8_encode(pixels))
    return folder


def run_mutants(folder: Path, first: int, last: int) -> Counter[str]:
    environment = dict(os.environ, PYTHONPATH=str(Path(__file__).parents[2]), PYTHONWARNINGS="error")
    done = subprocess.run(
        [sys.executable, MUTANTS, folder, str(first), str(last)],
        capture_output=True, text=True, timeout=600, env=environment, check=False,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert done.returncode == 0, (lines[-1:], done.stderr[-2000:])
    return Counter(line.split()[-1] for line in lines)


def test_random_damage_never_crashes(tmp_path):
    counts = run_mutants(seeds_folder(tmp_path / "seeds"), 0, 1500)
    assert sum(counts.values()) == 1500
    assert set(counts) <= {"ok", "E_FORMAT", "E_TRUNCATED", "E_PIXELTYPE", "E_TILE", "E_IO"}
    assert counts["ok"] > 100  # some damage leaves a readable file, so the files were good to begin with


@pytest.mark.slow
def test_ten_thousand_damaged_files_never_crash(tmp_path):
    counts = run_mutants(seeds_folder(tmp_path / "seeds"), 1500, 11_500)
    assert sum(counts.values()) == 10_000


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
