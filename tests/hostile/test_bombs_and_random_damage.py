"""Files that would fill memory or were damaged at random end in one clean error."""

import os
import struct
import subprocess
import sys
import zlib
from collections import Counter
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile

from tests.slide_files import (
    TILE_OFFSETS,
    aperio_description,
    overwrite,
    patch_tag,
    tile_place,
    tissue,
    write_pyramid,
    write_tiff,
)

MUTANTS = Path(__file__).with_name("mutants.py")
JPEG = {"compression": "jpeg", "compressionargs": {"level": 80}}


# -- bombs and loops -----------------------------------------------------------------------------------------


def bomb(folder: Path, kind: str) -> Path:
    path = folder / f"{kind}.tif"
    pixels = tissue(256, 256)
    if kind == "two million pixels a side":
        write_tiff(path, pixels)
        patch_tag(path, 256, 0, 2_000_000)
        patch_tag(path, 257, 0, 2_000_000)
    elif kind == "largest size there is":
        write_tiff(path, pixels)
        patch_tag(path, 256, 0, 65_535)
        patch_tag(path, 257, 0, 65_535)
    elif kind == "tile of 2**15 by 2**15":
        write_tiff(path, pixels)
        patch_tag(path, 322, 0, 2**15)
        patch_tag(path, 323, 0, 2**15)
    elif kind == "JPEG larger than its tile":
        write_tiff(path, pixels, tile=(256, 256), **JPEG)
        place, _ = tile_place(path, 0)
        start = path.read_bytes().index(b"\xff\xc0", place)
        overwrite(path, start + 5, struct.pack(">HH", 65_000, 65_000))
    elif kind == "JPEG 2000 larger than its tile":
        write_tiff(path, pixels, tile=(256, 256), compression="jpeg2000")
        place, _ = tile_place(path, 0)
        start = path.read_bytes().index(b"\xff\x4f\xff\x51", place)
        overwrite(path, start + 8, struct.pack(">II", 65_000, 65_000))
    elif kind in ("deflate", "lzma", "zstd"):
        encode = {"deflate": zlib.compress, "lzma": imagecodecs.lzma_encode, "zstd": imagecodecs.zstd_encode}[
            kind
        ]
        data = encode(bytes(300 << 20))
        with tifffile.TiffWriter(path) as out:
            out.write(iter([data]), shape=pixels.shape, dtype=np.uint8, tile=(256, 256), photometric="rgb",
                      compression=kind, metadata=None)  # fmt: skip
    elif kind == "directory that follows itself":
        write_tiff(path, pixels)
        with tifffile.TiffFile(path) as file:
            place, first = file.pages.next_page_offset, file.pages[0].offset
        overwrite(path, place, struct.pack("<I", first))
    elif kind in ("a million directories", "loop of 150 directories"):
        n_directories = 150 if kind.startswith("loop") else 1_000_000
        write_tiff(path, pixels)
        with tifffile.TiffFile(path) as file:
            place = file.pages.next_page_offset
        start = path.stat().st_size
        chain = b"".join(
            struct.pack("<HHHIII", 1, 254, 4, 1, 0, start + (number + 1) * 18)
            for number in range(n_directories)
        )
        last = struct.pack("<HHHIII", 1, 254, 4, 1, 0, start if kind.startswith("loop") else 0)
        overwrite(path, start, chain + last)
        overwrite(path, place, struct.pack("<I", start))
    elif kind == "count of four billion":
        write_tiff(path, pixels)
        with tifffile.TiffFile(path) as file:
            overwrite(path, file.pages[0].tags[TILE_OFFSETS].offset + 4, struct.pack("<I", 2**32 - 1))
    return path


BOMBS = {
    "two million pixels a side": {"E_FORMAT"},
    "largest size there is": {"E_FORMAT"},
    "tile of 2**15 by 2**15": {"E_PIXELTYPE"},
    "JPEG larger than its tile": {"ok"},  # read masked: the tile is out
    "JPEG 2000 larger than its tile": {"ok"},
    "deflate": {"ok"},
    "lzma": {"ok"},
    "zstd": {"ok"},
    "directory that follows itself": {"ok"},
    "loop of 150 directories": {"ok"},
    "a million directories": {"E_FORMAT"},
    "count of four billion": {"E_FORMAT"},
}
PROBE = """
import sys, time
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.hostile.mutants import limit_memory, outcome
import resource
import ishcount.slide.vendor, tifffile, imagecodecs, numpy
limit_memory(2000)
imagecodecs.jpeg8_encode(numpy.zeros((8, 8, 3), 'u1'))
for name in sys.argv[1:]:
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    code = outcome(Path(name))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(code, grown >> 10, round(time.perf_counter() - start, 2), Path(name).stem, sep=';', flush=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited and measured the Linux way")
def test_bombs_are_refused_before_they_are_allocated(tmp_path):
    root = str(Path(__file__).parents[2])
    paths = [bomb(tmp_path, kind) for kind in BOMBS]
    done = subprocess.run(
        [sys.executable, "-c", PROBE.format(root=root), *map(str, paths)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    rows = [line.split(";") for line in done.stdout.splitlines()]
    assert {row[3]: row[0] in BOMBS[row[3]] for row in rows} == dict.fromkeys(BOMBS, True), rows
    assert max(int(row[1]) for row in rows) < 200, rows
    assert max(float(row[2]) for row in rows) < 1, rows


# -- random damage -------------------------------------------------------------------------------------------


def seeds_folder(folder: Path) -> Path:
    """One small file of each kind that the readers know."""
    folder.mkdir()
    pixels = tissue(300, 300)
    write_pyramid(folder / "below.tif", pixels, **JPEG)
    write_pyramid(folder / "after.tif", pixels, below=False, **JPEG)
    for codec in ("lzw", "deflate", "zstd", "lzma", "packbits", "jpeg2000", "webp"):
        write_tiff(folder / f"{codec}.tif", pixels, compression=codec)
    write_tiff(folder / "strips.tif", pixels, tile=None, rowsperstrip=20)
    write_tiff(folder / "big.tif", pixels, bigtiff=True, compression="deflate")
    write_tiff(folder / "x.svs", pixels, description=aperio_description(), **JPEG)
    write_tiff(folder / "x.ome.tif", pixels, metadata={"axes": "YXS", "PhysicalSizeX": 0.25})
    (folder / "x.png").write_bytes(imagecodecs.png_encode(pixels))
    (folder / "x.jpg").write_bytes(imagecodecs.jpeg8_encode(pixels))
    return folder


def run_mutants(folder: Path, first: int, last: int) -> Counter[str]:
    environment = dict(os.environ, PYTHONPATH=str(Path(__file__).parents[2]), PYTHONWARNINGS="error")
    done = subprocess.run(
        [sys.executable, MUTANTS, folder, str(first), str(last)],
        capture_output=True, text=True, timeout=600, env=environment, check=False,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert done.returncode == 0, (lines[-1:], done.stderr[-2000:])
    return Counter(line.split()[-1] for line in lines)


def test_random_damage_never_crashes(tmp_path):
    counts = run_mutants(seeds_folder(tmp_path / "seeds"), 0, 1500)
    assert sum(counts.values()) == 1500
    assert set(counts) <= {"ok", "E_FORMAT", "E_TRUNCATED", "E_PIXELTYPE", "E_TILE", "E_IO"}
    assert counts["ok"] > 100  # some damage leaves a readable file, so the files were good to begin with


@pytest.mark.slow
def test_ten_thousand_damaged_files_never_crash(tmp_path):
    counts = run_mutants(seeds_folder(tmp_path / "seeds"), 1500, 11_500)
    assert sum(counts.values()) == 10_000
