"""The floor under everything: pure JPEG decoding, and what reading regions of a slide costs above it.

    python tests/benchmarks/bench_decode.py [FOLDER]

prints machine, versions and CPU megapixels per second (medians of paired runs) on the reference file made by
`repeated_slide.py`: 8192 x 8192, all tissue, JPEG quality 80, 4:2:0, tiles of 256 pixels.
"""

from __future__ import annotations

import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy
import openslide
import tifffile

sys.path.insert(0, str(Path(__file__).parent))
from repeated_slide import TILE, write_repeated

from ishcount.core.geometry import Region
from ishcount.slide.open import open_slide
from ishcount.slide.overview import read_overview

SIDE = 8192
RUNS = 7


def decode_alone(path: Path) -> None:
    """Every tile's bytes through the codec, nothing else."""
    with tifffile.TiffFile(path) as tiff, path.open("rb") as file:
        page = tiff.pages[0]
        for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
            file.seek(offset)
            imagecodecs.jpeg8_decode(file.read(count), colorspace="YCBCR", outcolorspace="RGB")


def regions(path: Path, side: int, shift: int) -> None:
    """Regions of `side` that cover the slide, moved by `shift` off the tiles."""
    with open_slide(path) as slide:
        for y in range(shift, SIDE - side + 1, side):
            for x in range(shift, SIDE - side + 1, side):
                slide.read(Region(x, y, side, side))


def openslide_regions(path: Path) -> None:
    """A quarter of the slide through OpenSlide."""
    with openslide.OpenSlide(path) as slide:
        for y in range(0, SIDE // 2, 1024):
            for x in range(0, SIDE // 2, 1024):
                slide.read_region((x, y), 0, (1024, 1024))


def overview_of_level_0(path: Path) -> None:
    """The overview when the pyramid cannot be used: every pixel of level 0 is read."""
    with open_slide(path) as slide:
        read_overview(slide, 15)


def cpu_seconds(job: Callable[[], None]) -> float:
    start = time.process_time()
    job()
    return time.process_time() - start


def main(folder: Path) -> None:
    """Run the jobs in turn, `RUNS` times, and print medians."""
    path = write_repeated(folder / "reference.tif", SIDE)
    whole = SIDE * SIDE / 1e6
    inner = (SIDE // 1024 - 1) ** 2 * 1024 * 1024 / 1e6
    jobs: dict[str, tuple[float, Callable[[], None]]] = {
        "decode alone": (whole, lambda: decode_alone(path)),
        "regions of 1024, on tiles": (whole, lambda: regions(path, 1024, 0)),
        "regions of 1024, off tiles": (inner, lambda: regions(path, 1024, 100)),
        "regions of 2048, on tiles": (whole, lambda: regions(path, 2048, 0)),
        "overview from level 0": (whole, lambda: overview_of_level_0(path)),
        "OpenSlide, regions of 1024": (whole / 4, lambda: openslide_regions(path)),
    }
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(RUNS):
        for name, (_, job) in jobs.items():
            seconds[name].append(cpu_seconds(job))
    print(platform.machine(), platform.platform(), "Python", platform.python_version())
    print("numpy", numpy.__version__, "imagecodecs", imagecodecs.__version__)
    print("tifffile", tifffile.__version__, "OpenSlide", openslide.__library_version__)
    print(f"tiles of {TILE}, {RUNS} paired runs")
    floor = [whole / value for value in seconds["decode alone"]]
    for name, (megapixels, _) in jobs.items():
        rates = [megapixels / value for value in seconds[name]]
        ratio = statistics.median(base / rate for base, rate in zip(floor, rates, strict=True))
        print(f"{name:28s} {statistics.median(rates):7.0f} MP per CPU second, {ratio:5.2f} x decoding alone")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as scratch:
            main(Path(scratch))
