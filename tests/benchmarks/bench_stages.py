"""Where the time of counting goes: each stage in CPU ms per megapixel, and over pure decoding.

    python tests/benchmarks/bench_stages.py [--skin | SLIDE MARKER:CHROMOGEN]

Without a slide: the reference file of `bench_decode.py` (JPEG quality 80, 4:2:0, tiles of 256, all tissue).
Its tissue is a brown membrane stain with some 4,000 dot candidates per megapixel: a hard case. With --skin: a
drawn section with red dots, coded the same way.
Stages are timed inside the same process; a stage within another is indented and counted in both.
"""

from __future__ import annotations

import os
import platform
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy

sys.path.insert(0, str(Path(__file__).parent))
from bench_decode import cpu_seconds, decode_alone
from repeated_slide import skin_unit, write_repeated

from ishcount.quantify import SlideJob, block, prepare
from ishcount.steps import dots, nuclei
from ishcount.study.executors import settle_in

SIDE = 8192
RUNS = 3
STAGES: list[tuple[Any, str, int]] = [
    (block, "separate", 0), (block, "block_mean", 0), (block, "block_focus", 0),
    (block, "nuclei_of_block", 0), (nuclei, "relief", 1), (nuclei, "basins", 1), (nuclei, "trim", 1),
    (nuclei, "measure_pieces", 1), (nuclei, "grow_tree", 1), (nuclei, "node_features", 1),
    (nuclei, "_chance", 1), (nuclei, "tidy", 1), (nuclei, "_measure", 1), (block, "runs_of", 0),
    (block, "find_candidates", 0), (dots, "_maxima", 1), (dots, "ring_sums", 1),
    (dots, "_measure", 1), (dots, "add_neighbours", 1), (dots, "_surroundings", 1),
    (block, "score_candidates", 0), (block, "reject_reasons", 0), (block.files, "write_arrays", 0),
]  # fmt: skip


def timed(function: Callable[..., Any], name: str, seconds: dict[str, float]) -> Callable[..., Any]:
    """The function, adding its CPU time to `seconds[name]`."""

    def wrapper(*args: Any, **named: Any) -> Any:
        start = time.process_time()
        try:
            return function(*args, **named)
        finally:
            seconds[name] += time.process_time() - start

    return wrapper


def main(slide: Path, marker: str, folder: Path, reference: bool) -> None:
    """Count every block `RUNS` times and print medians of the stages."""
    settle_in()  # as workers do: freed memory is kept for the next block
    name, _, chromogen = marker.partition(":")
    job = SlideJob(
        slide=str(slide), slide_id="bench", folder=folder / "out", work=folder / "work",
        markers=((name, chromogen or "auto"),), outputs="tables",
    )  # fmt: skip
    plan = prepare(job)
    block.count_block(job, plan.keys[0])  # compiled code and model come from disk here
    seconds: dict[str, float] = defaultdict(float)
    for module, stage, _ in STAGES:
        setattr(module, stage, timed(getattr(module, stage), stage, seconds))
    reader = block._slide(job.slide)
    reader.read_masked = timed(reader.read_masked, "read", seconds)  # type: ignore[method-assign]
    keys = plan.keys[:12]
    runs: list[dict[str, float]] = []
    for _ in range(RUNS):
        seconds.clear()
        start = time.process_time()
        megapixels = sum(block.count_block(job, key).megapixels for key in keys)
        total = time.process_time() - start
        floor = cpu_seconds(lambda: decode_alone(slide)) / (SIDE * SIDE / 1e6) if reference else float("nan")
        runs.append({stage: value / megapixels for stage, value in seconds.items()} | {
            "whole block": total / megapixels, "pure decoding": floor, "ratio": total / megapixels / floor
        })  # fmt: skip

    def median(stage: str) -> float:
        return statistics.median(run.get(stage, 0.0) for run in runs)

    print(platform.machine(), platform.platform(), "Python", platform.python_version())
    print("numpy", numpy.__version__, "OpenCV", cv2.__version__, "load", os.getloadavg())
    print(f"{len(keys)} blocks, {megapixels:.0f} megapixels, {RUNS} runs; CPU ms per megapixel")
    for stage, depth in [("whole block", 0), ("read", 0)] + [(stage, depth) for _, stage, depth in STAGES]:
        print(f"{'  ' * depth}{stage:24s} {1000 * median(stage):8.2f}")
    if reference:
        print(f"pure decoding {1000 * median('pure decoding'):.2f}; counting is {median('ratio'):.1f} x that")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        if len(sys.argv) > 2:
            main(Path(sys.argv[1]), sys.argv[2], Path(scratch), False)
        else:
            skin = sys.argv[1:] == ["--skin"]
            drawn = write_repeated(Path(scratch) / "slide.tif", SIDE, unit=skin_unit() if skin else None)
            main(drawn, "IFNG:fast_red" if skin else "IFNG:dab", Path(scratch), True)
