"""Small pictures of single cells, read from level 0 in threads and kept. Crops know Qt only for their
signal.
"""

from __future__ import annotations

from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Signal
from qtpy.QtGui import QColor, QImage, QPainter, QPixmap

from ishcount.core.errors import IshcountError
from ishcount.core.geometry import Region
from ishcount_napari.pyramid import LevelArray

CLOSE_UM, WIDE_UM = 24.0, 96.0
"""Sides of the two crops of a cell: the cell, and its neighbourhood."""
MOST_CROPS = 600

Key = tuple[int, float, int]


def read_crop(
    levels: list[LevelArray], x_um: float, y_um: float, side_um: float, *, um_per_px: float, side_px: int
) -> NDArray[np.uint8]:
    """Square picture (side_px, side_px, 3) of `side_um` about a place, from the coarsest level that is
    enough.
    """
    wanted = side_um / um_per_px / side_px  # level-0 pixels per picture pixel
    steps = [levels[0].shape[1] / level.shape[1] for level in levels]
    place = max(i for i, step in enumerate(steps) if step <= max(wanted, 1.0))
    step = steps[place]
    side = max(1, round(side_um / um_per_px / step))
    x, y = round(x_um / um_per_px / step - side / 2), round(y_um / um_per_px / step - side / 2)
    pixels = levels[place].region(Region(x, y, side, side))
    rows = np.minimum((np.arange(side_px) + 0.5) * side / side_px, side - 1).astype(int)
    return np.ascontiguousarray(pixels[np.ix_(rows, rows)])


def to_pixmap(picture: NDArray[np.uint8]) -> QPixmap:
    """A picture (h, w, 3) for Qt. Only in the main thread."""
    height, width = picture.shape[:2]
    image = QImage(picture.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888)
    return QPixmap.fromImage(image.copy())


def with_square(pixmap: QPixmap, share: float) -> QPixmap:
    """The pixmap with a thin square about its middle, `share` of its side wide (0: none)."""
    if share > 0:
        side = pixmap.width()
        painter = QPainter(pixmap)
        painter.setPen(QColor("#00e5ff"))
        first, size = round(side * (1 - share) / 2), round(side * share)
        painter.drawRect(first, first, size, size)
        painter.end()
    return pixmap


class CropLoader(QObject):
    """Reads crops in two threads; `loaded` tells the cell when its crop is there."""

    loaded = Signal(int, float)

    def __init__(self, levels: list[LevelArray], um_per_px: float) -> None:
        """levels: the slide's pyramid. um_per_px: level-0 pixel size."""
        super().__init__()
        self._levels, self._um_per_px = levels, um_per_px
        self._pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="ishcount-crops")
        self._crops: OrderedDict[Key, NDArray[np.uint8]] = OrderedDict()
        self._asked: dict[Key, Future[None]] = {}
        self._closed = False

    def get(
        self, cell_id: int, x_um: float, y_um: float, *, side_um: float, side_px: int
    ) -> NDArray[np.uint8] | None:
        """The crop if it is there; else None, and `loaded` will tell."""
        key = (cell_id, side_um, side_px)
        if key in self._crops:
            self._crops.move_to_end(key)
            return self._crops[key]
        if key not in self._asked and not self._closed:
            self._asked[key] = self._pool.submit(self._load, key, x_um, y_um)
        return None

    def forget_waiting(self) -> None:
        """Drop what nobody waits for any more."""
        for key, future in list(self._asked.items()):
            if future.cancel():
                self._asked.pop(key, None)

    def close(self) -> None:
        """Stop reading."""
        self._closed = True
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _load(self, key: Key, x_um: float, y_um: float) -> None:
        cell_id, side_um, side_px = key
        try:
            crop = read_crop(self._levels, x_um, y_um, side_um, um_per_px=self._um_per_px, side_px=side_px)
        except IshcountError:  # the slide's disk went away: a grey square, and the review goes on
            crop = np.full((side_px, side_px, 3), 128, np.uint8)
        self._crops[key] = crop
        while len(self._crops) > MOST_CROPS:
            self._crops.popitem(last=False)
        self._asked.pop(key, None)
        if not self._closed:
            self.loaded.emit(cell_id, side_um)
