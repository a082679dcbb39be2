"""The digest names content, not a path or a time, and costs three megabytes of reading."""

from __future__ import annotations

import os

import numpy as np
import pytest

from ishcount.slide.digest import read_digest_cache, slide_digest, write_digest_cache
from ishcount.slide.source import LocalFile
from tests.slide_files import TILE_OFFSETS, overwrite, patch_tag, tile_place, tissue, write_tiff


def test_copies_are_equal_whatever_their_name_and_time(tmp_path):
    path = write_tiff(tmp_path / "a.tif", tissue())
    copy = tmp_path / "b.svs"
    copy.write_bytes(path.read_bytes())
    os.utime(copy, (1, 1))
    assert slide_digest(path) == slide_digest(copy)
    assert len(slide_digest(path)) == 64


def test_another_slide_another_directory_or_another_end_is_another_digest(tmp_path):
    path = write_tiff(tmp_path / "a.tif", tissue(2000, 2000))
    found = {slide_digest(path)}
    patch_tag(path, 282, 0, 7)
    found.add(slide_digest(path))
    patch_tag(path, TILE_OFFSETS, 100, 0)
    found.add(slide_digest(path))
    overwrite(path, path.stat().st_size - 5, b"x")
    found.add(slide_digest(path))
    with path.open("ab") as file:
        file.write(b"\0")
    found.add(slide_digest(path))
    found.add(slide_digest(write_tiff(tmp_path / "b.tif", tissue(2000, 2000, seed=2))))
    assert len(found) == 6


def test_large_slide_is_not_read_whole(tmp_path, monkeypatch):
    path = write_tiff(tmp_path / "a.tif", tissue(4000, 4000))
    read, lengths = LocalFile.read, []
    monkeypatch.setattr(LocalFile, "read", lambda self, offset, n: lengths.append(n) or read(self, offset, n))
    slide_digest(path)
    assert path.stat().st_size > 40e6
    assert sum(lengths) < 4e6


@pytest.mark.parametrize("size", [0, 1, 7, 100, 20_000])
def test_any_file_has_a_digest(tmp_path, size):
    path = tmp_path / "x"
    path.write_bytes(b"II*\0"[:size] + bytes(max(0, size - 4)))
    assert len(slide_digest(path)) == 64


def test_arrays_are_named_by_their_pixels():
    pixels = tissue(50, 50)
    other = pixels.copy()
    other[20, 20, 1] += 1
    assert slide_digest(pixels) == slide_digest(np.asfortranarray(pixels)) != slide_digest(other)
    assert slide_digest(pixels) != slide_digest(pixels.reshape(25, 100, 3))


def test_cache_saves_the_reading_until_the_file_changes(tmp_path, monkeypatch):
    path = write_tiff(tmp_path / "a.tif", tissue())
    cache: dict[str, str] = {}
    first = slide_digest(path, cache=cache)
    write_digest_cache(tmp_path / "cache.json", cache)
    kept = read_digest_cache(tmp_path / "cache.json")
    assert kept == cache
    with monkeypatch.context() as patch:
        patch.setattr(LocalFile, "read", None)
        assert slide_digest(path, cache=kept) == first
    place, _ = tile_place(path, 0)
    overwrite(path, place, b"other pixels")
    os.utime(path, ns=(5, 5))
    assert slide_digest(path, cache=kept) != first


@pytest.mark.parametrize("text", ["", "[]", "{", "\xff"])
def test_damaged_cache_is_an_empty_one(tmp_path, text):
    (tmp_path / "cache.json").write_text(text, encoding="latin-1")
    assert read_digest_cache(tmp_path / "cache.json") == {}
    assert read_digest_cache(tmp_path / "absent.json") == {}


@pytest.mark.real
def test_formats_of_several_files_have_a_digest(real_data):
    names = ["boxes_0.dcm", "boxes_1.dcm", "small.svs", "unreadable.svs", "unopenable.tiff"]
    assert len({slide_digest(real_data / "slides" / name) for name in names}) == 5
