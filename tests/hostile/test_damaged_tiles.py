"""A damaged tile raises or is masked; its neighbours stay."""

import os
from pathlib import Path

import imagecodecs
import numpy as np
import pytest

from ishcount.core.errors import SlideError
from ishcount.core.geometry import Region
from ishcount.slide.open import open_slide
from tests.slide_files import (
    SIDE,
    TILE,
    TILE_COUNTS,
    TILE_OFFSETS,
    code_of,
    overwrite,
    patch_tag,
    tile_place,
    tissue,
    write_pyramid,
    write_tiff,
)

WHOLE = Region(0, 0, SIDE, SIDE)
JPEG = {"compression": "jpeg", "compressionargs": {"level": 80}}
COLUMNS = -(-SIDE // TILE)


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
