"""The fast path: TIFF-based slides, tile by tile, with tifffile for the structure and imagecodecs for the
pixels.

A slide in memory is its offsets and a small cache of decoded tiles. Each read fetches only the tiles it needs
with positioned reads, so threads and forked processes never disturb each other's place in the file.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from ishcount.core.errors import SlideError
from ishcount.core.geometry import Region
from ishcount.core.units import PixelSize
from ishcount.slide.calibration import Calibration, calibrate_tiff, ome_pixels
from ishcount.slide.jpeg import DamagedTile, jpeg_frame
from ishcount.slide.opened import OpenedSlide
from ishcount.slide.protocol import MISSING_RGB, Level, Mask, Rgb
from ishcount.slide.source import ByteSource, LocalFile
from ishcount.slide.tiff_levels import choose_levels
from ishcount.slide.tiff_pages import Directories, Page, read_directories
from ishcount.slide.tiff_pixels import (
    JPEG,
    MAX_SEGMENT_BYTES,
    PLAIN,
    decode_segment,
    segment_bytes,
    to_rgb,
)

# Decoded tiles are kept for the next block to the right only: keeping more costs a quarter of the speed in
# fresh memory.
CACHE_BYTES = 32 * 2**20
REUSE_PX = 256  # a tile that ends so close to a region's right edge is kept: margins to 28 um at 0.22 um/px
MAX_AHEAD_BYTES = 64 * 2**20  # compressed tiles fetched at once from a remote store
WHOLE_STRIP_BYTES = 4 * 2**20  # uncompressed strips above this are read row by row


class TiffSlide(OpenedSlide):
    """A slide stored in a TIFF file. See `Slide` for what the members mean."""

    reader = "tiff"

    def __init__(
        self,
        path: str,
        source: ByteSource,
        *,
        reopen: tuple[Callable[..., Any], tuple[Any, ...]],
        calibration: Calibration | None = None,
    ) -> None:
        """Read the directories of `source`, which this slide owns from now on; `reopen` is how a copy in
        another process comes to life, `calibration` what to believe instead of the file.
        """
        self.path = path
        self._source, self._reopen = source, reopen
        found = read_directories(source, path)
        pairs, warnings = choose_levels(found, path, source.size)
        _refuse_ome_stack(found, pairs[0][0], path)
        self.levels: tuple[Level, ...] = tuple(level for _, level in pairs)
        self.format = found.kind
        calibration = calibration or calibrate_tiff(found.pages[0], pairs[0][0], found.kind)
        # Descriptions may name a patient: nothing of them is kept.
        self._pages = tuple(replace(page, description="", software="") for page, _ in pairs)
        self.pixel_size: PixelSize | None = calibration.pixel_size
        self.mpp_source = calibration.source
        self.warnings = (*warnings, *calibration.warnings)
        self.icc = any(page.has_icc for page in self._pages)
        self.chroma_subsampling = self._chroma_subsampling()
        self._cache: OrderedDict[tuple[int, int], Rgb] = OrderedDict()
        self._cache_bytes = 0
        self._lock = threading.Lock()

    def read(self, region: Region, level: int = 0) -> Rgb:
        """Pixels of `region` of `level`; SlideError E_TILE where a tile is damaged or missing."""
        return self._read(region, level, None)

    def read_masked(self, region: Region, level: int = 0) -> tuple[Rgb, Mask]:
        """Pixels of `region` of `level`, and where they are real; elsewhere they are 255."""
        valid = np.ones((region.height, region.width), np.bool_)
        return self._read(region, level, valid), valid

    def damaged_regions(self, level: int = 0) -> list[Region]:
        """Tiles of `level` that the directory itself shows to be missing, without decoding anything."""
        page = self._pages[level]
        per_plane = page.columns * page.rows
        lost = np.flatnonzero(page.damaged_tiles(self._source.size)[: page.n_tiles]) % per_plane
        return [self._tile_region(page, int(index)) for index in np.unique(lost)]

    def close(self) -> None:
        """Give the file back and forget decoded tiles; twice is allowed."""
        self._source.close()
        self._cache.clear()
        self._cache_bytes = 0

    # -- tiles -----------------------------------------------------------------------------------------------

    def _read(self, region: Region, level: int, valid: Mask | None) -> Rgb:
        page = self._pages[level]
        if not (0 <= region.x < region.x_end <= page.width and 0 <= region.y < region.y_end <= page.height):
            raise ValueError(
                f"{region} does not lie inside level {level} of {page.width} x {page.height} pixels"
            )
        pixels = np.empty((region.height, region.width, 3), np.uint8)
        parts = list(self._parts(page, region))
        self._announce(level, [index for index, _, _ in parts])
        for index, tile, part in parts:
            target = np.s_[
                part.y - region.y : part.y_end - region.y, part.x - region.x : part.x_end - region.x
            ]
            try:
                keep = tile.x_end > region.x_end - REUSE_PX
                pixels[target] = self._part(level, index, tile, part, keep=keep)
            except DamagedTile as error:
                if valid is None:
                    raise SlideError(
                        f"{self.path!r}: the tile at ({tile.x}, {tile.y}) of level {level} {error}; "
                        "copy the file again, or count it with the damaged tiles left out",
                        "E_TILE",
                    ) from error
                pixels[target], valid[target] = MISSING_RGB, False
        return pixels

    @staticmethod
    def _tile_region(page: Page, index: int) -> Region:
        row, column = divmod(index, page.columns)
        corner = Region(column * page.tile_width, row * page.tile_height, page.tile_width, page.tile_height)
        return corner.clip(page.width, page.height)

    def _parts(self, page: Page, region: Region) -> Iterator[tuple[int, Region, Region]]:
        """Index and region of each tile that `region` touches, and the part of the tile inside it."""
        for row in range(region.y // page.tile_height, -(-region.y_end // page.tile_height)):
            for column in range(region.x // page.tile_width, -(-region.x_end // page.tile_width)):
                index = row * page.columns + column
                tile = self._tile_region(page, index)
                part = tile.intersect(region)
                if part is not None:
                    yield index, tile, part

    def _part(self, level: int, index: int, tile: Region, part: Region, *, keep: bool) -> Rgb:
        page = self._pages[level]
        inside = np.s_[part.y - tile.y : part.y_end - tile.y, part.x - tile.x : part.x_end - tile.x]
        if page.compression == PLAIN and not page.is_tiled and segment_bytes(page) > WHOLE_STRIP_BYTES:
            return to_rgb(page, self._rows_of_plain_strip(page, index, tile, part))
        key = (level, index)
        with self._lock:
            if key in self._cache:
                self._cache.move_to_end(key)
                return self._cache[key][inside]
        # Strips carry no padding below the last row, tiles do.
        height = page.tile_height if page.is_tiled else tile.height
        step = page.columns * page.rows
        planes = [
            decode_segment(page, self._bytes(page, index + plane * step), height)
            for plane in range(page.planes)
        ]
        pixels = to_rgb(page, planes[0] if len(planes) == 1 else np.concatenate(planes, axis=2))
        if keep:
            self._keep(key, pixels)
        return pixels[inside]

    def _announce(self, level: int, tiles: list[int]) -> None:
        """Tell the source which tiles are about to be read, where it makes a difference."""
        if isinstance(self._source, LocalFile):
            return
        page, size = self._pages[level], self._source.size
        step = page.columns * page.rows
        new = [
            index + plane * step
            for index in tiles
            for plane in range(page.planes)
            if (level, index) not in self._cache
        ]
        places = [(int(page.offsets[segment]), int(page.counts[segment])) for segment in new]
        wanted = [
            (offset, count)
            for offset, count in places
            if 0 < count <= MAX_AHEAD_BYTES and offset + count <= size
        ]
        if wanted and sum(count for _, count in wanted) <= MAX_AHEAD_BYTES:
            self._source.expect(wanted)

    def _keep(self, key: tuple[int, int], pixels: Rgb) -> None:
        with self._lock:
            if key in self._cache or pixels.nbytes > CACHE_BYTES:
                return
            self._cache[key] = pixels
            self._cache_bytes += pixels.nbytes
            while self._cache_bytes > CACHE_BYTES:
                _, old = self._cache.popitem(last=False)
                self._cache_bytes -= old.nbytes

    def _place(self, page: Page, segment: int) -> tuple[int, int]:
        """Offset and length of a segment; DamagedTile when it is not inside the file."""
        offset, count = int(page.offsets[segment]), int(page.counts[segment])
        if offset == 0 or count == 0:
            raise DamagedTile("is missing (no bytes are stored for it)")
        if offset + count > self._source.size:
            raise DamagedTile(f"lies beyond the end of the file (bytes {offset} to {offset + count})")
        return offset, count

    def _bytes(self, page: Page, segment: int) -> bytes:
        offset, count = self._place(page, segment)
        if count > MAX_SEGMENT_BYTES:
            raise DamagedTile(f"is {count} bytes long")
        return self._source.read(offset, count)

    def _rows_of_plain_strip(
        self, page: Page, index: int, tile: Region, part: Region
    ) -> np.ndarray[Any, Any]:
        """Samples of `part` from an uncompressed strip, row by row, so that a strip as large as the slide is
        no bar.
        """
        itemsize = page.bits[0] // 8
        samples = 1 if page.planar == 2 else page.samples
        pixel, step = itemsize * samples, page.columns * page.rows
        rows = []
        for plane in range(page.planes):
            offset, count = self._place(page, index + plane * step)
            if count < tile.width * tile.height * pixel:
                raise DamagedTile(f"holds {count} of {tile.width * tile.height * pixel} bytes")
            first = offset + ((part.y - tile.y) * tile.width + (part.x - tile.x)) * pixel
            data = b"".join(
                self._source.read(first + row * tile.width * pixel, part.width * pixel)
                for row in range(part.height)
            )
            order = page.byteorder if itemsize > 1 else "|"
            rows.append(np.frombuffer(data, f"{order}u{itemsize}").reshape(part.height, part.width, samples))
        joined = rows[0] if len(rows) == 1 else np.concatenate(rows, axis=2)
        return joined.astype(f"=u{itemsize}") if itemsize > 1 else joined

    def _chroma_subsampling(self) -> tuple[int, int] | None:
        """From the first tile of level 0 whose header can be read."""
        page = self._pages[0]
        if page.compression not in JPEG or page.planar == 2:
            return None
        for segment in np.flatnonzero(~page.damaged_tiles(self._source.size))[:4]:
            try:
                return jpeg_frame(self._bytes(page, int(segment))).chroma_subsampling
            except DamagedTile:
                continue
        return None


def _refuse_ome_stack(found: Directories, base: Page, path: str) -> None:
    """An OME-TIFF may tell of planes that lie in other files; one of several focus planes is no slide to
    count.
    """
    if found.kind != "ome-tiff":
        return
    pixels = ome_pixels(found.pages[0].description, base.width, base.height) or {}
    for axis, name in (("SizeZ", "focus planes"), ("SizeT", "time points")):
        if pixels.get(axis, "1").strip() not in ("1", ""):
            raise SlideError(
                f"{path!r} is a stack of {pixels[axis][:9]} {name}; export one as RGB", "E_PIXELTYPE"
            )
