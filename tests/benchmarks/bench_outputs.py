"""What outputs, glass, size and format cost: `python tests/benchmarks/bench_outputs.py [--only NAME ...]`.

Prints CPU ms per megapixel of tissue and ratios to decoding in the same process:
outputs   pictures, labels and outlines beside the counting path, on a slide of `--side` pixels
glass     whole slides: megapixels of slide per CPU second with nine tenths of glass, and glass tiles decoded
size      cost against size: half, once and one and a half times `--side`
content   dense against sparse tissue (phantoms without and with inflammation)
formats   JPEG, JPEG 2000, deflate, and JPEG through OpenSlide
start     the first block of a fresh process, and `ishcount --help`
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from measured import about_machine, cpu_seconds, job_of, stage_seconds, warm_up
from repeated_slide import TILE, write_repeated

from ishcount.slide import tiff


def decoding(slide: Path, megapixels: float) -> float:
    """CPU ms per megapixel of pure decoding, where tiles are JPEG."""
    from bench_decode import decode_alone

    return 1000 * cpu_seconds(lambda: decode_alone(slide)) / megapixels


def outputs(folder: Path, side: int) -> None:
    slide = write_repeated(folder / "outputs.tif", side)
    for run in range(2):
        per = {}
        for kind in ("tables", "all"):
            plan, seconds = stage_seconds(job_of(slide, folder / f"{kind}{run}", kind))  # type: ignore[arg-type]
            per[kind] = {name: 1000 * value / plan.megapixels for name, value in seconds.items()}
        floor = decoding(slide, side**2 / 1e6)
        path = sum(per["tables"].values())
        more = per["all"]["finish"] - per["tables"]["finish"]
        print(
            f"outputs: plan {per['tables']['plan']:.1f}, count {per['tables']['count']:.1f}, "
            f"finish {per['tables']['finish']:.1f} ms per megapixel, {path / floor:.1f} x decoding "
            f"({floor:.2f}); "
            f"pictures, labels and outlines {more:.1f} more, {more / path:.2f} of the counting path",
            flush=True,
        )


def glass(folder: Path, side: int) -> None:
    side *= 2
    slide = write_repeated(folder / "glass.tif", side, blank_share=0.9)
    decoded = []
    original = tiff.decode_segment

    def counting(*arguments: object) -> object:
        decoded.append(1)
        return original(*arguments)  # type: ignore[arg-type]

    tiff.decode_segment = counting  # type: ignore[assignment]
    plan, seconds = stage_seconds(job_of(slide, folder / "glass"))
    tiff.decode_segment = original
    total, whole = sum(seconds.values()), side * side / 1e6
    n_tiles = (side // TILE) ** 2
    print(
        f"glass: {whole:.0f} megapixels, {plan.megapixels:.0f} of them tissue: {whole / total:.0f} "
        f"per CPU second "
        f"(plan {seconds['plan']:.1f}, count {seconds['count']:.1f}, finish {seconds['finish']:.1f} s); "
        f"{len(decoded)} tiles decoded of {n_tiles} in level 0",
        flush=True,
    )


def size(folder: Path, side: int) -> None:
    for width in (side // 2, side, side * 3 // 2):
        slide = write_repeated(folder / f"{width}.tif", width, blank_share=0.05)
        plan, seconds = stage_seconds(job_of(slide, folder / f"size{width}"))
        per = ", ".join(f"{name} {1000 * value / plan.megapixels:.1f}" for name, value in seconds.items())
        print(f"size: {plan.megapixels:.0f} megapixels: {per} ms per megapixel", flush=True)


def content(folder: Path, _side: int) -> None:
    from ishcount.truth.simulate.spec import PhantomSpec
    from ishcount.truth.simulate.writer import write_phantom

    for preset in ("easy", "hard"):
        spec = PhantomSpec(preset=preset, seed=3, width_um=1500, height_um=1500)
        slide = write_phantom(spec, folder / preset, preset, labels=False)
        plan, seconds = stage_seconds(job_of(slide, folder / preset / "run", marker="IFNG:fast_red"))
        per = ", ".join(f"{name} {1000 * value / plan.megapixels:.1f}" for name, value in seconds.items())
        print(
            f"content: phantom {preset}, {plan.megapixels:.0f} megapixels: {per} ms per megapixel", flush=True
        )


def formats(folder: Path, _side: int) -> None:
    import numpy as np
    import tifffile
    from repeated_slide import tissue_unit

    from ishcount.core.geometry import Region
    from ishcount.slide.open import open_slide
    from ishcount.slide.vendor import VendorSlide

    pixels = np.tile(tissue_unit(), (4, 4, 1))
    side = pixels.shape[0]
    jpeg = write_repeated(folder / "jpeg.tif", side)
    options = {"tile": (TILE, TILE), "photometric": "rgb", "resolution": (40000, 40000), "resolutionunit": 3}
    ways = {"JPEG": jpeg}
    for name, how in {
        "JPEG 2000": {"compression": "jpeg2000", "compressionargs": {"level": 50, "reversible": False}},
        "deflate": {"compression": "deflate"},
    }.items():
        ways[name] = folder / f"{name.replace(' ', '')}.tif"
        tifffile.imwrite(ways[name], pixels, **options, **how)

    def read(slide: object) -> None:
        for y in range(0, side, 1024):
            for x in range(0, side, 1024):
                slide.read_masked(Region(x, y, 1024, 1024))  # type: ignore[attr-defined]

    floor = 0.0
    for name, path in ways.items():
        with open_slide(path) as slide:
            took = 1000 * cpu_seconds(lambda slide=slide: read(slide)) / (side * side / 1e6)
        floor = floor or took
        print(f"formats: {name}: reading {took:.1f} ms per megapixel, {took / floor:.1f} x JPEG", flush=True)
    with VendorSlide(str(jpeg), reopen=(open_slide, (str(jpeg),))) as vendor:
        took = 1000 * cpu_seconds(lambda: read(vendor)) / (side * side / 1e6)
    print(f"formats: JPEG through OpenSlide: {took:.1f} ms per megapixel, {took / floor:.1f} x", flush=True)


FIRST = """
import sys, time
start = time.process_time()
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from measured import job_of
from ishcount.quantify import count_block
from ishcount.quantify.job import read_plan
loaded = time.process_time()
job = job_of(Path(sys.argv[1]), Path(sys.argv[3]))
count_block(job, read_plan(job).keys[0])
print(loaded - start, time.process_time() - loaded)
"""


def start(folder: Path, _side: int) -> None:
    slide = write_repeated(folder / "start.tif", 4096)
    stage_seconds(job_of(slide, folder / "start"))
    here = str(Path(__file__).parent)
    for _ in range(3):
        found = subprocess.run(
            [sys.executable, "-c", FIRST, str(slide), here, str(folder / "start")],
            capture_output=True, text=True, check=True,
        ).stdout.split()  # fmt: skip
        before = os.times()
        subprocess.run([sys.executable, "-m", "ishcount", "--help"], capture_output=True, check=True)
        after = os.times()
        took = after.children_user + after.children_system - before.children_user - before.children_system
        print(f"start: libraries {float(found[0]):.2f}, first block {float(found[1]):.2f} CPU s; "
              f"ishcount --help {took:.2f} CPU s", flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parts = {part.__name__: part for part in (outputs, glass, size, content, formats, start)}
    parser.add_argument("--only", nargs="+", choices=list(parts), default=list(parts))
    parser.add_argument("--side", type=int, default=16384, help="pixels along a side of the middle slide")
    options = parser.parse_args()
    print(about_machine())
    for name in options.only:
        with tempfile.TemporaryDirectory() as scratch:
            if name not in ("formats", "start"):
                warm_up(Path(scratch))
            parts[name](Path(scratch), options.side)


if __name__ == "__main__":
    main()
