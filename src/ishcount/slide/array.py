"""Slides of one level that fit in memory: arrays, PNG and JPEG files."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ishcount.core.errors import SlideError
from ishcount.core.geometry import Region
from ishcount.core.units import PixelSize
from ishcount.slide.calibration import Calibration
from ishcount.slide.jpeg import DamagedTile, JpegFrame, jpeg_frame
from ishcount.slide.opened import OpenedSlide
from ishcount.slide.protocol import Level, Mask, Rgb
from ishcount.slide.source import ByteSource

MAX_PIXELS = 200_000_000  # 600 MB of RGB; larger images belong in tiles
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
JPEG_MAGIC = b"\xff\xd8\xff"
NO_PIXEL_SIZE = Calibration(warnings=("an image of this kind carries no pixel size",))


class ArraySlide(OpenedSlide):
    """An image held in memory once it is read. See `Slide` for what the members mean."""

    reader = "array"

    def __init__(
        self,
        path: str,
        load: Callable[[], Rgb],
        *,
        size: tuple[int, int],
        format: str,
        reopen: tuple[Callable[..., Any], tuple[Any, ...]],
        calibration: Calibration | None = None,
        chroma_subsampling: tuple[int, int] | None = None,
        icc: bool = False,
        release: Callable[[], None] = lambda: None,
    ) -> None:
        """`load` gives uint8 RGB of `size` (width, height) when it is first needed; `release` gives the file
        back.
        """
        calibration = calibration or NO_PIXEL_SIZE
        self.path, self.format = path, format
        self.levels: tuple[Level, ...] = (Level(size[0], size[1], 1.0),)
        self.pixel_size: PixelSize | None = calibration.pixel_size
        self.mpp_source, self.warnings = calibration.source, calibration.warnings
        self.chroma_subsampling, self.icc = chroma_subsampling, icc
        self._load, self._reopen, self._release = load, reopen, release
        self._pixels: Rgb | None = None
        self._lock = threading.Lock()

    def read(self, region: Region, level: int = 0) -> Rgb:
        """A copy of the pixels of `region`; SlideError E_TILE when the file does not decode."""
        if level != 0:
            raise ValueError(f"this image has one level, not a level {level}")
        inside = Region(0, 0, self.width, self.height).intersect(region)
        if inside != region:
            raise ValueError(f"{region} does not lie inside {self.width} x {self.height} pixels")
        with self._lock:
            if self._pixels is None:
                self._pixels = self._load()
        return self._pixels[region.y : region.y_end, region.x : region.x_end].copy()

    def read_masked(self, region: Region, level: int = 0) -> tuple[Rgb, Mask]:
        """Like `read`: an image in one piece is whole or unreadable, so all of it is real."""
        return self.read(region, level), np.ones((region.height, region.width), np.bool_)

    def close(self) -> None:
        """Give the file back and forget its pixels; twice is allowed."""
        self._release()
        self._pixels = None


def array_to_rgb(array: NDArray[Any]) -> Rgb:
    """uint8 RGB of an array (height, width, 3 or 4), uint8, or uint16 divided by 257; alpha is laid over
    white.

    SlideError E_PIXELTYPE for anything else: a stated range is needed to know what white is.
    """
    found = f"{array.dtype} of shape {array.shape}"
    if (
        array.ndim != 3
        or array.shape[2] not in (3, 4)
        or 0 in array.shape
        or array.dtype not in (np.uint8, np.uint16)
    ):
        raise SlideError(
            f"an array of {found} is no colour image; give uint8 RGB of shape (height, width, 3)",
            "E_PIXELTYPE",
        )
    if array.dtype == np.uint16:
        array = ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if array.shape[2] == 3:
        return array
    alpha = array[:, :, 3:].astype(np.uint32)
    return ((array[:, :, :3] * alpha + (255 - alpha) * 255 + 127) // 255).astype(np.uint8)


# -- PNG and JPEG files --------------------------------------------------------------------------------------


def open_picture(
    path: str,
    source: ByteSource,
    *,
    reopen: tuple[Callable[..., Any], tuple[Any, ...]],
    calibration: Calibration | None = None,
) -> ArraySlide:
    """A PNG or JPEG file as a slide of one level. The header is checked now, pixels are decoded when
    needed.
    """
    head = source.read(0, min(source.size, 2**20))
    tail = source.read(max(0, source.size - 64), min(source.size, 64))
    if head.startswith(PNG_MAGIC):
        size, frame, whole = _png_size(head, path), None, b"IEND" in tail
    else:
        frame = _jpeg_header(head, path)
        size, whole = (frame.width, frame.height), b"\xff\xd9" in tail
    if size[0] * size[1] > MAX_PIXELS or 0 in size:
        raise SlideError(
            f"{path!r} is {size[0]} x {size[1]} pixels in one piece, which this format cannot give in parts; "
            "export it as a tiled TIFF",
            "E_PIXELTYPE",
        )
    if not whole:
        raise SlideError(
            f"{path!r} ends before its pixels do ({source.size} bytes); copy the file again", "E_TRUNCATED"
        )
    return ArraySlide(
        path,
        lambda: _decode_picture(path, source, frame),
        size=size,
        format="png" if frame is None else "jpeg",
        reopen=reopen,
        release=source.close,
        calibration=calibration,
        chroma_subsampling=None if frame is None else frame.chroma_subsampling,
        icc=b"iCCP" in head[:4096] if frame is None else b"ICC_PROFILE" in head[: frame.scan_start],
    )


def _png_size(head: bytes, path: str) -> tuple[int, int]:
    if head[12:16] != b"IHDR" or len(head) < 33:
        raise SlideError(f"{path!r} begins like a PNG but has no header; export it again", "E_FORMAT")
    depth, colour = head[24], head[25]
    if colour not in (2, 6) or depth not in (8, 16):
        kind = {0: "greyscale", 3: "palette", 4: "greyscale with alpha"}.get(colour, "colour")
        raise SlideError(
            f"{path!r} holds {kind} pixels of {depth} bits; export it as 8-bit RGB", "E_PIXELTYPE"
        )
    return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")


def _jpeg_header(head: bytes, path: str) -> JpegFrame:
    try:
        frame = jpeg_frame(head)
    except DamagedTile as error:
        raise SlideError(f"{path!r} begins like a JPEG but {error}; export it again", "E_FORMAT") from error
    if frame.components != 3:
        raise SlideError(f"{path!r} holds {frame.components} channels; export it as 8-bit RGB", "E_PIXELTYPE")
    return frame


def _decode_picture(path: str, source: ByteSource, frame: JpegFrame | None) -> Rgb:
    import imagecodecs

    data = source.read(0, source.size)
    try:
        pixels = imagecodecs.png_decode(data) if frame is None else imagecodecs.jpeg8_decode(data)
    except Exception as error:  # each codec has its own error
        raise SlideError(
            f"{path!r} cannot be decoded ({str(error)[:80]!r}); export it again", "E_TILE"
        ) from error
    return array_to_rgb(pixels)
