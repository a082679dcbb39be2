"""`labels.ome.zarr`: the cells as a multiscale label image (OME-Zarr 0.4), written band by band.

Every level's translation is half its pixel, so that positions are micrometres from the corner of level-0
pixel (0, 0) with pixel centres where the tables have them. A coarser level keeps every second pixel of the
finer one: a mean of cell numbers would be the number of another cell.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ishcount.core.files import write_folder
from ishcount.core.units import PixelSize

CHUNK_PX = 512  # 1 MiB of uint32; a row of chunks over a 20 mm wide slide is 80 MB
SMALLEST_LEVEL_PX = 512  # a viewer needs no level smaller than one screen


class LabelWriter:
    """Takes the rows of a label image from top to bottom, writes its pyramid; holds a row of chunks a level.

    folder: where the Zarr group is written (empty). height, width: of the label image in its pixels.
    pixel_size: of a label pixel.
    """

    def __init__(self, folder: Path, *, height: int, width: int, pixel_size: PixelSize) -> None:
        import zarr
        from numcodecs import Blosc

        self._levels = []
        self._group = zarr.open_group(str(folder), mode="w", zarr_format=2)
        self._group.attrs.update(_metadata(height, width, pixel_size))
        for level, (rows, cols) in enumerate(_level_shapes(height, width)):
            array = self._group.create_array(
                str(level),
                shape=(rows, cols),
                chunks=(CHUNK_PX, CHUNK_PX),
                dtype="<u4",
                fill_value=0,
                compressors=Blosc(cname="zstd", clevel=3, shuffle=Blosc.SHUFFLE),
                chunk_key_encoding={"name": "v2", "separator": "/"},
            )
            self._levels.append(_Level(array))

    def write(self, band: NDArray[np.uint32]) -> None:
        """The next rows (h, width) of the label image, 0 where there is no cell."""
        rows = band
        with _one_thread():
            for level in self._levels:
                first = level.rows_seen
                level.add(rows)
                rows = rows[first % 2 :: 2, ::2]

    def close(self) -> None:
        """Write what is still held; ValueError when rows are missing (a mistake of ours)."""
        with _one_thread():
            for level in self._levels:
                level.finish()


def write_labels(
    path: Path, bands: Iterable[NDArray[np.uint32]], *, height: int, width: int, pixel_size: PixelSize
) -> None:
    """Write a whole label image to `path`, replacing what was there; `bands` are its rows from top to bottom.

    height, width: of the label image. pixel_size: of a label pixel (level 0's times the nuclei factor).
    """

    def fill(folder: Path) -> None:
        writer = LabelWriter(folder, height=height, width=width, pixel_size=pixel_size)
        for band in bands:
            writer.write(band)
        writer.close()

    write_folder(path, fill)


class _Level:
    """One array of the pyramid and the rows that do not fill a row of chunks yet."""

    def __init__(self, array: Any) -> None:
        self.array = array
        self.rows_seen = 0
        self._written = 0
        self._held: list[NDArray[np.uint32]] = []

    def add(self, rows: NDArray[np.uint32]) -> None:
        self._held.append(np.array(rows, dtype=np.uint32))
        self.rows_seen += len(rows)
        full = (self.rows_seen - self._written) // CHUNK_PX * CHUNK_PX
        if full:
            self._flush(full)

    def finish(self) -> None:
        if self.rows_seen != self.array.shape[0]:
            raise ValueError(f"a label image of {self.array.shape[0]} rows was given {self.rows_seen}")
        self._flush(self.rows_seen - self._written)

    def _flush(self, n_rows: int) -> None:
        held = np.concatenate(self._held) if self._held else np.zeros((0, self.array.shape[1]), np.uint32)
        if n_rows and held.size:
            self.array[self._written : self._written + n_rows] = held[:n_rows]
        self._written += n_rows
        self._held = [held[n_rows:]]


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
