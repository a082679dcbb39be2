"""Small slides written for the tests of the readers, and ways to damage them at a known place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from ishcount.core.errors import SlideError
from ishcount.core.geometry import Region
from ishcount.slide.open import open_slide

SIDE = 600  # no multiple of the tile, so that right and lower tiles are padded
TILE = 128


def tissue(height: int = SIDE, width: int = SIDE, seed: int = 1) -> NDArray[np.uint8]:
    """Smooth colour with some texture: compresses like a slide, and no two tiles are the same."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    waves = [
        128 + 60 * np.sin(rows / step + phase) + 50 * np.cos(columns / (step + 7) - phase)
        for step, phase in ((23, 0.0), (31, 1.0), (43, 2.0))
    ]
    noise = rng.normal(0, 6, (height, width, 3))
    return np.clip(np.stack(waves, axis=-1) + noise, 0, 255).astype(np.uint8)


def shrunk(pixels: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Block means of the part that whole blocks cover, as scanners make levels."""
    height, width = pixels.shape[0] // factor, pixels.shape[1] // factor
    blocks = pixels[: height * factor, : width * factor].reshape(height, factor, width, factor, 3)
    return np.rint(blocks.mean(axis=(1, 3))).astype(np.uint8)


def write_tiff(path: Path, pixels: NDArray[Any], **options: Any) -> Path:
    """A TIFF of one page: tiled, RGB, uncompressed, 0.25 um per pixel, unless `options` say otherwise."""
    defaults: dict[str, Any] = {
        "tile": (TILE, TILE),
        "photometric": "rgb",
        "resolution": (40_000, 40_000),
        "resolutionunit": "CENTIMETER",
        "metadata": None,
    }
    given = defaults | options
    if given["tile"] is None:
        given.pop("tile")
    tifffile.imwrite(path, pixels, **given)
    return path


def write_pyramid(
    path: Path,
    pixels: NDArray[np.uint8],
    factors: tuple[int, ...] = (2, 4),
    *,
    below: bool = True,
    **options: Any,
) -> Path:
    """A tiled pyramid, its levels below the first page (SubIFDs) or after it."""
    common = {"tile": (TILE, TILE), "photometric": "rgb", "metadata": None} | options
    with tifffile.TiffWriter(path) as tiff:
        calibrated = common | {"resolution": (40_000, 40_000), "resolutionunit": "CENTIMETER"}
        tiff.write(pixels, subifds=len(factors) if below else 0, **calibrated)
        for factor in factors:
            tiff.write(shrunk(pixels, factor), subfiletype=1, **common)
    return path


def aperio_description(fields: str = "MPP = 0.25|AppMag = 40") -> str:
    """The first lines of an Aperio header."""
    return f"Aperio Image Library v11.2.1 \r\n600x600 (128x128) JPEG/RGB Q=70|{fields}"


def patch_tag(path: Path, tag: int, index: int, value: int, *, page: int = 0) -> None:
    """Overwrite element `index` of a numeric tag in place."""
    with tifffile.TiffFile(path) as tiff:
        found = tiff.pages[page].tags[tag]
        sizes = {1: 1, 3: 2, 4: 4, 5: 4, 16: 8}
        size = sizes[int(found.dtype)]
        place, order = found.valueoffset + index * size, "little" if tiff.byteorder == "<" else "big"
    with path.open("r+b") as file:
        file.seek(place)
        file.write(value.to_bytes(size, order))


def tile_place(path: Path, index: int) -> tuple[int, int]:
    """Offset and length of one tile of the first page."""
    with tifffile.TiffFile(path) as tiff:
        return tiff.pages[0].dataoffsets[index], tiff.pages[0].databytecounts[index]


def overwrite(path: Path, offset: int, data: bytes) -> None:
    """Put `data` at `offset`."""
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


TILE_OFFSETS, TILE_COUNTS = 324, 325


def code_of(path: Path) -> str:
    """How opening and reading all of a slide ends."""
    try:
        with open_slide(path) as slide:
            slide.read(Region(0, 0, slide.width, slide.height))
    except SlideError as error:
        return error.code if "\n" not in str(error) else "more than one line"
    return "ok"


def read_whole(path: Path, level: int = 0) -> NDArray[np.uint8]:
    """All pixels of one level, as ishcount reads them."""
    with open_slide(path) as slide:
        size = slide.levels[level]
        return slide.read(Region(0, 0, size.width, size.height), level)
