"""A slide's identity from its content, cheaply: results and reviews name the slide they belong to by it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ishcount.core.errors import SlideError
from ishcount.core.files import write_json
from ishcount.slide.source import ByteSource, address, is_url, open_source, shown
from ishcount.slide.tiff_pages import TIFF_MAGIC, Page, read_directories

ENDS_BYTES = 2**20
N_BLOCKS = 64
BLOCK_BYTES = 16 * 2**10


def slide_digest(
    slide: str | os.PathLike[str] | NDArray[Any], *, cache: MutableMapping[str, str] | None = None
) -> str:
    """SHA-256 (hexadecimal) of a slide's size, TIFF directories, first and last MiB and 64 blocks at fixed
    places.

    About 3 MB are read whatever the file's size. Formats of several files (MIRAX, DICOM) add OpenSlide's own
    hash of the set; an array is hashed whole. `cache` maps a file's device, inode, size and time of change to
    a digest found before, and is added to. SlideError E_IO when the file cannot be read.
    """
    if isinstance(slide, np.ndarray):
        return _array_digest(slide)
    path = address(slide)
    key = _cache_key(path)
    if cache is not None and key and key in cache:
        return cache[key]
    file = open_source(path)
    try:
        found = source_digest(file, shown(path))
        several = not is_url(path) and file.size >= 4 and file.read(0, 4) not in TIFF_MAGIC
    finally:
        file.close()
    extra = _set_hash(path) if several else ""
    if extra:
        return hashlib.sha256(f"{found}\n{extra}".encode()).hexdigest()
    if cache is not None and key:
        cache[key] = found
    return found


def source_digest(source: ByteSource, path: str) -> str:
    """The digest of one file's bytes."""
    digest = hashlib.sha256(f"ishcount slide 1\nsize {source.size}\n".encode())
    _add_directories(digest, source, path)
    ends = min(ENDS_BYTES, source.size)
    digest.update(source.read(0, ends))
    digest.update(source.read(source.size - ends, ends))
    block = min(BLOCK_BYTES, source.size)
    for number in range(N_BLOCKS):
        digest.update(source.read((source.size - block) * number // (N_BLOCKS - 1), block))
    return digest.hexdigest()


def _add_directories(digest: Any, source: ByteSource, path: str) -> None:
    if source.size < 8 or source.read(0, 4) not in TIFF_MAGIC:
        return
    try:
        found = read_directories(source, path)
    except SlideError as error:
        if error.code == "E_IO":
            raise
        return  # a damaged file has an identity too: its bytes
    for page in (*found.pages, *(sub for pages in found.subpages.values() for sub in pages)):
        for field in dataclasses.fields(Page):
            value = getattr(page, field.name)
            digest.update(f"{field.name} ".encode())
            if isinstance(value, np.ndarray):
                digest.update(value.astype("<u8").tobytes())
            else:
                digest.update(repr(value).encode())


def _array_digest(array: NDArray[Any]) -> str:
    digest = hashlib.sha256(f"ishcount array 1\n{array.shape} {array.dtype.str}\n".encode())
    digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _set_hash(path: str) -> str:
    """OpenSlide's hash over all files of a slide that is no single file, or nothing."""
    import openslide

    try:
        with openslide.OpenSlide(path) as slide:
            return str(slide.properties.get("openslide.quickhash-1", ""))
    except (openslide.OpenSlideError, OSError, ValueError):
        return ""


def _cache_key(path: str) -> str:
    try:
        info = os.stat(path)
    except (OSError, ValueError):
        return ""
    return f"{info.st_dev}:{info.st_ino}:{info.st_size}:{info.st_mtime_ns}"


def read_digest_cache(path: Path) -> dict[str, str]:
    """Digests found by earlier runs; empty when the file is not there or was damaged: it only saves time."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(key): str(value) for key, value in stored.items()} if isinstance(stored, dict) else {}


def write_digest_cache(path: Path, cache: MutableMapping[str, str]) -> None:
    """Keep `cache` for later runs."""
    write_json(path, dict(sorted(cache.items())))
