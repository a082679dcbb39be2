"""A slide of any size from a few tiles: BigTIFF whose directory names the same tiles again and again.

    python tests/benchmarks/repeated_slide.py OUT.tif SIDE_PX [MPP]

All tissue: the unit is scikit-image's real H-DAB tile (512 x 512), JPEG quality 80, 4:2:0, tiles of 256
pixels, with levels at 4 and 16. The file holds the tiles once, so its size is that of its directories; every
tile is decoded anew by a reader.
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import imagecodecs
import numpy as np
from numpy.typing import NDArray

TILE = 256
QUALITY = 80


def tissue_unit() -> NDArray[np.uint8]:
    """1024 x 1024 of real tissue, so that each level's unit is whole tiles."""
    import skimage.data

    return np.tile(skimage.data.immunohistochemistry(), (2, 2, 1))


def skin_unit() -> NDArray[np.uint8]:
    """4096 x 4096 of a drawn skin section with red dots, glass at its edge: what a usual slide asks for."""
    import tempfile

    from ishcount.core.geometry import Region
    from ishcount.slide.open import open_slide
    from ishcount.truth.simulate.spec import PhantomSpec
    from ishcount.truth.simulate.writer import write_phantom

    with tempfile.TemporaryDirectory() as folder:
        spec = PhantomSpec(preset="medium", seed=3, width_um=1200, height_um=1200)
        with open_slide(write_phantom(spec, Path(folder), "skin", labels=False)) as slide:
            corner = (slide.width - 4096) // 2
            return np.asarray(slide.read(Region(corner, corner, 4096, 4096)))


def _encode(pixels: NDArray[np.uint8]) -> bytes:
    return bytes(imagecodecs.jpeg8_encode(np.ascontiguousarray(pixels), level=QUALITY, subsampling="420"))


def _shrunk(pixels: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    side = pixels.shape[0] // factor
    blocks = pixels.reshape(side, factor, side, factor, 3)
    return np.rint(blocks.mean(axis=(1, 3))).astype(np.uint8)


def _level_tiles(unit: NDArray[np.uint8], factor: int) -> list[list[bytes]]:
    """The grid of different tiles of one level: after it the level repeats."""
    small = _shrunk(unit, factor) if factor > 1 else unit
    repeats = max(1, TILE // small.shape[0])
    small = np.tile(small, (repeats, repeats, 1))
    n = small.shape[0] // TILE
    return [
        [
            _encode(small[row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE])
            for column in range(n)
        ]
        for row in range(n)
    ]


def write_repeated(
    path: Path, side: int, *, mpp: float = 0.25, blank_share: float = 0.0,
    unit: NDArray[np.uint8] | None = None,
) -> Path:  # fmt: skip
    """A square slide of `side` pixels; `blank_share` of its columns (right) are glass.

    unit: what is repeated (default: `tissue_unit`), its sides a multiple of 4096 or 1024 with equal edges.
    """
    unit = tissue_unit() if unit is None else unit
    glass = _encode(np.full((TILE, TILE, 3), 242, np.uint8))
    with path.open("wb") as file:
        file.write(b"II" + struct.pack("<HHHQ", 43, 8, 0, 0))
        link = 8  # where the offset of the next directory goes
        for factor in (1, 4, 16):
            width = side // factor
            grid = [[_put(file, tile) for tile in row] for row in _level_tiles(unit, factor)]
            blank, n = _put(file, glass), -(-width // TILE)
            first_blank = int(n * (1 - blank_share))
            places = [
                blank if column >= first_blank else grid[row % len(grid)][column % len(grid)]
                for row in range(n)
                for column in range(n)
            ]
            link = _directory(file, link, width, places, mpp if factor == 1 else None)
    return path


def _put(file, data: bytes) -> tuple[int, int]:
    offset = file.seek(0, 2)
    file.write(data)
    return offset, len(data)


def _directory(file, link: int, width: int, places: list[tuple[int, int]], mpp: float | None) -> int:
    """Write one page and hook it to the chain; the place of its own link."""
    array = np.array(places, np.uint64)
    offsets, _ = _put(file, array[:, 0].tobytes())
    counts, _ = _put(file, array[:, 1].tobytes())
    n = len(places)
    tags = [
        (254, 4, 1, 0 if mpp else 1), (256, 4, 1, width), (257, 4, 1, width), (258, 3, 3, 0x0008_0008_0008),
        (259, 3, 1, 7), (262, 3, 1, 6), (277, 3, 1, 3), (284, 3, 1, 1), (322, 4, 1, TILE), (323, 4, 1, TILE),
        (324, 16, n, offsets if n > 1 else places[0][0]), (325, 16, n, counts if n > 1 else places[0][1]),
        (530, 3, 2, 0x0002_0002),
    ]  # fmt: skip
    if mpp:
        per_cm = struct.unpack("<Q", struct.pack("<II", round(1e6 / mpp), 100))[0]
        tags += [(282, 5, 1, per_cm), (283, 5, 1, per_cm), (296, 3, 1, 3)]
    body = struct.pack("<Q", len(tags)) + b"".join(struct.pack("<HHQQ", *tag) for tag in sorted(tags))
    start, _ = _put(file, body + bytes(8))
    file.seek(link)
    file.write(struct.pack("<Q", start))
    return start + len(body)


if __name__ == "__main__":
    write_repeated(Path(sys.argv[1]), int(sys.argv[2]), mpp=float(sys.argv[3]) if len(sys.argv) > 3 else 0.25)
