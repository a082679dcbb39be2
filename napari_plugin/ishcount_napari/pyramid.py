"""A slide as the list of lazily read levels that napari pans over. No Qt, no napari.

Decoded tiles are kept in one bounded store. Levels that a file lacks are made by halving, so that the whole
slide is never asked for at full resolution (and no texture is larger than a graphics card takes).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ishcount.core.geometry import Region
from ishcount.slide.protocol import Slide

TILE_PX = 512
STORE_BYTES = 384 * 2**20
"""Decoded tiles kept: about 500 tiles, three screens at every level."""
COARSEST_PX = 2048
"""A level that small is shown whole."""
LARGEST_STEP = 3.0
"""Levels further apart than this (in level-0 pixels per pixel) get one between them."""

Rgb = NDArray[np.uint8]


class TileStore:
    """The most recently used decoded tiles, up to a number of bytes. Safe between threads."""

    def __init__(self, most_bytes: int = STORE_BYTES) -> None:
        """An empty store."""
        self._tiles: OrderedDict[tuple[int, int, int], Rgb] = OrderedDict()
        self._most_bytes, self._bytes = most_bytes, 0
        self._lock = threading.Lock()

    def get(self, key: tuple[int, int, int]) -> Rgb | None:
        """A tile (level, row, column), None when it is not held."""
        with self._lock:
            tile = self._tiles.get(key)
            if tile is not None:
                self._tiles.move_to_end(key)
            return tile

    def put(self, key: tuple[int, int, int], tile: Rgb) -> None:
        """Keep a tile, dropping the least recently used ones where space runs out."""
        with self._lock:
            if key not in self._tiles:
                self._tiles[key] = tile
                self._bytes += tile.nbytes
            while self._bytes > self._most_bytes and len(self._tiles) > 1:
                self._bytes -= self._tiles.popitem(last=False)[1].nbytes


class LevelArray:
    """One level as an array of shape (height, width, 3), read tile by tile when indexed."""

    dtype = np.dtype(np.uint8)
    ndim = 3

    def __init__(
        self, slide: Slide, store: TileStore, place: int, *, file_level: int | None, finer: Any
    ) -> None:
        """A level of the file (`file_level`), or the halved copy of the next finer `LevelArray`."""
        self._slide, self._store, self._place = slide, store, place
        self._file_level, self._finer = file_level, finer
        if file_level is not None:
            level = slide.levels[file_level]
            self.shape = (level.height, level.width, 3)
        else:
            self.shape = ((finer.shape[0] + 1) // 2, (finer.shape[1] + 1) // 2, 3)
        self.chunks = (TILE_PX, TILE_PX, 3)

    @property
    def size(self) -> int:
        """Number of values."""
        return int(np.prod(self.shape))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        whole = self[:, :]
        return whole if dtype is None else whole.astype(dtype)

    def __getitem__(self, index: Any) -> NDArray[Any]:
        parts = index if isinstance(index, tuple) else (index,)
        parts = tuple(slice(None) if part is Ellipsis else part for part in parts)
        parts = parts + (slice(None),) * (3 - len(parts))
        rows, cols = (_span(part, size) for part, size in zip(parts[:2], self.shape[:2], strict=True))
        pixels = self.region(Region(cols.start, rows.start, len(cols), len(rows)))
        inner = [slice(None, None, part.step) if isinstance(part, slice) else 0 for part in parts[:2]]
        return pixels[(*inner, parts[2])]

    def region(self, region: Region) -> Rgb:
        """Pixels of a region, which may reach beyond the level (white there)."""
        out = np.full((region.height, region.width, 3), 255, np.uint8)
        height, width = self.shape[:2]
        inside = region.intersect(Region(0, 0, width, height))
        if inside is None:
            return out
        for row in range(inside.y // TILE_PX, (inside.y_end - 1) // TILE_PX + 1):
            for col in range(inside.x // TILE_PX, (inside.x_end - 1) // TILE_PX + 1):
                tile = self._tile(row, col)
                here = Region(col * TILE_PX, row * TILE_PX, tile.shape[1], tile.shape[0])
                part = here.intersect(inside)
                if part is not None:
                    out[_within(part, region)] = tile[_within(part, here)]
        return out

    def _tile(self, row: int, col: int) -> Rgb:
        key = (self._place, row, col)
        tile = self._store.get(key)
        if tile is None:
            tile = self._read(row, col)
            self._store.put(key, tile)
        return tile

    def _read(self, row: int, col: int) -> Rgb:
        height, width = self.shape[:2]
        x, y = col * TILE_PX, row * TILE_PX
        area = Region(x, y, min(TILE_PX, width - x), min(TILE_PX, height - y))
        if self._file_level is not None:
            return self._slide.read_masked(area, self._file_level)[0]
        fine = self._finer.region(Region(2 * x, 2 * y, 2 * area.width, 2 * area.height)).astype(np.uint16)
        blocks = fine.reshape(area.height, 2, area.width, 2, 3).sum(axis=(1, 3))
        return ((blocks + 2) // 4).astype(np.uint8)


def _within(part: Region, whole: Region) -> tuple[slice, slice]:
    """Slices of `part` in an array that holds `whole`."""
    x, y = part.x - whole.x, part.y - whole.y
    return slice(y, y + part.height), slice(x, x + part.width)


def _span(part: Any, size: int) -> range:
    """The unbroken range an index covers, ignoring its step."""
    if isinstance(part, slice):
        start, stop, step = part.indices(size)
        if step <= 0:
            raise IndexError("a level is read with rising slices only")
        return range(start, max(start, stop))
    place = int(part) + (size if int(part) < 0 else 0)
    return range(place, place + 1)


def pyramid(slide: Slide, store: TileStore | None = None) -> list[LevelArray]:
    """Levels of a slide, finest first, none more than three times coarser than the one before it."""
    store = store or TileStore()
    levels: list[LevelArray] = []
    in_file = list(range(len(slide.levels)))
    while True:
        if in_file and (not levels or _ratio(slide, levels[-1], in_file[0]) <= LARGEST_STEP):
            file_level: int | None = in_file.pop(0)
            if levels and slide.levels[file_level].width >= levels[-1].shape[1]:  # type: ignore[index]
                continue
        elif in_file or (levels and max(levels[-1].shape[:2]) > COARSEST_PX):
            file_level = None
        else:
            return levels
        finer = levels[-1] if levels else None
        levels.append(LevelArray(slide, store, len(levels), file_level=file_level, finer=finer))


def _ratio(slide: Slide, finer: LevelArray, file_level: int) -> float:
    return finer.shape[1] / max(slide.levels[file_level].width, 1)
