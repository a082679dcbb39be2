"""One door for every slide: the content decides which reader opens it, never the name of the file."""

from __future__ import annotations

import os
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ishcount.core.errors import SlideError
from ishcount.slide.array import JPEG_MAGIC, PNG_MAGIC, ArraySlide, array_to_rgb, open_picture
from ishcount.slide.calibration import Calibration, given
from ishcount.slide.protocol import Slide
from ishcount.slide.source import address, is_url, open_source, shown
from ishcount.slide.tiff import TiffSlide
from ishcount.slide.tiff_pages import TIFF_MAGIC, refuse_endless_chain

# TIFFs whose vendors bend the format (64-bit offsets in 32-bit files, overlapping tiles, several areas on one
# canvas): OpenSlide knows the bends. Other TIFFs take the fast path.
BENT_TIFF_VENDORS = {"hamamatsu", "leica", "ventana", "philips", "trestle", "huron"}
SMALLEST_FILE_BYTES = 16  # a TIFF header of 8 or 16 bytes alone is no image


def open_slide(source: str | os.PathLike[str] | bytes | NDArray[Any], *, mpp: float | None = None) -> Slide:
    """Open a slide file, a URL of a TIFF-based slide, or an array of RGB pixels.

    `mpp` (micrometres per pixel, both edges) takes the place of what the file says. An array is (height,
    width, 3) uint8 RGB; for 16-bit and alpha see `array_to_rgb`.

    Raises SlideError: E_IO when the file cannot be read, E_FORMAT when no reader knows it, E_TRUNCATED when
    it ends before its pixels, E_PIXELTYPE when its pixels are no RGB, E_MPP when `mpp` is absurd. No pixel
    size in the file is no error here: `pixel_size` is None and `resolve_pixel_size` says what to do.
    """
    if isinstance(source, np.ndarray):
        return _open_array(source, mpp)
    return _open_file(address(source), mpp)


def _open_array(array: NDArray[Any], mpp: float | None) -> Slide:
    pixels = array_to_rgb(array)
    return ArraySlide(
        "<array>",
        lambda: pixels,
        size=(pixels.shape[1], pixels.shape[0]),
        format="array",
        reopen=(partial(open_slide, mpp=mpp), (pixels,)),
        calibration=None if mpp is None else given(mpp, "given"),
    )


def _open_file(path: str, mpp: float | None) -> Slide:
    calibration = None if mpp is None else given(mpp, "given")
    reopen = partial(open_slide, mpp=mpp), (path,)
    source, name = open_source(path), shown(path)
    slide: Slide | None = None
    try:
        if source.size < SMALLEST_FILE_BYTES:
            raise SlideError(
                f"{name!r} holds {source.size} bytes and no image; copy the file again", "E_FORMAT"
            )
        magic = source.read(0, 8)
        is_tiff = magic[:4] in TIFF_MAGIC
        if is_tiff:
            refuse_endless_chain(source, name)  # before OpenSlide, which would follow it
        vendor = None if is_url(path) else _vendor_of(path)
        if is_tiff and vendor not in BENT_TIFF_VENDORS:
            slide = TiffSlide(name, source, reopen=reopen, calibration=calibration)
        elif vendor is not None:
            return _open_vendor(path, reopen, calibration)
        elif path.lower().endswith(".mrxs"):
            # The file itself is only a small picture: counting that in place of the slide must not happen.
            raise SlideError(
                f"{name!r} is a MIRAX slide without its folder of the same name beside it; copy both",
                "E_FORMAT",
            )
        elif magic == PNG_MAGIC or magic.startswith(JPEG_MAGIC):
            slide = open_picture(name, source, reopen=reopen, calibration=calibration)
        else:
            raise SlideError(
                f"{name!r} is not a slide that any reader knows (it begins with {magic[:4].hex()}); "
                "give a TIFF, SVS, NDPI, MRXS, SCN, BIF, DICOM, PNG or JPEG file",
                "E_FORMAT",
            )
    finally:
        if slide is None:  # otherwise the slide owns the file
            source.close()
    return slide


def _vendor_of(path: str) -> str | None:
    from ishcount.slide.vendor import vendor_of

    return vendor_of(path)


def _open_vendor(path: str, reopen: Any, calibration: Calibration | None) -> Slide:
    from ishcount.slide.vendor import VendorSlide

    return VendorSlide(path, reopen=reopen, calibration=calibration)
