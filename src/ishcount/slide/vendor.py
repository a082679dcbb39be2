"""Every other format, through OpenSlide: NDPI, MIRAX, Leica SCN, Ventana BIF, Philips, DICOM and more.

OpenSlide draws on a transparent canvas; what no tile covers is drawn white here, as glass is. After an error
an OpenSlide handle answers nothing more, so it is opened again. Associated images (label, macro, thumbnail)
are never asked for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import openslide
from numpy.typing import NDArray

from ishcount.core.errors import SlideError
from ishcount.core.geometry import Region
from ishcount.core.units import PixelSize
from ishcount.slide.calibration import Calibration, calibrate_openslide
from ishcount.slide.opened import OpenedSlide
from ishcount.slide.protocol import MISSING_RGB, Level, Mask, Rgb
from ishcount.slide.tiff_levels import shrink_factor

PROBE_SIDE_PX = 256  # where a read fails, the damage is searched in squares of this side, the usual tile
MAX_SIDE_PX = 4_000_000


def vendor_of(path: str) -> str | None:
    """OpenSlide's name of the format, or None when it knows none for this file."""
    try:
        name: str | None = openslide.OpenSlide.detect_format(path)
    except (openslide.OpenSlideError, OSError, ValueError, UnicodeError):
        return None
    return name


class VendorSlide(OpenedSlide):
    """A slide that OpenSlide reads. See `Slide` for what the members mean."""

    reader = "openslide"

    def __init__(
        self,
        path: str,
        *,
        reopen: tuple[Callable[..., Any], tuple[Any, ...]],
        calibration: Calibration | None = None,
    ) -> None:
        """Open `path`; SlideError E_FORMAT when OpenSlide refuses it."""
        self.path = path
        self._reopen, self._lock = reopen, threading.Lock()
        self._handle = self._open()
        properties = self._handle.properties
        self.format: str = properties.get("openslide.vendor", "unknown")
        full = self._handle.dimensions
        if not all(0 < side <= MAX_SIDE_PX for side in full):
            raise SlideError(
                f"{path!r} claims {full[0]} x {full[1]} pixels; export the slide again", "E_FORMAT"
            )
        self._numbers, self.levels, warnings = _levels(self._handle.level_dimensions)
        calibration = calibration or calibrate_openslide(properties)
        self.pixel_size: PixelSize | None = calibration.pixel_size
        self.mpp_source = calibration.source
        self.warnings = (*warnings, *calibration.warnings)
        self.icc = "openslide.icc-size" in properties
        self.chroma_subsampling: tuple[int, int] | None = None  # OpenSlide does not say

    def _open(self) -> openslide.OpenSlide:
        try:
            return openslide.OpenSlide(self.path)
        except (openslide.OpenSlideError, OSError, ValueError) as error:
            raise SlideError(
                f"{self.path!r} cannot be opened by OpenSlide ({str(error)[:80]}); "
                "copy or export the slide again",
                "E_FORMAT",
            ) from error

    def read(self, region: Region, level: int = 0) -> Rgb:
        """Pixels of `region` of `level`; SlideError E_TILE when OpenSlide cannot give them.

        OpenSlide places a read by level-0 pixels; at levels whose downsample is no whole number the place is
        rounded to one of them.
        """
        self._check(region, level)
        try:
            return self._pixels(region, level)
        except openslide.OpenSlideError as error:
            raise SlideError(
                f"{self.path!r}: pixels at ({region.x}, {region.y}) of level {level} cannot be decoded "
                f"({str(error)[:80]}); copy the file again, or count it with the damaged part left out",
                "E_TILE",
            ) from error

    def read_masked(self, region: Region, level: int = 0) -> tuple[Rgb, Mask]:
        """Pixels of `region` of `level`, and where they are real; elsewhere they are 255."""
        self._check(region, level)
        valid = np.ones((region.height, region.width), np.bool_)
        try:
            return self._pixels(region, level), valid
        except openslide.OpenSlideError:
            pass
        pixels = np.full((region.height, region.width, 3), MISSING_RGB, np.uint8)
        for part in _squares(region):
            target = np.s_[
                part.y - region.y : part.y_end - region.y, part.x - region.x : part.x_end - region.x
            ]
            try:
                pixels[target] = self._pixels(part, level)
            except openslide.OpenSlideError:
                valid[target] = False
        return pixels, valid

    def _check(self, region: Region, level: int) -> None:
        size = self.levels[level]
        if Region(0, 0, size.width, size.height).intersect(region) != region:
            raise ValueError(
                f"{region} does not lie inside level {level} of {size.width} x {size.height} pixels"
            )

    def _pixels(self, region: Region, level: int) -> Rgb:
        downsample = self.levels[level].downsample
        place = round(region.x * downsample), round(region.y * downsample)
        with self._lock:
            try:
                image = self._handle.read_region(place, self._numbers[level], (region.width, region.height))
            except openslide.OpenSlideError:
                self._handle.close()
                self._handle = self._open()
                raise
        return _on_white(np.asarray(image))

    def close(self) -> None:
        """Give the file back; twice is allowed."""
        self._handle.close()


def _levels(sizes: tuple[tuple[int, int], ...]) -> tuple[tuple[int, ...], tuple[Level, ...], list[str]]:
    """OpenSlide's level numbers kept, the levels, and warnings about those left out."""
    numbers, levels, warnings = [0], [Level(*sizes[0], 1.0)], []
    for number, size in list(enumerate(sizes))[1:]:
        downsample = shrink_factor(sizes[0], size)
        if downsample is None or downsample <= levels[-1].downsample:
            warnings.append(
                f"level {number} ({size[0]} x {size[1]}) is not a smaller copy of the slide; it is not used"
            )
        else:
            numbers.append(number)
            levels.append(Level(*size, downsample))
    return tuple(numbers), tuple(levels), warnings


def _squares(region: Region) -> list[Region]:
    side = PROBE_SIDE_PX
    return [
        part
        for y in range(region.y // side * side, region.y_end, side)
        for x in range(region.x // side * side, region.x_end, side)
        if (part := Region(x, y, side, side).intersect(region)) is not None
    ]


def _on_white(rgba: NDArray[np.uint8]) -> Rgb:
    """RGBA with straight alpha laid over white."""
    alpha = rgba[:, :, 3]
    if np.all(alpha == 255):
        return np.ascontiguousarray(rgba[:, :, :3])
    weight = alpha[:, :, np.newaxis].astype(np.uint32)
    return ((rgba[:, :, :3] * weight + (255 - weight) * 255 + 127) // 255).astype(np.uint8)
