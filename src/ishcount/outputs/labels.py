"""`labels.ome.zarr`: the cells as a multiscale label image (OME-Zarr 0.4), written band by band.

Every level's translation is half its pixel, so that positions are micrometres from the corner of level-0
pixel (0, 0) with pixel centres where the tables have them. A coarser level keeps every second pixel of the
finer one: a mean of cell numbers would be the number of another cell.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ishcount.core.files import write_folder
from ishcount.core.units import PixelSize

CHUNK_PX = 512  # 1 MiB of uint32; a row of chunks over a 20 mm wide slide is 80 MB
SMALLEST_LEVEL_PX = 512  # a viewer needs no level smaller than one screen


class LabelWriter:
    """Takes parts of a label image, writes its pyramid; holds what does not fill a row of chunks yet.

    folder: where the Zarr group is written (empty). height, width: of the label image in its pixels.
    pixel_size: of a label pixel.
    """

    def __init__(self, folder: Path, *, height: int, width: int, pixel_size: PixelSize) -> None:
        import zarr
        from numcodecs import Blosc

        # Of labels, level 1 without shuffling is both smaller and twice as fast as level 3 with it.
        compressor = Blosc(cname="zstd", clevel=1, shuffle=Blosc.NOSHUFFLE)
        self._height = height
        self._levels: list[_Level] = []
        self._group = zarr.open_group(str(folder), mode="w", zarr_format=2)
        self._group.attrs.update(_metadata(height, width, pixel_size))
        for level, (rows, cols) in enumerate(_level_shapes(height, width)):
            self._group.create_array(
                str(level),
                shape=(rows, cols),
                chunks=(CHUNK_PX, CHUNK_PX),
                dtype="<u4",
                fill_value=0,
                compressors=compressor,
                chunk_key_encoding={"name": "v2", "separator": "/"},
            )
            self._levels.append(_Level(folder / str(level), compressor))

    def write(self, row: int, col: int, labels: NDArray[np.uint32]) -> None:
        """The part of the label image whose first pixel is (row, col); what is never written has no cell."""
        self._levels[0].add(row, col, labels)

    def finish_rows(self, stop: int) -> None:
        """Nothing above row `stop` will be written any more."""
        with _one_thread():
            for level, coarser in pairwise(self._levels):
                for row, col, chunk in level.done_above(stop):
                    coarser.add(row // 2, col // 2, chunk[::2, ::2])
                stop //= 2
            list(self._levels[-1].done_above(stop))

    def close(self) -> None:
        """Write what is still held."""
        self.finish_rows(2 * CHUNK_PX * (self._height + CHUNK_PX))


def write_labels(
    path: Path, bands: Iterable[NDArray[np.uint32]], *, height: int, width: int, pixel_size: PixelSize
) -> None:
    """Write a whole label image to `path`, replacing what was there; `bands` are its rows from top to bottom.

    height, width: of the label image. pixel_size: of a label pixel (level 0's times the nuclei factor).
    """

    def fill(folder: Path) -> None:
        writer = LabelWriter(folder, height=height, width=width, pixel_size=pixel_size)
        row = 0
        for band in bands:
            writer.write(row, 0, band)
            row += len(band)
            writer.finish_rows(row)
        if row != height:
            raise ValueError(f"a label image of {height} rows was given {row}")
        writer.close()

    write_folder(path, fill)


class _Level:
    """One array of the pyramid: the chunks that hold a cell and are not full yet, by row and column."""

    def __init__(self, folder: Path, compressor: Any) -> None:
        self._folder, self._compressor = folder, compressor
        self._held: dict[tuple[int, int], NDArray[np.uint32]] = {}

    def add(self, row: int, col: int, labels: NDArray[np.uint32]) -> None:
        """Lay a part of the image into the chunks it touches; chunks without a cell are never made."""
        height, width = labels.shape
        for i in range(row // CHUNK_PX, -(-(row + height) // CHUNK_PX)):
            for j in range(col // CHUNK_PX, -(-(col + width) // CHUNK_PX)):
                y, x = i * CHUNK_PX, j * CHUNK_PX
                top, left = max(row, y), max(col, x)
                bottom, right = min(row + height, y + CHUNK_PX), min(col + width, x + CHUNK_PX)
                part = labels[top - row : bottom - row, left - col : right - col]
                if part.any():
                    chunk = self._held.setdefault((i, j), np.zeros((CHUNK_PX, CHUNK_PX), np.uint32))
                    chunk[top - y : bottom - y, left - x : right - x] = part

    def done_above(self, stop: int) -> Iterator[tuple[int, int, NDArray[np.uint32]]]:
        """Write and give back (row, column, chunk) of what lies wholly above row `stop`."""
        for i, j in sorted(place for place in self._held if (place[0] + 1) * CHUNK_PX <= stop):
            chunk = self._held.pop((i, j))
            path = self._folder / str(i) / str(j)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(self._compressor.encode(chunk.astype("<u4", copy=False)))
            yield i * CHUNK_PX, j * CHUNK_PX, chunk


def _level_shapes(height: int, width: int) -> Iterator[tuple[int, int]]:
    while True:
        yield height, width
        if max(height, width) <= SMALLEST_LEVEL_PX:
            return
        height, width = (height + 1) // 2, (width + 1) // 2


def _metadata(height: int, width: int, pixel_size: PixelSize) -> dict[str, Any]:
    """NGFF 0.4 attributes of a label image with axes y, x in micrometres."""
    datasets = []
    for level, _ in enumerate(_level_shapes(height, width)):
        y_um, x_um = pixel_size.y_um * 2**level, pixel_size.x_um * 2**level
        place = [
            {"type": "scale", "scale": [y_um, x_um]},
            {"type": "translation", "translation": [y_um / 2, x_um / 2]},
        ]
        datasets.append({"path": str(level), "coordinateTransformations": place})
    axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in ("y", "x")]
    image = {"version": "0.4", "name": "cells", "axes": axes, "datasets": datasets, "type": "nearest"}
    return {"multiscales": [image], "image-label": {"version": "0.4"}}


@contextmanager
def _one_thread() -> Iterator[None]:
    """Blosc on one thread: with several, the blocks of a chunk lie in the order they happen to finish."""
    import numcodecs.blosc

    before = numcodecs.blosc.use_threads
    numcodecs.blosc.use_threads = False
    try:
        yield
    finally:
        numcodecs.blosc.use_threads = before
