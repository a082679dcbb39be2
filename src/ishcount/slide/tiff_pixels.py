"""From the bytes of one TIFF tile or strip to uint8 RGB, by a stated rule for each kind of pixel.

| stored pixels | what happens |
|---|---|
| RGB, 3 x 8 bit | taken as they are |
| YCbCr inside JPEG, JPEG 2000 or WebP | turned into RGB by the codec's formula (BT.601, full range) |
| RGB, 3 x 16 bit | divided by 257 and rounded, so 8-bit values written as 16 bit come back exactly |
| RGB + alpha (ExtraSamples 1 or 2) | laid over white, since clear glass is white |
| RGB + other samples | the other samples are dropped |
| palette, 8 bit | looked up in the colour map, 16-bit entries divided by 257 and rounded |
| one plane per sample | put together, then as above |
| greyscale, bilevel | refused: without colour a chromogen cannot be told from haematoxylin |
| CMYK, CIELab, YCbCr outside a codec | refused: they depend on inks or a white that we do not know |
| float, signed, 1-7, 9-15, 32 or 64 bit | refused: no stated range, or not a scanner's format |

An embedded ICC profile is ignored. Orientation tags are ignored (with a warning): coordinates are those of
the stored raster. A refusal is SlideError E_PIXELTYPE; an unknown compression is E_FORMAT.

What damage can be seen: bytes that are missing, cut, zeroed or overwritten, and wrong sizes, under every
codec; a single flipped bit only under deflate and lzma, which carry checksums.
"""

from __future__ import annotations

import struct
from typing import Any, NoReturn

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from ishcount.core.errors import SlideError
from ishcount.slide.jpeg import DamagedTile, check_holes, check_scan, jpeg_frame
from ishcount.slide.protocol import Rgb
from ishcount.slide.tiff_pages import Page

MAX_SEGMENT_BYTES = (
    256 * 2**20
)  # decoded size of one tile or strip: far above any scanner's, far below our memory
MAX_SAMPLES = 8

JPEG = {7, 33007}
JPEG2000 = {33003, 33004, 33005, 34712}
APERIO_JPEG2000_YCBCR = 33003
WEBP = {34927, 50001}
BYTE_CODECS = {
    5: "lzw",
    8: "zlib",
    32946: "zlib",
    32773: "packbits",
    34925: "lzma",
    34926: "zstd",
    50000: "zstd",
}
PLAIN = 1
HORIZONTAL = 2  # predictor

PHOTOMETRIC = {
    0: "greyscale", 1: "greyscale", 2: "RGB", 3: "palette", 4: "mask", 5: "CMYK", 6: "YCbCr",
    8: "CIELab", 9: "ICCLab", 10: "ITULab", 32803: "colour filter array", 34892: "linear raw",
}  # fmt: skip


def check_pixels(page: Page, path: str) -> None:
    """SlideError E_PIXELTYPE or E_FORMAT when no rule above turns this page into uint8 RGB."""
    codec = page.compression in JPEG | JPEG2000 | WEBP
    known = codec or page.compression == PLAIN or page.compression in BYTE_CODECS
    colour = PHOTOMETRIC.get(page.photometric, f"photometric {page.photometric}")

    def refuse(found: str) -> NoReturn:
        raise SlideError(
            f"{path!r} holds {found}; export it as 8-bit RGB (brightfield, one focus plane)", "E_PIXELTYPE"
        )

    if page.depth > 1:
        refuse(f"a stack of {page.depth} planes")
    if set(page.sample_formats) - {1}:
        refuse(f"{colour} pixels that are not unsigned integers (sample format {page.sample_formats[0]})")
    if len(set(page.bits)) != 1 or page.bits[0] not in (8, 16):
        refuse(f"{colour} pixels of {'/'.join(str(bit) for bit in page.bits[:4])} bits")
    if not 1 <= page.samples <= MAX_SAMPLES or page.planar not in (1, 2):
        refuse(f"{page.samples} samples per pixel in layout {page.planar}")
    if page.photometric == 3:
        if (
            page.samples != 1
            or page.bits[0] != 8
            or page.colormap is None
            or page.colormap.size != 768
            or codec
        ):
            refuse("palette pixels without a colour map of 256 entries")
    elif page.photometric not in (2, 6) or (page.photometric == 6 and not codec) or page.samples < 3:
        refuse(f"{colour} pixels with {page.samples} samples")
    if not known:
        raise SlideError(
            f"{path!r} is compressed by a method we cannot read (TIFF compression {page.compression}); "
            "export it with JPEG, JPEG 2000, LZW, deflate or zstd",
            "E_FORMAT",
        )
    _check_layout(page, codec, refuse)


def _check_layout(page: Page, codec: bool, refuse: Any) -> None:
    if page.predictor != 1 and (page.predictor != HORIZONTAL or codec or page.compression == PLAIN):
        refuse(f"pixels with predictor {page.predictor} and compression {page.compression}")
    if page.fill_order != 1 and not codec:
        refuse("bytes stored in reversed bit order")
    if page.compression in JPEG and page.planar == 1 and page.samples != 3:
        refuse(f"JPEG pixels with {page.samples} samples")
    if codec and (page.bits[0] != 8 or (page.planar == 2 and page.photometric == 6)):
        refuse(f"{page.bits[0]}-bit pixels in layout {page.planar} under compression {page.compression}")
    if segment_bytes(page) > MAX_SEGMENT_BYTES and not (page.compression == PLAIN and not page.is_tiled):
        refuse(
            f"tiles of {page.tile_width} x {page.tile_height} pixels, over {MAX_SEGMENT_BYTES >> 20} MiB each"
        )


def segment_bytes(page: Page) -> int:
    """Decoded size of one tile or strip as stored."""
    samples = 1 if page.planar == 2 else page.samples
    return page.tile_width * page.tile_height * samples * (page.bits[0] // 8)


def decode_segment(page: Page, data: bytes, height: int) -> NDArray[Any]:
    """Samples (height, tile width, samples) of one segment as stored; DamagedTile when `data` does not hold
    them.

    `height` is the segment's number of rows: the last strip of an image is shorter.
    """
    samples = 1 if page.planar == 2 else page.samples
    shape = (height, page.tile_width, samples)
    try:
        if page.compression in JPEG:
            return _decode_jpeg(page, data, shape)
        if page.compression in JPEG2000:
            return _decode_jpeg2000(page, data, shape)
        if page.compression in WEBP:
            return _fit(
                imagecodecs.webp_decode(data, hasalpha=samples == 4, out=np.empty(shape, np.uint8)), shape
            )
        return _decode_bytes(page, data, shape)
    except DamagedTile:
        raise
    except Exception as error:  # each codec has its own error, and a damaged stream may raise any of them
        raise DamagedTile(f"{type(error).__name__}: {str(error)[:80]}") from error


def _decode_bytes(page: Page, data: bytes, shape: tuple[int, int, int]) -> NDArray[Any]:
    itemsize = page.bits[0] // 8
    size = shape[0] * shape[1] * shape[2] * itemsize
    if page.compression != PLAIN:
        # The size is given, so a bomb stops at the tile's own size.
        data = getattr(imagecodecs, f"{BYTE_CODECS[page.compression]}_decode")(data, out=size)
    if len(data) < size:
        raise DamagedTile(f"holds {len(data)} of {size} bytes")
    order = page.byteorder if itemsize > 1 else "|"
    pixels = np.frombuffer(data, np.dtype(f"{order}u{itemsize}"), count=size // itemsize).reshape(shape)
    if itemsize > 1:
        pixels = pixels.astype(f"=u{itemsize}")
    return imagecodecs.delta_decode(pixels, axis=-2) if page.predictor == HORIZONTAL else pixels


def _fit(pixels: NDArray[Any], shape: tuple[int, int, int]) -> NDArray[Any]:
    """`pixels` cut to `shape`; DamagedTile when they do not fill it."""
    if pixels.ndim == 2:
        pixels = pixels[:, :, np.newaxis]
    if pixels.shape[0] < shape[0] or pixels.shape[1] < shape[1] or pixels.shape[2] != shape[2]:
        raise DamagedTile(f"holds {pixels.shape} instead of {shape} samples")
    return pixels[: shape[0], : shape[1]]


# -- JPEG and JPEG 2000 --------------------------------------------------------------------------------------


def _decode_jpeg(page: Page, data: bytes, shape: tuple[int, int, int]) -> NDArray[Any]:
    """A JPEG tile as RGB, or as its one plane.

    YCbCr pages are turned into RGB. On pages called RGB the stream decides: a JFIF marker or Adobe transform
    1 means YCbCr all the same (Bio-Formats writes such), otherwise the samples are RGB (Aperio writes such).
    """
    frame = jpeg_frame(data)
    if frame.height < shape[0] or frame.width != shape[1] or frame.components != shape[2]:
        raise DamagedTile(f"is a JPEG of {frame.width} x {frame.height} x {frame.components}")
    if frame.height * frame.width * frame.components > MAX_SEGMENT_BYTES:
        raise DamagedTile("is larger than its tile")
    scan = check_scan(frame, data)
    if shape[2] == 1:
        stored, wanted = "GRAYSCALE", "GRAYSCALE"
    elif shape[2] == 3:
        ycbcr = page.photometric == 6 or frame.jfif or bool(frame.adobe_transform)
        stored, wanted = "YCBCR" if ycbcr else "RGB", "RGB"
    else:
        raise DamagedTile(f"is a JPEG of {shape[2]} components")
    out = np.empty((frame.height, frame.width, shape[2]), np.uint8)
    pixels = imagecodecs.jpeg8_decode(
        data,
        tables=page.jpeg_tables or None,
        colorspace=stored,
        outcolorspace=wanted,
        out=out if shape[2] == 3 else out[:, :, 0],
    )
    check_holes(scan, out)
    return _fit(pixels, shape)


def _decode_jpeg2000(page: Page, data: bytes, shape: tuple[int, int, int]) -> NDArray[Any]:
    start = data.find(b"\xff\x4f\xff\x51", 0, 256)  # a bare codestream, or one inside a JP2 box
    if start < 0 or start + 40 > len(data):
        raise DamagedTile("does not begin like JPEG 2000")
    x_end, y_end, x, y = struct.unpack_from(">IIII", data, start + 8)
    components = struct.unpack_from(">H", data, start + 40)[0]
    if (y_end - y, x_end - x, components) != shape:
        raise DamagedTile(f"is a JPEG 2000 of {x_end - x} x {y_end - y} x {components}")
    if data.rfind(b"\xff\xd9", max(0, len(data) - 64)) < 0:
        raise DamagedTile("is a JPEG 2000 that ends too early")
    pixels = _fit(imagecodecs.jpeg2k_decode(data, numthreads=1), shape)
    if pixels.dtype != np.uint8:
        raise DamagedTile(f"is a JPEG 2000 of {pixels.dtype} samples")
    if page.compression == APERIO_JPEG2000_YCBCR and shape[2] == 3:
        return ycbcr_to_rgb(pixels)
    return pixels


def ycbcr_to_rgb(pixels: NDArray[np.uint8]) -> Rgb:
    """Full-range ITU-R BT.601, the formula of JFIF, rounded to nearest."""
    luma, blue, red = (pixels[..., channel].astype(np.float32) for channel in range(3))
    blue, red = blue - 128, red - 128
    rgb = np.stack(
        [luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue], axis=-1
    )
    return np.clip(np.rint(rgb), 0, 255).astype(np.uint8)


# -- to RGB --------------------------------------------------------------------------------------------------


def to_rgb(page: Page, pixels: NDArray[Any]) -> Rgb:
    """uint8 RGB (height, width, 3) of samples (height, width, samples), by the table at the top."""
    if page.photometric == 3 and page.colormap is not None:
        return _to_8_bit(page.colormap.reshape(3, 256).T)[pixels[:, :, 0]]
    colour = _to_8_bit(pixels[:, :, :3])
    if page.samples > 3 and page.extra_samples and page.extra_samples[0] in (1, 2):
        alpha = _to_8_bit(pixels[:, :, 3:4]).astype(np.uint32)
        weight = 255 if page.extra_samples[0] == 1 else alpha  # 1: already multiplied by alpha
        laid = (colour.astype(np.uint32) * weight + (255 - alpha) * 255 + 127) // 255
        return np.minimum(laid, 255).astype(np.uint8)
    return colour


def _to_8_bit(values: NDArray[Any]) -> NDArray[np.uint8]:
    if values.dtype == np.uint8:
        return values
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
