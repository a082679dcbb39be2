"""One door for every slide: the content decides which reader opens it, never the name of the file."""

from __future__ import annotations

import os
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ishcount.core.errors import SlideError
from ishcount.slide.array import JPEG_MAGIC, PNG_MAGIC, ArraySlide, array_to_rgb, open_picture
from ishcount.slide.calibration import given
from ishcount.slide.protocol import Slide
from ishcount.slide.source import LocalFile
from ishcount.slide.tiff import TiffSlide
from ishcount.slide.tiff_pages import TIFF_MAGIC, refuse_endless_chain

# TIFFs whose vendors bend the format (64-bit offsets in 32-bit files, overlapping tiles, several areas on one
# canvas): OpenSlide knows the bends. Other TIFFs take the fast path.
BENT_TIFF_VENDORS = {"hamamatsu", "leica", "ventana", "philips", "trestle", "huron"}
SMALLEST_FILE_BYTES = 16  # a TIFF header of 8 or 16 bytes alone is no image


def open_slide(source: str | os.PathLike[str] | NDArray[Any], *, mpp: float | None = None) -> Slide:
    """Open a slide file, a URL of a TIFF-based slide, or an array of RGB pixels.

    `mpp` (micrometres per pixel, both edges) takes the place of what the file says. An array is (height,
    width, 3) uint8 RGB; for 16-bit and alpha see `array_to_rgb`.

    Raises SlideError: E_IO when the file cannot be read, E_FORMAT when no reader knows it, E_TRUNCATED when
    it ends before its pixels, E_PIXELTYPE when its pixels are no RGB, E_MPP when `mpp` is absurd. No pixel
    size in the file is no error here: `pixel_size` is None and `resolve_pixel_size` says what to do.
    """
    if isinstance(source, np.ndarray):
        return _open_array(source, mpp)
    path = os.fspath(source)
    if isinstance(path, bytes):
        path = os.fsdecode(path)
    return _open_file(path, mpp)


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
    file = LocalFile(path)
    keep = False
    try:
        if file.size < SMALLEST_FILE_BYTES:
            raise SlideError(
                f"{path!r} holds {file.size} bytes and no image; copy the file again", "E_FORMAT"
            )
        magic = file.read(0, 8)
        from ishcount.slide.vendor import VendorSlide, vendor_of

        is_tiff = magic[:4] in TIFF_MAGIC
        if is_tiff:
            refuse_endless_chain(file, path)  # before OpenSlide, which would follow it
        vendor = vendor_of(path)
        if is_tiff and vendor not in BENT_TIFF_VENDORS:
            slide: Slide = TiffSlide(path, file, reopen=reopen, calibration=calibration)
            keep = True
            return slide
        if vendor is not None:
            return VendorSlide(path, reopen=reopen, calibration=calibration)
        if magic == PNG_MAGIC or magic.startswith(JPEG_MAGIC):
            slide = open_picture(path, file, reopen=reopen, calibration=calibration)
            keep = True
            return slide
    finally:
        if not keep:
            file.close()
    raise SlideError(
        f"{path!r} is not a slide that any reader knows (it begins with {magic[:4].hex()}); "
        "give a TIFF, SVS, NDPI, MRXS, SCN, BIF, DICOM, PNG or JPEG file",
        "E_FORMAT",
    )
